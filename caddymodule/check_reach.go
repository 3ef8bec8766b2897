package caddymodule

import (
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// reachFindings names policies that no request ever reaches, because a policy
// without a matcher stands before them: the first that matches decides, so a
// stricter policy inside of a handle block would be skipped.
func (a *App) reachFindings() []finding {
	v, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil
	}
	app, ok := v.(*caddyhttp.App)
	if !ok {
		return nil
	}
	var list []finding
	for _, server := range app.Servers {
		for _, f := range unreached(server.Routes, "") {
			if !slices.Contains(list, f) { // a site may be served on two ports
				list = append(list, f)
			}
		}
	}
	return list
}

// unreached walks routes; by is the policy that has decided every request that
// comes here, or empty.
func unreached(routes caddyhttp.RouteList, by string) []finding {
	var list []finding
	for _, route := range routes {
		always := len(route.MatcherSets) == 0 && route.Group == ""
		for _, handler := range route.Handlers {
			switch h := handler.(type) {
			case *Handler:
				if by != "" {
					list = append(list, finding{Policy: h.policy.name, Text: fmt.Sprintf(
						"it decides nothing: policy %s stands before it and has no matcher; give that one a matcher, or put both into handle blocks", by)})
				} else if always && len(h.matchers) == 0 {
					by = h.policy.name
				}
			case *caddyhttp.Subroute:
				list = append(list, unreached(h.Routes, by)...)
			}
		}
	}
	return list
}
