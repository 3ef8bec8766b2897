package enrich

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file holds the checks that are made on every request, also where the
// decision itself comes from the cache: those that need no token first, then
// those of the decision.

// checkRequest refuses a request on which requirements cannot be evaluated: its
// path leads elsewhere in one reading, or the application may take its method
// for another (P55, P64). Its error is a *Refusal.
func (p *Policy) checkRequest(r *http.Request) error {
	if err := CheckPath(r); err != nil {
		return err
	}
	if !p.requirements.readsMethod {
		return nil
	}
	if strings.Trim(r.Method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ-_") != "" {
		return refuse(KindMalformedRequest, fmt.Errorf("%w: it contains characters other than A to Z, - and _", errMethod))
	}
	if overridesMethod(r.Header) {
		return refuse(KindMalformedRequest, fmt.Errorf("%w: a header overrides it", errMethod))
	}
	return nil
}

// crossOrigin refuses what a page of another origin could make a browser send
// with our cookie: unsafe methods, and WebSocket upgrades, which the method does
// not tell apart. Go's CrossOriginProtection checks Sec-Fetch-Site and Origin; a
// handshake is a GET, so it is passed to it as a POST.
func crossOrigin(r *http.Request, p *Policy, found token.Found) error {
	if p.definition.AllowCrossOrigin || found.Place.Kind != token.Cookie {
		return nil
	}
	probe := r
	if isUpgrade(r) {
		probe = &http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}
		// A browser always sends Origin with a handshake; a client that sends
		// none is no browser.
		if origin := r.Header.Get("Origin"); origin != "" && !sameOrigin(origin, r.Host) {
			return refuse(KindCrossOrigin, errCrossOrigin)
		}
	}
	if err := p.crossOrigin.Check(probe); err != nil {
		return refuse(KindCrossOrigin, errCrossOrigin)
	}
	return nil
}

// sameOrigin reports whether an Origin header names the host, with any scheme.
func sameOrigin(origin, host string) bool {
	_, rest, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(rest, host)
}

// isUpgrade reports whether a request asks for another protocol or a tunnel.
func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect
}

// callerOf returns what a request shows of its sender besides the token.
func callerOf(r *http.Request, found token.Found, info RequestInfo) *issuer.Caller {
	c := issuer.CallerOf(r, found.Token, found.Scheme)
	if info.URL != nil {
		c.Path = info.URL.EscapedPath()
	}
	return c
}

// requestCheck is a decision that is about to be applied to a request.
type requestCheck struct {
	policy   *Policy
	decision *Decision
	now      time.Time
	session  bool // the decision is about a session and not a token

	// request is nil where Explain has none; no requirement is checked
	// then. pathErr is why its path cannot be checked. Enrich has refused such a
	// request before.
	request      *http.Request
	clientIP     string
	pathErr      error
	requirements []requestRequirement
}

// requestStages are the checks of a decision on every request, in order. Each
// error is a *Refusal. They take their argument by value, so that a decision
// from the cache is checked without an allocation.
var requestStages = [...]func(*Gateway, requestCheck) error{
	(*Gateway).checkDenyList,
	(*Gateway).checkAuthentication,
	(*Gateway).checkDecision,
	(*Gateway).checkRequestRequirements,
}

// check takes a decision through the checks of every request.
func (g *Gateway) check(c requestCheck) error {
	for _, stage := range requestStages {
		if err := stage(g, c); err != nil {
			return err
		}
	}
	return nil
}

// checkAuthentication checks what RFC 9470 lets a resource demand: the login's
// class (acr) and its age (auth_time). The age depends on the clock.
func (g *Gateway) checkAuthentication(c requestCheck) error {
	values, maxAge := c.policy.definition.RequireACR, c.policy.definition.MaxAge
	if len(values) == 0 && maxAge == 0 {
		return nil
	}
	claims, leeway := c.decision.Principal.Claims, c.decision.verified.Issuer.Leeway()
	acr, _ := claims["acr"].(string)
	ok := len(values) == 0 || slices.Contains(values, acr)
	if ok && maxAge > 0 {
		at, known := seconds(claims["auth_time"])
		ok = known && c.now.Sub(at) <= maxAge+leeway && !at.After(c.now.Add(leeway))
	}
	if ok {
		return nil
	}
	r := refuse(KindInsufficientAuthentication, errAuthenticationContext)
	r.ACRValues, r.MaxAge = values, maxAge
	return r
}

// checkDecision applies the decision itself. It comes after the deny list, so
// that the answer to a revoked token does not depend on its user.
func (*Gateway) checkDecision(c requestCheck) error {
	if c.decision.denial != nil {
		return c.decision.denial
	}
	return nil
}

// checkRequestRequirements checks the requirements that read the request.
func (*Gateway) checkRequestRequirements(c requestCheck) error {
	if c.pathErr != nil {
		return c.pathErr
	}
	return c.decision.requirements.checkRequest(c.request, c.clientIP, c.requirements)
}

// seconds returns the time of a NumericDate (RFC 7519, section 2), and whether v
// is one.
func seconds(v any) (time.Time, bool) {
	switch n := v.(type) {
	case int64:
		return time.Unix(n, 0), true
	case float64:
		return time.Unix(int64(n), 0), true
	}
	return time.Time{}, false
}

// anonymous decides a request without a token where the policy allows it: no
// rule runs, no header is written, no token is signed. Requirements read null
// for user, groups and token; one that is not true asks for a token.
func (g *Gateway) anonymous(r *http.Request, p *Policy, info RequestInfo) (*Decision, error) {
	if len(p.definition.RequireScope) > 0 || len(p.definition.RequireACR) > 0 || p.definition.MaxAge > 0 {
		return nil, refuse(KindNoToken, token.ErrNone)
	}
	in := requirementInput{context: &oktael.Context{Anonymous: true, Now: g.Clock}}
	if err := in.checkAll(p.requirements.decision); err != nil {
		return nil, refuse(KindNoToken, errors.Unwrap(err))
	}
	if err := in.checkRequest(r, info.ClientIP, p.requirements.request); denies(err) {
		return nil, refuse(KindNoToken, errors.Unwrap(err))
	} else if err != nil {
		return nil, err
	}
	return &Decision{ID: newID(), status: statusAnonymous}, nil
}
