package login_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// wantSetting checks that an error is about one setting, and says what it should.
func wantSetting(t *testing.T, err error, path, text string) {
	t.Helper()
	var s *setting.Error
	switch {
	case path == "":
		if err != nil {
			t.Errorf("got %v", err)
		}
	case !errors.As(err, &s) || !slices.Equal(s.Paths, []string{path}) || !strings.Contains(err.Error(), text):
		t.Errorf("got %v, want one about %s with %q", err, path, text)
	case strings.Contains(err.Error(), testSecret):
		t.Errorf("the error holds the secret: %v", err)
	}
}

func TestSettingsOfALogin(t *testing.T) {
	type config = login.Config
	for name, c := range map[string]struct {
		edit func(c *config)
		path string
		text string
	}{
		"the least": {func(*config) {}, "", ""},
		"all": {func(c *config) {
			c.ClientSecret, c.ClientAuth, c.Scopes, c.Principal, c.Prompt, c.PAR = testSecret, "post", []string{"profile", "openid"}, "id_token", "consent", "require"
			c.Parameters = []login.Parameter{{Name: "a", Value: "b"}, {Name: "c"}}
		}, "", ""},
		"no client":       {func(c *config) { c.ClientID = "" }, "client_id", "client_id is missing"},
		"two credentials": {func(c *config) { c.ClientSecret, c.PrivateKey = testSecret, "key.pem" }, "client_secret", "cannot be combined"},
		"three credentials": {func(c *config) {
			c.ClientSecret, c.PrivateKey, c.ClientCertificate = testSecret, "k", &login.Certificate{}
		}, "client_secret", "cannot be combined"},
		"client_auth alone":      {func(c *config) { c.ClientAuth = "post" }, "client_auth", "needs client_secret"},
		"client_auth misspelt":   {func(c *config) { c.ClientSecret, c.ClientAuth = testSecret, "basik" }, "client_auth", "basic"},
		"key_id alone":           {func(c *config) { c.KeyID = "k" }, "key_id", "needs private_key"},
		"half a certificate":     {func(c *config) { c.ClientCertificate = &login.Certificate{Certificate: "c.pem"} }, "client_certificate", "two files"},
		"scopes without openid":  {func(c *config) { c.Scopes = []string{"profile"} }, "scopes", "must contain openid"},
		"no scope at all":        {func(c *config) { c.Scopes = []string{} }, "scopes", "must contain openid"},
		"two scopes in one":      {func(c *config) { c.Scopes = []string{"openid", "a b"} }, "scopes", "without spaces"},
		"an empty acr":           {func(c *config) { c.ACRValues = []string{""} }, "acr_values", "without spaces"},
		"an unknown prompt":      {func(c *config) { c.Prompt = "none" }, "prompt", "login, consent or select_account"},
		"an unknown par":         {func(c *config) { c.PAR = "on" }, "par", "auto, require or off"},
		"an unknown principal":   {func(c *config) { c.Principal = "id" }, "principal", "id_token"},
		"principal access_token": {func(c *config) { c.Principal = "access_token" }, "principal", "keeps tokens"},
		"a parameter of ours":    {func(c *config) { c.Parameters = []login.Parameter{{Name: "a"}, {Name: "state"}} }, "parameters[1]", "set by the gateway"},
		"response_mode":          {func(c *config) { c.Parameters = []login.Parameter{{Name: "response_mode", Value: "form_post"}} }, "parameters[0]", "set by the gateway"},
		"a parameter twice":      {func(c *config) { c.Parameters = []login.Parameter{{Name: "a"}, {Name: "a"}} }, "parameters[1]", "duplicate"},
		"a nameless parameter":   {func(c *config) { c.Parameters = []login.Parameter{{Value: "a"}} }, "parameters[0]", "a name is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			config := config{ClientID: testClient}
			c.edit(&config)
			wantSetting(t, config.Check(), c.path, c.text)
		})
	}
}

