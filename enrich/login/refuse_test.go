package login_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// Each class of request without a session has its answer (L6).
func TestRequestsWithoutASession(t *testing.T) {
	const loginHere = `{"login_url":"/.token-enrich/login?policy=web"}`
	bare := http.Header{"Sec-Fetch-Mode": {}, "Sec-Fetch-Dest": {}, "Sec-Fetch-Site": {}, "Sec-Fetch-User": {}}
	with := func(over http.Header) http.Header {
		h := bare.Clone()
		maps.Copy(h, over)
		return h
	}
	for _, c := range []struct {
		name, method string
		header       http.Header
		status       int
		body         string // of a call; a page's message; empty for the provider
	}{
		{"a navigation", "GET", nil, 303, ""},
		{"a HEAD request", "HEAD", nil, 303, ""},
		{"an old browser", "GET", bare, 303, ""},
		{"an old browser's HEAD", "HEAD", bare, 303, ""},
		{"a form", "POST", http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}, 401, "session-ended"},
		{"an old browser's form", "POST", with(http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}), 401, "session-ended"},
		{"fetch", "GET", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Accept": {"*/*"}}, 401, loginHere},
		{"fetch with a body", "POST", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Content-Type": {"application/json"}}, 401, loginHere},
		{"XHR of an old browser", "GET", with(http.Header{"X-Requested-With": {"XMLHttpRequest"}}), 401, loginHere},
		{"a program", "GET", with(http.Header{"Accept": {"*/*"}}), 401, loginHere},
		{"a program without Accept", "GET", with(http.Header{"Accept": {}}), 401, loginHere},
		{"a WebSocket", "GET", http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Fetch-Mode": {"websocket"}, "Sec-Fetch-Dest": {"websocket"}}, 401, loginHere},
		{"a prefetch", "GET", http.Header{"Sec-Purpose": {"prefetch"}}, 401, loginHere},
		{"a prerender", "GET", http.Header{"Sec-Purpose": {"prefetch;prerender"}}, 401, loginHere},
		{"an iframe", "GET", http.Header{"Sec-Fetch-Dest": {"iframe"}}, 401, loginHere},
		{"an image", "GET", http.Header{"Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, 401, loginHere},
		{"a DELETE", "DELETE", nil, 401, "session-ended"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			b := s.browser()
			r := b.do(c.method, "/reports?q=1", c.header)
			if r.status != c.status || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d, Cache-Control %q", r.status, r.header.Get("Cache-Control"))
			}
			switch {
			case c.body == "":
				if at := r.location(t); !s.ofProvider(at.String()) || r.header.Get("WWW-Authenticate") != "" || b.cookie(transactionCookie) == "" {
					t.Errorf("got %v", r.header)
				}
			case strings.HasPrefix(c.body, "{"):
				if strings.TrimSpace(r.body) != c.body || r.header.Get("WWW-Authenticate") != "Bearer" || r.header.Get("Content-Type") != "application/json" {
					t.Errorf("got %v %s", r.header, r.body)
				}
				if len(r.header["Set-Cookie"]) != 0 {
					t.Errorf("a call gets cookies: %v", r.header["Set-Cookie"])
				}
			default:
				wantPage(t, c.name, r, c.status, c.body)
				if r.header.Get("WWW-Authenticate") != "Bearer" || !strings.Contains(r.body, `href="/.token-enrich/login?policy=web"`) || len(r.header["Set-Cookie"]) != 0 {
					t.Errorf("got %v %s", r.header, r.body)
				}
			}
		})
	}
}

