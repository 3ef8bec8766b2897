package issuer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

const (
	// farFuture is how far ahead of now an iat may be: an issuer whose clock
	// is off by more is not to be trusted with dates, one that is off by a
	// little must not lock everybody out.
	farFuture = 5 * time.Minute
	// maxDate is the last second of the year 9999; no date is beyond.
	maxDate = 253402300799
	// maxIdentifier bounds sub, jti, sid and client ids. OpenID Connect
	// allows a sub 255 characters.
	maxIdentifier = 1024
)

// neverTypes are the kinds of signed JWTs that are never access or ID tokens
// (RFC 8725, section 3.12; RFC 9701, section 8), whatever is configured.
// They are written as normalType gives them.
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

// checkType judges the typ header: a kind that is never a token for a
// resource is refused first, then what the issuer's list lacks.
func (i *Issuer) checkType(typ string) error {
	if what, ok := neverTypes[typ]; ok {
		return fmt.Errorf("typ names %s: %w", what, ErrType)
	}
	if typ == "" {
		typ = noType
	}
	if !i.types[typ] {
		return fmt.Errorf("typ is not on the list: %w", ErrType)
	}
	return nil
}

// checkKind judges by the claims what kind of token this is: first the kinds
// that are neither access nor ID token though their typ may be silent, then
// access against ID token.
func (i *Issuer) checkKind(typ string, claims map[string]any) error {
	has := func(name string) bool { _, ok := claims[name]; return ok }
	sub, _ := claims["sub"].(string)
	switch {
	case has("events"):
		return fmt.Errorf("a security event or logout token: %w", ErrKind)
	case has("token_introspection"):
		return fmt.Errorf("an introspection answer: %w", ErrKind)
	case has("htm") && has("htu"):
		return fmt.Errorf("a DPoP proof: %w", ErrKind)
	case sub == i.identifier:
		return fmt.Errorf("a client assertion: %w", ErrKind)
	case claims["token_use"] == "refresh_token" || claims["token_use"] == "refresh":
		return fmt.Errorf("a refresh token: %w", ErrKind)
	}
	id := has("nonce") || has("at_hash") || has("c_hash") || claims["token_use"] == "id"
	switch {
	case i.tokens == tokensAccess && id:
		return fmt.Errorf("an ID token: %w", ErrKind)
	case i.tokens == tokensID && (!id || typ == "at+jwt" || claims["token_use"] == "access"):
		return fmt.Errorf("not an ID token: %w", ErrKind)
	}
	return nil
}

// checkAudience accepts a token that names this gateway (RFC 7519, section
// 4.1.3); aud is a string or a list of strings.
func (i *Issuer) checkAudience(claims map[string]any) error {
	if i.anyAudience {
		return nil
	}
	switch aud := claims["aud"].(type) {
	case string:
		if slices.Contains(i.audience, aud) {
			return nil
		}
	case []any:
		match := false
		for _, v := range aud {
			s, ok := v.(string)
			if !ok {
				return fmt.Errorf("aud holds something else than strings: %w", ErrAudience)
			}
			match = match || slices.Contains(i.audience, s)
		}
		if match {
			return nil
		}
	default:
		return fmt.Errorf("aud is missing: %w", ErrAudience)
	}
	return ErrAudience
}

// dates are a token's three times; those that are missing are zero.
type dates struct{ issued, notBefore, expiry time.Time }

// readDates reads and judges the three times at now.
func (i *Issuer) readDates(claims map[string]any, now time.Time, needExpiry bool) (dates, error) {
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
		return d, fmt.Errorf("exp is missing: %w", ErrDates)
	case !d.expiry.IsZero() && !now.Before(d.expiry.Add(i.leeway)):
		return d, ErrExpired
	case !d.notBefore.IsZero() && now.Add(i.leeway).Before(d.notBefore):
		return d, fmt.Errorf("nbf is ahead: %w", ErrNotYetValid)
	case !d.issued.IsZero() && now.Add(farFuture).Before(d.issued):
		return d, fmt.Errorf("iat is far ahead: %w", ErrNotYetValid)
	}
	return d, nil
}

// readDate reads a NumericDate (RFC 7519, section 2): seconds since 1970,
// fractions allowed. A missing one is the zero time; anything but a number
// from 0 to the year 9999 is an error.
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
	return time.Time{}, fmt.Errorf("%s is not a number in range: %w", name, ErrDates)
}

// readText reads a claim that, where it is present and not null, must be a
// string of bounded length.
func readText(claims map[string]any, name string) (string, error) {
	v, ok := claims[name]
	if !ok || v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok || len(s) > maxIdentifier {
		return "", fmt.Errorf("%s is not a short string: %w", name, ErrClaims)
	}
	return s, nil
}

