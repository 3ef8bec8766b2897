package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// TestOptionsStandWhereTheHintsSay writes each option into the block that the
// hint names: it may be incomplete there, but it is known.
func TestOptionsStandWhereTheHintsSay(t *testing.T) {
	global := "{\n\ttoken_enrich {\n%s\n\t}\n}\n"
	site := "example.com {\n\ttoken_enrich {\n%s\n\t}\n}\n"
	blocks := map[string]string{
		"the global option token_enrich":  global,
		"cache":                           fmt.Sprintf(global, "cache {\n%s\n}"),
		"redis":                           fmt.Sprintf(global, "cache {\nredis redis://localhost {\n%s\n}\n}"),
		"signing":                         fmt.Sprintf(global, "signing {\nissuer https://a\n%s\n}"),
		"issuer":                          fmt.Sprintf(global, "issuer https://a {\n%s\n}"),
		"token_enrich of a site":          site,
		"header":                          fmt.Sprintf(site, "header X-User sub {\n%s\n}"),
		"claim":                           fmt.Sprintf(site, "claim a user.login {\n%s\n}"),
		"claim with groups or allow_list": fmt.Sprintf(site, "claim a allow_list b {\n%s\n}"),
	}
	seen := make(map[string]string)
	for block, names := range homes {
		text, ok := blocks[block]
		if !ok {
			t.Errorf("no block is known to be %q", block)
			continue
		}
		for _, name := range names {
			if seen[name] != "" {
				t.Errorf("%s stands both in %s and in %s", name, seen[name], block)
			}
			seen[name] = block
			_, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(fmt.Appendf(nil, text, name), nil)
			if err != nil && strings.Contains(err.Error(), "has no option") {
				t.Errorf("%s: %v", block, err)
			}
		}
	}
}
