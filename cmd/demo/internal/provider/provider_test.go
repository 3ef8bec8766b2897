package provider

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

func start(t *testing.T) (*Provider, *httptest.Server) {
	t.Helper()
	server := httptest.NewUnstartedServer(nil)
	issuer := "http://" + server.Listener.Addr().String()
	p, err := New(Config{
		Issuer: issuer, Audience: "api://legacy", Client: "0oa1",
		Login: Client{ID: "0oa1gateway", Secret: "for a test: only", Callback: "/callback"},
		People: map[string]Person{
			"ada":    {Subject: "00u1ada", Name: "Ada Ampere", Email: "ada@example.com"},
			"grace":  {Subject: "00u2grace", Name: "Grace Gauss", Email: "grace@example.com"},
			"nobody": {Subject: "00u0nobody"},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	server.Config.Handler = p.Handler()
	server.Start()
	t.Cleanup(server.Close)
	return p, server
}

func TestTokensVerifyAgainstDiscoveryAndKeySet(t *testing.T) {
	p, server := start(t)
	found, err := oidc.NewProvider(t.Context(), server.URL)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		order    Order
		audience string
		good     bool
	}{
		"RS256 by default":   {Order{}, "api://legacy", true},
		"ES256":              {Order{Algorithm: "ES256"}, "api://legacy", true},
		"another audience":   {Order{Audience: "api://other"}, "api://other", true},
		"an expired one":     {Order{TTL: -time.Minute}, "api://legacy", false},
		"an ID token":        {Order{ID: true}, "0oa1", true},
		"the wrong audience": {Order{ID: true}, "api://legacy", false},
	} {
		t.Run(name, func(t *testing.T) {
			token, err := p.Mint("ada", c.order)
			if err != nil {
				t.Fatal(err)
			}
			verifier := found.Verifier(&oidc.Config{ClientID: c.audience, SupportedSigningAlgs: Algorithms()})
			verified, err := verifier.Verify(t.Context(), token)
			if (err == nil) != c.good {
				t.Fatalf("verifying: %v", err)
			}
			if c.good && verified.Subject != "00u1ada" {
				t.Errorf("subject %q", verified.Subject)
			}
		})
	}
}

func TestMintRefusesWhatItDoesNotKnow(t *testing.T) {
	p, _ := start(t)
	if _, err := p.Mint("eve", Order{}); err == nil {
		t.Error("a stranger gets a token")
	}
	if _, err := p.Mint("ada", Order{Algorithm: "HS256"}); err == nil {
		t.Error("an algorithm without a key is taken")
	}
}

func TestTheEndpointsAnswerLoopbackOnly(t *testing.T) {
	p, _ := start(t)
	for name, c := range map[string]struct {
		target string
		from   string
		status int
		says   string
	}{
		"a token":            {"/token/ada", "127.0.0.1:1", 200, "eyJ"},
		"a token over IPv6":  {"/token/ada?alg=ES256", "[::1]:1", 200, "eyJ"},
		"nobody's token":     {"/token/eve", "127.0.0.1:1", 404, "unknown person"},
		"an odd life":        {"/token/ada?ttl=soon", "127.0.0.1:1", 400, "duration"},
		"the list of people": {"/", "127.0.0.1:1", 200, "/token/ada\n"},
		"from elsewhere":     {"/token/ada", "192.0.2.7:1", 403, "loopback only"},
		"from no address":    {"/keys", "@", 403, "loopback only"},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, c.target, nil)
			r.RemoteAddr = c.from
			w := httptest.NewRecorder()
			p.Handler().ServeHTTP(w, r)
			if w.Code != c.status || !strings.Contains(w.Body.String(), c.says) {
				t.Errorf("%d %s", w.Code, w.Body.String())
			}
		})
	}
}