// A call's page comes back to itself, and a form's to the page that it was on.
func TestTheRefererIsWhereACallComesBackTo(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct{ referer, target string }{
		{s.server.URL + "/app?tab=2", "/app?tab=2"},
		{s.server.URL + "/app#part", "/app"},
		{s.server.URL, ""},
		{"", ""},
		{"https://evil.example/app", ""},
		{"http://user@" + strings.TrimPrefix(s.server.URL, "http://") + "/app", "/app"},
		{"%", ""},
		{s.server.URL + "//evil.example", ""},
		{s.server.URL + "/.token-enrich/logout", ""},
		{s.server.URL + "/" + strings.Repeat("a", 2000), ""},
	} {
		want := "/.token-enrich/login?policy=web"
		if c.target != "" {
			want += "&return=" + url.QueryEscape(c.target)
		}
		call := s.browser().do("GET", "/api", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Referer": {c.referer}})
		if !strings.Contains(call.body, `"`+strings.ReplaceAll(want, "&", `\u0026`)+`"`) {
			t.Errorf("%s: a call gets %s, want %s", c.referer, call.body, want)
		}
		form := s.browser().do("POST", "/save", http.Header{"Referer": {c.referer}})
		if !strings.Contains(form.body, `href="`+strings.ReplaceAll(want, "&", "&amp;")+`"`) {
			t.Errorf("%s: a form gets %s, want %s", c.referer, form.body, want)
		}
	}
}

// A return target is a path of this site, whatever asks for it (L7).
func TestReturnTargetsOverHTTP(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		target string
		status int
		want   string // where the person comes back to
	}{
		{"/a/b?c=d&e=%2F%2Fx", 303, "/a/b?c=d&e=%2F%2Fx"},
		{"", 303, "/"},
		{"/", 303, "/"},
		{"/" + strings.Repeat("a", 1100), 303, "/"},
		{"/.token-enrich/login?return=/x", 303, "/"},
		{"/.token-enrich/logout", 303, "/"},
		{"/%2etoken-enrich/logout", 303, "/"},
		{"/.token-enrich/callback?code=a&state=b", 303, "/"},
		{"/.token-enrich/session", 303, "/"},
		{"//evil.example", 400, ""},
		{"///evil.example", 400, ""},
		{"/\\evil.example", 400, ""},
		{"\\\\evil.example", 400, ""},
		{"/%2fevil.example", 400, ""},
		{"/%5cevil.example", 400, ""},
		{"/%252fevil.example", 400, ""},
		{"/a//evil.example", 400, ""},
		{"/\tevil.example", 400, ""},
		{"/%09/evil.example", 400, ""},
		{"/a\r\nSet-Cookie: a=b", 400, ""},
		{"/%0d%0aSet-Cookie:a=b", 400, ""},
		{"https://evil.example/", 400, ""},
		{"https:evil.example", 400, ""},
		{"javascript:alert(1)", 400, ""},
		{"evil.example", 400, ""},
		{"@evil.example", 400, ""},
		{"/x#y", 400, ""},
	} {
		b := s.browser()
		r := b.step("/.token-enrich/login?return=" + url.QueryEscape(c.target))
		if r.status != c.status {
			t.Errorf("%q: got %d", c.target, r.status)
		}
		if c.status != http.StatusSeeOther {
			wantPage(t, c.target, r, c.status, "malformed")
			continue
		}
		back := b.step(b.step(r.location(t).String()).location(t).String())
		if got := back.header.Get("Location"); got != s.server.URL+c.want {
			t.Errorf("%q: back to %q", c.target, got)
		}
	}
	// What a request's own path would lead to elsewhere, leads to the root.
	for _, path := range []string{"//evil.example", "/%2f%2fevil.example", "/%5cevil.example", "/a//b", "/" + strings.Repeat("a", 2000)} {
		b := s.browser()
		at := must(url.Parse(s.server.URL + path))(t)
		request := (&http.Request{Method: "GET", URL: at, Header: navigation()}).WithContext(t.Context())
		back := b.step(b.step(b.send(request).location(t).String()).location(t).String())
		if got := back.header.Get("Location"); got != s.server.URL+"/" {
			t.Errorf("%s: back to %q", path, got)
		}
	}
}

func TestMethodsOfTheEndpoints(t *testing.T) {
	s := newStage(t)
	for path, methods := range map[string]string{
		"/.token-enrich/login": "GET, HEAD", "/.token-enrich/callback": "GET", "/.token-enrich/logout": "GET, HEAD, POST",
		"/.token-enrich/logout/done": "GET, HEAD", "/.token-enrich/session": "GET, HEAD",
	} {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PROPFIND"} {
			r := s.browser().do(method, path, nil)
			if allowed := strings.Contains(" "+methods+",", " "+method+","); allowed == (r.status == http.StatusMethodNotAllowed) {
				t.Errorf("%s %s: got %d", method, path, r.status)
			}
			if r.status == http.StatusMethodNotAllowed && r.header.Get("Allow") != methods {
				t.Errorf("%s: Allow %q, want %q", path, r.header.Get("Allow"), methods)
			}
			if len(r.body) > 0 && method == "HEAD" {
				t.Errorf("HEAD %s has a body", path)
			}
		}
	}
}

