package login_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// withEndSession has the provider end sessions (OpenID Connect RP-Initiated Logout).
func withEndSession() option {
	return func(p *plan) {
		p.offer = func(remote *enrichtest.Provider, m map[string]any) {
			m["end_session_endpoint"] = remote.URL(enrichtest.EndSession)
		}
	}
}

const logoutPath = "/.token-enrich/logout"

// same are the headers of a click on this site's own link.
var same = http.Header{"Sec-Fetch-Site": {"same-origin"}}

// Who is asked first, who is refused, and who is signed out (L12).
func TestWhoSignsOut(t *testing.T) {
	const out, ask, refused = 303, 200, 403
	without := http.Header{"Sec-Fetch-Mode": {}, "Sec-Fetch-Dest": {}, "Sec-Fetch-Site": {}, "Sec-Fetch-User": {}}
	with := func(base http.Header, name, value string) http.Header {
		h := base.Clone()
		h.Set(name, value)
		return h
	}
	s := newStage(t, withEndSession())
	own := s.server.URL
	for _, c := range []struct {
		name, method string
		header       http.Header
		want         int
	}{
		{"a link of this site", "GET", same, out},
		{"a form of this site", "POST", same, out},
		{"a typed address", "GET", http.Header{"Sec-Fetch-Site": {"none"}}, out},
		{"another application's link", "GET", http.Header{"Sec-Fetch-Site": {"none"}, "Sec-Fetch-User": {}}, ask},
		{"another site's link", "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, ask},
		{"another site's picture", "GET", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Sec-Fetch-Mode": {"no-cors"}, "Sec-Fetch-Dest": {"image"}}, ask},
		{"a sibling's link", "GET", http.Header{"Sec-Fetch-Site": {"same-site"}}, ask},
		{"a prefetch", "GET", with(same, "Sec-Purpose", "prefetch"), ask},
		{"a prerender", "GET", with(same, "Sec-Purpose", "prefetch;prerender"), ask},
		{"an old browser's link", "GET", without, ask},
		{"an old browser's form", "POST", with(without, "Origin", own), out},
		{"an old browser's form elsewhere", "POST", with(without, "Origin", "https://evil.example"), refused},
		{"an old browser's form in a sandbox", "POST", with(without, "Origin", "null"), refused},
		{"a form that tells nothing", "POST", without, ask},
		{"another site's form", "POST", http.Header{"Sec-Fetch-Site": {"cross-site"}, "Origin": {"https://evil.example"}}, refused},
		{"a sibling's form", "POST", http.Header{"Sec-Fetch-Site": {"same-site"}}, refused},
		{"HEAD", "HEAD", same, ask},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := s.browser()
			b.login("/x")
			session := b.cookie(sessionCookie)
			s.counts()
			r := b.do(c.method, logoutPath, c.header)
			if r.status != c.want || r.header.Get("Cache-Control") != "no-store" {
				t.Errorf("got %d %v", r.status, r.header)
			}
			thief := s.browser()
			thief.setCookie(sessionCookie, session)
			if c.want == out {
				if thief.alive() || b.cookie(sessionCookie) != "" || !slices.Equal(s.counts(), []string{"ended logout"}) {
					t.Error("the session goes on")
				}
				return
			}
			if !thief.alive() || b.cookie(sessionCookie) != session {
				t.Error("the session has ended")
			}
			if c.want == ask && c.method != "HEAD" {
				wantPage(t, c.name, r, 200, "sign-out")
				csp := r.header.Get("Content-Security-Policy")
				if !strings.Contains(r.body, `action="/.token-enrich/logout"`) || !strings.Contains(csp, "form-action 'self' https: "+s.providers[0].Issuer()) || r.header.Get("Referrer-Policy") != "same-origin" {
					t.Errorf("got %q %s", csp, r.body)
				}
			}
		})
	}
}

func TestLogoutAtTheProvider(t *testing.T) {
	s := newStage(t, withEndSession())
	b := s.browser()
	b.login("/x")
	r := b.do("GET", logoutPath, same)
	at := r.location(t)
	query := at.Query()
	if !strings.HasPrefix(at.String(), s.providers[0].URL(enrichtest.EndSession)) || len(query) != 3 || query.Get("client_id") != testClient ||
		query.Get("post_logout_redirect_uri") != s.server.URL+"/.token-enrich/logout/done" || query.Get("state") == "" {
		t.Errorf("redirected to %s", at)
	}
	s.secret(query.Get("state"))
	r = b.follow(r)
	wantPage(t, "back", r, 200, "signed-out")
	if !strings.Contains(r.body, `href="/"`) {
		t.Errorf("the page leads nowhere: %s", r.body)
	}
	if b.alive() {
		t.Error("the session goes on")
	}
	// Without a session there is nobody whom the provider could sign out.
	b.setCookie(sessionCookie, "")
	wantPage(t, "a second time", b.do("GET", logoutPath, same), 200, "signed-out")
	if n := s.providers[0].Hits(enrichtest.EndSession); n != 1 {
		t.Errorf("%d logouts at the provider", n)
	}
}

