package login_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
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

// An option changes how a stage is made.
type option func(*plan)

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

func withIssuers(names ...string) option          { return func(p *plan) { p.names = names } }
func withLogin(edit func(c *login.Config)) option { return func(p *plan) { edit(&p.login) } }
func withIssuer(edit func(*issuer.Config)) option { return func(p *plan) { edit(&p.issuer) } }
func withSession(c login.SessionConfig) option    { return func(p *plan) { p.session = c } }
func withEndpoints(e login.Endpoints) option      { return func(p *plan) { p.endpoint = e } }
func withoutSockets(p *plan)                      { p.inProcess = true }
func withTimeout(d time.Duration) option          { return func(p *plan) { p.timeout = d } }
func withMetadata(edit func(m map[string]any)) option {
	return func(p *plan) { p.offer = func(_ *enrichtest.Provider, m map[string]any) { edit(m) } }
}

func withPolicies(policies func(providers []*login.Provider) []login.PolicyLogin) option {
	return func(p *plan) { p.policies = policies }
}

// withClaims has the policies read claims.
func withClaims(names ...string) option {
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
func newStage(t testing.TB, options ...option) *stage {
	t.Helper()
	p := plan{
		names: []string{"corp"}, login: login.Config{ClientID: testClient, ClientSecret: testSecret},
		keys: [][]byte{key(1)}, timeout: 5 * time.Second,
	}
	withClaims()(&p)
	for _, apply := range options {
		apply(&p)
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
