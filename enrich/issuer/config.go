package issuer

import "github.com/tokenenrich/caddy-token-enrich/cache"

// Config is one issuer: whose tokens are accepted, where its keys are, and what
// its tokens must say. New fills in the defaults and refuses what is wrong in
// itself. Nothing here is checked against the network.
type Config struct {
	// The issuer's identifier, exactly as in the iss claim of its
	// tokens; a trailing slash matters. It is also where discovery begins.
	// Required.
	Issuer string `json:"url"`

	// The issuer's name for policies, logs and metrics. Default: the host of
	// the identifier, with its path if two issuers share the host.
	Name string `json:"name,omitempty"`

	// The audiences that are this gateway; a token must name at least one of
	// them in aud. Required, unless any_audience is set.
	Audience []string `json:"audience,omitempty"`

	// Accept a token whatever its audience, even without one. Any service
	// that is given such a token can then use it here.
	AnyAudience bool `json:"any_audience,omitempty"`

	// LoginOnly says that users log in at this issuer, so that neither audience
	// nor any_audience is required. Without them no token of a request is
	// accepted.
	LoginOnly bool `json:"-"`

	// Which kind of token is accepted: "access", "id" or "any". A token with
	// nonce, at_hash, c_hash or token_use "id" is an ID token, every other
	// one an access token. Default: access.
	Tokens string `json:"tokens,omitempty"`

	// The accepted values of the typ header, compared without case and
	// without a leading "application/". The value "none" means a token
	// without typ. With at+jwt alone, the claims that RFC 9068, section 2.2
	// requires are required. Default: at+jwt, JWT and none.
	Types []string `json:"types,omitempty"`

	// The accepted signature algorithms: RS256 … RS512, PS256 … PS512,
	// ES256, ES384, ES512 and EdDSA (which Ed25519 is another name for, RFC
	// 9864). HS256, HS384 and HS512 can be listed only by themselves and only
	// with jwks_file, because their key is a secret. Default: all but HS*.
	Algorithms []string `json:"algorithms,omitempty"`

	// Where the issuer's metadata is. Default: the identifier followed by
	// /.well-known/openid-configuration, then the same with
	// oauth-authorization-server. The metadata must name the same issuer.
	DiscoveryURL string `json:"discovery_url,omitempty"`

	// Where the issuer's key set is, instead of discovery.
	JWKSURL string `json:"jwks_url,omitempty"`

	// A file with the issuer's key set, instead of discovery: no network at
	// all. It is read at load, and again when it has changed, looked at every
	// key_refresh and for a token that no key verifies.
	JWKSFile string `json:"jwks_file,omitempty"`

	// How often the keys are fetched in the background, ±10 %. Default: 1h.
	KeyRefresh cache.Duration `json:"key_refresh,omitempty"`

	// The shortest time between two fetches of the keys, whatever they are
	// for, unknown key ids included. Default: 10s.
	KeyMinInterval cache.Duration `json:"key_min_interval,omitempty"`

	// How long the last good keys serve while no fetch succeeds; after that
	// every token is 503. Default: 24h.
	KeyMaxStale cache.Duration `json:"key_max_stale,omitempty"`

	// How far clocks may differ: exp is extended by it and nbf brought
	// forward. At most 5m. Default: 30s.
	Leeway *cache.Duration `json:"leeway,omitempty"`

	// The claim that names the user in the directory. With "email", the
	// token must say that email_verified is true. Default: sub.
	SubjectClaim string `json:"subject_claim,omitempty"`

	// The claims that may hold the client id; the first one present counts.
	// Default: cid, azp, client_id.
	ClientClaim []string `json:"client_claim,omitempty"`

	// The claims that may hold the scopes, as a list or as one string
	// separated by spaces; the first one present counts. Default: scp, scope.
	ScopeClaim []string `json:"scope_claim,omitempty"`

	// The claim that holds the groups which the token itself brings. A list
	// of exactly 100 or 200 is taken as cut off (the caps of Okta and Entra
	// ID), and one that the token says it left out (_claim_names, hasgroups)
	// is never fetched: the groups then are unknown. Default: groups.
	GroupsClaim string `json:"groups_claim,omitempty"`

	// How a string in place of the list of groups is read: a
	// delimiter such as "," that parts it (square brackets around it and blanks
	// around its parts are cut), "json" for a list in JSON, or "none" for one
	// group, as a distinguished name is. Default: a text of nothing but letters,
	// digits and -_.:/@\ is one group; any other may hold a list, and the
	// groups then are unknown. It holds for directory userinfo of this issuer
	// too.
	GroupsDelimiter string `json:"groups_delimiter,omitempty"`

	// Ask the issuer about tokens (RFC 7662). Default: tokens that are not
	// JWTs are refused.
	Introspect *Introspection `json:"introspect,omitempty"`

	// Proof of possession by DPoP (RFC 9449): "off", "accept" (bound tokens
	// need their proof, others are bearer tokens) or "require". A bound token
	// is never accepted as a bearer token, also when off. Default: off.
	DPoP string `json:"dpop,omitempty"`

	// Demand in DPoP proofs a nonce of this gateway (RFC 9449, section 9).
	// Default: false.
	DPoPNonce bool `json:"dpop_nonce,omitempty"`

	// What to do when the shared memory of used proofs is down: "shared"
	// answers 503, "local" relies on this node's memory. Default: shared.
	DPoPReplay string `json:"dpop_replay,omitempty"`

	// Binding to the client's certificate (RFC 8705): "off" or "require". The
	// certificate is the one that Caddy itself verified, never one in a
	// header. A bound token needs its certificate, also when off. Default: off.
	MTLS string `json:"mtls,omitempty"`

	// The URL under which clients reach this site, for the htu of DPoP
	// proofs. Default: the scheme and Host that Caddy saw; forwarded headers
	// never count.
	ExternalURL string `json:"external_url,omitempty"`

	// The time limit of one fetch of keys or metadata, of one introspection,
	// and of a request's wait for the first keys. Default: 5s.
	Timeout cache.Duration `json:"timeout,omitempty"`

	// A PEM file with the authorities that are trusted for this issuer's
	// servers. Default: those of the system.
	CA string `json:"ca,omitempty"`
}

