package caddymodule

import (
	"errors"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// Issuer is who signs the tokens that are accepted: an OpenID provider or an
// OAuth 2.0 authorization server. Its documents and keys are fetched in the
// background; a configuration loads while it is down.
type Issuer struct {
	// The issuer identifier, compared with the token's iss exactly: a
	// trailing slash matters (RFC 9068, section 4). HTTPS, or HTTP on
	// loopback.
	URL string `json:"url"`

	// The name that policies, logs and metrics use. Default: the host of the
	// URL, with the path if two issuers share a host.
	Name string `json:"name,omitempty"`

	// The audiences that this gateway answers to; a token must name one of
	// them. Required, unless any_audience is set.
	Audience []string `json:"audience,omitempty"`

	// Accept a token whatever audience it names. A token meant for another
	// service is then accepted here, so this is never the default.
	AnyAudience bool `json:"any_audience,omitempty"`

	// Which tokens are accepted: access (default), id or any. A token with
	// nonce, at_hash, c_hash or token_use id is an ID token.
	Tokens string `json:"tokens,omitempty"`

	// The accepted values of the header's typ, compared without case and with
	// or without "application/". Default: at+jwt, JWT, or none. With at+jwt
	// alone, the claims that RFC 9068, section 2.2, requires are required.
	Types []string `json:"types,omitempty"`

	// The accepted signature algorithms. Default: RS256 RS384 RS512 PS256
	// PS384 PS512 ES256 ES384 ES512 EdDSA. HS* are not accepted together
	// with public keys, and none never.
	Algorithms []string `json:"algorithms,omitempty"`

	// The address of the discovery document. Default:
	// <url>/.well-known/openid-configuration, then
	// <url>/.well-known/oauth-authorization-server.
	DiscoveryURL string `json:"discovery_url,omitempty"`

	// The address of the key set, instead of discovery.
	JWKSURL string `json:"jwks_url,omitempty"`

	// A file with the key set: no network at all. It is read again at each
	// key_refresh.
	JWKSFile string `json:"jwks_file,omitempty"`

	// How often the key set is fetched in the background, ±10 %. Default: 1h.
	KeyRefresh caddy.Duration `json:"key_refresh,omitempty"`

	// The least time between two fetches, also when tokens name unknown keys.
	// Default: 10s.
	KeyMinInterval caddy.Duration `json:"key_min_interval,omitempty"`

	// How long the last good keys serve while the key server is down. After
	// that requests are answered 503. Default: 24h.
	KeyMaxStale caddy.Duration `json:"key_max_stale,omitempty"`

	// How far the clocks of the issuer and of this machine may differ.
	// Default: 30s; at most 5m.
	Leeway *caddy.Duration `json:"leeway,omitempty"`

	// Which claim names the user in the directory. Default: sub. The claim
	// email counts only beside an email_verified that is true.
	SubjectClaim string `json:"subject_claim,omitempty"`

	// Which claims name the client, the first one present. Default: cid, azp,
	// client_id.
	ClientClaim []string `json:"client_claim,omitempty"`

	// Which claims hold the granted scopes, as a list or as words in one
	// string, the first one present. Default: scp, scope.
	ScopeClaim []string `json:"scope_claim,omitempty"`

	// The claim with the groups that the token itself brings. They are the
	// user's groups where no directory answers for this issuer. Default:
	// groups.
	GroupsClaim string `json:"groups_claim,omitempty"`

	// Ask the issuer about opaque tokens, or about all (RFC 7662).
	Introspect *Introspect `json:"introspect,omitempty"`

	// Tokens bound to a key of their sender (RFC 9449): off refuses them,
	// accept takes them beside bearer tokens, require takes nothing else.
	// Default: off.
	DPoP string `json:"dpop,omitempty"`

	// Demand a nonce of this gateway in DPoP proofs (RFC 9449, section 9).
	DPoPNonce bool `json:"dpop_nonce,omitempty"`

	// What to do with DPoP requests while Redis is down: shared (default)
	// answers 503, local remembers proofs in this node's memory only.
	DPoPReplay string `json:"dpop_replay,omitempty"`

	// Tokens bound to a client certificate (RFC 8705): require takes only
	// tokens whose cnf x5t#S256 names the certificate that Caddy itself
	// verified. Default: off.
	MTLS string `json:"mtls,omitempty"`

	// The address under which clients see this gateway, for the htu of DPoP
	// proofs. Default: the scheme and Host that Caddy saw. Forwarded headers
	// never change it.
	ExternalURL string `json:"external_url,omitempty"`

	// How long one request to the issuer may take. Default: 5s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// A PEM file with the certificates to trust for this issuer instead of
	// the system's.
	CA string `json:"ca,omitempty"`
}

// Introspect asks the issuer whether a token is good (RFC 7662).
type Introspect struct {
	// The introspection endpoint.
	URL string `json:"url"`

	// Who asks: the client id and one of secret and key.
	ClientID string `json:"client_id,omitempty"`

	// The secret for client_secret_basic, or with auth_method post in the
	// body. Give it as {env.…} or {file.…}.
	ClientSecret string `json:"client_secret,omitempty"`

	// A PEM file with the key for private_key_jwt.
	PrivateKey string `json:"private_key,omitempty"`

	// The key id of that key, where the issuer wants one.
	KeyID string `json:"key_id,omitempty"`

	// How the gateway proves who it is: basic (default with a secret), post,
	// or private_key_jwt (default with a key).
	AuthMethod string `json:"auth_method,omitempty"`

	// Ask for, and insist on, a signed answer (RFC 9701).
	Signed bool `json:"signed,omitempty"`

	// Which tokens are asked about: opaque (default), those that are not
	// JWTs of this issuer; or always.
	When string `json:"when,omitempty"`

	// How long an answer is used again; it bounds how late a revocation is
	// seen. Never past the token's expiry. Default: 1m.
	TTL caddy.Duration `json:"ttl,omitempty"`
}

// UnmarshalCaddyfile reads the issuer option; d stands on the word issuer.
func (i *Issuer) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	i.URL = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	return parseBlock(d, "issuer", []option{
		text("name", &i.Name),
		texts("audience", &i.Audience),
		flag("any_audience", &i.AnyAudience),
		word("tokens", &i.Tokens, "access", "id", "any"),
		texts("types", &i.Types),
		texts("algorithms", &i.Algorithms),
		text("discovery_url", &i.DiscoveryURL),
		text("jwks_url", &i.JWKSURL),
		text("jwks_file", &i.JWKSFile),
		duration("key_refresh", &i.KeyRefresh),
		duration("key_min_interval", &i.KeyMinInterval),
		duration("key_max_stale", &i.KeyMaxStale),
		pointer("leeway", &i.Leeway),
		text("subject_claim", &i.SubjectClaim),
		texts("client_claim", &i.ClientClaim),
		texts("scope_claim", &i.ScopeClaim),
		text("groups_claim", &i.GroupsClaim),
		{name: "introspect", parse: i.unmarshalIntrospect},
		word("dpop", &i.DPoP, "off", "accept", "require"),
		flag("dpop_nonce", &i.DPoPNonce),
		word("dpop_replay", &i.DPoPReplay, "shared", "local"),
		word("mtls", &i.MTLS, "off", "require"),
		text("external_url", &i.ExternalURL),
		duration("timeout", &i.Timeout),
		text("ca", &i.CA),
	})
}

