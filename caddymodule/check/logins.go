package check

import (
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// This file warns of logins whose sessions do not fit into a cookie, or that end on one
// node alone. A login over plain http is among the policy's own warnings.

// logins adds the warnings about a policy at which people log in.
func (c *checker) logins(p *caddymodule.Handler) {
	if p.Site() == nil || c.app.SessionConfig().Store != login.StoreCookie {
		return
	}
	_, groups, all := p.Policy().TokenClaims()
	if all {
		c.add(p.Name, readerOfAll(p), "sessions keep every claim of the ID token, in a cookie of at most 3,900 bytes: a person with more cannot log in; name the claims that are needed")
	}
	if groups && slices.ContainsFunc(p.Login, c.app.GroupsFromToken) {
		c.add(p.Name, "groups", "sessions keep the groups of the ID token, because no directory answers for the issuer, in a cookie of at most 3,900 bytes: a person in many groups cannot log in; let the provider send only the groups that are needed, or configure a directory")
	}
	if c.app.Cache != nil && c.app.Cache.Redis != nil {
		c.add("", "session", "sessions are kept in cookies, and Redis is for several nodes: one that ends by logout or a new login is refused on this node only; deny and back-channel logout reach all nodes")
	}
}

// readerOfAll returns the option for which a policy's sessions keep every claim.
func readerOfAll(p *caddymodule.Handler) string {
	for _, h := range p.HeadersFrom {
		if len(h.Claims) == 0 {
			return "headers_from " + h.Prefix
		}
	}
	if slices.ContainsFunc(p.Tokens, func(t mint.TokenDefinition) bool { return slices.Contains(t.Claims, "*") }) {
		return "token claims *"
	}
	return "an expression that reads token as a whole"
}
