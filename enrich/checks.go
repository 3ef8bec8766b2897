package enrich

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file holds the checks that are made on every request, also where the
// decision itself comes from the cache.

// crossOrigin refuses what a foreign page could make a browser send with our
// cookie: unsafe methods, and WebSocket upgrades, which no method protects.
// Go's CrossOriginProtection judges by Sec-Fetch-Site and Origin; a handshake
// is a GET, so it is shown to it as a POST.
func crossOrigin(r *http.Request, p *Policy, found token.Found) error {
	if p.definition.AllowCrossOrigin || found.Place.Kind != token.Cookie {
		return nil
	}
	probe := r
	if isUpgrade(r) {
		probe = &http.Request{Method: http.MethodPost, URL: r.URL, Host: r.Host, Header: r.Header}
		// A browser always sends Origin with a handshake; what sends none is
		// no browser.
		if origin := r.Header.Get("Origin"); origin != "" && !sameOrigin(origin, r.Host) {
			return refuse(KindCrossOrigin, ErrCrossOrigin)
		}
	}
	if err := http.NewCrossOriginProtection().Check(probe); err != nil {
		return refuse(KindCrossOrigin, ErrCrossOrigin)
	}
	return nil
}

func sameOrigin(origin, host string) bool {
	_, rest, ok := strings.Cut(origin, "://")
	return ok && strings.EqualFold(rest, host)
}

func isUpgrade(r *http.Request) bool {
	return r.Header.Get("Upgrade") != "" || r.Method == http.MethodConnect
}

// callerOf is what a request shows of its sender besides the token.
func callerOf(r *http.Request, found token.Found, from RequestInfo) *issuer.Caller {
	c := issuer.CallerOf(r, found.Token, found.Scheme)
	if from.URL != nil {
		c.Path = from.URL.EscapedPath()
	}
	return c
}

// authenticationContext checks what RFC 9470 lets a resource demand: the
// login's class and its age. It looks at the clock and is therefore asked on
// every request.
func (p *Policy) authenticationContext(principal *identity.Principal, now time.Time, leeway time.Duration) error {
	values, maxAge := p.definition.RequireACR, p.definition.MaxAge
	if len(values) == 0 && maxAge == 0 {
		return nil
	}
	acr, _ := principal.Claims["acr"].(string)
	ok := len(values) == 0 || slices.Contains(values, acr)
	if ok && maxAge > 0 {
		at, known := seconds(principal.Claims["auth_time"])
		ok = known && now.Sub(at) <= maxAge+leeway && !at.After(now.Add(leeway))
	}
	if ok {
		return nil
	}
	r := refuse(KindInsufficientAuthentication, ErrAuthenticationContext)
	r.ACRValues, r.MaxAge = values, maxAge
	return r
}

// seconds reads a NumericDate (RFC 7519, section 2).
func seconds(v any) (time.Time, bool) {
	switch n := v.(type) {
	case int64:
		return time.Unix(n, 0), true
	case float64:
		return time.Unix(int64(n), 0), true
	}
	return time.Time{}, false
}

// anonymous is the way of a request without a token where the policy allows
// it: no rule runs, no header is written, nothing is minted. Requirements see
// null for user, groups and token; one that is not true asks for a token.
func (g *Gateway) anonymous(r *http.Request, p *Policy, from RequestInfo) (*Decision, error) {
	if len(p.definition.RequireScope) > 0 || len(p.definition.RequireACR) > 0 || p.definition.MaxAge > 0 {
		return nil, refuse(KindNoToken, token.ErrNone)
	}
	d := &Decision{ID: newID(), policy: p, status: statusAnonymous}
	c := &oktael.Context{Anonymous: true, Now: g.Clock}
	if refusal := p.requireAll(p.require, c, d); refusal != nil {
		return nil, refuse(KindNoToken, refusal.Cause)
	}
	if err := p.requireRequest(r, c, d, requestRoot(r, from), p.perRequest); denies(err) {
		return nil, refuse(KindNoToken, errors.Unwrap(err))
	} else if err != nil {
		return nil, err
	}
	return d, nil
}
