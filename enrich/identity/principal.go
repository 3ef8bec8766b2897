// Package identity holds the types that all packages share: the principal of a
// token, what the directory says of it (user, group, app, app user), and the
// record of one decision. It imports only the standard library and decides
// nothing. Its values are shared between requests and must not be changed once
// they have been passed on.
package identity

import (
	"slices"
	"time"
)

// Principal is a verified token. It is made only after signature, issuer,
// audience, times and type have been checked.
type Principal struct {
	// Issuer is the token's iss, byte for byte (RFC 9068, section 4: compared
	// without normalising).
	Issuer string

	// IssuerName is the configured name of that issuer; it is what logs,
	// metrics and policies show.
	IssuerName string

	// Subject is the value of the issuer's subject claim. It identifies the user
	// in a directory only together with Issuer (OpenID Connect Core, section
	// 5.7).
	Subject string

	// Client is the value of the first client claim that is present, or empty.
	Client string

	// ServiceAccount says that the token's sub equals its client id: the caller is
	// a client that acts on its own behalf (RFC 9068, section 5), and no user is
	// looked up for it.
	ServiceAccount bool

	// Scopes are the granted scopes in the token's order.
	Scopes []string

	// Claims are all verified claims as canonical values (see Canonical).
	Claims map[string]any

	// Groups are the groups that the token itself brings, in its order. They
	// mean something only where GroupsKnown is true.
	Groups []string

	// GroupsKnown is false where the token says nothing about groups, or that it
	// left them out for size. Unknown groups are not an empty list.
	GroupsKnown bool

	// GroupsUnknown says why the groups are unknown although the token has a claim
	// about them; empty where they are known or it has none.
	GroupsUnknown string

	// GroupsClaim is the name of the claim that brings them.
	GroupsClaim string

	// GroupsPartial says that the token left groups out for size, or may have cut
	// their list: what Claims holds under GroupsClaim is a part at best and must
	// not be taken for the whole.
	GroupsPartial bool

	// TokenID is the token's jti, or empty.
	TokenID string

	// SessionID is the token's sid, or empty.
	SessionID string

	// IssuedAt, NotBefore and Expiry are the token's iat, nbf and exp; the
	// first two are zero where the token lacks them.
	IssuedAt  time.Time
	NotBefore time.Time
	Expiry    time.Time

	// Confirmation binds the token to a key of its sender; its zero value
	// means a bearer token.
	Confirmation Confirmation
}

// Confirmation holds the members of a cnf claim (RFC 7800) that the gateway
// checks on every request.
type Confirmation struct {
	// KeyThumbprint is cnf.jkt, the SHA-256 thumbprint of a DPoP key
	// (RFC 9449, section 6).
	KeyThumbprint string

	// CertificateThumbprint is cnf.x5t#S256, the SHA-256 of the client's
	// certificate (RFC 8705, section 3.1).
	CertificateThumbprint string
}

// Bound reports whether the token may be used by the holder of a key only.
func (c Confirmation) Bound() bool {
	return c.KeyThumbprint != "" || c.CertificateThumbprint != ""
}

// HasScope reports whether scope was granted.
func (p *Principal) HasScope(scope string) bool {
	return slices.Contains(p.Scopes, scope)
}

// PartialGroupsClaim returns the name of the groups claim where the token brings
// it in part at best, else an empty string.
func (p *Principal) PartialGroupsClaim() string {
	if p.GroupsPartial {
		return p.GroupsClaim
	}
	return ""
}
