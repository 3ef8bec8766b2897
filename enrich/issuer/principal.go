package issuer

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file reads the principal out of the claims of a token, or of a login's
// session.

// maxIdentifier bounds sub, jti, sid and client ids, in bytes. OpenID Connect
// allows a sub 255 characters.
const maxIdentifier = 1024

// principal returns the principal of claims whose dates have been read, from the
// claims that the configuration names.
func (r *claimRules) principal(claims map[string]any, d dates) (*identity.Principal, error) {
	p, sub, err := r.person(claims)
	if err != nil {
		return nil, err
	}
	p.IssuedAt, p.NotBefore, p.Expiry = d.issued, d.notBefore, d.expiry
	if p.Client, err = firstText(claims, r.clientClaims); err != nil {
		return nil, err
	}
	if p.Scopes, err = readScopes(claims, r.scopeClaims); err != nil {
		return nil, err
	}
	if p.Confirmation, err = readConfirmation(claims); err != nil {
		return nil, err
	}
	// A client on its own behalf (RFC 9068, section 5) has no user, and so need
	// not have the claim that names one.
	if p.ServiceAccount = sub != "" && sub == p.Client; p.ServiceAccount {
		p.Subject = sub
	} else if p.Subject, err = r.subject(claims); err != nil {
		return nil, err
	}
	return p, nil
}

// person returns a principal with what tokens and sessions say alike, all but its
// subject, and the claim sub.
func (r *claimRules) person(claims map[string]any) (p *identity.Principal, sub string, err error) {
	p = &identity.Principal{Issuer: r.identifier, IssuerName: r.name, Claims: claims}
	if p.TokenID, err = readText(claims, "jti"); err != nil {
		return nil, "", err
	}
	if p.SessionID, err = readText(claims, "sid"); err != nil {
		return nil, "", err
	}
	if sub, err = readText(claims, "sub"); err != nil {
		return nil, "", err
	}
	readGroups(p, r.groupsClaim, r.groupsDelimiter)
	return p, sub, nil
}

// SessionClaims are what a login's session says.
type SessionClaims struct {
	// Claims are those of the ID token or access token that the session began
	// with, as canonical values, or those of them that PrincipalClaims and the
	// policies name.
	Claims map[string]any

	// Client is the login's client id, and Scopes are those granted to it.
	Client string
	Scopes []string

	// Began and End are the two ends of the session.
	Began, End time.Time

	// Ended reports whether the session has ended before End. Nil means that it
	// does not.
	Ended func() bool
}

// VerifySession returns the principal of a login's session. It is read from the
// claims exactly as a bearer token's, except that client, scopes and dates are
// those of the session: dates and confirmation of the claims do not count, and
// the principal always is a user. The caller has opened the session and checked
// that it has not ended. Errors wrap ErrInvalidToken.
func (i *Issuer) VerifySession(s SessionClaims) (*Verified, error) {
	p, _, err := i.rules.person(s.Claims)
	if err != nil {
		return nil, err
	}
	if p.Subject, err = i.rules.subject(s.Claims); err != nil {
		return nil, err
	}
	p.Client, p.Scopes = s.Client, s.Scopes
	p.IssuedAt, p.Expiry = s.Began.Truncate(time.Second), s.End.Truncate(time.Second)
	return &Verified{Principal: p, Issuer: i, Until: p.Expiry, session: true, ended: s.Ended}, nil
}

// PrincipalClaims returns the names of the claims that VerifySession reads, and
// acr and auth_time, which requirements read of a session. Those about groups are
// among them if groups is true.
func (i *Issuer) PrincipalClaims(groups bool) []string {
	names := []string{"sub", "sid", "acr", "auth_time", i.rules.subjectClaim}
	if i.rules.subjectClaim == "email" {
		names = append(names, "email_verified")
	}
	if groups {
		names = append(names, i.rules.groupsClaim, "_claim_names", "hasgroups") // see identity.GroupsOverage
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// subject reads the claim that names the user. An e-mail address must have been
// verified by the issuer.
func (r *claimRules) subject(claims map[string]any) (string, error) {
	s, ok := claims[r.subjectClaim].(string)
	if !ok || s == "" || len(s) > maxIdentifier {
		return "", fmt.Errorf("claim %s is missing or not a short string: %w", r.subjectClaim, errSubject)
	}
	if r.subjectClaim == "email" && claims["email_verified"] != true {
		return "", fmt.Errorf("email is not verified: %w", errSubject)
	}
	return s, nil
}

// readConfirmation reads cnf (RFC 7800). It refuses a token that is bound in a way
// which this gateway cannot check, because that is no bearer token.
func readConfirmation(claims map[string]any) (identity.Confirmation, error) {
	var c identity.Confirmation
	v, ok := claims["cnf"]
	if !ok || v == nil {
		return c, nil
	}
	members, ok := v.(map[string]any)
	if !ok {
		return c, fmt.Errorf("cnf is not an object: %w", errClaims)
	}
	var err error
	if c.KeyThumbprint, err = readThumbprint(members, "jkt"); err != nil {
		return c, err
	}
	if c.CertificateThumbprint, err = readThumbprint(members, "x5t#S256"); err != nil {
		return c, err
	}
	if !c.Bound() {
		return c, fmt.Errorf("cnf binds the token in an unknown way: %w", errSender)
	}
	return c, nil
}

// readThumbprint reads a member of cnf, which may be missing but not empty.
func readThumbprint(members map[string]any, name string) (string, error) {
	v, ok := members[name]
	if !ok {
		return "", nil
	}
	s, ok := v.(string)
	if !ok || s == "" {
		return "", fmt.Errorf("cnf has an empty thumbprint: %w", errClaims)
	}
	return s, nil
}

// readText reads a claim that must be a string of bounded length. A missing claim
// and null are the empty string.
func readText(claims map[string]any, name string) (string, error) {
	v, ok := claims[name]
	if !ok || v == nil {
		return "", nil
	}
	s, ok := v.(string)
	if !ok || len(s) > maxIdentifier {
		return "", fmt.Errorf("%s is not a short string: %w", name, errClaims)
	}
	return s, nil
}

// firstText reads the first of several claims that is present and not null.
func firstText(claims map[string]any, names []string) (string, error) {
	for _, name := range names {
		if claims[name] != nil {
			return readText(claims, name)
		}
	}
	return "", nil
}

// readScopes reads the first scope claim that is present and not null: a list, or
// one string separated by spaces (RFC 6749, section 3.3).
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
		return nil, fmt.Errorf("%s is neither a string nor a list of strings: %w", name, errClaims)
	}
	return nil, nil
}