// firstText reads the first of several claims that is present.
func firstText(claims map[string]any, names []string) (string, error) {
	for _, name := range names {
		if claims[name] != nil {
			return readText(claims, name)
		}
	}
	return "", nil
}

// readScopes reads the first scope claim that is present: a list, or one
// string separated by spaces (RFC 6749, section 3.3).
func readScopes(claims map[string]any, names []string) ([]string, error) {
	for _, name := range names {
		v := claims[name]
		if v == nil {
			continue
		}
		switch x := v.(type) {
		case string:
			return strings.FieldsFunc(x, func(r rune) bool { return r == ' ' }), nil
		case []any:
			if list, ok := texts(x); ok {
				return list, nil
			}
		}
		return nil, fmt.Errorf("%s is neither a string nor a list of strings: %w", name, ErrClaims)
	}
	return nil, nil
}

// texts gives a list of strings as such.
func texts(list []any) ([]string, bool) {
	out := make([]string, len(list))
	for n, v := range list {
		s, ok := v.(string)
		if !ok {
			return nil, false
		}
		out[n] = s
	}
	return out, true
}

// required9068 are the claims that a JWT access token must have (RFC 9068,
// section 2.2); iss, exp and aud are checked for every token.
var required9068 = []string{"aud", "sub", "client_id", "iat", "jti"}

// principal makes the principal out of claims that have passed every check
// of form; it reads the claims that the configuration names.
func (i *Issuer) principal(claims map[string]any, d dates) (*identity.Principal, error) {
	p := &identity.Principal{
		Issuer:     i.identifier,
		IssuerName: i.name,
		Claims:     claims,
		IssuedAt:   d.issued,
		NotBefore:  d.notBefore,
		Expiry:     d.expiry,
	}
	var err error
	if p.Client, err = firstText(claims, i.clientClaims); err != nil {
		return nil, err
	}
	if p.Scopes, err = readScopes(claims, i.scopeClaims); err != nil {
		return nil, err
	}
	if p.TokenID, err = readText(claims, "jti"); err != nil {
		return nil, err
	}
	if p.SessionID, err = readText(claims, "sid"); err != nil {
		return nil, err
	}
	if p.Confirmation, err = readConfirmation(claims); err != nil {
		return nil, err
	}
	sub, err := readText(claims, "sub")
	if err != nil {
		return nil, err
	}
	// A client on its own behalf (RFC 9068, section 5) has no user, and so
	// need not have the claim that names one.
	if p.ServiceAccount = sub != "" && sub == p.Client; p.ServiceAccount {
		p.Subject = sub
	} else if p.Subject, err = i.subject(claims); err != nil {
		return nil, err
	}
	i.readGroups(p)
	return p, nil
}

// subject reads the claim that names the user. An e-mail address names
// somebody only once the issuer has verified it.
func (i *Issuer) subject(claims map[string]any) (string, error) {
	s, ok := claims[i.subjectClaim].(string)
	if !ok || s == "" || len(s) > maxIdentifier {
		return "", fmt.Errorf("claim %s is missing or not a short string: %w", i.subjectClaim, ErrSubject)
	}
	if i.subjectClaim == "email" && claims["email_verified"] != true {
		return "", fmt.Errorf("email is not verified: %w", ErrSubject)
	}
	return s, nil
}

// readConfirmation reads cnf (RFC 7800). A token that is bound in a way that
// this gateway cannot check is refused: it is no bearer token.
func readConfirmation(claims map[string]any) (identity.Confirmation, error) {
	var c identity.Confirmation
	v, ok := claims["cnf"]
	if !ok || v == nil {
		return c, nil
	}
	members, ok := v.(map[string]any)
	if !ok {
		return c, fmt.Errorf("cnf is not an object: %w", ErrClaims)
	}
	var err error
	if c.KeyThumbprint, err = readThumbprint(members, "jkt"); err != nil {
		return c, err
	}
	if c.CertificateThumbprint, err = readThumbprint(members, "x5t#S256"); err != nil {
		return c, err
	}
	if !c.Bound() {
		return c, fmt.Errorf("cnf binds the token in an unknown way: %w", ErrSender)
	}
	return c, nil
}

func readThumbprint(members map[string]any, name string) (string, error) {
	v, ok := members[name]
	if !ok {
		return "", nil
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return "", fmt.Errorf("cnf has an empty thumbprint: %w", ErrClaims)
	}
	return s, nil
}
