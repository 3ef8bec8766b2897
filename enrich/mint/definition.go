package mint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// The types that a signed token's typ header can have.
const (
	// TypeAccess is RFC 9068's type of an access token.
	TypeAccess = "at+jwt"
	// TypePlain is for applications whose libraries know no other.
	TypePlain = "JWT"
)

// How often a token is signed.
const (
	// MintCached: one token serves until half its life is gone.
	MintCached = "cached"
	// MintPerRequest: each request gets a token of its own, with its own jti.
	MintPerRequest = "per_request"
)

const (
	// defaultTTL is long enough for a slow request and too short to be worth
	// stealing.
	defaultTTL = 5 * time.Minute

	// maxTTL bounds a signed token's life: retired keys are published as long.
	maxTTL = 24 * time.Hour

	// maxAudience and maxClaims bound the two lists of a definition.
	maxAudience = 32
	maxClaims   = 256
)

// errDefinition is what every refusal of a token definition wraps.
var errDefinition = errors.New("invalid token definition")

// TokenDefinition is one signed token: where it goes and what it says. It
// always carries iss, sub, aud, exp, iat, nbf and jti, and client_id and scope
// where the incoming token has them.
//
// The incoming token's sender constraint (cnf) is never carried over: the
// application receives the new token from the gateway, which has checked the
// constraint, and holds no key of the client. Who acts for whom (act, RFC
// 8693, section 4.1) is a claim like any other.
type TokenDefinition struct {
	// The header that the token is written to. Default: Authorization, unless
	// cookie is set.
	Header string `json:"header,omitempty"`

	// The scheme before the token in the header, followed by a space.
	// Default: Bearer for Authorization, else nothing.
	Scheme string `json:"scheme,omitempty"`

	// The cookie that the token is written to, instead of a header.
	Cookie string `json:"cookie,omitempty"`

	// The audience: whom the token is for. Required, at most 32.
	Audience []string `json:"audience,omitempty"`

	// How long the token lives, in whole seconds, at most 24h. It never
	// outlives the incoming token. Default: 5m.
	TTL cache.Duration `json:"ttl,omitempty"`

	// The claim, computed or of the incoming token, that becomes sub; text or
	// an integer. Where it is missing, the request is answered 401. Default:
	// the subject that the issuer's subject_claim names. Where policies accept
	// several issuers, name a claim that is unique over all of them: sub is
	// unique within its issuer only.
	Subject string `json:"subject,omitempty"`

	// The claims that the token carries besides those it always has: "*" for
	// all of the incoming token overlaid by the computed ones, or names.
	// Default: the computed ones. At most 256.
	Claims []string `json:"claims,omitempty"`

	// The typ header: at+jwt (RFC 9068) or JWT. Default: at+jwt.
	Type string `json:"type,omitempty"`

	// When a token is signed: "cached", where one serves until half its life
	// is gone, or "per_request". Default: cached.
	Mint string `json:"mint,omitempty"`
}

// Template is a compiled TokenDefinition. It never changes and is safe for
// concurrent use.
type Template struct {
	header, scheme, cookie string

	audience   []byte // as JSON
	ttl        time.Duration
	subject    string
	all        bool
	named      []string // nil: the computed ones
	plain      bool
	perRequest bool
}

// reserved are the claims that are set here and that nothing overrides, and
// those that would be untrue in the new token.
var reserved = map[string]bool{
	"iss": true, "sub": true, "aud": true, "exp": true, "iat": true, "nbf": true, "jti": true,
	"client_id": true, "scope": true, "cnf": true,
}

// foreign are claims that bind the incoming token to its own issuer's answer
// (OpenID Connect Core, sections 2 and 3.3.2.11); "*" leaves them out.
var foreign = map[string]bool{"nonce": true, "at_hash": true, "c_hash": true, "s_hash": true}

