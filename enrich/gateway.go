// Package enrich is the gateway itself: the stages that a request passes, in
// one direction and in one order. Issuers, directories, caches, clock and logger
// are injected. It does not depend on Caddy.
//
// A request's way is Gateway.Enrich (gateway.go): checks.go and the deny list on
// every request, credential.go for what it brings, decisioncache.go for a
// credential that was seen before, evaluation.go for one that was not, and
// forward.go to write the headers.
package enrich

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// Gateway takes requests through the stages. There is one for each
// configuration; what must outlive a configuration (keys, caches, clients) is
// injected and not owned by it.
type Gateway struct {
	// Issuers verify tokens. Required.
	Issuers *issuer.Set

	// Lookup looks up records; nil where no directory is configured.
	Lookup *Lookup

	// Proofs remembers the DPoP proofs that any node of the gateway has seen; nil
	// where each issuer remembers its own.
	Proofs *issuer.ProofMemory

	// LongLived tracks the requests that are to end with their tokens.
	LongLived *LongLived

	// Decisions caches the decisions about tokens and sessions that were seen before.
	Decisions *DecisionCache

	// Signer signs new tokens; nil where no policy forwards one.
	Signer *mint.Signer

	// Denials is the deny list; nil means none. DenyMaxAge is how long it is used
	// without having been confirmed, 0 meaning any time, and ContinueUnconfirmed
	// uses it after that. An unconfirmed list matters where denials were ever
	// made, or where DenialsConfigured says that a hook can make them.
	Denials             *purgelog.DenyList
	DenyMaxAge          time.Duration
	ContinueUnconfirmed bool
	DenialsConfigured   bool

	// Log is the purge log; nil means none. KeyDeriver derives the name hashes that it
	// and the deny list hold.
	Log        *purgelog.Log
	KeyDeriver *cache.KeyDeriver

	// Fingerprint differs between configurations whose decisions must not be
	// shared: it covers issuers and directories with all their settings.
	Fingerprint Fingerprint

	// loggedReasons are the reasons for unknown groups that have been logged: a
	// few for each issuer and directory.
	loggedReasons sync.Map

	// Clock returns the time, Logger takes what an operator should see, and
	// Observer counts. All are required.
	Clock    func() time.Time
	Logger   *slog.Logger
	Observer Observer
}

// RequestInfo is what the server knows of a request besides what the request
// itself holds.
type RequestInfo struct {
	// ClientIP is the client's address as the server determined it; only
	// requirements that name it read it.
	ClientIP string

	// URL is the request's URL as the client sent it, before any rewrite, for
	// the htu of DPoP proofs. Nil means that nothing was rewritten.
	URL *url.URL

	// Session reads the session of a login from its cookie; nil where the policy
	// has no SessionCookie.
	Session SessionSource

	// Credentials are the headers that were taken out of the request because
	// tokens are read from them, by canonical name. Tokens are read from here,
	// and only what the policy keeps returns to the request. Nil means that
	// none were.
	Credentials http.Header

	// Reserved are the names that only the gateway may write, and those that
	// tokens are read from. Nil reserves nothing.
	Reserved *forward.ReservedNames
}

