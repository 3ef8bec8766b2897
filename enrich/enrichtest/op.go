package enrichtest

import (
	_ "embed" // brings the server and its lock file along
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
)

//go:embed op/server.mjs
var oidcProviderScript []byte

//go:embed op/package-lock.json
var oidcProviderLock []byte

// Clients of the certified provider. Secrets are as public as this file.
const (
	// OPClient asks for tokens.
	OPClient       = "payroll"
	OPClientSecret = "payroll-secret-only-for-tests-0000" // #nosec G101 -- a test server's

	// OPGateway is who introspects.
	OPGateway       = "gateway"
	OPGatewaySecret = "gateway-secret-only-for-tests-0000" // #nosec G101 -- a test server's

	// OPBoundClient gets tokens bound to a DPoP key and no others.
	OPBoundClient = "bound"
)

// OPConfig shapes the certified provider; the zero value stands for audience
// api://legacy, five minutes, and the people of [OPPeople].
type OPConfig struct {
	Audience string
	TTL      time.Duration
	People   map[string]Claims

	// Login are clients that people log in to; see [OIDCProvider.SignIn].
	Login []OPLoginClient

	// UserinfoClaims keeps the claims of scopes profile, email and groups out of
	// ID tokens (OpenID Connect Core 1.0 section 5.4): they are at the userinfo
	// endpoint alone.
	UserinfoClaims bool

	// ACRValues are the authentication context classes that a login can have. It
	// has the first one asked for that is among them, else the first of all.
	ACRValues []string

	// RefreshTokens gives a refresh token at each login. Without it the scope
	// offline_access is needed, which the provider ignores without
	// prompt=consent (OpenID Connect Core 1.0 section 11).
	RefreshTokens bool

	// RotateRefresh replaces a refresh token at each use: the old one, used
	// again, ends the grant.
	RotateRefresh bool
}

// OPPeople are the people that the certified provider knows by default.
func OPPeople() map[string]Claims {
	return map[string]Claims{
		"alice": {"name": "Alice Ærø", "email": "alice@example.com", "email_verified": true, "groups": []string{"admins", "dev"}, "tenant": "t1"},
		"bob":   {"name": "Bob", "email": "bob@example.com", "email_verified": false, "groups": []string{"dev"}, "tenant": "t2"},
	}
}

// OIDCProvider is a certified OpenID provider (oidc-provider) in a process of
// its own: what it issues was not made by the people who verify it.
type OIDCProvider struct {
	// Issuer is its issuer identifier.
	Issuer string

	tb     testing.TB
	client *http.Client
}

// StartOIDCProvider runs the provider until the test ends. It needs node and
// the packages that ./test.sh installs, and fails the test without them.
func StartOIDCProvider(tb testing.TB, config OPConfig) *OIDCProvider {
	tb.Helper()
	if config.Audience == "" {
		config.Audience = "api://legacy"
	}
	if config.TTL == 0 {
		config.TTL = 5 * time.Minute
	}
	if config.People == nil {
		config.People = OPPeople()
	}
	clients := []map[string]any{
		{"id": OPClient, "secret": OPClientSecret},
		{"id": OPGateway, "secret": OPGatewaySecret, "introspection_signed_response_alg": "RS256"},
		{"id": OPBoundClient, "secret": OPClientSecret, "dpop_bound_access_tokens": true},
	}
	for _, c := range config.Login {
		clients = append(clients, c.registration())
	}
	text, err := json.Marshal(map[string]any{
		"audience":        config.Audience,
		"ttl":             int(config.TTL.Seconds()),
		"people":          config.People,
		"clients":         clients,
		"userinfo_claims": config.UserinfoClaims,
		"acr_values":      append([]string{}, config.ACRValues...),
		"refresh_tokens":  config.RefreshTokens,
		"rotate_refresh":  config.RotateRefresh,
	})
	if err != nil {
		tb.Fatalf("describing the provider: %v", err)
	}
	o := &OIDCProvider{tb: tb, client: &http.Client{Transport: &http.Transport{}}}
	o.Issuer = StartNode(tb, NodeProgram{
		Name:   "oidc-provider",
		Script: oidcProviderScript,
		Lock:   oidcProviderLock,
		Env:    []string{"OP_CONFIG=" + string(text), "NODE_ENV=production"},
	})
	tb.Cleanup(o.client.CloseIdleConnections)
	return o
}

// Formats of an access token of the certified provider, next to the
// algorithms RS256, ES256, PS256 and EdDSA.
const (
	FormatOpaque = "opaque"
	// FormatUserinfo is an opaque token without a resource, which is what
	// the provider's userinfo endpoint takes.
	FormatUserinfo = "userinfo"
)

