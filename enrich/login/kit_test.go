package login_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
)

// This file is the stage on which logins are tested over HTTP: providers, a site with
// an application behind it, and browsers. When a test ends, all that the site
// answered and logged is searched for secrets (L16).

const (
	testClient = "0oa1gateway"
	testSecret = "s3cr3t/of+the gateway"

	// What no log line and no page may name.
	testPerson = "00u1ada-lovelace"
	testName   = "Ada King, Countess of Lovelace"
)

// A stage is a site with its providers.
type stage struct {
	t         testing.TB
	clock     *enrichtest.Clock
	providers []*enrichtest.Provider
	server    *httptest.Server
	log       *logBuffer
	ended     *login.Ended
	options   login.SiteOptions
	restart   func() // makes all anew, so that the providers' metadata are not known

	mu       sync.Mutex
	site     *login.Site
	policies []login.PolicyLogin
	secrets  []string
	answers  []answered
	counted  []string
	denied   error
	ringErr  error
}

// answered is one answer of the site, and whether the application gave it.
type answered struct {
	path, body string
	header     http.Header
	app        bool
}

// A setting changes how a stage is made.
type setting func(*plan)

// plan is what a stage is made from.
type plan struct {
	names     []string
	login     login.Config
	issuer    issuer.Config
	session   login.SessionConfig
	endpoint  login.Endpoints
	policies  func(providers []*login.Provider) []login.PolicyLogin
	keys      [][]byte
	timeout   time.Duration
	inProcess bool // the site reaches the providers without a socket
	offer     func(p *enrichtest.Provider, metadata map[string]any)
}

func withIssuers(names ...string) setting          { return func(p *plan) { p.names = names } }
func withLogin(edit func(c *login.Config)) setting { return func(p *plan) { edit(&p.login) } }
func withIssuer(edit func(*issuer.Config)) setting { return func(p *plan) { edit(&p.issuer) } }
func withSession(c login.SessionConfig) setting    { return func(p *plan) { p.session = c } }
func withEndpoints(e login.Endpoints) setting      { return func(p *plan) { p.endpoint = e } }
func withoutSockets(p *plan)                       { p.inProcess = true }
func withTimeout(d time.Duration) setting          { return func(p *plan) { p.timeout = d } }
func withMetadata(edit func(m map[string]any)) setting {
	return func(p *plan) { p.offer = func(_ *enrichtest.Provider, m map[string]any) { edit(m) } }
}

func withPolicies(policies func(providers []*login.Provider) []login.PolicyLogin) setting {
	return func(p *plan) { p.policies = policies }
}

// withClaims has the policies read claims.
func withClaims(names ...string) setting {
	return withPolicies(func(providers []*login.Provider) []login.PolicyLogin {
		return []login.PolicyLogin{{Name: "web", Providers: providers, Claims: names}, {Name: "strong", Providers: providers, ACRValues: []string{"mfa"}}}
	})
}

// key returns a seal key.
func key(b byte) []byte { return bytes.Repeat([]byte{b}, seal.KeySize) }

