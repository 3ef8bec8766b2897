package routes

import (
	"context"
	"math/rand/v2"
	"net/http"
	"net/url"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// P65: what is said to be covered is: Caddy's own matcher never takes a path by
// the narrow pattern that it does not take by the wide one.
func TestCoveredPatternsAreCovered(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func(parts []string, n int) (s string) {
		for range random.IntN(n) {
			s += parts[random.IntN(len(parts))]
		}
		return s
	}
	covered, matched := 0, 0
	for range 60_000 {
		p := "/" + word([]string{"a", "B", "/", "*", "?", ".", "..", "%2f", "[a]"}, 5) + word([]string{"*"}, 2)
		q := "/" + word([]string{"a", "b", "/", "*", "?", ".", "..", "%2F", "\\"}, 6)
		if !patternCovers(p, q) {
			continue
		}
		covered++
		wide, narrow := caddyhttp.MatchPath{p}, caddyhttp.MatchPath{q}
		for _, m := range []caddyhttp.MatchPath{wide, narrow} {
			if err := m.Provision(caddy.Context{}); err != nil {
				t.Fatal(err)
			}
		}
		for range 8 {
			path := "/" + word([]string{"a", "B", "/", ".", "..", "%2f", "%61", "%5c"}, 7)
			u, err := url.ParseRequestURI(path)
			if err != nil {
				t.Fatal(err)
			}
			r := (&http.Request{URL: u}).WithContext(context.WithValue(t.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer()))
			if ok, err := narrow.MatchWithError(r); err == nil && ok {
				matched++
				if ok, err := wide.MatchWithError(r); err != nil || !ok {
					t.Errorf("%q is said to cover %q, but not %q: %v", p, q, path, err)
				}
			}
		}
	}
	if covered < 1000 || matched < 1000 {
		t.Errorf("only %d pairs and %d paths were tried", covered, matched)
	}
}
