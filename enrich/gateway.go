// Package enrich is the gateway itself: the stages that a request passes, in
// one direction and in one order. Everything it needs it is given: issuers,
// directories, caches, clock and logger. It knows nothing of Caddy.
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
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// Gateway takes requests through the stages. It is made once per
// configuration; what must outlive a configuration (keys, caches, clients) is
// given to it and not owned by it.
type Gateway struct {
	// Issuers verify tokens.
	Issuers *issuer.Set

	// Lookup gives records; nil where no directory is configured.
	Lookup *Lookup

	// Proofs is what the gateway's nodes know of DPoP proofs together; nil where
	// each issuer knows its own.
	Proofs *issuer.ProofMemory

	// Streams ends long requests with their tokens.
	Streams *Streams

	// Decisions short-cuts the stages for a token already seen.
	Decisions *Decisions

	// Signer signs new tokens; nil where no policy forwards one.
	Signer *mint.Signer

	// Denials is the deny list; DenyMaxAge is how long it serves without
	// having been confirmed, and ContinueUnconfirmed goes on after that. An
	// unconfirmed list matters where denials were ever made, or where
	// DenialsConfigured says that a hook can make them.
	Denials             *cache.DenyList
	DenyMaxAge          time.Duration
	ContinueUnconfirmed bool
	DenialsConfigured   bool

	// Log is the purge log, and Keyer makes the names that it and the deny
	// list know things by.
	Log   *cache.Log
	Keyer *cache.Keyer

	// Fingerprint tells configurations apart whose decisions must not be
	// shared: issuers and directories with all their settings.
	Fingerprint []byte

	// told are the reasons for unknown groups that the operator has been told:
	// a few for each issuer and directory.
	told sync.Map

	// Clock tells the time, Logger takes what an operator should see, and
	// Observer counts. All are required.
	Clock    func() time.Time
	Logger   *slog.Logger
	Observer Observer
}

// Arrival is what the server knows of a request besides what it holds now.
type Arrival struct {
	// ClientIP is the client's address as the server determined it; only
	// requirements that name it read it.
	ClientIP string

	// URL is the request's URL as the client sent it, before any rewrite, for
	// the htu of DPoP proofs. Nil means that nothing was rewritten.
	URL *url.URL

	// Owned are the names that only the gateway may write, and those that
	// tokens are read from. Once a token has been found, all that the client
	// sent there goes away, but for that token where the policy keeps it. Nil
	// owns nothing.
	Owned *forward.ReservedNames
}

