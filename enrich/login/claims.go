package login

import (
	"crypto/sha256"
	"encoding/binary"
	"maps"
	"slices"
)

// This file chooses the claims that a session holds: those that are read, since a
// cookie has little room.

// A claimSet is the claims that sessions hold.
type claimSet struct {
	all   bool            // every claim that the provider sends
	names map[string]bool // true: worth asking userinfo for
}

// protocolClaims are claims of an ID token that are no attributes of a person, so
// that no userinfo endpoint has them.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "sid", "acr", "amr", "auth_time", "azp", "at_hash", "c_hash", "s_hash",
	"_claim_names", "_claim_sources", "hasgroups", "email_verified",
}

// add adds claims that a policy reads.
func (c *claimSet) add(names ...string) {
	if c.names == nil {
		c.names = make(map[string]bool)
	}
	for _, name := range names {
		c.names[name] = c.names[name] || !slices.Contains(protocolClaims, name)
	}
}

// keep adds claims that are held where the ID token has them, and not asked for
// otherwise.
func (c *claimSet) keep(names ...string) {
	if c.names == nil {
		c.names = make(map[string]bool)
	}
	for _, name := range names {
		c.names[name] = c.names[name]
	}
}

// lacks reports whether userinfo may have a claim of the set that is missing.
func (c *claimSet) lacks(claims map[string]any) bool {
	for name, ask := range c.names {
		if _, there := claims[name]; ask && !there {
			return true
		}
	}
	return c.all
}

// of returns those of the claims that are in the set.
func (c *claimSet) of(claims map[string]any) map[string]any {
	if c.all {
		return claims
	}
	held := make(map[string]any, len(c.names))
	for name := range c.names {
		if v, there := claims[name]; there {
			held[name] = v
		}
	}
	return held
}

// fingerprint returns a hash of texts and of the set's names.
func (c *claimSet) fingerprint(texts ...string) [8]byte {
	h := sha256.New()
	for _, text := range append(texts, slices.Sorted(maps.Keys(c.names))...) {
		_ = binary.Write(h, binary.BigEndian, uint64(len(text))) // a hash takes everything
		h.Write([]byte(text))
	}
	if c.all {
		h.Write([]byte{1})
	}
	return [8]byte(h.Sum(nil))
}