// Grant says for whom and in which form a token is wanted.
type Grant struct {
	// Subject is a person; empty asks for a client's own token.
	Subject string

	// Client asks; default [OPClient].
	Client string

	// Format is an algorithm or one of the formats; default RS256.
	Format string

	// Scope is the scopes asked for; default "openid api:read" for a person
	// and api:read for a client.
	Scope string

	// KeyThumbprint binds a person's token to a DPoP key.
	KeyThumbprint string

	// CertificateThumbprint binds a person's token to a client certificate.
	CertificateThumbprint string

	// Key proves possession at the token endpoint: the way in which a client
	// of its own gets a bound token.
	Key *DPoPKey
}

// Mint gets a token; the test fails where the provider refuses.
func (o *OIDCProvider) Mint(g Grant) string {
	o.tb.Helper()
	form := url.Values{}
	set := func(name, value string) {
		if value != "" {
			form.Set(name, value)
		}
	}
	scope := "api:read"
	set("grant_type", "client_credentials")
	if g.Subject != "" {
		scope = "openid api:read"
		set("grant_type", "urn:test:as-user")
		set("sub", g.Subject)
		set("jkt", g.KeyThumbprint)
		set("x5t", g.CertificateThumbprint)
	}
	if g.Scope != "" {
		scope = g.Scope
	}
	set("scope", scope)
	switch g.Format {
	case "":
		set("resource", "urn:test:rs256")
	case FormatUserinfo:
	default:
		set("resource", "urn:test:"+strings.ToLower(g.Format))
	}
	client := g.Client
	if client == "" {
		client = OPClient
	}
	header := http.Header{}
	if g.Key != nil {
		header.Set("DPoP", g.Key.Proof(http.MethodPost, o.Issuer+"/token", "", nil))
	}
	secret := OPClientSecret
	if client == OPGateway {
		secret = OPGatewaySecret
	}
	answer := o.post("/token", client, secret, form, header)
	token, ok := answer["access_token"].(string)
	if !ok || token == "" {
		o.tb.Fatalf("the provider gave no token: %v", answer["error"])
	}
	return token
}

// Introspect asks the provider's introspection endpoint as the gateway would
// (RFC 7662).
func (o *OIDCProvider) Introspect(token string) map[string]any {
	o.tb.Helper()
	return o.post("/token/introspection", OPGateway, OPGatewaySecret, url.Values{"token": {token}}, nil)
}

// Revoke revokes an opaque token (RFC 7009).
func (o *OIDCProvider) Revoke(token string) {
	o.tb.Helper()
	o.post("/token/revocation", OPClient, OPClientSecret, url.Values{"token": {token}}, nil)
}

// Rotate makes a new key of each algorithm, which signs from here on; the
// older ones stay published. It returns the key ids then published.
func (o *OIDCProvider) Rotate() []string { o.tb.Helper(); return o.control("/_rotate") }

// Retire takes all but the newest keys out of the key set and returns the ids
// of those that stay.
func (o *OIDCProvider) Retire() []string { o.tb.Helper(); return o.control("/_retire") }

func (o *OIDCProvider) control(path string) []string {
	o.tb.Helper()
	var ids []string
	if err := json.Unmarshal(o.send(path, nil, "", nil), &ids); err != nil {
		o.tb.Fatalf("reading the provider's keys: %v", err)
	}
	return ids
}

func (o *OIDCProvider) post(path, client, secret string, form url.Values, header http.Header) map[string]any {
	o.tb.Helper()
	all := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
	maps.Copy(all, header)
	authenticate := func(r *http.Request) { r.SetBasicAuth(client, secret) }
	body := o.send(path, all, form.Encode(), authenticate)
	answer := map[string]any{}
	if len(body) == 0 {
		return answer
	}
	if err := json.Unmarshal(body, &answer); err != nil {
		o.tb.Fatalf("reading the provider's answer: %v", err)
	}
	return answer
}

func (o *OIDCProvider) send(path string, header http.Header, body string, prepare func(*http.Request)) []byte {
	o.tb.Helper()
	r, err := http.NewRequestWithContext(o.tb.Context(), http.MethodPost, o.Issuer+path, strings.NewReader(body))
	if err != nil {
		o.tb.Fatalf("asking the provider: %v", err)
	}
	maps.Copy(r.Header, header)
	if prepare != nil {
		prepare(r)
	}
	response, err := o.client.Do(r)
	if err != nil {
		o.tb.Fatalf("asking the provider: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxRequestBody))
	if err != nil {
		o.tb.Fatalf("asking the provider: %v", err)
	}
	return text
}
