package integration

import (
	"fmt"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// browserLogsInAtTheGateway starts a gateway where people log in, and tries what
// they do there.
func browserLogsInAtTheGateway(t *testing.T, b *browser) {
	w := prepare(t)
	g := &loginSite{world: w, browser: b, origin: "http://localhost:" + port(w.addr)}
	w.addr = "localhost:" + port(w.addr) // another site than the provider, as a browser sees it
	const callback, done = "/.token-enrich/callback/corp", "/.token-enrich/logout/done"
	g.provider = enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{Login: []enrichtest.OPLoginClient{{
		ID: browserClient, Secret: browserSecret, RedirectURIs: []string{g.origin + callback}, LogoutURIs: []string{g.origin + done},
	}}})
	w.legacy.Respond(applicationPage)
	w.load(strings.ReplaceAll(`
	token_enrich /choice/* {
		name choice
		login corp partner
		header X-User sub
	}
	@rest not path /choice/*
	token_enrich @rest {
		name rest
		login corp
		header X-User sub
	}
	reverse_proxy %a`, "%a", w.legacy.Addr()), fmt.Sprintf(`
		issuer %s {
			name corp
			login {
				client_id %s
				client_secret %s
				scopes openid email
			}
		}
		issuer https://idp.invalid {
			name partner
			login {
				client_id gateway
			}
		}`, g.provider.Issuer, browserClient, browserSecret))
	for _, try := range []struct {
		name string
		run  func(*testing.T, *loginSite)
	}{
		{"tabs opened at once arrive where they began (L2)", tabsArrive},
		{"tabs that the provider remembers arrive where they began (L2)", rememberedTabsArrive},
		{"after logout the back button shows nothing of the gateway's (L4)", backAfterLogout},
		{"only a navigation is sent to log in (L6)", kindsOfRequests},
		{"a form that was posted gets a page (L6)", postedForm},
		{"pages without script, by keyboard (L19)", pagesByKeyboard},
		{"pages in light and dark and four languages (L19)", pagesAreStyled},
		{"a login that is given up", cancelledLogin},
	} {
		t.Run(try.name, func(t *testing.T) {
			w.legacy.Forget()
			sub := *g
			sub.world = w.in(t)
			try.run(t, &sub)
		})
	}
}

// loginSite is a gateway where people log in at the certified provider.
type loginSite struct {
	*world
	browser  *browser
	provider *enrichtest.OIDCProvider
	origin   string
}