func must[T any](v T, err error) func(testing.TB) T {
	return func(t testing.TB) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

// newStage returns a stage with the policies web, which takes any login, and strong,
// which requires the acr mfa.
func newStage(t testing.TB, settings ...setting) *stage {
	t.Helper()
	p := plan{
		names: []string{"corp"}, login: login.Config{ClientID: testClient, ClientSecret: testSecret},
		keys: [][]byte{key(1)}, timeout: 5 * time.Second,
	}
	withClaims()(&p)
	for _, set := range settings {
		set(&p)
	}
	s := &stage{t: t, clock: enrichtest.NewClock(time.Time{}), log: &logBuffer{}, ended: login.NewEnded(0), secrets: []string{testSecret, url.QueryEscape(testSecret)}}
	s.server = httptest.NewServer(http.HandlerFunc(s.serve))
	t.Cleanup(s.server.Close)
	logger := slog.New(slog.NewJSONHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for range p.names {
		remote := enrichtest.NewProvider(t, enrichtest.WithClock(s.clock.Now), enrichtest.WithAlgorithms("ES256"))
		if p.login.ClientSecret != "" {
			remote.RequireClient(p.login.ClientID, p.login.ClientSecret)
		}
		remote.SetAccount(testPerson, enrichtest.Claims{"name": testName})
		if p.offer != nil {
			remote.EditMetadata(func(m map[string]any) { p.offer(remote, m) })
		}
		s.providers = append(s.providers, remote)
	}
	s.restart = func() {
		var providers []*login.Provider
		for i, name := range p.names {
			c := p.issuer
			c.Issuer, c.Name, c.LoginOnly = s.providers[i].Issuer(), name, true
			c.Timeout = cache.Duration(p.timeout)
			var transport http.RoundTripper
			if p.inProcess {
				transport = s.providers[i].Transport()
			}
			is := must(issuer.New(c, issuer.Options{Transport: transport, Clock: s.clock.Now, Logger: logger}))(t)
			provider := must(login.NewProvider(p.login, is, login.ProviderOptions{Transport: transport, Timeout: p.timeout, Clock: s.clock.Now, Logger: logger}))(t)
			providers = append(providers, provider)
		}
		s.policies = p.policies(providers)
		s.rebuild()
	}
	p.endpoint.ExternalURL = s.server.URL
	endpoints := must(p.endpoint.WithDefaults())(t)
	ring := must(seal.NewRing(nil, p.keys...))(t)
	s.options = login.SiteOptions{
		Endpoints: endpoints, Session: must(p.session.WithDefaults())(t), Ended: s.ended, Pages: must(page.New(nil))(t), Clock: s.clock.Now, Logger: logger, Observer: s,
		Ring: func(context.Context) (*seal.Ring, error) {
			s.mu.Lock()
			defer s.mu.Unlock()
			return ring, s.ringErr
		},
		Denied: func(_ context.Context, v *issuer.Verified) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.denied
		},
	}
	s.restart()
	t.Cleanup(s.searchSecrets)
	return s
}

// rebuild makes the site anew, as a reload does.
func (s *stage) rebuild(change ...func(o *login.SiteOptions, policies []login.PolicyLogin)) {
	s.t.Helper()
	for _, c := range change {
		c(&s.options, s.policies)
	}
	site := must(login.NewSite(s.options))(s.t)
	for _, p := range s.policies {
		site.Add(p)
	}
	s.mu.Lock()
	s.site = site
	s.mu.Unlock()
}

// deny puts everybody on the deny list, or nobody.
func (s *stage) deny(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.denied = err
}

// errTestDenied is the answer of a deny list that names the person.
var errTestDenied = fmt.Errorf("denied: %w", login.ErrNoSession)

// LoginFinished implements login.Observer.
func (s *stage) LoginFinished(issuer, outcome string) { s.count(issuer + " " + outcome) }

// SessionEnded implements login.Observer.
func (s *stage) SessionEnded(cause string) { s.count("ended " + cause) }

func (s *stage) count(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counted = append(s.counted, what)
}

// counts returns what was counted since it was last asked.
func (s *stage) counts() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.counted
	s.counted = nil
	return c
}

// secret adds texts that must not be told.
func (s *stage) secret(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		if len(text) > 5 {
			s.secrets = append(s.secrets, text)
		}
	}
}

// serve is the gateway as far as a site knows it, with an application behind.
func (s *stage) serve(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	site := s.site
	s.mu.Unlock()
	rec := httptest.NewRecorder()
	app := s.gateway(site, rec, r)
	s.mu.Lock()
	s.answers = append(s.answers, answered{path: r.URL.Path, body: rec.Body.String(), header: rec.Result().Header, app: app})
	s.mu.Unlock()
	maps.Copy(w.Header(), rec.Header())
	w.WriteHeader(rec.Code)
	_, _ = w.Write(rec.Body.Bytes())
}

