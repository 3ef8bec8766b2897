package routes

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file names policies that have no name. In a Caddyfile they are counted as
// they are read. From JSON, Caddy provisions the servers in no order, so policies
// are counted in the order of the servers' names and, within a server, of its
// routes. Two that are equal are one policy, as of a site on two listeners.

// NamePolicies names the policies without a name in servers, given as JSON, and
// returns the names by the policies' settings. key returns a text that is the same
// for equal settings, however they are spelled as JSON.
func NamePolicies(servers map[string]any, key func(settings any) string) map[string]string {
	var policies []map[string]any
	for _, server := range jsontree.Ordered(servers) {
		for _, part := range [...]string{"routes", "errors", "named_routes"} {
			policies = append(policies, HandlersOf(jsontree.Object(server)[part], "token_enrich")...)
		}
	}
	// A name that is configured is not given again.
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
		// Equal policies have one name.
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

// DefaultName returns the name of the nth policy without one. n counts from 1. The
// names are part of metrics and logs, so they must not change with each load.
func DefaultName(n int) string { return fmt.Sprintf("policy-%d", n) }
