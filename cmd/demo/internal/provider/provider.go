// Package provider is a small OpenID provider for development: discovery, a
// key set, and tokens for any caller. It asks for no password, so it answers
// on loopback only and is not part of the gateway.
package provider

import (
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

	// Client is what tokens say in client_id.
	Client string

	// People are the subjects by the name under which they are asked for.
	People map[string]string

	// Now returns the current time. Default: the wall clock.
	Now func() time.Time
}

// Provider issues tokens. It is safe for concurrent use.
type Provider struct {
	config Config
	keys   map[string]jose.JSONWebKey
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
	p := &Provider{config: c, keys: map[string]jose.JSONWebKey{}}
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
	Scope     string

	// TTL is how long the token lives; a negative one has expired already.
	TTL time.Duration

	// ID asks for an ID token, which no gateway may take for an access token.
	ID bool
}

// Mint issues a token for one of the people.
func (p *Provider) Mint(person string, o Order) (string, error) {
	subject, known := p.config.People[person]
	if !known {
		return "", fmt.Errorf("minting a token: unknown person %q", person)
	}
	if o.Algorithm == "" {
		o.Algorithm = Algorithms()[0]
	}
	key, known := p.keys[o.Algorithm]
	if !known {
		return "", fmt.Errorf("minting a token: no key for algorithm %q", o.Algorithm)
	}
	if o.Audience == "" {
		o.Audience = p.config.Audience
	}
	if o.TTL == 0 {
		o.TTL = DefaultTTL
	}
	expiry := p.config.Now().Add(o.TTL)
	issued := expiry.Add(-max(o.TTL, DefaultTTL))
	claims := map[string]any{
		"iss":       p.config.Issuer,
		"sub":       subject,
		"aud":       o.Audience,
		"client_id": p.config.Client,
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
		claims["aud"], claims["nonce"] = p.config.Client, rand.Text()
	}
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

// Handler answers discovery, the key set, and
//
//	GET /token/<person>?alg=ES256&aud=…&scope=…&ttl=-1m&kind=id
//
// with a token as plain text. It answers callers on loopback only.
func (p *Provider) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.serveMetadata)
	mux.HandleFunc("GET /keys", p.serveKeys)
	mux.HandleFunc("GET /token/{person}", p.serveToken)
	mux.HandleFunc("GET /{$}", p.servePeople)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		from, err := netip.ParseAddrPort(r.RemoteAddr)
		if err != nil || !from.Addr().IsLoopback() {
			http.Error(w, "this provider answers on loopback only", http.StatusForbidden)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
}

func (p *Provider) serveMetadata(w http.ResponseWriter, _ *http.Request) {
	answer(w, map[string]any{
		"issuer":                                p.config.Issuer,
		"jwks_uri":                              p.config.Issuer + "/keys",
		"authorization_endpoint":                p.config.Issuer + "/authorize",
		"token_endpoint":                        p.config.Issuer + "/token",
		"response_types_supported":              []string{"code"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": Algorithms(),
	})
}

func (p *Provider) serveKeys(w http.ResponseWriter, _ *http.Request) {
	set := jose.JSONWebKeySet{}
	for _, alg := range Algorithms() {
		k := p.keys[alg]
		set.Keys = append(set.Keys, k.Public())
	}
	answer(w, set)
}

func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	o := Order{Algorithm: query.Get("alg"), Audience: query.Get("aud"), Scope: query.Get("scope"), ID: query.Get("kind") == "id"}
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
