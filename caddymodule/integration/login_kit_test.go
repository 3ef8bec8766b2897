package integration

import (
	"bufio"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// This file is what the tests of logins share: a gateway at which people log in, at
// the certified provider and at the scripted one, and people with browsers.

// The gateway's registration at the providers. The secret is a test's.
const (
	loginClient = "legacy-web"
	loginSecret = "login/secret+only for tests-000000" // #nosec G101 -- a test server's
)

// The cookies of a site on plain HTTP.
const (
	sessionCookie     = "token_enrich"
	transactionCookie = "token_enrich_login"
)

// accounts are the people of the certified provider. The directory knows the first two.
func accounts() map[string]enrichtest.Claims {
	return map[string]enrichtest.Claims{
		"00u1ada":   {"name": "Ada Ampère", "email": "ada@example.com", "email_verified": true, "groups": []string{"admins", "dev"}, "tenant": "t1"},
		"00u2grace": {"name": "Grace", "email": "grace@example.com", "email_verified": true, "groups": []string{}, "tenant": "t2"},
	}
}

// registered is the gateway's registration for a site.
func registered(w *world) enrichtest.OPLoginClient {
	c := enrichtest.OPLoginClient{ID: loginClient, Secret: loginSecret}
	for _, origin := range []string{"http://" + w.addr, "http://127.0.0.1:" + port(w.addr)} {
		c.RedirectURIs = append(c.RedirectURIs, origin+"/.token-enrich/callback", origin+"/.token-enrich/callback/corp")
		c.LogoutURIs = append(c.LogoutURIs, origin+"/.token-enrich/logout/done")
	}
	return c
}

// prepareLogins sets up everything but Caddy. Cookies know no ports, so the site is at
// another host than the providers.
func prepareLogins(t *testing.T) *world {
	t.Helper()
	w := prepare(t)
	w.addr = "localhost:" + port(cachetest.FreeAddr(t))
	w.issuer.RequireClient(loginClient, loginSecret)
	w.issuer.SetAccount("00u1ada", enrichtest.Claims{"email": "ada@example.com"})
	return w
}

// withProvider starts the certified provider for the site, with edits to the gateway's
// registration.
func (w *world) withProvider(config enrichtest.OPConfig, edit func(c *enrichtest.OPLoginClient)) *enrichtest.OIDCProvider {
	w.t.Helper()
	c := registered(w)
	if edit != nil {
		edit(&c)
	}
	if config.People == nil {
		config.People = accounts()
	}
	config.Login = append(config.Login, c)
	return enrichtest.StartOIDCProvider(w.t, config)
}

// loginIssuer is an issuer at which people log in; options go into its block and more
// into that of the login.
func loginIssuer(name, issuer, options, more string) string {
	if !strings.Contains(more, "client_id ") {
		more += fmt.Sprintf("\nclient_id %s\nclient_secret `%s`", loginClient, loginSecret)
	}
	return fmt.Sprintf("issuer %s {\nname %s\ntimeout 30s\nkey_min_interval 1ms\n%s\nlogin {\n%s\n}\n}", issuer, name, options, more)
}

// allScopes are those of the claims of accounts.
const allScopes = "scopes openid profile email groups"

// atCorp is the certified provider as the issuer of most tests.
func atCorp(o *enrichtest.OIDCProvider) string { return loginIssuer("corp", o.Issuer, "", allScopes) }

// scriptedCorp is the scripted provider as that issuer.
func (w *world) scriptedCorp() string { return loginIssuer("corp", w.issuer.Issuer(), "", "") }

// loginSite is a site of one policy with further options.
func (w *world) loginSite(options string) string {
	return fmt.Sprintf("token_enrich {\nname web\nlogin corp\nheader X-User sub\n%s\n}\nreverse_proxy %s", options, w.legacy.Addr())
}

// person is somebody with a browser.
type person struct {
	*world

	op      *enrichtest.OIDCProvider // nil: the scripted one, which asks nothing
	account string
}

// person gives somebody a browser without cookies.
func (w *world) person(op *enrichtest.OIDCProvider, account string) *person {
	w.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.t.Fatal(err)
	}
	browser := *client
	browser.Jar = jar
	if w.client != nil { // over another protocol, which the providers do not speak
		browser.Transport = byScheme{http: client.Transport, https: w.client.Transport}
	}
	own := *w
	own.client = &browser
	return &person{&own, op, account}
}

// byScheme speaks one protocol to the site and another one to the providers.
type byScheme struct{ http, https http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b byScheme) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "https" {
		return b.https.RoundTrip(r)
	}
	return b.http.RoundTrip(r)
}

// in is the same person for a subtest.
func (p *person) in(t *testing.T) *person { return &person{p.world.in(t), p.op, p.account} }

// origin is the site's.
func (w *world) origin() string { return cmp.Or(w.scheme, "http") + "://" + w.addr }

