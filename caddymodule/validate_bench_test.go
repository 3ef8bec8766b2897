package caddymodule_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// manySites is a Caddyfile of that many sites, each with a policy that writes
// five headers of its own.
func manySites(sites int) string {
	var b strings.Builder
	b.WriteString("{\n\tadmin off\n\tlog {\n\t\toutput discard\n\t}\n\ttoken_enrich {\n\t\tissuer https://idp.example.com {\n\t\t\taudience api://legacy\n\t\t}\n\t}\n}\n")
	for i := range sites {
		fmt.Fprintf(&b, "http://site%d.example.com {\n\ttoken_enrich {\n", i)
		for _, claim := range []string{"sub", "email", "name", "groups", "cid"} {
			fmt.Fprintf(&b, "\t\theader X-Site%d-%s %s\n", i, claim, claim)
		}
		fmt.Fprintf(&b, "\t}\n\treverse_proxy app%d.internal:8080\n}\n", i)
	}
	return b.String()
}

// BenchmarkValidate measures what `caddy validate` does, and each reload: the
// Caddyfile is adapted, and the configuration provisioned and given back. The
// time must grow with the sites, not with their square.
func BenchmarkValidate(b *testing.B) {
	for _, sites := range []int{100, 400} {
		b.Run(fmt.Sprintf("sites=%d", sites), func(b *testing.B) {
			text := []byte(manySites(sites))
			adapter := caddyconfig.GetAdapter("caddyfile")
			for b.Loop() {
				raw, _, err := adapter.Adapt(text, map[string]any{"filename": "Caddyfile"})
				if err != nil {
					b.Fatal(err)
				}
				var config caddy.Config
				if err := caddy.StrictUnmarshalJSON(raw, &config); err != nil {
					b.Fatal(err)
				}
				if err := caddy.Validate(&config); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