// Introspection is how to ask an issuer about a token (RFC 7662).
type Introspection struct {
	// The introspection endpoint. Required.
	URL string `json:"url"`

	// This gateway's client id at the issuer. Required.
	ClientID string `json:"client_id"`

	// The client secret. Either this or private_key is required. Give it as
	// {env.…} or {file.…}.
	ClientSecret string `json:"client_secret,omitempty"`

	// The private key for private_key_jwt (RFC 7523): PEM text, a JWK, or
	// the path of a file that holds either.
	PrivateKey string `json:"private_key,omitempty"`

	// The key id to put into the assertion. Default: the JWK's own, or none.
	KeyID string `json:"key_id,omitempty"`

	// How the gateway proves who it is: "basic" or "post" with the secret
	// (client_secret_basic and client_secret_post in OpenID Connect Core,
	// section 9), or "private_key_jwt". Default: basic with a secret,
	// private_key_jwt with a key.
	AuthMethod string `json:"auth_method,omitempty"`

	// Which tokens are asked about: "opaque" (those that are not JWTs of the
	// issuer) or "always" (JWTs as well, once they have been verified).
	// Default: opaque.
	When string `json:"when,omitempty"`

	// How long an answer is used without asking again, never past the
	// token's exp: the time in which a revoked token is still accepted.
	// Default: 1m.
	TTL cache.Duration `json:"ttl,omitempty"`

	// Ask for, and insist on, a signed answer (RFC 9701). Default: false.
	Signed bool `json:"signed,omitempty"`
}

// noType is the value of types for a token without typ.
const noType = "none"

// The values of the options that are enums.
const (
	tokensAccess = "access"
	tokensID     = "id"
	tokensAny    = "any"

	whenOpaque = "opaque"
	whenAlways = "always"

	dpopOff     = "off"
	dpopAccept  = "accept"
	dpopRequire = "require"

	replayShared = "shared"
	replayLocal  = "local"

	mtlsOff     = "off"
	mtlsRequire = "require"

	authBasic = "basic"
	authPost  = "post"
	authKey   = "private_key_jwt"
)
