package check

import (
	"net/http"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// appended is a field that log_append adds to an access log, with a placeholder
// in which a token may stand: nothing redacts it.
type appended struct {
	field, placeholder string
}

// appendedTokens finds those of the servers with a policy.
func (c *checker) appendedTokens(root any) []appended {
	headers, query := c.loggedSecrets(false)
	var cookies []string
	for _, n := range c.owned.Names() {
		if n.Kind == forward.OwnedCookie {
			cookies = append(cookies, n.Name)
		}
	}
	for _, p := range c.app.Policies() {
		for _, place := range p.Policy().Places() {
			if place.Kind == token.Cookie {
				cookies = append(cookies, place.Name)
			}
		}
	}
	var list []appended
	for _, server := range jsontree.Ordered(jsontree.Object(root, "apps", "http", "servers")) {
		if !hasPolicy(server) {
			continue
		}
		for _, h := range routes.HandlersOf(server, "log_append") {
			field, _ := h["key"].(string)
			value, _ := h["value"].(string)
			if name, ok := strings.CutPrefix(value, "{http.request."); ok && bringsToken(strings.TrimSuffix(name, "}"), headers, cookies, query) {
				list = append(list, appended{field, value})
			}
		}
	}
	return list
}

// bringsToken reports whether a placeholder of the request may show a token. Of
// the URI, the parts without its query do not.
func bringsToken(name string, headers, cookies, query []string) bool {
	if header, ok := strings.CutPrefix(name, "header."); ok {
		return slices.Contains(headers, http.CanonicalHeaderKey(header))
	}
	if cookie, ok := strings.CutPrefix(name, "cookie."); ok {
		return slices.Contains(cookies, cookie)
	}
	uri, ok := strings.CutPrefix(strings.TrimPrefix(name, "orig_"), "uri")
	if !ok || strings.HasPrefix(uri, ".path") {
		return false
	}
	if parameter, ok := strings.CutPrefix(uri, ".query."); ok {
		return slices.Contains(query, parameter)
	}
	return len(query) > 0
}
