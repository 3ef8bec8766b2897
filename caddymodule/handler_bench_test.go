package caddymodule

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
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

// hot is a handler of five headers, and of further lines for its issuer and its
// policy. The headers come from a token of a realistic size, which requests bring.
func hot(tb testing.TB, lines ...string) (*Handler, *enrichtest.Provider, func(token string) *http.Request) {
	tb.Helper()
	p := enrichtest.NewProvider(tb)
	ofIssuer, ofPolicy := "", ""
	if len(lines) == 2 {
		ofIssuer, ofPolicy = lines[0], lines[1]
	}
	app := provisioned(tb, fmt.Sprintf(`{
	admin off
	token_enrich {
		issuer %s {
			audience api://legacy
			%s
		}
	}
}
http://localhost {
	token_enrich {
		%s
		header X-User   sub
		header X-Email  email
		header X-Name   name
		header X-Groups groups
		header X-Client cid
	}
}
`, p.Issuer(), ofIssuer, ofPolicy))
	request := func(token string) *http.Request {
		return arriving("/", http.Header{
			"Authorization": {"Bearer " + token}, "Accept": {"*/*"}, "User-Agent": {"bench"}, "Accept-Encoding": {"gzip"},
			"Cookie": {"a=b; c=d"},
		})
	}
	return app.handlers[0], p, request
}

// arriving is a request as Caddy's server hands it on.
func arriving(target string, header http.Header) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://localhost"+target, nil)
	r.Header = header
	ctx := context.WithValue(r.Context(), caddy.ReplacerCtxKey, caddy.NewReplacer())
	ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, make(map[string]any, 4))
	ctx = context.WithValue(ctx, caddyhttp.OriginalRequestCtxKey, *r)
	return r.WithContext(ctx)
}

// hotSession is hot where the person of the tokens logs in, with the request that
// brings the session.
func hotSession(tb testing.TB) (h *Handler, bearer, session *http.Request) {
	tb.Helper()
	h, p, request := hot(tb, "login {\n client_id gateway\n }\n name corp", "login corp")
	claims := hotClaims("00u1ada")
	delete(claims, "aud") // of an ID token it is the login's client
	p.SetAccount("00u1ada", claims)
	ask := func(target, cookies string) (location *url.URL, set string) {
		tb.Helper()
		r := arriving(target, http.Header{"Accept": {"text/html"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"}, "Cookie": {cookies}})
		w := httptest.NewRecorder()
		if err := h.ServeHTTP(w, r, done); err != nil {
			tb.Fatal(err)
		}
		at, err := w.Result().Location()
		if err != nil {
			tb.Fatalf("status %d of %s: %v", w.Code, target, err)
		}
		for _, c := range w.Result().Cookies() {
			if c.MaxAge >= 0 {
				set = c.Name + "=" + c.Value
			}
		}
		return at, set
	}
	at, transaction := ask("/", "")
	client := *p.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	answer, err := client.Get(at.String())
	if err != nil {
		tb.Fatal(err)
	}
	defer answer.Body.Close()
	back, err := answer.Location()
	if err != nil {
		tb.Fatal(err)
	}
	_, cookie := ask(back.RequestURI(), transaction)
	header := request("").Header
	delete(header, "Authorization")
	header.Set("Cookie", "a=b; "+cookie+"; c=d")
	return h, request(mintHot(p, "00u1ada")), arriving("/", header)
}

func mintHot(p *enrichtest.Provider, subject string) string { return p.Mint(hotClaims(subject)) }

func hotClaims(subject string) enrichtest.Claims {
	groups := make([]string, 20)
	for i := range groups {
		groups[i] = fmt.Sprintf("Department-%02d-Members", i)
	}
	return enrichtest.Claims{
		"sub": subject, "aud": "api://legacy", "cid": "0oa1payroll", "scp": []string{"openid", "profile", "email", "groups"},
		"email": "ada@example.com", "name": "Ada Ampere", "groups": groups,
	}
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

// A hit of each kind: by a bearer token where nobody logs in, by one where people
// do, and by a session.
func BenchmarkHandlerHit(b *testing.B) {
	h, p, request := hot(b)
	benchmarkHit(b, "bearer", h, request(mintHot(p, "00u1ada")))
	h, bearer, session := hotSession(b)
	benchmarkHit(b, "bearer_beside_login", h, bearer)
	benchmarkHit(b, "session", h, session)
}

func benchmarkHit(b *testing.B, name string, h *Handler, r *http.Request) {
	header := r.Header.Clone()
	serve(b, h, r, header)
	w := httptest.NewRecorder()
	vars := r.Context().Value(caddyhttp.VarsCtxKey).(map[string]any)
	b.Run(name, func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			clear(vars)
			clear(r.Header)
			maps.Copy(r.Header, header)
			if err := h.ServeHTTP(w, r, done); err != nil {
				b.Fatal(err)
			}
		}
	})
	if len(r.Header.Get("X-Groups")) < 100 {
		b.Errorf("X-Groups = %q", r.Header["X-Groups"])
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

// What a request whose decision is cached may allocate. That of a session opens the
// cookie, and takes it out of the others.
const (
	maxHitAllocations        = 12
	maxSessionHitAllocations = 18
)

// TestAHitParsesEvaluatesAndRendersNothingAgain is also about the headers of a session,
// which are those of a token (L14).
func TestAHitParsesEvaluatesAndRendersNothingAgain(t *testing.T) {
	h, bearer, session := hotSession(t)
	var want http.Header
	for _, c := range []struct {
		name        string
		request     *http.Request
		allocations float64
	}{
		{"bearer", bearer, maxHitAllocations},
		{"session", session, maxSessionHitAllocations},
	} {
		r := c.request
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
		if got > c.allocations {
			t.Errorf("%s: %v allocations on a hit, at most %v", c.name, got, c.allocations)
		}
		if v := r.Header["X-Groups"]; len(v) != 1 || len(v[0]) < 100 {
			t.Errorf("%s: X-Groups = %q", c.name, v)
		}
		if want == nil {
			want = r.Header.Clone()
		}
		if !reflect.DeepEqual(r.Header, want) {
			t.Errorf("%s: %v, want %v", c.name, r.Header, want)
		}
	}
}