// Compile checks a definition. The error wraps errDefinition.
func Compile(d TokenDefinition) (*Template, error) {
	t := &Template{header: d.Header, scheme: d.Scheme, cookie: d.Cookie, ttl: time.Duration(d.TTL), subject: d.Subject}
	if err := t.compileTarget(d); err != nil {
		return nil, err
	}
	t.ttl = cmp.Or(t.ttl, defaultTTL)
	switch {
	case len(d.Audience) == 0:
		return nil, fmt.Errorf("audience is missing: %w", errDefinition)
	case len(d.Audience) > maxAudience || len(d.Claims) > maxClaims:
		return nil, fmt.Errorf("more than %d audiences or %d claims: %w", maxAudience, maxClaims, errDefinition)
	case slices.Contains(d.Audience, ""):
		return nil, fmt.Errorf("an audience is empty: %w", errDefinition)
	case t.ttl < time.Second || t.ttl > maxTTL || t.ttl%time.Second != 0:
		return nil, fmt.Errorf("ttl must be whole seconds between 1s and %v: %w", maxTTL, errDefinition)
	case d.Subject == "cnf":
		return nil, fmt.Errorf("subject cannot be cnf: %w", errDefinition)
	}
	for i, a := range d.Audience {
		if slices.Contains(d.Audience[:i], a) {
			return nil, fmt.Errorf("duplicate audience %q: %w", a, errDefinition)
		}
	}
	t.audience = appendAudience(nil, d.Audience)
	for i, name := range d.Claims {
		switch {
		case name == "*" && len(d.Claims) == 1:
			t.all = true
		case name == "" || name == "*":
			return nil, fmt.Errorf("claims must be * by itself, or names: %w", errDefinition)
		case name == "cnf":
			return nil, fmt.Errorf("cnf is never carried over, because the new token is not bound to the client's key: %w", errDefinition)
		case slices.Contains(d.Claims[:i], name):
			return nil, fmt.Errorf("duplicate claim %q: %w", name, errDefinition)
		case !reserved[name]:
			t.named = append(t.named, name)
		case t.named == nil:
			// What the token has anyway may be named; it is still a list.
			t.named = []string{}
		}
	}
	slices.Sort(t.named)
	switch d.Type {
	case "", TypeAccess:
	case TypePlain:
		t.plain = true
	default:
		return nil, fmt.Errorf("unknown type %q (want %s or %s): %w", d.Type, TypeAccess, TypePlain, errDefinition)
	}
	switch d.Mint {
	case "", MintCached:
	case MintPerRequest:
		t.perRequest = true
	default:
		return nil, fmt.Errorf("unknown mint %q (want %s or %s): %w", d.Mint, MintCached, MintPerRequest, errDefinition)
	}
	return t, nil
}

// appendAudience writes aud: text for one, a list for more (RFC 7519, section
// 4.1.3).
func appendAudience(b []byte, audience []string) []byte {
	if len(audience) == 1 {
		return identity.AppendString(b, audience[0])
	}
	for i, a := range audience {
		b = append(b, "[,"[min(i, 1)])
		b = identity.AppendString(b, a)
	}
	return append(b, ']')
}

// compileTarget checks where the token goes, and fills in the defaults.
func (t *Template) compileTarget(d TokenDefinition) error {
	switch {
	case d.Cookie != "" && (d.Header != "" || d.Scheme != ""):
		return fmt.Errorf("the token goes to a header or to a cookie, not to both: %w", errDefinition)
	case d.Cookie != "":
		if !httpguts.ValidHeaderFieldName(d.Cookie) { // a cookie's name is a token, too (RFC 6265, section 4.1.1)
			return fmt.Errorf("%q is not a valid cookie name: %w", d.Cookie, errDefinition)
		}
		return nil
	case d.Header == "":
		t.header = "Authorization"
	case !httpguts.ValidHeaderFieldName(d.Header):
		return fmt.Errorf("%q is not a valid header name: %w", d.Header, errDefinition)
	}
	if t.scheme == "" && strings.EqualFold(t.header, "Authorization") {
		t.scheme = "Bearer"
	}
	if t.scheme != "" && !httpguts.ValidHeaderFieldName(t.scheme) { // a scheme is a token (RFC 9110, section 11.1)
		return fmt.Errorf("%q is not a valid authentication scheme: %w", t.scheme, errDefinition)
	}
	return nil
}

// Header returns the header that the token is written to, or the empty text.
func (t *Template) Header() string { return t.header }

// Cookie returns the cookie that the token is written to, or the empty text.
func (t *Template) Cookie() string { return t.cookie }

// Value returns what is written for a token: the scheme, a space and the token,
// or the token alone.
func (t *Template) Value(token string) string {
	if t.scheme == "" {
		return token
	}
	return t.scheme + " " + token
}

// Carries reports whether the token takes the incoming token's claim of that
// name over.
func (t *Template) Carries(claim string) bool {
	return t.all || t.subject == claim || slices.Contains(t.named, claim)
}

// Claims returns the names of the claims that the token takes over, the one for its
// subject among them; all says that it takes every claim over that there is.
func (t *Template) Claims() (names []string, all bool) {
	names = slices.Clone(t.named)
	if t.subject != "" {
		names = append(names, t.subject)
	}
	return names, t.all
}

// TTL returns the longest life of the token. The Signer must know it, see KeepFor.
func (t *Template) TTL() time.Duration { return t.ttl }

// PerRequest reports whether each request gets a token of its own.
func (t *Template) PerRequest() bool { return t.perRequest }
