package login

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// This file holds what sealed cookies and sealed state have in common.

// Purposes of what is sealed. A change to a content's form changes its purpose, so
// that no version opens what another one means differently.
const (
	purposeSession     = "session 1"
	purposeTransaction = "login 1"
	purposeLogout      = "logout 1"
)

// sealedFor returns the keys for one purpose at one origin. What is sealed under
// another purpose, origin or name of a cookie does not open. The name depends on no
// key, so that a key may leave the ring without those that stay opening less.
func sealedFor(ring *seal.Ring, purpose, cookie string, origin Origin) *seal.Named {
	return ring.Named(sha256.Sum256([]byte("token-enrich " + purpose + "\x00" + cookie + "\x00" + origin.String())))
}

// encode writes base64url without padding (RFC 4648, section 5).
func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// strict takes no other last bits (RFC 4648, section 3.5).
var strict = base64.RawURLEncoding.Strict()

// decode reads into b, whose length is that of the content, what encode wrote. It
// takes no second text for one content: no other last bits, no line ends.
func decode(b []byte, text string) bool {
	if base64.RawURLEncoding.EncodedLen(len(b)) != len(text) {
		return false
	}
	n, err := strict.Decode(b, []byte(text))
	return err == nil && n == len(b)
}

// encodedLen returns the length of the text of n bytes.
func encodedLen(n int) int { return base64.RawURLEncoding.EncodedLen(n) }

// decodedLen returns the length of what a text of that length holds.
func decodedLen(n int) int { return base64.RawURLEncoding.DecodedLen(n) }

// appendTime appends a time in whole seconds.
func appendTime(b []byte, t time.Time) []byte {
	return binary.BigEndian.AppendUint64(b, uint64(t.Unix()))
}

// readTime reads what appendTime wrote.
func readTime(b []byte) time.Time {
	return time.Unix(int64(binary.BigEndian.Uint64(b)), 0).UTC()
}