func TestSettingsOfSessions(t *testing.T) {
	minutes := func(n int) cache.Duration { return cache.Duration(time.Duration(n) * time.Minute) }
	for name, c := range map[string]struct {
		config login.SessionConfig
		path   string
		text   string
		idle   cache.Duration
		max    cache.Duration
	}{
		"nothing":             {login.SessionConfig{}, "", "", minutes(30), minutes(600)},
		"a short max":         {login.SessionConfig{Max: minutes(5)}, "", "", minutes(5), minutes(5)},
		"the longest":         {login.SessionConfig{Store: "cookie", Idle: minutes(1440), Max: minutes(1440)}, "", "", minutes(1440), minutes(1440)},
		"too long":            {login.SessionConfig{Max: minutes(1441)}, "max", "24h", 0, 0},
		"negative":            {login.SessionConfig{Max: -1}, "max", "between", 0, 0},
		"too short":           {login.SessionConfig{Idle: cache.Duration(9 * time.Second)}, "idle", "minimum", 0, 0},
		"idle above max":      {login.SessionConfig{Idle: minutes(20), Max: minutes(10)}, "idle", "longer than max", 0, 0},
		"max below the least": {login.SessionConfig{Max: cache.Duration(time.Second)}, "idle", "minimum", 0, 0},
		"redis":               {login.SessionConfig{Store: "redis"}, "store", "not supported yet", 0, 0},
		"an unknown store":    {login.SessionConfig{Store: "cokie"}, "store", "cookie", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.config.WithDefaults()
			wantSetting(t, err, c.path, c.text)
			if err == nil && (got.Idle != c.idle || got.Max != c.max || got.Store != "cookie") {
				t.Errorf("got %+v", got)
			}
		})
	}
}

func TestSettingsOfEndpoints(t *testing.T) {
	type endpoints = login.Endpoints
	for name, c := range map[string]struct {
		endpoints endpoints
		path      string
		text      string
	}{
		"nothing":                {endpoints{}, "", ""},
		"all":                    {endpoints{ExternalURL: "HTTPS://App.example.com:443/", Callback: "/cb", Logout: "/out", AfterLogout: "/bye?x", SessionInfo: "/me"}, "", ""},
		"afterwards elsewhere":   {endpoints{AfterLogout: "https://www.example.com/x"}, "", ""},
		"a path in the origin":   {endpoints{ExternalURL: "https://app.example.com/x"}, "external_url", "want an origin"},
		"plain http":             {endpoints{ExternalURL: "http://app.example.com"}, "external_url", "plain http"},
		"a relative callback":    {endpoints{Callback: "cb"}, "callback", "not an absolute path"},
		"a hostile callback":     {endpoints{Callback: "//evil.example"}, "callback", "not an absolute path"},
		"the root":               {endpoints{Logout: "/"}, "logout", "ends in a slash"},
		"a slash at the end":     {endpoints{SessionInfo: "/me/"}, "session_info", "ends in a slash"},
		"a pattern":              {endpoints{Callback: "/cb/*"}, "callback", "pattern"},
		"a placeholder":          {endpoints{Callback: "/{x}"}, "callback", "pattern"},
		"an escape":              {endpoints{Callback: "/a%20b"}, "callback", "pattern"},
		"twice the same":         {endpoints{Callback: "/x", Logout: "/x"}, "logout", "is also the path of callback"},
		"the login's":            {endpoints{SessionInfo: login.LoginPath}, "session_info", "begins a login"},
		"afterwards to a script": {endpoints{AfterLogout: "javascript:alert(1)"}, "after_logout", "neither a path"},
		"afterwards to nowhere":  {endpoints{AfterLogout: "//evil.example"}, "after_logout", "neither a path"},
		"afterwards with a user": {endpoints{AfterLogout: "https://a@example.com"}, "after_logout", "neither a path"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.endpoints.WithDefaults()
			wantSetting(t, err, c.path, c.text)
			if name == "nothing" && got != (endpoints{Callback: "/.token-enrich/callback", Logout: "/.token-enrich/logout", SessionInfo: "/.token-enrich/session"}) {
				t.Errorf("got %+v", got)
			}
			if name == "all" && got.ExternalURL != "https://app.example.com" {
				t.Errorf("got %+v", got)
			}
		})
	}
	if _, err := login.NewSite(login.SiteOptions{}); err == nil {
		t.Error("a site without external_url is made")
	}
}

