// Package provider is a small OpenID provider for development: discovery, a
// key set, tokens for any caller, and the authorization code flow for one
// client. It asks for no password: whoever opens its form chooses who to be.
// So it answers on loopback only and is not part of the gateway.
package provider

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Endpoints of the authorization code flow. The provider's cookie is sent to
// these alone: a browser sends cookies to all ports of a host, and so to the
// gateway too.
const (
	authorizePath = flowPath + "/authorize"
	tokenPath     = flowPath + "/token"
	userinfoPath  = flowPath + "/userinfo"
	logoutPath    = flowPath + "/logout"
	flowPath      = "/oauth2"
)

// maxBody bounds the form of a request, in bytes.
const maxBody = 64 << 10

// DefaultTTL is how long a token lives unless it is asked for otherwise:
// long enough for an afternoon of trying things out.
const DefaultTTL = time.Hour

// Config says whom the provider knows and for whom it issues tokens.
type Config struct {
	// Issuer is the issuer identifier: the URL under which the provider is
	// reached.
	Issuer string

	// Audience is what tokens say in aud.
	Audience string

	// Client is what the tokens of Mint say in client_id.
	Client string

	// Login is the client for which people sign in.
	Login Client

	// People are those whom the provider knows, by the name under which they are
	// asked for.
	People map[string]Person

	// Now returns the current time. Default: the wall clock.
	Now func() time.Time
}

// Client is a confidential client of the authorization code flow. It is
// registered with every redirect URI on a loopback origin that has the path
// Callback, because the ports of a demonstration vary.
type Client struct {
	ID, Secret, Callback string
}

// Person is one of the people. One without a name gets tokens from Mint, but is
// not on the form.
type Person struct {
	Subject, Name, Email string
}

// Provider issues tokens. It is safe for concurrent use.
type Provider struct {
	config   Config
	keys     map[string]jose.JSONWebKey
	sessions *store[session]
	codes    *store[grant]
}

// Algorithms are what tokens can be signed with; the first is the default.
func Algorithms() []string { return []string{"RS256", "ES256"} }

// New makes a provider with one fresh key for each algorithm.
func New(c Config) (*Provider, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, fmt.Errorf("making an RSA key: %w", err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making an EC key: %w", err)
	}
	p := &Provider{
		config: c, keys: map[string]jose.JSONWebKey{},
		sessions: newStore[session](c.Now, sessionTTL), codes: newStore[grant](c.Now, codeTTL),
	}
	for alg, key := range map[string]crypto.Signer{"RS256": rsaKey, "ES256": ecKey} {
		k := jose.JSONWebKey{Key: key, Algorithm: alg, Use: "sig"}
		sum, err := k.Thumbprint(crypto.SHA256)
		if err != nil {
			return nil, fmt.Errorf("naming a key: %w", err)
		}
		k.KeyID = fmt.Sprintf("dev-%s-%x", strings.ToLower(alg), sum[:4])
		p.keys[alg] = k
	}
	return p, nil
}

// Order says how a token is to differ from an ordinary one; the zero value
// asks for an access token (RFC 9068) in RS256.
type Order struct {
	Algorithm string
	Audience  string
	Client    string
	Scope     string

	// TTL is how long the token lives; a negative one has expired already.
	TTL time.Duration

	// ID asks for an ID token, which no gateway may take for an access token.
	ID bool

	// Claims are further ones, such as nonce.
	Claims map[string]any
}

// Mint issues a token for one of the people.
func (p *Provider) Mint(person string, o Order) (string, error) {
	who, known := p.config.People[person]
	if !known {
		return "", fmt.Errorf("minting a token: unknown person %q", person)
	}
	o.Algorithm = cmp.Or(o.Algorithm, Algorithms()[0])
	key, known := p.keys[o.Algorithm]
	if !known {
		return "", fmt.Errorf("minting a token: no key for algorithm %q", o.Algorithm)
	}
	o.Audience = cmp.Or(o.Audience, p.config.Audience)
	o.Client = cmp.Or(o.Client, p.config.Client)
	o.TTL = cmp.Or(o.TTL, DefaultTTL)
	expiry := p.config.Now().Add(o.TTL)
	issued := expiry.Add(-max(o.TTL, DefaultTTL))
	claims := map[string]any{
		"iss":       p.config.Issuer,
		"sub":       who.Subject,
		"aud":       o.Audience,
		"client_id": o.Client,
		"iat":       issued.Unix(),
		"exp":       expiry.Unix(),
		"jti":       rand.Text(),
	}
	if o.Scope != "" {
		claims["scope"] = o.Scope
	}
	kind := jose.ContentType("at+jwt")
	if o.ID {
		kind = "JWT"
		claims["aud"] = o.Client
	}
	maps.Copy(claims, o.Claims)
	signer, err := jose.NewSigner(
		jose.SigningKey{Algorithm: jose.SignatureAlgorithm(o.Algorithm), Key: key},
		(&jose.SignerOptions{}).WithType(kind),
	)
	if err != nil {
		return "", fmt.Errorf("minting a token: %w", err)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		return "", fmt.Errorf("minting a token: %w", err)
	}
	return token, nil
}