// Enrich takes a request through the stages under a policy. The first stage,
// the scrub, has been done before (forward.ReservedNames): it is for every request,
// also for those that no policy decides.
//
// On success the request carries what the application is to receive. On
// failure the error is a *Refusal and the request must not be passed on; a
// decision beside it says whose token it is, once that was verified.
func (g *Gateway) Enrich(r *http.Request, p *Policy, from Arrival) (d *Decision, err error) {
	started := g.Clock()
	hit := false
	defer func() {
		// A panic in a stage must neither reach the next handler nor take
		// the server down.
		if v := recover(); v != nil {
			g.Logger.Error("a stage panicked", "policy", p.name, "panic", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			d, err = nil, refuse(KindInternal, ErrPanic)
		}
		if err != nil && !p.definition.KeepToken && !errors.Is(err, token.ErrNone) {
			// A refusal may end in an error route that proxies.
			for i := range p.places {
				token.Found{Place: &p.places[i]}.Drop(r)
			}
		}
		g.Observer.Decided(p.name, outcome(d, err), hit, g.Clock().Sub(started))
	}()

	if err := p.checkRequest(r); err != nil {
		return nil, err
	}
	found, err := g.find(r, p)
	if err != nil {
		if errors.Is(err, token.ErrNone) && p.definition.Anonymous {
			return g.anonymous(r, p, from)
		}
		return nil, err
	}
	if err := crossOrigin(r, p, found); err != nil {
		return nil, err
	}
	caller := callerOf(r, found, from)
	caller.Memory = g.Proofs
	if d = g.Decisions.find(g, p, found, started); d != nil { //nolint:contextcheck // a refresh behind the request outlives it
		hit = true
		// What a cached decision cannot know: who sends the token this time.
		if err := d.verified.Issuer.CheckSender(r.Context(), d.Principal, caller); err != nil {
			return nil, refuseToken(err)
		}
	} else if d, err = g.decide(r.Context(), p, found, caller, started); err != nil {
		return d, err
	}
	if err := g.denied(d.Principal, d.denials, started); err != nil {
		return d, err
	}
	if err := p.authenticationContext(d.Principal, started, d.verified.Issuer.Leeway()); err != nil {
		return d, err
	}
	if d.refusal != nil {
		return d, d.refusal
	}
	if len(p.perRequest) > 0 {
		// Not part of a decision, which may come from the cache.
		if err := p.requireRequest(r, d.context, d, requestRoot(r, from), p.perRequest); err != nil {
			return d, err
		}
	}
	return d, g.forward(r, p, d, found, from.Owned)
}

// find is the second stage: the token, from exactly one of the listed places.
func (g *Gateway) find(r *http.Request, p *Policy) (token.Found, error) {
	found, err := token.Find(r, p.places, 0)
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

// decide is the way of a token that is not in the decision cache: verify,
// look up, compute, require, and render what will be forwarded. The decision
// that it returns may be a denial; errors are for what could not be decided,
// with a decision that says whose token it is where that was verified.
func (g *Gateway) decide(ctx context.Context, p *Policy, found token.Found, caller *issuer.Caller, now time.Time) (*Decision, error) {
	verified, err := g.Issuers.Verify(ctx, found.Token, p.definition.Issuers, caller)
	if err != nil {
		return nil, refuseToken(err)
	}
	d := newDecision(p, verified, now)
	d.denials = g.denialNames(verified.Principal)
	if err := g.conclude(ctx, p, d, found.Token); err != nil {
		if header, ok := forward.Overflowed(err); ok {
			g.Observer.HeaderOverflowed(p.name, p.contract.Label(header))
		}
		return d, err
	}
	if d.rendered != nil {
		for _, note := range d.rendered.Notes() {
			if note.Overflowed() {
				g.Observer.HeaderOverflowed(p.name, p.contract.Label(note.Header))
			}
		}
	}
	g.Decisions.keep(g, p, found, d)
	return d, nil
}

// conclude takes a verified principal through the stages that need no request.
// What could be found out stands in the decision also where it ends in an
// error, for those who ask why.
func (g *Gateway) conclude(ctx context.Context, p *Policy, d *Decision, raw string) error {
	if err := g.lookUp(ctx, p, d, raw); err != nil {
		return err
	}
	if d.refusal != nil {
		return nil
	}
	g.tellUnknownGroups(p, d.record.Person)
	if err := g.compute(p, d); err != nil {
		return err
	}
	if d.refusal = p.judge(d); d.refusal != nil {
		return nil
	}
	var err error
	if d.rendered, err = p.contract.Render(d.Claims); err != nil {
		return refuse(KindHeader, err)
	}
	return nil
}

// lookUp is the fourth stage: the record, from memory, Redis or directory. A
// part that is missing or failed becomes a refusal or, where the policy goes
// on without it, a set of roots that rules may not read.
func (g *Gateway) lookUp(ctx context.Context, p *Policy, d *Decision, raw string) error {
	d.status = identity.Fresh.String()
	if g.Lookup == nil {
		d.record.Person = personOfToken(d.Principal, p.reads)
		return nil
	}
	var err error
	q := directory.Query{Principal: d.Principal, Token: raw}
	d.record, err = g.Lookup.Record(ctx, q, d.app, p.reads)
	if ctx.Err() != nil {
		return refuse(KindUnavailable, ctx.Err())
	}
	return p.weigh(d, err)
}

// tellUnknownGroups logs why a person's groups are unknown that the policy
// reads, once for each reason: it lies in the configuration of an issuer or a
// directory, and every such person has it.
func (g *Gateway) tellUnknownGroups(p *Policy, who *identity.Person) {
	if who == nil || who.GroupsUnknown == "" || p.reads&oktael.RootGroups == 0 {
		return
	}
	if _, before := g.told.LoadOrStore(who.GroupsUnknown, true); !before {
		g.Logger.Warn("groups are unknown, so that rules and requirements that read them fail", "reason", who.GroupsUnknown, "policy", p.name)
	}
}

// compute is the fifth stage: the verified token's claims, overlaid by what
// the rules compute.
func (g *Gateway) compute(p *Policy, d *Decision) error {
	d.context = g.contextOf(d)
	result, err := p.rules.Eval(d.context, d.skip)
	d.Outcomes = result.Outcomes
	if err != nil {
		return refuse(KindClaim, err)
	}
	d.Computed, d.ruled, d.unknown = result.Claims, result.Computed, result.Unknown
	d.Claims = overlay(d.Principal.Claims, result)
	d.context.Claims = result.Claims
	return p.withhold(d)
}

// forward is the last stage: headers and signed token onto the request, and
// the incoming token away from it.
func (g *Gateway) forward(r *http.Request, p *Policy, d *Decision, found token.Found, owned *forward.ReservedNames) error {
	if p.definition.KeepToken {
		owned.ScrubCredentialsExcept(r, *found.Place)
	} else {
		found.Drop(r)
		owned.ScrubCredentialsExcept(r)
	}
	d.rendered.Write(r.Header)
	for i := range p.tokens {
		value, err := g.signed(r.Context(), p, d, i)
		if err != nil {
			return err
		}
		if err := p.tokens[i].target.Write(r, value); err != nil {
			return refuse(KindHeader, err)
		}
	}
	return nil
}

// signed gives the header or cookie value of one signed token. A token serves
// until half its life is gone, unless the policy wants one for each request.
func (g *Gateway) signed(ctx context.Context, p *Policy, d *Decision, i int) (string, error) {
	now := g.Clock()
	t := p.tokens[i].template
	if g.Signer == nil {
		return "", refuse(KindUnavailable, mint.ErrNotReady)
	}
	if m := d.minted[i].Load(); m != nil && m.Reusable(now) && g.Signer.IsActive(m.KeyID) && !t.PerRequest() {
		return m.value, nil
	}
	m, err := g.Signer.Mint(ctx, t, d.toSign(now))
	if err != nil {
		return "", refuseSigning(err)
	}
	g.Observer.Minted(p.name)
	value := t.Value(m.Token)
	if !t.PerRequest() {
		d.minted[i].Store(&mintedToken{Minted: m, value: value})
	}
	return value, nil
}

// refuseSigning makes a refusal of why a token could not be signed.
func refuseSigning(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mint.ErrNoSubject), errors.Is(err, mint.ErrExpired):
		return refuse(KindInvalidToken, err)
	case errors.Is(err, mint.ErrNotReady):
		return refuse(KindUnavailable, err)
	}
	return refuse(KindInternal, err)
}