// The files of a client are read when it is made, and what is wrong with them says
// which option names them.
func TestFilesOfAClient(t *testing.T) {
	remote := enrichtest.NewProvider(t, enrichtest.WithAlgorithms("ES256"))
	is := must(issuer.New(issuer.Config{Issuer: remote.Issuer(), Name: "corp", LoginOnly: true}, issuer.Options{}))(t)
	certificate, key := certificateFiles(t)
	missing := filepath.Join(t.TempDir(), "missing.pem")
	for name, c := range map[string]struct {
		config  login.Config
		options login.ProviderOptions
		text    string // empty for none
	}{
		"none":                     {login.Config{}, login.ProviderOptions{}, ""},
		"a key":                    {login.Config{PrivateKey: key, KeyID: "k"}, login.ProviderOptions{}, ""},
		"a certificate":            {login.Config{ClientCertificate: &login.Certificate{Certificate: certificate, Key: key}}, login.ProviderOptions{CA: certificate}, ""},
		"a missing key":            {login.Config{PrivateKey: missing}, login.ProviderOptions{}, "private_key"},
		"a certificate as key":     {login.Config{PrivateKey: certificate}, login.ProviderOptions{}, "private_key"},
		"a missing certificate":    {login.Config{ClientCertificate: &login.Certificate{Certificate: missing, Key: key}}, login.ProviderOptions{}, "client_certificate"},
		"a key as certificate":     {login.Config{ClientCertificate: &login.Certificate{Certificate: key, Key: key}}, login.ProviderOptions{}, "client_certificate"},
		"a missing CA":             {login.Config{}, login.ProviderOptions{CA: missing}, "missing.pem"},
		"a missing CA beside mTLS": {login.Config{ClientCertificate: &login.Certificate{Certificate: certificate, Key: key}}, login.ProviderOptions{CA: missing}, "missing.pem"},
		"settings that are wrong":  {login.Config{KeyID: "k"}, login.ProviderOptions{}, "key_id"},
	} {
		c.config.ClientID = testClient
		p, err := login.NewProvider(c.config, is, c.options)
		if (err == nil) != (c.text == "") || err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: got %v, want %q", name, err, c.text)
		}
		if err == nil && p.Name() != "corp" {
			t.Errorf("%s: the provider is %s", name, p.Name())
		}
	}
	if n := remote.Hits(enrichtest.Discovery); n != 0 {
		t.Errorf("the network was used %d times", n)
	}
}

// certificateFiles makes a certificate and its key in two files.
func certificateFiles(t *testing.T) (certificate, key string) {
	t.Helper()
	private := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))(t)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: testClient}, NotAfter: time.Now().Add(time.Hour)}
	der := must(x509.CreateCertificate(rand.Reader, template, template, private.Public(), private))(t)
	pkcs8 := must(x509.MarshalPKCS8PrivateKey(private))(t)
	folder := t.TempDir()
	certificate, key = filepath.Join(folder, "certificate.pem"), filepath.Join(folder, "key.pem")
	for name, block := range map[string]*pem.Block{certificate: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: pkcs8}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certificate, key
}

