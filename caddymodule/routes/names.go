package routes

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file names policies that have no name. In a Caddyfile they are counted as
// they are read. In JSON, Caddy provisions the servers in no order, so policies
// are counted in the order of the servers' names and, within one, of its routes.
// Two that are equal are one policy, as a site on two listeners is.

// NamePolicies gives names to the policies of servers, as JSON, that have none,
// and returns them by the policies' settings.
func NamePolicies(servers map[string]any, key func(settings any) string) map[string]string {
	var policies []map[string]any
	for _, server := range jsontree.Ordered(servers) {
		for _, part := range [...]string{"routes", "errors", "named_routes"} {
			policies = append(policies, HandlersOf(jsontree.Object(server)[part], "token_enrich")...)
		}
	}
	taken := map[string]bool{}
	for _, p := range policies {
		if name, _ := p["name"].(string); name != "" {
			taken[name] = true
		}
	}
	names := map[string]string{}
	n := 0
	for _, p := range policies {
		if name, _ := p["name"].(string); name != "" {
			continue
		}
		k := key(p)
		for names[k] == "" {
			n++
			if name := DefaultName(n); !taken[name] {
				names[k] = name
			}
		}
		p["name"] = names[k]
	}
	return names
}

// DefaultName is the name of the nth policy without one.
func DefaultName(n int) string { return fmt.Sprintf("policy-%d", n) }