// gateway answers one request, and reports whether the application did.
func (s *stage) gateway(site *login.Site, w http.ResponseWriter, r *http.Request) (app bool) {
	cookies := r.Header["Cookie"]
	if site.Serves(r.URL.Path) {
		site.ServeHTTP(w, r, cookies)
		return false
	}
	policy := s.policies[0]
	for _, p := range s.policies[1:] {
		if strings.HasPrefix(r.URL.Path, "/"+p.Name) {
			policy = p
		}
	}
	v := site.Visit()
	refuse := func(reason login.Reason) bool {
		w.Header().Set("WWW-Authenticate", "Bearer")
		site.Refuse(w, r, &v, policy.Name, reason, cookies, "e-1")
		return false
	}
	var cookie string
	if c, err := r.Cookie(site.Origin().SessionCookie()); err == nil {
		cookie = c.Value
	}
	if cookie == "" {
		return refuse(login.NoSession)
	}
	var verified *issuer.Verified
	_, err := v.Open(cookie, s.clock.Now()) //nolint:contextcheck // as package enrich asks
	if err == nil {
		verified, err = v.Verify(r.Context())
	}
	switch {
	case errors.Is(err, issuer.ErrUnavailable):
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(http.StatusServiceUnavailable)
		return false
	case err != nil:
		return refuse(login.NoSession)
	}
	if s.options.Denied(r.Context(), verified) != nil {
		v.Revoked()
		return refuse(login.NoSession)
	}
	p := verified.Principal
	if !slices.ContainsFunc(policy.Providers, func(x *login.Provider) bool { return x.Name() == p.IssuerName }) {
		return refuse(login.ForeignSession)
	}
	acr, _ := p.Claims["acr"].(string)
	if len(policy.ACRValues) > 0 && !slices.Contains(policy.ACRValues, acr) {
		return refuse(login.WeakSession)
	}
	if at, ok := p.Claims["auth_time"].(int64); policy.MaxAge > 0 && (!ok || s.clock.Now().Unix()-at > int64((policy.MaxAge+verified.Issuer.Leeway())/time.Second)) {
		return refuse(login.WeakSession)
	}
	if c := v.Renewed(s.clock.Now()); c != "" {
		w.Header().Add("Set-Cookie", c)
	}
	claims, _ := json.Marshal(p.Claims)
	_, _ = fmt.Fprintf(w, "page %s for %s of %s scopes %s claims %s", r.URL.RequestURI(), p.Subject, p.IssuerName, p.Scopes, claims)
	return true
}

// searchSecrets fails the test if a log line, page or redirect holds a secret.
func (s *stage) searchSecrets() {
	s.mu.Lock()
	defer s.mu.Unlock()
	secrets := s.secrets
	for _, p := range s.providers {
		secrets = append(secrets, p.Secrets()...)
		for _, e := range []enrichtest.Endpoint{enrichtest.Authorize, enrichtest.Token, enrichtest.PAR} {
			for _, seen := range p.Requests(e) {
				for _, name := range []string{"state", "nonce", "code_verifier", "client_assertion", "code_challenge"} {
					if v := seen.Form.Get(name); v != "" {
						secrets = append(secrets, v)
					}
				}
			}
		}
	}
	persons := []string{testPerson, testName}
	search := func(where, text string, secrets []string) {
		for _, secret := range secrets {
			if strings.Contains(text, secret) || strings.Contains(text, url.QueryEscape(secret)) {
				s.t.Errorf("%s holds the secret %q:\n%s", where, secret, text)
			}
		}
	}
	search("the log", s.log.String(), append(slices.Clone(secrets), persons...))
	for _, a := range s.answers {
		if a.app {
			continue
		}
		search("the answer of "+a.path, a.body, secrets)
		if a.path != s.options.Endpoints.SessionInfo {
			search("the answer of "+a.path, a.body, persons)
		}
		if at := a.header.Get("Location"); !s.ofProvider(at) {
			search("the redirect of "+a.path, at, append(slices.Clone(secrets), persons...))
		}
		if a.header.Get("Cache-Control") != "no-store" {
			s.t.Errorf("the answer of %s can be stored: Cache-Control %q", a.path, a.header.Get("Cache-Control"))
		}
	}
}

// ofProvider reports whether an address is a provider's.
func (s *stage) ofProvider(address string) bool {
	return slices.ContainsFunc(s.providers, func(p *enrichtest.Provider) bool { return strings.HasPrefix(address, p.Issuer()+"/") })
}

