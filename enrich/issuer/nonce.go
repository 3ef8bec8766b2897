package issuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// This file makes and checks the nonces that DPoP proofs must hold (RFC 9449,
// section 9).

// nonceEncoding has one text for each nonce: no padding, no stray bits.
var nonceEncoding = base64.RawURLEncoding.Strict()

const (
	// nonceTTL is how long a nonce is accepted. RFC 9449, section 9 leaves it to
	// the server.
	nonceTTL = 5 * time.Minute
	// nonceAhead is how far the clock of the node that made a nonce may be ahead.
	nonceAhead = 30 * time.Second
	// nonceTag is the length of a nonce's tag, in bytes.
	nonceTag = 16
)

// NonceError is an errNonce with the nonce for the caller's next proof, which the
// answer carries in its header DPoP-Nonce.
type NonceError struct{ Nonce string }

// Error returns the text of errNonce.
func (e *NonceError) Error() string { return errNonce.Error() }

// Unwrap returns errNonce.
func (e *NonceError) Unwrap() error { return errNonce }

// A nonceKey makes nonces that need no memory: a time, and a tag that only holders
// of the key can make. Nodes with the same key accept the nonces of each other.
type nonceKey [32]byte

// issue returns a nonce made at now.
func (k *nonceKey) issue(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return nonceEncoding.EncodeToString(append(b, k.tag(b)...))
}

// tag returns the tag for the encoded time.
func (k *nonceKey) tag(made []byte) []byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("dpop nonce"))
	mac.Write(made)
	return mac.Sum(nil)[:nonceTag]
}

// valid reports whether a nonce was made with the key and has not expired at now.
func (k *nonceKey) valid(nonce string, now time.Time) bool {
	b, err := nonceEncoding.DecodeString(nonce)
	if err != nil || len(b) != 8+nonceTag || !hmac.Equal(b[8:], k.tag(b[:8])) {
		return false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
	return age < nonceTTL && age >= -nonceAhead
}