func (i *Issuer) unmarshalIntrospect(d *caddyfile.Dispenser) error {
	n := new(Introspect)
	i.Introspect = n
	if !d.NextArg() {
		return d.ArgErr()
	}
	n.URL = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	return parseBlock(d, "introspect", []option{
		text("client_id", &n.ClientID),
		text("client_secret", &n.ClientSecret),
		text("private_key", &n.PrivateKey),
		text("key_id", &n.KeyID),
		word("auth_method", &n.AuthMethod, "basic", "post", "private_key_jwt"),
		flag("signed", &n.Signed),
		word("when", &n.When, "opaque", "always"),
		duration("ttl", &n.TTL),
	})
}

// config resolves placeholders and durations of an issuer.
func (i *Issuer) config() (*issuer.Config, error) {
	if err := Expand(&i.URL, &i.DiscoveryURL, &i.JWKSURL, &i.JWKSFile, &i.ExternalURL, &i.CA); err != nil {
		return nil, err
	}
	if _, err := url.Parse(i.URL); err != nil || i.URL == "" {
		return nil, errors.New("an issuer needs a URL")
	}
	c := &issuer.Config{
		Issuer: i.URL, Name: i.Name, Audience: i.Audience, AnyAudience: i.AnyAudience, Tokens: i.Tokens, Types: i.Types,
		Algorithms: i.Algorithms, DiscoveryURL: i.DiscoveryURL, JWKSURL: i.JWKSURL, JWKSFile: i.JWKSFile,
		KeyRefresh: time.Duration(i.KeyRefresh), KeyMinInterval: time.Duration(i.KeyMinInterval), KeyMaxStale: time.Duration(i.KeyMaxStale),
		Leeway: (*time.Duration)(i.Leeway), SubjectClaim: i.SubjectClaim, ClientClaim: i.ClientClaim, ScopeClaim: i.ScopeClaim,
		GroupsClaim: i.GroupsClaim, DPoP: i.DPoP, DPoPNonce: i.DPoPNonce, DPoPReplay: i.DPoPReplay, MTLS: i.MTLS, ExternalURL: i.ExternalURL,
		Timeout: time.Duration(i.Timeout), CA: i.CA,
	}
	if n := i.Introspect; n != nil {
		if err := Expand(&n.URL, &n.ClientID, &n.ClientSecret, &n.PrivateKey, &n.KeyID); err != nil {
			return nil, err
		}
		c.Introspect = &issuer.Introspection{
			URL: n.URL, ClientID: n.ClientID, ClientSecret: n.ClientSecret, PrivateKey: n.PrivateKey, KeyID: n.KeyID,
			Auth: authMethods[n.AuthMethod], Signed: n.Signed, When: n.When, TTL: time.Duration(n.TTL),
		}
	}
	return c, nil
}

// authMethods are the registered names (OpenID Connect Core, section 9) of
// the words that the Caddyfile takes.
var authMethods = map[string]string{
	"": "", "basic": "client_secret_basic", "post": "client_secret_post", "private_key_jwt": "private_key_jwt",
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Issuer)(nil)