// What sessions hold is what the policies read, and what principals are read from.
func TestHeldClaims(t *testing.T) {
	principal := []string{"acr", "auth_time", "name", "sid", "sub"}
	for name, c := range map[string]struct {
		policy login.PolicyLogin
		hold   []string
		more   []string
		all    bool
	}{
		"nothing":                   {login.PolicyLogin{}, nil, nil, false},
		"claims":                    {login.PolicyLogin{Claims: []string{"email", "sub"}}, []string{"department"}, []string{"department", "email"}, false},
		"all":                       {login.PolicyLogin{AllClaims: true}, nil, nil, true},
		"groups":                    {login.PolicyLogin{Groups: true}, nil, []string{"_claim_names", "groups", "hasgroups"}, false},
		"the claim of groups alone": {login.PolicyLogin{Claims: []string{"groups"}}, nil, []string{"_claim_names", "groups", "hasgroups"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			c.policy.Name, c.policy.Providers = "web", s.policies[0].Providers
			site := must(login.NewSite(s.options))(t)
			site.Add(c.policy)
			site.Hold(c.hold...)
			names, all := site.HeldClaims()
			want := append(slices.Clone(principal), c.more...)
			slices.Sort(want)
			if !slices.Equal(names, want) || all != c.all {
				t.Errorf("got %q, %v, want %q", names, all, want)
			}
			if site.Endpoints() != s.options.Endpoints {
				t.Errorf("got %+v", site.Endpoints())
			}
		})
	}
}

// The words of metrics are a closed set without doubles.
func TestWordsOfMetrics(t *testing.T) {
	for _, words := range [][]string{login.Outcomes(), login.EndCauses()} {
		sorted := slices.Sorted(slices.Values(words))
		if len(slices.Compact(sorted)) != len(words) || slices.Contains(words, "") {
			t.Errorf("got %q", words)
		}
	}
}

// A list of ended sessions that overflows ends all, and the log says so.
func TestTooManyEndedSessions(t *testing.T) {
	s := newStage(t)
	s.rebuild(func(o *login.SiteOptions, _ []login.PolicyLogin) { o.Ended = login.NewEnded(1) })
	b := s.browser()
	b.login("/x")
	for range 2 {
		b.do(http.MethodPost, logoutPath, same)
		b.login("/x")
		s.clock.Advance(time.Second)
	}
	b.do(http.MethodPost, logoutPath, same)
	if !strings.Contains(s.log.String(), "too many sessions were ended before their time") {
		t.Error("nothing is logged")
	}
	s.clock.Advance(time.Second)
	b.login("/x")
	if !b.alive() {
		t.Error("a later session is dead")
	}
}

// The client's certificate goes with its requests (RFC 8705, section 2).
func TestTheClientCertificateIsSent(t *testing.T) {
	certificate, key := certificateFiles(t)
	var mu sync.Mutex
	var subjects []string
	var server *httptest.Server
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		if r.URL.Path != "/par" {
			u := server.URL
			_, _ = fmt.Fprintf(w, `{"issuer":%q,"jwks_uri":%q,"authorization_endpoint":%q,"token_endpoint":%q,"pushed_authorization_request_endpoint":%q,"mtls_endpoint_aliases":{"pushed_authorization_request_endpoint":%q}}`,
				u, u+"/keys", u+"/authorize", u+"/token", u+"/plain", u+"/par")
			return
		}
		for _, c := range r.TLS.PeerCertificates {
			subjects = append(subjects, c.Subject.CommonName+" "+r.PostFormValue("client_id"))
		}
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte(`{"request_uri":"urn:1"}`))
	}))
	server.TLS = &tls.Config{ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, withPolicies(func([]*login.Provider) []login.PolicyLogin {
		is := must(issuer.New(issuer.Config{Issuer: server.URL, Name: "corp", LoginOnly: true, CA: ca}, issuer.Options{}))(t)
		config := login.Config{ClientID: testClient, ClientCertificate: &login.Certificate{Certificate: certificate, Key: key}}
		return []login.PolicyLogin{{Name: "web", Providers: []*login.Provider{must(login.NewProvider(config, is, login.ProviderOptions{CA: ca}))(t)}}}
	}))
	if at := s.browser().step("/x").location(t).String(); at != server.URL+"/authorize?client_id="+testClient+"&request_uri=urn%3A1" {
		t.Errorf("redirected to %s", at)
	}
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(subjects, []string{testClient + " " + testClient}) {
		t.Errorf("the certificates are %q", subjects)
	}
}
