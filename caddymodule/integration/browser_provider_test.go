package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// TestBrowser tries what only a browser shows, in Chromium.
func TestBrowser(t *testing.T) {
	b := startBrowser(t)
	t.Run("a plain client", func(t *testing.T) { browserSignsInAtTheProvider(t, b) })
	t.Run("a plain client without script and mouse", func(t *testing.T) { browserWithoutScript(t, b) })
	t.Run("the gateway", func(t *testing.T) { browserLogsInAtTheGateway(t, b) })
}

// browserClient is the client of the certified provider in these tests.
const browserClient = "browser"

// browserSecret is its secret.
const browserSecret = "browser-secret-only-for-tests-0000" // #nosec G101 -- a test server's

// plainClient is the least that an application does to log people in, without
// any of the checks that the gateway makes: what goes wrong with it is not the
// gateway's fault.
func plainClient(o *enrichtest.OIDCProvider, self string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /callback", func(w http.ResponseWriter, r *http.Request) {
		form := url.Values{
			"client_id": {browserClient}, "client_secret": {browserSecret}, "grant_type": {"authorization_code"}, "code": {r.FormValue("code")}, "redirect_uri": {self + "/callback"},
		}
		ask, err := http.NewRequestWithContext(r.Context(), http.MethodPost, o.Issuer+"/token", strings.NewReader(form.Encode()))
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		ask.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		response, err := client.Do(ask)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer response.Body.Close()
		var tokens struct {
			IDToken string `json:"id_token"`
		}
		if err := json.NewDecoder(response.Body).Decode(&tokens); err != nil || tokens.IDToken == "" {
			http.Error(w, "no ID token", http.StatusBadGateway)
			return
		}
		claims, _ := enrichtest.Payload(tokens.IDToken)
		w.Header().Set("Set-Cookie", fmt.Sprintf("who=%v; Path=/; HttpOnly; SameSite=Lax", claims["sub"]))
		http.Redirect(w, r, r.FormValue("state"), http.StatusFound)
	})
	mux.HandleFunc("GET /bye", func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, "<h1>bye</h1>") })
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) {
		if who, err := r.Cookie("who"); err == nil {
			w.Header().Set("Content-Type", "text/html")
			_, _ = fmt.Fprintf(w, "<h1>%s at %s</h1>", who.Value, r.URL.Path)
			return
		}
		http.Redirect(w, r, o.Issuer+"/auth?"+url.Values{
			"client_id": {browserClient}, "response_type": {"code"}, "redirect_uri": {self + "/callback"}, "scope": {"openid email"}, "state": {r.URL.Path},
		}.Encode(), http.StatusFound)
	})
	return mux
}

// startPlainClient runs it and its provider until the test ends. It is at
// another site than the provider, as a browser sees it.
func startPlainClient(t *testing.T) (o *enrichtest.OIDCProvider, self string) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	t.Cleanup(server.Close)
	self = "http://localhost:" + port(server.Listener.Addr().String())
	o = enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{Login: []enrichtest.OPLoginClient{{
		ID: browserClient, Secret: browserSecret, AuthMethod: "client_secret_post", RedirectURIs: []string{self + "/callback"}, LogoutURIs: []string{self + "/bye"},
	}}})
	server.Config.Handler = plainClient(o, self)
	server.Start()
	return o, self
}

func browserSignsInAtTheProvider(t *testing.T, b *browser) {
	o, self := startPlainClient(t)
	v := b.visit(t, options{"locale": "de-DE", "colorScheme": "dark"})
	tabs := openAtOnce(v, 3, func(i int) string { return fmt.Sprintf("%s/page/%d", self, i) })
	for i, p := range tabs {
		if at := p.at(); !strings.HasPrefix(at, o.Issuer+"/interaction/") {
			t.Fatalf("tab %d shows %s, want the provider's form", i, at)
		}
		p.signIn("alice", i == 0)
		p.arrives(fmt.Sprintf("%s/page/%d", self, i))
		if got, want := p.text("h1"), fmt.Sprintf("alice at /page/%d", i); got != want {
			t.Errorf("tab %d shows %q, want %q", i, got, want)
		}
	}
	var script string
	if tabs[0].run(&script, "document.cookie"); script != "" {
		t.Errorf("scripts of the page read %q", script)
	}
	tabs[0].shot("plain-client")
	if tabs[0].open(o.Issuer + "/session/end?client_id=" + browserClient + "&post_logout_redirect_uri=" + url.QueryEscape(self+"/bye")); tabs[0].text("h1") != "Sign out" {
		t.Error("the provider does not ask before it signs out")
	}
	tabs[0].click("text=Yes")
	tabs[0].arrives(self + "/bye")
	for _, r := range v.requests() {
		if !strings.HasPrefix(r.URL, self) && !strings.HasPrefix(r.URL, o.Issuer) {
			t.Errorf("a page asked for %s", r.URL)
		}
	}
}

func browserWithoutScript(t *testing.T, b *browser) {
	o, self := startPlainClient(t)
	v := b.visit(t, options{"javaScriptEnabled": false})
	p := v.tab()
	if got := p.open(self + "/first"); got.Status != http.StatusOK || !strings.HasPrefix(got.URL, o.Issuer) {
		t.Fatalf("the first page led to %d at %s", got.Status, got.URL)
	}
	p.text("input[name=login]:focus")
	for _, key := range []string{"a", "l", "i", "c", "e", "Tab", "x", "Enter"} {
		p.press(key)
	}
	p.text("button:focus")
	p.press("Enter")
	p.arrives(self + "/first")
	if cookies := v.cookies(self); len(cookies) != 1 || cookies[0].Name != "who" || !cookies[0].HTTPOnly || cookies[0].SameSite != "Lax" {
		t.Errorf("cookies of the application: %+v", cookies)
	}
	p.open(self + "/second")
	p.back()
	p.arrives(self + "/first")
	if got := p.text("h1"); got != "alice at /first" {
		t.Errorf("the back button shows %q", got)
	}
}

// openAtOnce opens URLs, each in a tab of its own and all at the same time, and
// waits until they have been answered.
func openAtOnce(v *visitor, n int, at func(i int) string) []*tab {
	v.t.Helper()
	tabs := make([]*tab, n)
	for i := range tabs {
		tabs[i] = v.tab()
	}
	failures := make([]error, n)
	var group sync.WaitGroup
	for i, p := range tabs {
		group.Go(func() { failures[i] = p.try(nil, "goto", at(i)) })
	}
	group.Wait()
	for _, err := range failures {
		if err != nil {
			v.t.Fatal(err)
		}
	}
	return tabs
}