// Handler answers discovery, the key set, the endpoints of the authorization
// code flow, and
//
//	GET /token/<person>?alg=ES256&aud=…&scope=…&ttl=-1m&kind=id
//
// with a token as plain text. It answers callers on loopback only, and no form
// that another site's page sends.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.serveMetadata)
	mux.HandleFunc("GET /keys", p.serveKeys)
	mux.HandleFunc("GET /token/{person}", p.serveToken)
	mux.HandleFunc("GET /{$}", p.servePeople)
	mux.HandleFunc("GET "+authorizePath, p.serveAuthorize)
	mux.HandleFunc("POST "+authorizePath, p.serveChoice)
	mux.HandleFunc("POST "+tokenPath, p.serveExchange)
	mux.HandleFunc("GET "+userinfoPath, p.serveUserinfo)
	mux.HandleFunc("POST "+userinfoPath, p.serveUserinfo)
	mux.HandleFunc("GET "+logoutPath, p.serveLogout)
	mux.HandleFunc("POST "+logoutPath, p.serveLogout)
	protection := http.NewCrossOriginProtection()
	// A client's own page may send this form.
	protection.AddInsecureBypassPattern("POST " + logoutPath)
	protected := protection.Handler(mux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().IsLoopback() {
			http.Error(w, "this provider answers on loopback only", http.StatusForbidden)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		protected.ServeHTTP(w, r)
	})
}

func (p *Provider) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer":                                         p.config.Issuer,
		"jwks_uri":                                       p.config.Issuer + "/keys",
		"authorization_endpoint":                         p.config.Issuer + authorizePath,
		"token_endpoint":                                 p.config.Issuer + tokenPath,
		"userinfo_endpoint":                              p.config.Issuer + userinfoPath,
		"end_session_endpoint":                           p.config.Issuer + logoutPath,
		"scopes_supported":                               scopes(),
		"response_types_supported":                       []string{"code"},
		"response_modes_supported":                       []string{"query"},
		"grant_types_supported":                          []string{"authorization_code"},
		"code_challenge_methods_supported":               []string{"S256"},
		"token_endpoint_auth_methods_supported":          []string{"client_secret_basic", "client_secret_post"},
		"authorization_response_iss_parameter_supported": true,
		"request_uri_parameter_supported":                false,
		"prompt_values_supported":                        []string{"none", "login", "consent", "select_account"},
		"acr_values_supported":                           []string{acr},
		"subject_types_supported":                        []string{"public"},
		"id_token_signing_alg_values_supported":          Algorithms(),
		"claims_supported": []string{
			"iss", "sub", "aud", "azp", "exp", "iat", "auth_time", "nonce", "acr", "sid", "at_hash",
			"name", "preferred_username", "email", "email_verified",
		},
	})
}

func (p *Provider) serveKeys(w http.ResponseWriter, _ *http.Request) {
	answer(w, p.publicKeys())
}

func (p *Provider) publicKeys() *jose.JSONWebKeySet {
	set := &jose.JSONWebKeySet{}
	for _, alg := range Algorithms() {
		k := p.keys[alg]
		set.Keys = append(set.Keys, k.Public())
	}
	return set
}

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	o := Order{Algorithm: query.Get("alg"), Audience: query.Get("aud"), Scope: query.Get("scope")}
	if query.Get("kind") == "id" {
		o.ID, o.Claims = true, map[string]any{"nonce": rand.Text()}
	}
	if text := query.Get("ttl"); text != "" {
		ttl, err := time.ParseDuration(text)
		if err != nil {
			http.Error(w, "ttl is not a duration such as 5m", http.StatusBadRequest)
			return
		}
		o.TTL = ttl
	}
	token, err := p.Mint(r.PathValue("person"), o)
	if err != nil {
		http.Error(w, err.Error(), http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, token)
}

func (p *Provider) servePeople(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "A token for one of these people, as plain text:")
	for _, person := range slices.Sorted(maps.Keys(p.config.People)) {
		fmt.Fprintf(w, "%s/token/%s\n", p.config.Issuer, person)
	}
}

func answer(w http.ResponseWriter, document any) {
	w.Header().Set("Content-Type", "application/json")
	// The other side has gone where this fails.
	_ = json.NewEncoder(w).Encode(document)
}
