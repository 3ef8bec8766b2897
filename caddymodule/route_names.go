package caddymodule

import (
	"encoding/json"
	"fmt"
)

// This file names policies that have no name. In a Caddyfile they are counted as
// they are read. In JSON, Caddy provisions the servers in no order, so policies
// are counted in the order of the servers' names and, within one, of its routes.
// Two that are equal are one policy, as a site on two listeners is.

// namePolicies gives names to the policies of servers, as JSON, that have none,
// and returns them by the policies' settings.
func namePolicies(servers map[string]any) map[string]string {
	var policies []map[string]any
	for _, server := range ordered(servers) {
		for _, part := range [...]string{"routes", "errors", "named_routes"} {
			policies = append(policies, handlersOf(asObject(server)[part], "token_enrich")...)
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
		key := settingsKey(p)
		for names[key] == "" {
			n++
			if name := defaultName(n); !taken[name] {
				names[key] = name
			}
		}
		p["name"] = names[key]
	}
	return names
}

// defaultName is the name of the nth policy without one.
func defaultName(n int) string { return fmt.Sprintf("policy-%d", n) }

// settingsKey tells policies without a name apart by their settings, however
// these are spelled as JSON.
func settingsKey(settings any) string {
	h := new(Handler)
	text, err := json.Marshal(settings)
	if err != nil || json.Unmarshal(text, h) != nil {
		return string(text)
	}
	return textOf(toJSON(h))
}