// A logBuffer takes the log.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	at int
}

// Write implements io.Writer.
func (l *logBuffer) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

// String returns the whole log.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// lines returns the lines since it was last asked.
func (l *logBuffer) lines() []map[string]any {
	l.mu.Lock()
	defer l.mu.Unlock()
	var lines []map[string]any
	for line := range bytes.Lines(l.b.Bytes()[l.at:]) {
		var m map[string]any
		if json.Unmarshal(line, &m) == nil {
			lines = append(lines, m)
		}
	}
	l.at = l.b.Len()
	return lines
}

// A browser keeps cookies and follows redirects.
type browser struct {
	s   *stage
	jar http.CookieJar

	// header replaces headers of each request; an empty list takes one away.
	header http.Header

	// before sees each request before it is sent.
	before func(r *http.Request)

	trail []string // the addresses of the last navigation
}

func (s *stage) browser() *browser {
	jar := must(cookiejar.New(nil))(s.t)
	return &browser{s: s, jar: jar}
}

// result is an answer that was read.
type result struct {
	status int
	header http.Header
	body   string
	url    string
}

// location returns where an answer redirects to.
func (r result) location(t testing.TB) *url.URL {
	t.Helper()
	if r.status != http.StatusSeeOther && r.status != http.StatusFound {
		t.Fatalf("got status %d of %s, want a redirect\n%s", r.status, r.url, r.body)
	}
	base := must(url.Parse(r.url))(t)
	return must(base.Parse(r.header.Get("Location")))(t)
}

// message returns the name of the message of a page, or nothing.
func (r result) message() string { return titles()[title(r.body)] }

// title returns the title of a page.
func title(body string) string {
	_, rest, _ := strings.Cut(body, "<title>")
	text, _, _ := strings.Cut(rest, "</title>")
	return text
}

// titles returns the messages by the title of their page in English.
var titles = sync.OnceValue(func() map[string]string {
	pages, err := page.New(nil)
	if err != nil {
		panic(err)
	}
	names := make(map[string]string)
	for m := page.Choose; m <= page.Internal; m++ {
		w := httptest.NewRecorder()
		if err := pages.Write(w, httptest.NewRequest(http.MethodGet, "/", nil), page.Page{Message: m, FormAction: "/"}); err != nil {
			panic(err)
		}
		names[title(w.Body.String())] = m.String()
	}
	return names
})

// navigation are the headers with which a person goes to a page.
func navigation() http.Header {
	return http.Header{
		"Accept": {"text/html,*/*;q=0.8"}, "Sec-Fetch-Mode": {"navigate"}, "Sec-Fetch-Dest": {"document"},
		"Sec-Fetch-Site": {"none"}, "Sec-Fetch-User": {"?1"},
	}
}

// plainTransport follows nothing and keeps nothing.
var plainTransport = &http.Transport{MaxIdleConnsPerHost: 32}

// send sends one request and follows no redirect.
func (b *browser) send(r *http.Request) result {
	t := b.s.t
	t.Helper()
	for name, values := range b.header {
		r.Header[name] = values
		if len(values) == 0 {
			delete(r.Header, name)
		}
	}
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	if b.before != nil {
		b.before(r)
	}
	answer, err := plainTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", r.Method, r.URL, err)
	}
	defer answer.Body.Close()
	body := must(io.ReadAll(answer.Body))(t)
	b.jar.SetCookies(r.URL, answer.Cookies())
	for _, c := range answer.Cookies() {
		b.s.secret(c.Value)
		if id, _, ok := strings.Cut(c.Value, "."); ok {
			b.s.secret(id)
		}
	}
	return result{status: answer.StatusCode, header: answer.Header, body: string(body), url: r.URL.String()}
}

// step goes to an address, of the site if it is a path, and follows no redirect.
func (b *browser) step(address string) result {
	b.s.t.Helper()
	return b.do(http.MethodGet, address, nil)
}