// applicationPage is what the application answers: who it is told calls, and a
// form.
func applicationPage(r enrichtest.RawRequest) []byte {
	body := fmt.Sprintf(`<!doctype html><title>Application</title><h1>%s at %s</h1><form method="post" action="/save"><input name="text" value="draft"><button>Save</button></form>`,
		html.EscapeString(strings.Join(r.Values("X-User"), ",")), html.EscapeString(strings.Fields(r.Line)[1]))
	return fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

// wantText fails the test where people read something else.
func (p *tab) wantText(selector, want string) {
	p.t.Helper()
	if got := p.text(selector); got != want {
		p.t.Errorf("%s at %s says %q, want %q", selector, p.at(), got, want)
	}
}

// signedIn returns a visitor with a tab that shows a path of the application,
// after a login.
func (g *loginSite) signedIn(o options, account, path string) (*visitor, *tab) {
	g.t.Helper()
	v := g.browser.visit(g.t, o)
	p := v.tab()
	p.open(g.origin + path)
	p.signIn(account, true)
	p.arrives(g.origin + path)
	p.wantText("h1", account+" at "+path)
	return v, p
}

// staysHere fails the test where a page asked for something elsewhere than at
// the gateway and the provider.
func (g *loginSite) staysHere(v *visitor) {
	g.t.Helper()
	for _, r := range v.requests() {
		if !strings.HasPrefix(r.URL, g.origin+"/") && !strings.HasPrefix(r.URL, g.provider.Issuer+"/") && !strings.HasPrefix(r.URL, strings.Replace(g.origin, "http", "ws", 1)+"/") {
			g.t.Errorf("a page asked for %s", r.URL)
		}
	}
}

const tabsAtOnce = 20

func tabsArrive(t *testing.T, g *loginSite) {
	v := g.browser.visit(t, nil)
	path := func(i int) string { return fmt.Sprintf("/page/%d?tab=%d", i, i) }
	tabs := openAtOnce(v, tabsAtOnce, func(i int) string { return g.origin + path(i) })
	order := make([]int, 0, tabsAtOnce)
	for i := range tabs {
		order = append(order, (i+1)%tabsAtOnce) // the first one comes last
	}
	for n, i := range order {
		tabs[i].signIn("alice", n == 0)
		tabs[i].arrives(g.origin + path(i))
		tabs[i].wantText("h1", "alice at "+path(i))
	}
	if got := v.cookies(g.origin); !slices.ContainsFunc(got, func(c browserCookie) bool {
		return c.Name == "token_enrich" && c.HTTPOnly && c.SameSite == "Lax" && c.Path == "/"
	}) {
		t.Errorf("cookies of the gateway: %+v", got)
	}
	g.staysHere(v)
}

func rememberedTabsArrive(t *testing.T, g *loginSite) {
	v, _ := g.signedIn(nil, "alice", "/first")
	if err := g.browser.call(t, nil, v.id, "clearCookies", map[string]any{"domain": "localhost"}); err != nil {
		t.Fatal(err)
	}
	tabs := openAtOnce(v, tabsAtOnce, func(i int) string { return fmt.Sprintf("%s/page/%d", g.origin, i) })
	for i, p := range tabs {
		p.wantText("h1", fmt.Sprintf("alice at /page/%d", i))
	}
}

func backAfterLogout(t *testing.T, g *loginSite) {
	v, p := g.signedIn(nil, "alice", "/first")
	if got := p.open(g.origin + "/.token-enrich/session"); got.Status != http.StatusOK || !strings.Contains(p.text("body"), "alice") {
		t.Fatalf("the session is answered %d: %s", got.Status, p.text("body"))
	}
	p.open(g.origin + "/.token-enrich/logout")
	p.wantText("h1", "Sign out") // the provider's
	p.click("text=Yes")
	p.arrives(g.origin + "/.token-enrich/logout/done**")
	p.wantText("h1", "You are signed out")
	p.shot("signed-out")
	if got := v.cookies(g.origin); slices.ContainsFunc(got, func(c browserCookie) bool { return c.Name == "token_enrich" }) {
		t.Error("the session's cookie is still there")
	}
	// The page between asked whether to sign out, and would answer by itself now.
	p.run(nil, "history.go(-2)")
	p.arrives(g.origin + "/.token-enrich/session")
	if got := p.text("body"); strings.Contains(got, "alice") {
		t.Errorf("after the logout the back button shows %s", got)
	}
}

func kindsOfRequests(t *testing.T, g *loginSite) {
	v, p := g.signedIn(nil, "alice", "/first")
	if err := g.browser.call(t, nil, v.id, "clearCookies"); err != nil {
		t.Fatal(err)
	}
	g.legacy.Forget()
	var call struct {
		Status int
		Type   string
		Body   struct {
			LoginURL string `json:"login_url"`
		}
	}
	const report = `.then(async r => ({status: r.status, type: r.type, body: await r.json()}))`
	for name, fetch := range map[string]string{
		"a fetch":              `fetch('/api')`,
		"a fetch of HTML":      `fetch('/page', {headers: {Accept: 'text/html'}})`,
		"a fetch with a body":  `fetch('/api', {method: 'POST', body: '{}'})`,
		"a fetch for a person": `fetch('/api', {headers: {'X-Requested-With': 'XMLHttpRequest'}})`,
	} {
		p.run(&call, fetch+report)
		if call.Status != http.StatusUnauthorized || !strings.HasPrefix(call.Body.LoginURL, "/.token-enrich/login?") {
			t.Errorf("%s is answered %+v", name, call)
		}
	}
	for name, expression := range map[string]string{
		"a WebSocket": `new Promise(done => { const s = new WebSocket(location.origin.replace('http', 'ws') + '/socket'); s.onopen = () => done('open'); s.onerror = () => done('refused') })`,
		"an image":    `new Promise(done => { const i = new Image(); i.onload = () => done('open'); i.onerror = () => done('refused'); i.src = '/picture' })`,
		"a script":    `new Promise(done => { const s = document.createElement('script'); s.onload = () => done('open'); s.onerror = () => done('refused'); s.src = '/script'; document.head.append(s) })`,
	} {
		var got string
		if p.run(&got, expression); got != "refused" {
			t.Errorf("%s is %s", name, got)
		}
	}
	p.run(nil, `new Promise(done => { const f = document.createElement('iframe'); f.onload = () => done(''); f.src = '/frame'; document.body.append(f) })`)
	for _, path := range []string{"/api", "/page", "/picture", "/script", "/frame"} {
		for _, r := range v.requests() {
			if r.URL == g.origin+path && r.Status != http.StatusUnauthorized {
				t.Errorf("%s %s as %s is answered %d", r.Method, path, r.Type, r.Status)
			}
		}
	}
	wantStatus(t, g.get("/socket", "", "Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="), http.StatusUnauthorized)
	g.nothingReceived()
	// The address that the script was given leads to a login and back to the page.
	p.open(g.origin + call.Body.LoginURL)
	p.signIn("bob", true)
	p.arrives(g.origin + "/first")
	p.wantText("h1", "bob at /first")
}

func postedForm(t *testing.T, g *loginSite) {
	v, p := g.signedIn(nil, "alice", "/first")
	if err := g.browser.call(t, nil, v.id, "clearCookies", map[string]any{"domain": "localhost"}); err != nil {
		t.Fatal(err)
	}
	g.legacy.Forget()
	p.click("text=Save")
	p.wantText("h1", "Your session has ended")
	p.shot("session-ended")
	g.nothingReceived()
	p.click("a")                   // to sign in again
	p.arrives(g.origin + "/first") // the provider remembers alice
	p.wantText("h1", "alice at /first")
}

func pagesByKeyboard(t *testing.T, g *loginSite) {
	v := g.browser.visit(t, options{"javaScriptEnabled": false, "locale": "de-DE"})
	p := v.tab()
	p.open(g.origin + "/choice/a")
	p.wantText("h1", "Anmelden")
	p.press("Tab")
	p.wantText(":focus", "Mit corp anmelden")
	p.press("Enter")
	p.text("input[name=login]:focus")
	p.signIn("alice", true)
	p.arrives(g.origin + "/choice/a")
	p.wantText("h1", "alice at /choice/a")
	// A visit from a bookmark is no click on this site: it is asked about.
	p.open(g.origin + "/.token-enrich/logout")
	p.text("button")
	p.press("Tab")
	p.press("Enter")
	p.arrives(g.origin + "/.token-enrich/logout/done**")
	p.wantText("h1", "Sie sind abgemeldet")
	g.staysHere(v)
}

func pagesAreStyled(t *testing.T, g *loginSite) {
	background := map[string]string{}
	for locale, title := range map[string]string{"en-GB": "Sign in", "de-DE": "Anmelden", "fr-FR": "Connexion", "es-ES": "Iniciar sesión", "ja-JP": "Sign in"} {
		for _, scheme := range []string{"light", "dark"} {
			v := g.browser.visit(t, options{"locale": locale, "colorScheme": scheme})
			p := v.tab()
			got := p.open(g.origin + "/choice/a")
			if got.Status != http.StatusOK || got.Headers["cache-control"] != "no-store" || !strings.HasPrefix(got.Headers["content-security-policy"], "default-src 'none'") {
				t.Errorf("the choice is answered %d with %v", got.Status, got.Headers)
			}
			p.wantText("h1", title)
			var style struct{ Lang, Color, Display string }
			p.run(&style, `({lang: document.documentElement.lang, color: getComputedStyle(document.body).backgroundColor, display: getComputedStyle(document.body).display})`)
			if style.Display != "grid" {
				t.Error("the browser did not take the page's style")
			}
			if locale != "ja-JP" && !strings.HasPrefix(locale, style.Lang) {
				t.Errorf("the page for %s is in %s", locale, style.Lang)
			}
			background[scheme] = style.Color
			g.staysHere(v)
			p.shot("choose-" + locale)
		}
	}
	if background["light"] == background["dark"] {
		t.Errorf("light and dark are both %s", background["light"])
	}
}

func cancelledLogin(t *testing.T, g *loginSite) {
	p := g.browser.visit(t, nil).tab()
	p.open(g.origin + "/first")
	p.click("text=Cancel")
	p.arrives(g.origin + "/.token-enrich/callback/corp**")
	p.wantText("h1", "Access denied")
	p.shot("error")
	p.click("a") // to try again
	p.signIn("alice", true)
	p.arrives(g.origin + "/first")
	p.open(g.origin + "/.token-enrich/login?" + url.Values{"issuer": {"partner"}, "policy": {"choice"}}.Encode())
	p.wantText("h1", "Sign-in is not available right now")
	p.shot("unreachable")
}
