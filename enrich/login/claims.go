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

// tokenClaims are about an ID token and how the person was authenticated. Userinfo is
// not asked for them, and cannot add one.
var tokenClaims = []string{
	"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "nonce", "sid", "acr", "amr", "auth_time", "azp", "at_hash", "c_hash", "s_hash",
}

// companionClaims qualify others, so userinfo is not asked for them alone.
var companionClaims = []string{"_claim_names", "_claim_sources", "hasgroups", "email_verified"}

// add adds claims that a policy reads.
func (c *claimSet) add(names ...string) {
	if c.names == nil {
		c.names = make(map[string]bool)
	}
	for _, name := range names {
		c.names[name] = c.names[name] || !slices.Contains(tokenClaims, name) && !slices.Contains(companionClaims, name)
	}
}

// keep adds a claim that is held where it comes, and not asked for otherwise.
func (c *claimSet) keep(name string) {
	if c.names == nil {
		c.names = make(map[string]bool)
	}
	if !c.names[name] {
		c.names[name] = false
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

// complete adds to the claims of an ID token those of a userinfo answer that it lacks.
// An e-mail address and whether it was verified stay together.
func complete(claims, userinfo map[string]any) {
	_, has := claims["email"]
	if _, brought := userinfo["email"]; brought && !has {
		delete(claims, "email_verified")
	}
	for name, value := range userinfo {
		_, there := claims[name]
		if !there && !slices.Contains(tokenClaims, name) && (name != "email_verified" || !has) {
			claims[name] = value
		}
	}
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