// Enrich takes a request through the stages under a policy. The first stage,
// the scrub, has been done before (forward.ReservedNames): it is for every request,
// also for those that no policy decides.
//
// On success the request carries what the application is to receive. On
// failure the error is a *Refusal and the request must not be passed on; a
// decision beside it says whose token it is, once that was verified.
func (g *Gateway) Enrich(r *http.Request, p *Policy, info RequestInfo) (d *Decision, err error) {
	started := g.Clock()
	hit := false
	defer func() {
		// A panic in a stage must neither reach the next handler nor take
		// the server down.
		if v := recover(); v != nil {
			g.Logger.Error("a stage panicked", "policy", p.name, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			d, err = nil, refuse(KindInternal, ErrPanic)
		}
		if err != nil && !errors.Is(err, token.ErrNone) {
			// A refusal may end in an error route that proxies.
			for i := range p.places {
				if place := &p.places[i]; !p.keeps(place) {
					token.Found{Place: place}.Drop(r)
				}
			}
		}
		g.Observer.Decided(p.name, outcome(d, err), hit, g.Clock().Sub(started))
	}()

	if err := p.checkRequest(r); err != nil {
		return nil, err
	}
	found, err := findToken(r, p, info.Credentials)
	if err != nil {
		if errors.Is(err, token.ErrNone) && p.definition.Anonymous {
			return g.anonymous(r, p, info)
		}
		return nil, err
	}
	if err := crossOrigin(r, p, found); err != nil {
		return nil, err
	}
	if d, hit, err = g.decideRequest(r, p, found, info, started); err == nil {
		return d, g.forward(r, p, d, found, info)
	}
	if p.definition.Anonymous && sessionEnded(err) && (r.Method == http.MethodGet || r.Method == http.MethodHead) {
		found.Drop(r)
		return g.anonymous(r, p, info)
	}
	return d, err
}

// decideRequest returns the decision about what was found in a request, checked
// on this request, and whether it comes from the cache.
func (g *Gateway) decideRequest(r *http.Request, p *Policy, found token.Found, info RequestInfo, now time.Time) (d *Decision, hit bool, err error) {
	cred, err := openCredential(found, info, now)
	if err != nil {
		return nil, false, err
	}
	caller := callerOf(r, found, info)
	caller.Memory = g.Proofs
	if d = g.Decisions.get(g.Fingerprint, p, cred, g.Lookup, now); d != nil { //nolint:contextcheck // a refresh behind the request outlives it
		hit = true
		// What a cached decision cannot know: who sends the token this time.
		if err := d.verified.CheckSender(r.Context(), caller); err != nil {
			return nil, hit, refuseToken(err)
		}
	} else if d, err = g.decide(r.Context(), p, cred, caller, now); err != nil {
		return d, hit, err
	}
	return d, hit, g.check(requestCheck{
		policy: p, decision: d, now: now, session: cred.session != nil, request: r, clientIP: info.ClientIP, requirements: p.requirements.request,
	})
}

// findToken returns the token or session cookie of a request, from exactly one of
// the policy's places.
func findToken(r *http.Request, p *Policy, detached http.Header) (token.Found, error) {
	found, err := token.Find(r, detached, p.places, 0)
	switch {
	case err == nil:
		return found, nil
	case errors.Is(err, token.ErrNone):
		return found, refuse(KindNoToken, err)
	case errors.Is(err, token.ErrTooLong):
		return found, refuse(KindInvalidToken, err)
	}
	return found, refuse(KindMalformedRequest, err)
}

// decide makes the decision about a credential that is not in the decision cache:
// it verifies the credential and runs the stages. The decision may be a denial;
// errors are for what could not be decided, with a decision that says whose
// credential it is where that was verified.
func (g *Gateway) decide(ctx context.Context, p *Policy, cred credential, caller *issuer.Caller, now time.Time) (*Decision, error) {
	verified, err := g.verify(ctx, p, cred, caller, now)
	if err != nil {
		return nil, err
	}
	e := g.newEvaluation(p, verified, cred.token(), now)
	err = e.run(ctx)
	g.observeOverflow(e, err)
	d := e.decision(err)
	if err != nil && d.denial == nil {
		return d, err
	}
	g.Decisions.put(g.Fingerprint, p, cred, d)
	return d, nil
}

// observeOverflow counts the headers that were too large: the one that ended
// the stages with err, or those that were written otherwise.
func (g *Gateway) observeOverflow(e *evaluation, err error) {
	p := e.policy
	if header, ok := forward.Overflowed(err); ok {
		g.Observer.HeaderOverflowed(p.name, p.headerPlan.Label(header))
	}
	if e.rendered == nil {
		return
	}
	for _, o := range e.rendered.Outcomes() {
		if o.Overflowed() {
			g.Observer.HeaderOverflowed(p.name, p.headerPlan.Label(o.Header))
		}
	}
}
