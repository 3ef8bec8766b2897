package caddymodule

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// provisioned loads a Caddyfile without starting it and gives its app, with
// background work begun.
func provisioned(tb testing.TB, text string) *App {
	tb.Helper()
	adapter := caddyfile.Adapter{ServerType: httpcaddyfile.ServerType{}}
	raw, _, err := adapter.Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		tb.Fatal(err)
	}
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(raw, &config); err != nil {
		tb.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		tb.Fatal(err)
	}
	v, err := ctx.AppIfConfigured("token_enrich")
	if err != nil {
		tb.Fatal(err)
	}
	app := v.(*App)
	if err := app.Start(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := app.Cleanup(); err != nil {
			tb.Error(err)
		}
	})
	return app
}

// hot is a handler of five headers with a token of a realistic size, and the
// request that brings it.
func hot(tb testing.TB) (*Handler, *enrichtest.Provider, func(token string) *http.Request) {
	tb.Helper()
	p := enrichtest.NewProvider(tb)
	app := provisioned(tb, fmt.Sprintf(`{
	admin off
	token_enrich {
		issuer %s {
			audience api://legacy
		}
	}
}
http://localhost {
	token_enrich {
		header X-User   sub
		header X-Email  email
		header X-Name   name
		header X-Groups groups
		header X-Client cid
	}
}
`, p.Issuer()))
	request := func(token string) *http.Request {
		r := httptest.NewRequest(http.MethodGet, "http://localhost/", nil)
		r.Header = http.Header{
			"Authorization": {"Bearer " + token}, "Accept": {"*/*"}, "User-Agent": {"bench"}, "Accept-Encoding": {"gzip"},
			"Cookie": {"a=b; c=d"},
		}
		ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any, 4))
		return r.WithContext(ctx)
	}
	return app.handlers[0], p, request
}

func mintHot(p *enrichtest.Provider, subject string) string {
	groups := make([]string, 20)
	for i := range groups {
		groups[i] = fmt.Sprintf("Department-%02d-Members", i)
	}
	return p.Mint(enrichtest.Claims{
		"sub": subject, "aud": "api://legacy", "cid": "0oa1payroll", "scp": []string{"openid", "profile", "email", "groups"},
		"email": "ada@example.com", "name": "Ada Ampere", "groups": groups,
	})
}

var done = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// serve sends a request that is set up anew, as a server would.
func serve(tb testing.TB, h *Handler, r *http.Request, header http.Header) {
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	clear(vars)
	clear(r.Header)
	maps.Copy(r.Header, header)
	if err := h.ServeHTTP(httptest.NewRecorder(), r, done); err != nil {
		tb.Fatal(err)
	}
}

func BenchmarkHandlerHit(b *testing.B) {
	h, p, request := hot(b)
	r := request(mintHot(p, "00u1ada"))
	header := r.Header.Clone()
	serve(b, h, r, header)
	w := httptest.NewRecorder()
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	b.ReportAllocs()
	for b.Loop() {
		clear(vars)
		clear(r.Header)
		maps.Copy(r.Header, header)
		if err := h.ServeHTTP(w, r, done); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHandlerMiss(b *testing.B) {
	h, p, request := hot(b)
	const n = 512
	requests := make([]*http.Request, n)
	for i := range requests {
		requests[i] = request(mintHot(p, fmt.Sprintf("00u%d", i)))
	}
	header := make([]http.Header, n)
	for i := range header {
		header[i] = requests[i].Header.Clone()
	}
	serve(b, h, requests[0], header[0])
	w := httptest.NewRecorder()
	i := 0
	b.ReportAllocs()
	for b.Loop() {
		if i%n == 0 {
			h.app.decisions.Clear()
		}
		r := requests[i%n]
		clear(r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any))
		clear(r.Header)
		maps.Copy(r.Header, header[i%n])
		if err := h.ServeHTTP(w, r, done); err != nil {
			b.Fatal(err)
		}
		i++
	}
}

// maxHitAllocations is what a request whose decision is cached may allocate.
const maxHitAllocations = 12

func TestAHitParsesEvaluatesAndRendersNothingAgain(t *testing.T) {
	h, p, request := hot(t)
	r := request(mintHot(p, "00u1ada"))
	header := r.Header.Clone()
	serve(t, h, r, header)
	w := httptest.NewRecorder()
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	got := testing.AllocsPerRun(200, func() {
		clear(vars)
		clear(r.Header)
		maps.Copy(r.Header, header)
		if err := h.ServeHTTP(w, r, done); err != nil {
			t.Fatal(err)
		}
	})
	if got > maxHitAllocations {
		t.Errorf("%v allocations on a hit, at most %d", got, maxHitAllocations)
	}
	if v := r.Header["X-Groups"]; len(v) != 1 || len(v[0]) < 100 {
		t.Errorf("X-Groups = %q", v)
	}
}
