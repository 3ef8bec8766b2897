package caddymodule

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// TestAPolicyOfACaddyfileIsCompiledOnce counts what is handed to the compiler
// while a Caddyfile is read: each header, each claim rule, each requirement and
// each token once, and the policy in one piece.
func TestAPolicyOfACaddyfileIsCompiledOnce(t *testing.T) {
	for _, n := range []int{1, 10, 100} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			var text strings.Builder
			text.WriteString("token_enrich {\n")
			for i := range n {
				fmt.Fprintf(&text, "claim c%d user.login\nrequire `claims.c%d != \"x\"`\nheader X-User-%d c%d\n", i, i, i, i)
			}
			text.WriteString("token {\nheader X-Token\naudience a\n}\nheader_budget 16KiB\n}\n")
			policies, headers, claims, requirements, tokens := 0, 0, 0, 0, 0
			parsed := &parsedCaddyfile{unnamed: map[string]string{}, compile: func(def enrich.PolicyDefinition) (*enrich.Policy, error) {
				policies++
				headers += len(def.Forward.Headers)
				claims += len(def.Claims)
				requirements += len(def.Require)
				tokens += len(def.Tokens)
				return enrich.CompilePolicy(def)
			}}
			_, err := parseHandler(httpcaddyfile.Helper{
				Dispenser: caddyfile.NewTestDispenser(text.String()),
				State:     map[string]any{parsedKey: parsed},
			})
			if err != nil {
				t.Fatal(err)
			}
			if policies != 1 || headers != n || claims != n || requirements != n || tokens != 1 {
				t.Errorf("compiled: %d policies, %d headers, %d claims, %d requirements, %d tokens", policies, headers, claims, requirements, tokens)
			}
		})
	}
}
