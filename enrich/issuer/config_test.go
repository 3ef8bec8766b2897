package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

func TestNewRefusesWhatIsWrongInItself(t *testing.T) {
	duration := func(d time.Duration) *cache.Duration { return (*cache.Duration)(&d) }
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Config){
		"no identifier":                          func(c *Config) { c.Issuer = "" },
		"a query where it is discovered from":    func(c *Config) { c.Issuer, c.JWKSURL = "https://host.example/?x=1", "" },
		"an empty query":                         func(c *Config) { c.Issuer, c.JWKSURL = "https://host.example/?", "" },
		"a fragment where it is discovered from": func(c *Config) { c.Issuer, c.JWKSURL = "https://host.example/#x", "" },
		"no audience":                            func(c *Config) { c.Audience = nil },
		"an empty audience":                      func(c *Config) { c.Audience = []string{""} },
		"an audience beside any_audience":        func(c *Config) { c.AnyAudience = true },
		"tokens of no kind":                      func(c *Config) { c.Tokens = "refresh" },
		"an algorithm that does not exist":       func(c *Config) { c.Algorithms = []string{"RS255"} },
		"algorithm none":                         func(c *Config) { c.Algorithms = []string{"none"} },
		"an algorithm in lower case":             func(c *Config) { c.Algorithms = []string{"rs256"} },
		"an HMAC beside public keys":             func(c *Config) { c.Algorithms = []string{"RS256", "HS256"}; c.JWKSURL, c.JWKSFile = "", "keys.json" },
		"an HMAC with keys from the network":     func(c *Config) { c.Algorithms = []string{"HS256"} },
		"types of a logout token":                func(c *Config) { c.Types = []string{"logout+jwt"} },
		"types of a DPoP proof":                  func(c *Config) { c.Types = []string{"application/DPOP+jwt"} },
		"types with an empty one":                func(c *Config) { c.Types = []string{""} },
		"leeway over five minutes":               func(c *Config) { c.Leeway = duration(5*time.Minute + 1) },
		"leeway negative":                        func(c *Config) { c.Leeway = duration(-1) },
		"key_refresh negative":                   func(c *Config) { c.KeyRefresh = -1 },
		"timeout negative":                       func(c *Config) { c.Timeout = -1 },
		"key_min_interval over key_refresh":      func(c *Config) { c.KeyMinInterval = cache.Duration(2 * time.Hour) },
		"key_max_stale under key_refresh":        func(c *Config) { c.KeyMaxStale = cache.Duration(time.Minute) },
		"two places of keys":                     func(c *Config) { c.DiscoveryURL = "https://x.example" },
		"keys over plain http":                   func(c *Config) { c.JWKSURL = "http://idp.example.com/keys" },
		"keys over ftp":                          func(c *Config) { c.JWKSURL = "ftp://idp.example.com/keys" },
		"keys without a host":                    func(c *Config) { c.JWKSURL = "/keys" },
		"keys with credentials":                  func(c *Config) { c.JWKSURL = "https://a:b@idp.example.com" },
		"a host that only looks like loopback":   func(c *Config) { c.JWKSURL = "http://localhost.example.com/keys" },
		"discovery over plain http":              func(c *Config) { c.JWKSURL, c.DiscoveryURL = "", "http://idp.example.com" },
		"an identifier that is no URL":           func(c *Config) { c.JWKSURL, c.Issuer = "", "accounts.example.com" },
		"an identifier over plain http":          func(c *Config) { c.JWKSURL, c.Issuer = "", "http://idp.example.com" },
		"a file of keys that is missing":         func(c *Config) { c.JWKSURL, c.JWKSFile = "", "/no/such/file" },
		"a ca that is missing":                   func(c *Config) { c.CA = "/no/such/file" },
		"a ca without a certificate":             func(c *Config) { c.CA = empty },
		"dpop of no kind":                        func(c *Config) { c.DPoP = "on" },
		"dpop_replay of no kind":                 func(c *Config) { c.DPoPReplay = "redis" },
		"mtls of no kind":                        func(c *Config) { c.MTLS = "accept" },
		"external_url without a scheme":          func(c *Config) { c.ExternalURL = "app.example.com" },
		"external_url with a query":              func(c *Config) { c.ExternalURL = "https://app.example.com/?a" },
		"introspect without a client":            func(c *Config) { c.Introspect = &Introspection{URL: "https://x.example", ClientSecret: "s"} },
		"introspect without a secret":            func(c *Config) { c.Introspect = &Introspection{URL: "https://x.example", ClientID: "c"} },
		"introspect over plain http": func(c *Config) {
			c.Introspect = &Introspection{URL: "http://x.example", ClientID: "c", ClientSecret: "s"}
		},
		"introspect at no known time": func(c *Config) {
			c.Introspect = &Introspection{URL: "https://x.example", ClientID: "c", ClientSecret: "s", When: "never"}
		},
		"introspect with no known auth": func(c *Config) {
			c.Introspect = &Introspection{URL: "https://x.example", ClientID: "c", ClientSecret: "s", AuthMethod: "none"}
		},
		"introspect by a key that is missing": func(c *Config) {
			c.Introspect = &Introspection{URL: "https://x.example", ClientID: "c", ClientSecret: "s", AuthMethod: authKey}
		},
		"introspect by key and secret": func(c *Config) {
			c.Introspect = &Introspection{URL: "https://x.example", ClientID: "c", ClientSecret: "s", PrivateKey: "k"}
		},
		"introspect with ttl negative": func(c *Config) {
			c.Introspect = &Introspection{URL: "https://x.example", ClientID: "c", ClientSecret: "s", TTL: -1}
		},
	} {
		c := baseConfig()
		change(&c)
		if i, err := New(c, Options{}); !errors.Is(err, errConfig) || i != nil {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestConfigurationsThatAreTaken(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"nothing but what is required":        func(*Config) {},
		"a query where it is not":             func(c *Config) { c.Issuer = "https://host.example/?x=1" },
		"an identifier that is no URL":        func(c *Config) { c.Issuer = "accounts.example.com" },
		"keys on this machine by name":        func(c *Config) { c.JWKSURL = "http://localhost:8080/keys" },
		"keys on this machine by address":     func(c *Config) { c.JWKSURL = "http://127.1.2.3/keys" },
		"keys on this machine by v6":          func(c *Config) { c.JWKSURL = "http://[::1]:8080/keys" },
		"a leeway of nothing":                 func(c *Config) { c.Leeway = new(cache.Duration) },
		"key_refresh under the default floor": func(c *Config) { c.KeyRefresh = cache.Duration(time.Second) },
		"key_refresh over the default age":    func(c *Config) { c.KeyRefresh = cache.Duration(48 * time.Hour) },
		"external_url with a path and a port": func(c *Config) { c.ExternalURL = "https://app.example.com:8443/base" },
	} {
		c := baseConfig()
		change(&c)
		if _, err := New(c, Options{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDefaultsAreOnTheSafeSide walks every default of the contract.
func TestDefaultsAreOnTheSafeSide(t *testing.T) {
	c, err := withDefaults(Config{Issuer: testIssuer, Audience: []string{"a"}, Introspect: &Introspection{URL: "https://x.example", ClientID: "c", ClientSecret: "s"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []struct{ option, got, want string }{
		{"name", c.Name, "idp.example.com"},
		{"any_audience", fmt.Sprint(c.AnyAudience), "false"},
		{"tokens", c.Tokens, "access"},
		{"types", strings.Join(c.Types, " "), "at+jwt jwt none"},
		{"algorithms", strings.Join(c.Algorithms, " "), strings.Join(publicAlgorithms, " ")},
		{"key_refresh", c.KeyRefresh.String(), "1h0m0s"},
		{"key_min_interval", c.KeyMinInterval.String(), "10s"},
		{"key_max_stale", c.KeyMaxStale.String(), "24h0m0s"},
		{"leeway", c.Leeway.String(), "30s"},
		{"subject_claim", c.SubjectClaim, "sub"},
		{"client_claim", strings.Join(c.ClientClaim, " "), "cid azp client_id"},
		{"scope_claim", strings.Join(c.ScopeClaim, " "), "scp scope"},
		{"groups_claim", c.GroupsClaim, "groups"},
		{"dpop", c.DPoP, "off"},
		{"dpop_nonce", fmt.Sprint(c.DPoPNonce), "false"},
		{"dpop_replay", c.DPoPReplay, "shared"},
		{"mtls", c.MTLS, "off"},
		{"timeout", c.Timeout.String(), "5s"},
		{"introspect when", c.Introspect.When, "opaque"},
		{"introspect ttl", c.Introspect.TTL.String(), "1m0s"},
		{"introspect auth", c.Introspect.AuthMethod, "basic"},
	} {
		if v.got != v.want {
			t.Errorf("%s is %q, want %q", v.option, v.got, v.want)
		}
	}
}

func TestConfigurationErrorsHoldNoSecret(t *testing.T) {
	c := baseConfig()
	c.Introspect = &Introspection{URL: "http://x.example", ClientID: "c", ClientSecret: "hunter2"}
	if _, err := New(c, Options{}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
	c.Introspect = &Introspection{URL: "https://x.example", ClientID: "c", PrivateKey: "-----BEGIN PRIVATE KEY-----\nhunter2"}
	if _, err := New(c, Options{}); !errors.Is(err, errConfig) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("got %v", err)
	}
}

func TestNamesAreHostsWithPathsWhereHostsAreShared(t *testing.T) {
	for _, c := range []struct {
		name    string
		configs []*Config
		want    []string
	}{
		{"one", []*Config{{Issuer: "https://a.example/x/"}}, []string{"a.example"}},
		{"two hosts", []*Config{{Issuer: "https://a.example"}, {Issuer: "https://b.example:8443/x"}}, []string{"a.example", "b.example:8443"}},
		{"one host, two paths", []*Config{{Issuer: "https://a.example/x"}, {Issuer: "https://a.example/y/"}}, []string{"a.example/x", "a.example/y"}},
		{"one host, one of them without a path", []*Config{{Issuer: "https://a.example/"}, {Issuer: "https://a.example/y"}}, []string{"a.example", "a.example/y"}},
		{"one host, one of them named", []*Config{{Issuer: "https://a.example/x", Name: "corp"}, {Issuer: "https://a.example/y"}}, []string{"corp", "a.example/y"}},
		{"no URL", []*Config{{Issuer: "accounts.example.com"}}, []string{"accounts.example.com"}},
		{"the same name twice", []*Config{{Issuer: "https://a.example", Name: "x"}, {Issuer: "https://b.example", Name: "x"}}, nil},
		{"the same identifier twice", []*Config{{Issuer: "https://a.example"}, {Issuer: "https://a.example"}}, nil},
	} {
		err := ResolveNames(c.configs)
		if c.want == nil {
			if !errors.Is(err, errConfig) {
				t.Errorf("%s: got %v", c.name, err)
			}
			continue
		}
		var got []string
		for _, config := range c.configs {
			got = append(got, config.Name)
		}
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, %v", c.name, got, err)
		}
	}
}

func TestSetRefusesWhatIsAmbiguous(t *testing.T) {
	ask := &Introspection{URL: "https://x.example", ClientID: "c", ClientSecret: "s"}
	open := func(name, iss string, in *Introspection) *Issuer {
		return must(New(Config{Name: name, Issuer: iss, AnyAudience: true, Introspect: in}, Options{}))
	}
	a, b := open("a", "https://a.example", ask), open("b", "https://b.example", ask)
	if _, err := NewSet(a, b, open("a", "https://e.example", nil)); !errors.Is(err, errConfig) {
		t.Errorf("a name twice: got %v", err)
	}
	s := must(NewSet(a, b))
	configs := []*Config{
		{Name: "a", Issuer: "https://a.example", Introspect: ask},
		{Name: "b", Issuer: "https://b.example", Introspect: ask},
		{Name: "c", Issuer: "https://c.example"},
		{Name: "d", Issuer: "https://c.example"},
	}
	for _, v := range []struct {
		allowed []string
		good    bool
	}{
		{nil, false},
		{[]string{"a"}, true},
		{[]string{"a", "c"}, true},
		{[]string{"a", "b"}, false},
		{[]string{"c", "d"}, false},
		{[]string{"b", "d"}, true},
		{[]string{"x"}, false},
		{[]string{}, true},
	} {
		if err := CheckAllowed(configs, v.allowed); (err == nil) != v.good {
			t.Errorf("%q: got %v", v.allowed, err)
		}
	}
	if s.Issuer("b") != b || s.Issuer("x") != nil || len(s.Issuers()) != 2 {
		t.Error("look-up by name")
	}
}

func TestOnlyRefusalsHaveAnOAuthErrorCode(t *testing.T) {
	for err, want := range map[error]string{
		nil: "", errExpired: "invalid_token", errProof: "invalid_dpop_proof", errReplay: "invalid_dpop_proof",
		errNonce: "use_dpop_nonce", errSender: "invalid_token", errKeysUnavailable: "", context.Canceled: "", http.ErrAbortHandler: "",
		errUnknownKey: "invalid_token", fmt.Errorf("a: %w", fmt.Errorf("b: %w", errNonce)): "use_dpop_nonce",
	} {
		if got := OAuthError(err); got != want {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}