// opens goes to a page of the site, or to a whole address, and follows no redirect.
func (p *person) opens(address string, headers ...string) answer {
	p.t.Helper()
	return p.sends(http.MethodGet, address, append(slices.Clone(headers), navigation...)...)
}

// sends makes a request to a page of the site, or to a whole address.
func (p *person) sends(method, address string, headers ...string) answer {
	p.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = p.origin() + address
	}
	r, err := http.NewRequestWithContext(p.t.Context(), method, address, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return p.send(r)
}

// sentTo is where a redirect leads.
func sentTo(t *testing.T, got answer) *url.URL {
	t.Helper()
	wantStatus(t, got, http.StatusSeeOther)
	to, err := got.Location()
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// follows goes where a redirect leads. At a provider the person signs in, and is sent
// back to the site.
func (p *person) follows(got answer) answer {
	p.t.Helper()
	to := sentTo(p.t, got).String()
	switch {
	case p.op != nil && strings.HasPrefix(to, p.op.Issuer+"/auth"):
		to = p.op.SignIn(p.t, p.client, to, p.account)
	case strings.HasPrefix(to, p.issuer.Issuer()):
		at := p.sends(http.MethodGet, to)
		wantStatus(p.t, at, http.StatusFound)
		to = at.Header.Get("Location")
	}
	return p.opens(to)
}

// arrives goes to a page and wherever that leads, and returns the page at the end.
func (p *person) arrives(address string) answer {
	p.t.Helper()
	got := p.opens(address)
	for range 6 {
		if got.StatusCode != http.StatusSeeOther {
			return got
		}
		got = p.follows(got)
	}
	p.t.Fatalf("%s leads to no page", address)
	return got
}

// logsIn goes to a page, which must come to a login and back to that page, and forgets
// what the application received.
func (p *person) logsIn(page string) {
	p.t.Helper()
	sentTo(p.t, p.opens(page))
	got := p.arrives(page)
	wantStatus(p.t, got, http.StatusOK)
	if at := got.Request.URL.String(); at != p.origin()+page {
		p.t.Fatalf("the login ends at %s, want %s", at, page)
	}
	p.legacy.Forget()
}

// cookie is the value of a cookie that the browser has for the site.
func (p *person) cookie(name string) string {
	p.t.Helper()
	for _, c := range p.client.Jar.Cookies(&url.URL{Scheme: "http", Host: p.addr, Path: "/"}) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// session is the Cookie header of the person's session.
func (p *person) session() string {
	p.t.Helper()
	value := p.cookie(sessionCookie)
	if value == "" {
		p.t.Fatal("the browser has no session")
	}
	return sessionCookie + "=" + value
}

// holds sets a cookie of the site.
func (p *person) holds(name, value string) { p.setCookie(name, value) }

// copied is the person in a browser that has the session and nothing else.
func (p *person) copied() *person {
	p.t.Helper()
	other := p.person(p.op, p.account)
	other.holds(sessionCookie, p.cookie(sessionCookie))
	return other
}

// byScript are the headers of a script's request.
var byScript = []string{"Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty", "Sec-Fetch-Site", "same-origin", "Accept", "application/json"}

// calls sends a GET as a script of a page does.
func (p *person) calls(path string, headers ...string) answer {
	p.t.Helper()
	return p.sends(http.MethodGet, path, append(slices.Clone(byScript), headers...)...)
}

// loginURLOf reads the address that an answer to a script names.
func loginURLOf(t *testing.T, got answer) string {
	t.Helper()
	var hint struct {
		LoginURL string `json:"login_url"`
	}
	if got.Header.Get("Content-Type") != "application/json" || json.Unmarshal([]byte(got.body), &hint) != nil || hint.LoginURL == "" {
		t.Fatalf("the answer is %q of type %q, want JSON with login_url", got.body, got.Header.Get("Content-Type"))
	}
	return hint.LoginURL
}

// wantPage checks that an answer is a page of the gateway's.
func wantPage(t *testing.T, got answer, code int) {
	t.Helper()
	wantStatus(t, got, code)
	if !strings.HasPrefix(got.Header.Get("Content-Type"), "text/html") || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Security-Policy") == "" {
		t.Errorf("the answer is no page of the gateway's: %v %.200q", got.Header, got.body)
	}
}

// wantCall checks the answer to a script that has to log in, and returns its challenge.
func wantCall(t *testing.T, got answer, code int) string {
	t.Helper()
	wantStatus(t, got, code)
	if loginURLOf(t, got); got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q, want no-store", got.Header.Get("Cache-Control"))
	}
	return got.Header.Get("WWW-Authenticate")
}

// links are the addresses that a page leads to.
func links(got answer) (all []string) {
	for _, part := range strings.Split(got.body, `href="`)[1:] {
		address, _, _ := strings.Cut(part, `"`)
		all = append(all, strings.ReplaceAll(address, "&amp;", "&"))
	}
	return all
}

