package login_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// ask sends a request with a query, as it is, to an endpoint of the site.
func (s *stage) ask(t testing.TB, path, query string, cookies ...string) *httptest.ResponseRecorder {
	host := strings.TrimPrefix(s.server.URL, "http://")
	r := &http.Request{Method: http.MethodGet, Host: host, URL: &url.URL{Path: path, RawQuery: query}, Header: navigation(), Body: http.NoBody}
	w := httptest.NewRecorder()
	s.site.ServeHTTP(w, r.WithContext(t.Context()), cookies)
	return w
}

// wantHarmless checks an answer to a stranger: no fault of ours, no session, nowhere
// but to the provider and this site, and nothing that is kept.
func (s *stage) wantHarmless(t *testing.T, w *httptest.ResponseRecorder, statuses ...int) {
	t.Helper()
	if !slices.Contains(statuses, w.Code) {
		t.Errorf("status %d", w.Code)
	}
	for _, line := range w.Header()["Set-Cookie"] {
		if strings.HasPrefix(line, sessionCookie+"=") {
			t.Errorf("a session: %s", line)
		}
	}
	if at := w.Header().Get("Location"); (w.Code == http.StatusSeeOther) != s.ofProvider(at) {
		t.Errorf("status %d leads to %q", w.Code, at)
	}
	if w.Header().Get("Cache-Control") != "no-store" {
		t.Error("the answer may be stored")
	}
}

// A stranger's callback is never a session, a fault or a panic.
func FuzzCallback(f *testing.F) {
	s := newStage(f, withIssuers("corp", "partner"), withoutSockets)
	b := s.browser()
	at := b.callback("/.token-enrich/login?issuer=corp&return=/x")
	f.Add(at.RawQuery, "corp", false)
	f.Add(at.RawQuery, "partner", true)
	f.Add(at.RawQuery+"&state=x", "corp", false)
	f.Add("state=a&code=b&iss=c&error=access_denied", "corp", true)
	f.Add("code=%zz;a=b", "", false)
	own := s.browser()
	own.begin("/.token-enrich/login?issuer=corp")
	other := transactionCookie + "=" + own.cookie(transactionCookie)
	f.Fuzz(func(t *testing.T, query, name string, cookie bool) {
		path := "/.token-enrich/callback/" + name
		var cookies []string
		if cookie {
			cookies = []string{other}
		}
		s.wantHarmless(t, s.ask(t, path, query, cookies...), http.StatusBadRequest, http.StatusSeeOther)
	})
}

// A login begins at the provider or is refused, whatever it is asked for.
func FuzzLogin(f *testing.F) {
	s := newStage(f, withIssuers("corp", "partner"), withoutSockets, withPolicies(func(p []*login.Provider) []login.PolicyLogin {
		return []login.PolicyLogin{{Name: "web", Providers: p}, {Name: "corp", Providers: p[:1]}}
	}))
	f.Add("return=/x&issuer=corp&policy=web")
	f.Add("return=//evil.example&issuer=corp")
	f.Add("return=%2F%5Cevil.example&policy=corp")
	f.Add("return=/x&return=/y")
	f.Add("")
	f.Fuzz(func(t *testing.T, query string) {
		w := s.ask(t, login.LoginPath, query)
		s.wantHarmless(t, w, http.StatusOK, http.StatusBadRequest, http.StatusSeeOther)
		if values, err := url.ParseQuery(query); err == nil && w.Code != http.StatusBadRequest {
			if _, ok := login.ReturnTarget(values.Get("return")); !ok && values.Get("return") != "" {
				t.Errorf("the return target %q is accepted", values.Get("return"))
			}
		}
	})
}
