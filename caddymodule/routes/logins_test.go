package routes

import (
	"math/rand/v2"
	"net/http"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// What is said of a pattern and a path is what Caddy's own matcher does.
func TestPatternsMatchAsCaddysDo(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	word := func(parts []string, n int) (s string) {
		for range random.IntN(n) {
			s += parts[random.IntN(len(parts))]
		}
		return s
	}
	count := map[int]int{}
	for range 60_000 {
		pattern := word([]string{"*"}, 3) + "/" + word([]string{"a", "B", "b", "/", "*", "?", ".", "%2f", "[a]"}, 5) + word([]string{"*"}, 3)
		path := caddyhttp.CleanPath("/"+word([]string{"a", "b", "B", "/b", "/a", "."}, 5), true)
		got := patternMatches(pattern, path)
		count[got]++
		if got == matchesUnclear {
			continue
		}
		m := caddyhttp.MatchPath{pattern}
		if err := m.Provision(caddy.Context{}); err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://a.example"+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r = caddyhttp.PrepareRequest(r, caddy.NewReplacer(), nil, nil)
		want, err := m.MatchWithError(r)
		if err != nil {
			continue // Caddy refuses the request
		}
		if want != (got == matchesYes) {
			t.Fatalf("the pattern %s matches %s: %v, Caddy says %v", pattern, path, got == matchesYes, want)
		}
	}
	if count[matchesYes] < 100 || count[matchesNo] < 100 || count[matchesUnclear] < 100 {
		t.Errorf("matches: %v", count)
	}
}