// idToken is the ID token that the provider gives somebody by a login of the test's
// own, at the same client.
func (p *person) idToken() string {
	p.t.Helper()
	const verifier = "a-verifier-of-at-least-forty-three-characters-00"
	hash := sha256.Sum256([]byte(verifier))
	redirect := p.origin() + "/.token-enrich/callback"
	back, err := url.Parse(p.op.SignIn(p.t, p.client, p.op.Issuer+"/auth?"+url.Values{
		"client_id": {loginClient}, "response_type": {"code"}, "redirect_uri": {redirect}, "scope": {"openid profile email groups"}, "state": {"s"}, "nonce": {"n"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(hash[:])}, "code_challenge_method": {"S256"},
	}.Encode(), p.account))
	if err != nil {
		p.t.Fatal(err)
	}
	form := url.Values{"grant_type": {"authorization_code"}, "code": {back.Query().Get("code")}, "redirect_uri": {redirect}, "code_verifier": {verifier}}
	r, err := http.NewRequestWithContext(p.t.Context(), http.MethodPost, p.op.Issuer+"/token", strings.NewReader(form.Encode()))
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Content-Type", formType)
	r.SetBasicAuth(url.QueryEscape(loginClient), url.QueryEscape(loginSecret))
	got := p.send(r)
	wantStatus(p.t, got, http.StatusOK)
	var tokens struct {
		IDToken string `json:"id_token"`
	}
	if err := json.Unmarshal([]byte(got.body), &tokens); err != nil || tokens.IDToken == "" {
		p.t.Fatalf("the provider gave no ID token: %v", err)
	}
	return tokens.IDToken
}

// fieldsLike are the fields that the application received whose names begin so.
func fieldsLike(seen enrichtest.RawRequest, prefix string) (all []enrichtest.Field) {
	for _, f := range seen.Fields {
		if strings.HasPrefix(strings.ToLower(f.Name), prefix) {
			all = append(all, f)
		}
	}
	return all
}

// fromHere are the headers of a link on a page of the site.
var fromHere = []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Sec-Fetch-Site", "same-origin", "Sec-Fetch-User", "?1", "Accept", "text/html"}

// logsOut logs out here and at the certified provider, and returns the page at the end.
func (p *person) logsOut() answer {
	p.t.Helper()
	to := sentTo(p.t, p.sends(http.MethodGet, "/.token-enrich/logout", fromHere...)).String()
	return p.opens(p.op.SignOut(p.t, p.client, to))
}

// begins starts a long request of each kind with the person's session.
func (p *person) begins() map[string]long {
	p.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(p.t.Context(), "tcp", p.addr)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(longest))
	request := "GET /ws HTTP/1.1\r\nHost: " + p.addr + "\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: " + p.origin() + "\r\nCookie: " + p.session() + "\r\n\r\n"
	if _, err := io.WriteString(conn, request); err != nil {
		p.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	switched, err := http.ReadResponse(in, nil)
	if err != nil || switched.StatusCode != http.StatusSwitchingProtocols || len(switched.Header["Set-Cookie"]) > 0 {
		p.t.Fatalf("the upgrade: %v, %v", switched, err)
	}
	socket := &tunnel{p.t, conn, in}
	socket.lives()

	ctx, cancel := context.WithTimeout(p.t.Context(), longest)
	p.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.origin()+"/events", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	r.Header.Set("Cookie", p.session())
	got, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || got.StatusCode != http.StatusOK {
		p.t.Fatalf("the event stream: %v, %v", got, err)
	}
	p.t.Cleanup(func() { _ = got.Body.Close() })
	stream := &events{p.t, got.Body, bufio.NewReader(got.Body), ctx}
	if line, err := stream.in.ReadString('\n'); err != nil || line != "data: first\n" {
		p.t.Fatalf("the first event: %q, %v", line, err)
	}
	return map[string]long{"a WebSocket": socket, "an event stream": stream}
}

// lives reports whether the session of the person, as it is now, is one: a copy of
// its cookie is sent by a script.
func (p *person) lives() bool {
	p.t.Helper()
	got := p.copied().calls("/lives")
	if got.StatusCode != http.StatusOK && got.StatusCode != http.StatusUnauthorized {
		p.t.Fatalf("status %d: %s", got.StatusCode, got.body)
	}
	p.legacy.Forget()
	return got.StatusCode == http.StatusOK
}

// wantLives fails the test unless the session is one, or is none.
func (p *person) wantLives(want bool) {
	p.t.Helper()
	if got := p.lives(); got != want {
		p.t.Fatalf("the session lives: %v, want %v", got, want)
	}
}

// readJSON reads the body of an answer.
func readJSON(t *testing.T, got answer, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(got.body), into); err != nil {
		t.Fatalf("%q: %v", got.body, err)
	}
}