// toSign is what a signed token is made from.
func (d *Decision) toSign(now time.Time) mint.Request {
	return mint.Request{
		Principal: d.Principal, Claims: d.Computed, Computed: d.ruled, Now: now, Leeway: d.verified.Issuer.Leeway(),
	}
}

// contextOf is what expressions may read of a decision.
func (g *Gateway) contextOf(d *Decision) *oktael.Context {
	c := &oktael.Context{
		App:     d.record.App,
		AppUser: d.record.AppUser,
		Scopes:  d.Principal.Scopes,
		Token:   d.Principal.Claims,
		Now:     g.Clock,

		Withheld: d.Principal.Withheld(),
		Untold:   g.untold(d),
	}
	if person := d.record.Person; person != nil {
		c.User = person.User
		c.Groups, c.GroupsKnown, c.GroupsUnknown = person.Groups, person.GroupsKnown, person.GroupsUnknown
		c.Linked, c.LinkedNames, c.AppUsers = person.Linked, person.LinkedNames, person.AppUsers
		c.Index = d.record.Index
	}
	return c
}

// untold is what of the decision's record nobody could say. A client on its own
// behalf has no user, which is known.
func (g *Gateway) untold(d *Decision) identity.Facts {
	untold := identity.AllFacts
	if g.Lookup != nil {
		untold = g.Lookup.untold(d.Principal)
	}
	const ofApp = identity.FactApp | identity.FactAppUser
	switch person := d.record.Person; {
	case d.Principal.Machine:
		return untold & identity.FactApp
	case person != nil && person.User != nil:
		return untold&ofApp | person.Untold
	case person != nil: // no directory answers for the issuer
		return untold | identity.GroupFacts
	}
	return untold & ofApp
}