// do sends one request with further headers over those of a navigation.
func (b *browser) do(method, address string, header http.Header) result {
	b.s.t.Helper()
	if strings.HasPrefix(address, "/") {
		address = b.s.server.URL + address
	}
	r := must(http.NewRequestWithContext(b.s.t.Context(), method, address, nil))(b.s.t)
	r.Header = navigation()
	maps.Copy(r.Header, header)
	return b.send(r)
}

// maxHops is how many redirects browsers follow.
const maxHops = 20

// open goes to an address and follows redirects.
func (b *browser) open(address string) result {
	b.s.t.Helper()
	return b.follow(b.step(address))
}

// follow follows the redirects of an answer.
func (b *browser) follow(r result) result {
	b.s.t.Helper()
	b.trail = nil
	for range maxHops {
		b.trail = append(b.trail, r.url)
		if r.header.Get("Location") == "" {
			return r
		}
		r = b.step(r.location(b.s.t).String())
	}
	b.s.t.Fatalf("a loop: %q", b.trail)
	return result{}
}

// login opens a page, which takes a login, and returns its answer.
func (b *browser) login(path string) result {
	b.s.t.Helper()
	r := b.open(path)
	if r.status != http.StatusOK || !strings.HasPrefix(r.body, "page ") {
		b.s.t.Fatalf("got %d %s, want the page\n%v", r.status, r.body, b.s.log.lines())
	}
	return r
}

// begin opens a page and returns the address of the provider that it redirects to.
func (b *browser) begin(path string) *url.URL {
	b.s.t.Helper()
	at := b.step(path).location(b.s.t)
	if !b.s.ofProvider(at.String()) {
		b.s.t.Fatalf("redirected to %s, want the provider", at)
	}
	return at
}

// callback begins a login and returns the address with which the provider answers.
func (b *browser) callback(path string) *url.URL {
	b.s.t.Helper()
	return b.step(b.begin(path).String()).location(b.s.t)
}

// cookie returns the value of a cookie of the site, or nothing.
func (b *browser) cookie(name string) string {
	for _, c := range b.jar.Cookies(must(url.Parse(b.s.server.URL))(b.s.t)) {
		if c.Name == name {
			return c.Value
		}
	}
	return ""
}

// setCookie sets a cookie of the site; an empty value takes it away.
func (b *browser) setCookie(name, value string) {
	c := &http.Cookie{Name: name, Value: value, Path: "/"} // #nosec G124 -- over plain http
	if value == "" {
		c.MaxAge = -1
	}
	b.jar.SetCookies(must(url.Parse(b.s.server.URL))(b.s.t), []*http.Cookie{c})
}

// names of the cookies over plain http.
const (
	sessionCookie     = "token_enrich"
	transactionCookie = "token_enrich_login"
)

// wantPage checks the status and message of a page.
func wantPage(t testing.TB, what string, r result, status int, message string) {
	t.Helper()
	if r.status != status || r.message() != message {
		t.Errorf("%s: got %d %q, want %d %q\n%s", what, r.status, r.message(), status, message, r.header)
	}
}

// wantFailure checks the page and the one log line of a login that failed, and that
// there is no session.
func (b *browser) wantFailure(what string, r result, status int, message, outcome, cause string) map[string]any {
	t := b.s.t
	t.Helper()
	wantPage(t, what, r, status, message)
	if b.cookie(sessionCookie) != "" {
		t.Errorf("%s: there is a session", what)
	}
	var failures []map[string]any
	for _, line := range b.s.log.lines() {
		if line["msg"] == "login failed" {
			failures = append(failures, line)
		}
	}
	if len(failures) != 1 {
		t.Errorf("%s: %d log lines: %v", what, len(failures), failures)
		return nil
	}
	line := failures[0]
	if text, _ := line["cause"].(string); line["outcome"] != outcome || !strings.Contains(text, cause) {
		t.Errorf("%s: got the outcome %v with the cause %q, want %s with %q", what, line["outcome"], text, outcome, cause)
	}
	if id, _ := line["error_id"].(string); len(id) != 12 || !strings.Contains(r.body, id) {
		t.Errorf("%s: the error id %q is not on the page", what, id)
	}
	return line
}