func TestLogoutWithoutTheProvider(t *testing.T) {
	for name, offer := range map[string]option{
		"without an endpoint": withMetadata(func(map[string]any) {}),
		"without TLS":         withMetadata(func(m map[string]any) { m["end_session_endpoint"] = "http://idp.example.com/end" }),
		"no URL":              withMetadata(func(m map[string]any) { m["end_session_endpoint"] = "::" }),
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, offer)
			b := s.browser()
			b.login("/x")
			wantPage(t, name, b.do("GET", logoutPath, same), 200, "signed-out-here")
			if b.alive() {
				t.Error("the session goes on")
			}
		})
	}
	t.Run("the provider is down", func(t *testing.T) {
		s := newStage(t, withEndSession())
		b := s.browser()
		b.login("/x")
		s.restart()
		s.providers[0].Close()
		wantPage(t, "the question", b.do("GET", logoutPath, http.Header{"Sec-Fetch-Site": {"cross-site"}}), 200, "sign-out")
		session := b.cookie(sessionCookie)
		wantPage(t, "the provider is down", b.do("GET", logoutPath, same), 200, "signed-out-here")
		thief := s.browser()
		thief.setCookie(sessionCookie, session)
		wantPage(t, "the old session", thief.step("/x"), 503, "provider-unreachable")
		if log := s.log.String(); !strings.Contains(log, "the provider cannot be told of a logout") {
			t.Errorf("nothing is logged: %s", log)
		}
	})
}

// A page that cannot be shown is an error and not an empty page.
func TestAPageThatCannotBeShown(t *testing.T) {
	s := newStage(t, withEndpoints(login.Endpoints{AfterLogout: "http://app_1.example"})) // no source of a policy (CSP Level 3, section 2.3.1)
	if r := s.browser().do("GET", logoutPath, http.Header{"Sec-Fetch-Site": {"cross-site"}}); r.status != 500 || !strings.Contains(s.log.String(), "a page cannot be shown") {
		t.Errorf("got %d %q", r.status, r.body)
	}
}

func TestAfterLogout(t *testing.T) {
	for after, want := range map[string]string{
		"/bye?a=b":                  "/bye?a=b",
		"https://www.example.com/b": "https://www.example.com/b",
		"http://www.example.com":    "http://www.example.com",
	} {
		t.Run(after, func(t *testing.T) {
			s := newStage(t, withEndSession(), withEndpoints(login.Endpoints{AfterLogout: after}))
			if strings.HasPrefix(want, "/") {
				want = s.server.URL + want
			}
			b := s.browser()
			b.login("/x")
			back := b.step(b.do("POST", logoutPath, same).location(t).String()).location(t)
			if got := b.step(back.String()).header.Get("Location"); got != want {
				t.Errorf("redirected to %q", got)
			}
			if got := b.do("GET", logoutPath, same).header.Get("Location"); got != want {
				t.Errorf("without a session: redirected to %q", got)
			}
			// Only a logout of ours is sent on.
			state := back.Query().Get("state")
			for name, query := range map[string]string{
				"no state": "", "another's": "?state=x", "twice": "?state=" + state + "&state=" + state, "a login's": "?state=" + url.QueryEscape(s.browser().begin("/").Query().Get("state")),
			} {
				if r := b.step("/.token-enrich/logout/done" + query); r.header.Get("Location") != "" || r.message() == "" {
					t.Errorf("%s: got %d %v", name, r.status, r.header)
				}
			}
			s.clock.Advance(11 * 60e9)
			wantPage(t, "late", b.step(back.String()), 200, "signed-out")
			ask := b.do("GET", logoutPath, http.Header{"Sec-Fetch-Site": {"cross-site"}})
			if csp := ask.header.Get("Content-Security-Policy"); strings.HasPrefix(after, "http:") && !strings.Contains(csp, "http://www.example.com") {
				t.Errorf("the form may not lead there: %s", csp)
			}
		})
	}
}
