package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// A policy without a name keeps its default one from load to load, in whatever
// order Caddy provisions the servers.
func TestDefaultNamesMeanTheSamePolicyInEachLoad(t *testing.T) {
	w := prepare(t)
	head, _, _ := strings.Cut(w.caddyfile(""), "http://"+w.addr+" {")
	sites := "http://" + w.addr + " {\ntoken_enrich\nrespond ok\n}\n"
	for i := range 3 {
		sites += fmt.Sprintf("http://%s {\ntoken_enrich {\nrealm other%d\n}\nrespond ok\n}\n", cachetest.FreeAddr(t), i)
	}
	written, err := adapt(head + sites)
	if err != nil {
		t.Fatal(err)
	}
	unnamed := written
	for i := range 4 {
		unnamed = []byte(strings.ReplaceAll(string(unnamed), fmt.Sprintf(`,"name":"policy-%d"`, i+1), ""))
	}
	for kind, config := range map[string][]byte{"a Caddyfile": written, "JSON": unnamed} {
		if !json.Valid(config) || strings.Contains(string(config), "policy-") != (kind == "a Caddyfile") {
			t.Fatalf("%s: %s", kind, config)
		}
		t.Run(kind, func(t *testing.T) {
			w := w.in(t)
			name := ""
			for range 8 {
				if err := w.run(config); err != nil {
					t.Fatal(err)
				}
				before := map[string]float64{}
				for i := range 4 {
					policy := fmt.Sprintf("policy-%d", i+1)
					before[policy] = w.metric("decisions_total", "policy", policy)
				}
				wantStatus(t, w.get("/", w.token("00u1ada")), 200)
				for policy, n := range before {
					if w.metric("decisions_total", "policy", policy) == n {
						continue
					}
					if name != "" && name != policy {
						t.Fatalf("it was %s, and is %s", name, policy)
					}
					name = policy
				}
				if name == "" {
					t.Fatal("no policy has counted the request")
				}
			}
		})
	}
}
