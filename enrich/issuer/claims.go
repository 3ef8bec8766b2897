package issuer

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file checks what a verified token says: type, kind, audience and dates (RFC
// 7519, section 7.2; RFC 8725; RFC 9068, section 4).

const (
	// farFuture is how far ahead of now an iat may be. The dates of an issuer
	// whose clock is off by more cannot be relied on, and one that is off by a
	// little must not lock all users out.
	farFuture = 5 * time.Minute
	// maxDate is the last second of the year 9999, the latest date accepted.
	maxDate = 253402300799
)

// neverTypes are the kinds of signed JWTs that are never access or ID tokens
// (RFC 8725, section 3.12; RFC 9701, section 8), whatever is configured.
// They are written as jose.NormalizeType returns them.
var neverTypes = map[string]string{
	"logout+jwt":                "a logout token",
	"secevent+jwt":              "a security event",
	"token-introspection+jwt":   "an introspection answer",
	"dpop+jwt":                  "a DPoP proof",
	"client-authentication+jwt": "a client assertion",
	"authorization-grant+jwt":   "an authorization grant",
	"oauth-id-jag+jwt":          "an authorization grant",
	"oauth-authz-req+jwt":       "an authorization request",
	"jwk-set+jwt":               "a key set",
	"jwk-set+json":              "a key set",
	"entity-statement+jwt":      "an entity statement",
	"trust-mark+jwt":            "a trust mark",
	"openid4vci-proof+jwt":      "a proof of possession",
	"kb+jwt":                    "a key binding",
	"keybinding+jwt":            "a key binding",
	"userinfo+jwt":              "a userinfo answer",
	"jarm+jwt":                  "an authorization response",
}

// claimRules are what an issuer's tokens must say, and the claims from which the
// principal is read.
type claimRules struct {
	name, identifier string

	audience    []string
	anyAudience bool
	tokens      string
	types       map[string]bool
	only9068    bool // at+jwt is the only type
	leeway      time.Duration

	subjectClaim              string
	groupsClaim               string
	groupsDelimiter           string
	clientClaims, scopeClaims []string
}

// newClaimRules returns the rules of a configuration whose defaults are filled
// in.
func newClaimRules(c Config) *claimRules {
	r := &claimRules{
		name: c.Name, identifier: c.Issuer,
		audience: c.Audience, anyAudience: c.AnyAudience,
		tokens: c.Tokens, types: make(map[string]bool), only9068: len(c.Types) == 1 && c.Types[0] == "at+jwt",
		leeway:       time.Duration(*c.Leeway),
		subjectClaim: c.SubjectClaim, groupsClaim: c.GroupsClaim, groupsDelimiter: c.GroupsDelimiter,
		clientClaims: c.ClientClaim, scopeClaims: c.ScopeClaim,
	}
	for _, t := range c.Types {
		r.types[t] = true
	}
	return r
}

// checkType checks the typ header. It refuses the kinds that are never a token for
// a resource, and then what is not on the issuer's list.
func (r *claimRules) checkType(typ string) error {
	if err := checkNeverType(typ); err != nil {
		return err
	}
	typ = cmp.Or(typ, noType)
	if !r.types[typ] {
		return fmt.Errorf("typ is not on the list: %w", errType)
	}
	return nil
}

// checkNeverType refuses the types of neverTypes.
func checkNeverType(typ string) error {
	if what, ok := neverTypes[typ]; ok {
		return fmt.Errorf("typ names %s: %w", what, errType)
	}
	return nil
}

// checkNeverKind refuses by the claims the kinds that are neither access nor ID
// token, whatever their typ.
func (r *claimRules) checkNeverKind(claims map[string]any) error {
	has := func(name string) bool { _, ok := claims[name]; return ok }
	sub, _ := claims["sub"].(string)
	switch {
	case has("events"):
		return fmt.Errorf("a security event or logout token: %w", errKind)
	case has("token_introspection"):
		return fmt.Errorf("an introspection answer: %w", errKind)
	case has("htm") && has("htu"):
		return fmt.Errorf("a DPoP proof: %w", errKind)
	case sub == r.identifier:
		return fmt.Errorf("a client assertion: %w", errKind)
	case claims["token_use"] == "refresh_token" || claims["token_use"] == "refresh":
		return fmt.Errorf("a refresh token: %w", errKind)
	}
	return nil
}

// checkKind checks by the claims what kind of token this is. It refuses what is
// neither access nor ID token, and then the one of these two that the issuer's
// tokens are not.
func (r *claimRules) checkKind(typ string, claims map[string]any) error {
	if err := r.checkNeverKind(claims); err != nil {
		return err
	}
	has := func(name string) bool { _, ok := claims[name]; return ok }
	id := has("nonce") || has("at_hash") || has("c_hash") || claims["token_use"] == "id"
	switch {
	case r.tokens == tokensAccess && id:
		return fmt.Errorf("an ID token: %w", errKind)
	case r.tokens == tokensID && (!id || typ == "at+jwt" || claims["token_use"] == "access"):
		return fmt.Errorf("not an ID token: %w", errKind)
	}
	return nil
}

// checkAudience requires that aud, a string or a list of strings, names this
// gateway (RFC 7519, section 4.1.3), unless the issuer has any_audience.
func (r *claimRules) checkAudience(claims map[string]any) error {
	switch {
	case r.anyAudience:
		return nil
	case len(r.audience) == 0:
		return fmt.Errorf("no audience is configured, so its tokens are accepted from logins only: %w", errAudience)
	}
	switch aud := claims["aud"].(type) {
	case string:
		if slices.Contains(r.audience, aud) {
			return nil
		}
	case []any:
		match := false
		for _, v := range aud {
			s, ok := v.(string)
			if !ok {
				return fmt.Errorf("aud contains a value that is not a string: %w", errAudience)
			}
			match = match || slices.Contains(r.audience, s)
		}
		if match {
			return nil
		}
	default:
		return fmt.Errorf("aud is missing: %w", errAudience)
	}
	return errAudience
}

// namesAudience reports whether aud, a string or a list, names id.
func namesAudience(aud any, id string) bool {
	switch v := aud.(type) {
	case string:
		return v == id
	case []any:
		for _, one := range v {
			if one == id {
				return true
			}
		}
	}
	return false
}

// dates are the three times of a token. Missing ones are zero.
type dates struct{ issued, notBefore, expiry time.Time }

// readDates reads the three times and checks them at now. Without needExpiry a
// token need not have an exp.
func (r *claimRules) readDates(claims map[string]any, now time.Time, needExpiry bool) (dates, error) {
	var d dates
	var err error
	if d.expiry, err = readDate(claims, "exp"); err != nil {
		return d, err
	}
	if d.notBefore, err = readDate(claims, "nbf"); err != nil {
		return d, err
	}
	if d.issued, err = readDate(claims, "iat"); err != nil {
		return d, err
	}
	switch {
	case d.expiry.IsZero() && needExpiry:
		return d, fmt.Errorf("exp is missing: %w", errDates)
	case !d.expiry.IsZero() && !now.Before(d.expiry.Add(r.leeway)):
		return d, errExpired
	case !d.notBefore.IsZero() && now.Add(r.leeway).Before(d.notBefore):
		return d, fmt.Errorf("nbf is ahead: %w", errNotYetValid)
	case !d.issued.IsZero() && now.Add(farFuture).Before(d.issued):
		return d, fmt.Errorf("iat is far ahead: %w", errNotYetValid)
	}
	return d, nil
}

// readDate reads a NumericDate (RFC 7519, section 2): seconds since 1970,
// with fractions. A missing one is the zero time. Anything but a number from 0 to
// the year 9999 is an error.
func readDate(claims map[string]any, name string) (time.Time, error) {
	v, ok := claims[name]
	if !ok {
		return time.Time{}, nil
	}
	switch n := v.(type) {
	case int64:
		if n >= 0 && n <= maxDate {
			return time.Unix(n, 0), nil
		}
	case float64:
		if n >= 0 && n <= maxDate {
			whole, part := math.Modf(n)
			return time.Unix(int64(whole), int64(part*1e9)), nil
		}
	}
	return time.Time{}, fmt.Errorf("%s is not a number in range: %w", name, errDates)
}

// required9068 are the claims that a JWT access token must have (RFC 9068, section
// 2.2) beside iss and exp, which each token must have here.
var required9068 = []string{"aud", "sub", "client_id", "iat", "jti"}

// check checks what a verified token says at now, and returns whom it is for.
func (r *claimRules) check(typ string, claims map[string]any, now time.Time) (*identity.Principal, error) {
	if err := r.checkType(typ); err != nil {
		return nil, err
	}
	if err := r.checkKind(typ, claims); err != nil {
		return nil, err
	}
	if err := r.checkAudience(claims); err != nil {
		return nil, err
	}
	d, err := r.readDates(claims, now, true)
	if err != nil {
		return nil, err
	}
	if r.only9068 {
		for _, name := range required9068 {
			if claims[name] == nil || claims[name] == "" {
				return nil, fmt.Errorf("%s is missing: %w", name, errClaims)
			}
		}
	}
	return r.principal(claims, d)
}