func TestSessionInfo(t *testing.T) {
	s := newStage(t)
	const path = "/.token-enrich/session"
	b := s.browser()
	fetch := http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}, "Referer": {s.server.URL + "/app"}}
	without := `{"login_url":"/.token-enrich/login?return=%2Fapp"}`
	if r := b.do("GET", path, fetch); r.status != 401 || strings.TrimSpace(r.body) != without {
		t.Errorf("without a session: %d %s", r.status, r.body)
	}
	b.login("/")
	s.clock.Advance(10 * time.Minute)
	want := `{"subject":"` + testPerson + `","name":"` + testName + `","issuer":"corp","expires":"2026-03-01T22:00:00Z","idle_expires":"2026-03-01T12:30:00Z"}`
	for range 2 {
		r := b.do("GET", path, fetch)
		if r.status != 200 || strings.TrimSpace(r.body) != want || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("got %d %s, want %s", r.status, r.body, want)
		}
		if len(r.header["Set-Cookie"]) != 0 {
			t.Errorf("it moves the idle end: %v", r.header)
		}
	}
	b.open("/")
	if r := b.do("GET", path, fetch); !strings.Contains(r.body, `"idle_expires":"2026-03-01T12:40:00Z"`) {
		t.Errorf("after a request: %s", r.body)
	}
	s.deny(http.ErrServerClosed)
	if r := b.do("GET", path, fetch); r.status != 503 || r.header.Get("Retry-After") == "" || b.cookie(sessionCookie) == "" {
		t.Errorf("a list that cannot be read: %d %v", r.status, r.header)
	}
	s.deny(errTestDenied)
	if r := b.do("GET", path, fetch); r.status != 401 || strings.TrimSpace(r.body) != without || b.cookie(sessionCookie) != "" {
		t.Errorf("denied: %d %s", r.status, r.body)
	}
	s.deny(nil)
	b.login("/")
	s.clock.Advance(31 * time.Minute)
	if r := b.do("GET", path, fetch); r.status != 401 || b.cookie(sessionCookie) != "" {
		t.Errorf("idle: %d %v", r.status, r.header)
	}
	b.login("/")
	s.mu.Lock()
	s.ringErr = http.ErrServerClosed
	s.mu.Unlock()
	s.rebuild()
	if r := b.do("GET", path, fetch); r.status != 503 || b.cookie(sessionCookie) == "" {
		t.Errorf("without the ring: %d %v", r.status, r.header)
	}
	b.wantRing(t)
}

// wantRing checks what is answered while the seal ring cannot be had (L11).
func (b *browser) wantRing(t *testing.T) {
	t.Helper()
	b.s.log.lines()
	fresh := b.s.browser()
	for _, path := range []string{"/x", "/.token-enrich/login", "/.token-enrich/callback?state=a&code=b"} {
		r := fresh.step(path)
		fresh.wantFailure(path, r, http.StatusServiceUnavailable, "store-unreachable", "not_ready", "the key that seals sessions")
		if r.header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", path)
		}
	}
	if r := b.step("/x"); r.status != http.StatusServiceUnavailable || b.cookie(sessionCookie) == "" {
		t.Errorf("a session gets %d", r.status)
	}
}

// Nothing that the site itself serves is stored or framed, and its pages have the
// headers of pages (L4, L19).
func TestHeadersOfPages(t *testing.T) {
	s := newStage(t, withIssuers("corp", "partner"))
	for _, path := range []string{"/x", "/.token-enrich/login?return=//x", "/.token-enrich/logout/done", "/.token-enrich/callback", "/.token-enrich/callback/corp?state=x"} {
		r := s.browser().open(path)
		for name, want := range map[string]string{
			"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Content-Type": "text/html; charset=utf-8",
		} {
			if got := r.header.Get(name); got != want {
				t.Errorf("%s: %s is %q, want %q", path, name, got, want)
			}
		}
		if csp := r.header.Get("Content-Security-Policy"); !strings.HasPrefix(csp, "default-src 'none'") {
			t.Errorf("%s: Content-Security-Policy %q", path, csp)
		}
	}
	if n := s.providers[0].Hits(enrichtest.Token); n != 0 {
		t.Errorf("%d codes were sent", n)
	}
}

func TestPathsOfASite(t *testing.T) {
	s := newStage(t, withIssuers("corp", "partner"), withEndpoints(login.Endpoints{Callback: "/oidc/cb", Logout: "/bye", SessionInfo: "/me"}))
	site := s.site
	for _, path := range []string{login.LoginPath, "/oidc/cb/corp", "/oidc/cb/partner", "/bye", "/bye/done", "/me"} {
		if !site.Serves(path) {
			t.Errorf("%s is not served", path)
		}
	}
	for _, path := range []string{"/", "/oidc", "/oidc/cbx", "/bye/", "/bye/done/", "/me/", "/ME", "/.token-enrich", "/.token-enrich/callback", "/.token-enrich/login/"} {
		if site.Serves(path) {
			t.Errorf("%s is served", path)
		}
	}
	b := s.browser()
	b.login("/.token-enrich/login?issuer=partner&return=/z")
	if got := must(url.Parse(b.trail[2]))(t).Path; got != "/oidc/cb/partner" {
		t.Errorf("the callback is %s", got)
	}
}

// A session that is too weak is answered as none is, and the login is the policy's
// (L13).
func TestRequestsWithAWeakSession(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	b.login("/x")
	if r := b.do("GET", "/strong", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}); r.status != 401 || strings.TrimSpace(r.body) != `{"login_url":"/.token-enrich/login?policy=strong"}` {
		t.Errorf("a script gets %d %s", r.status, r.body)
	}
	wantPage(t, "a form", b.do("POST", "/strong", nil), 401, "session-ended")
	if at := b.begin("/strong"); at.Query().Get("acr_values") != "mfa" {
		t.Errorf("a person is sent to %s", at)
	}
	if !b.alive() {
		t.Error("the session has ended")
	}
	b.login("/strong")
	if !b.alive() {
		t.Error("the stronger session is none for the other policy")
	}
}
