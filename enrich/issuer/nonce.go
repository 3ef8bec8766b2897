package issuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// nonceEncoding has one text for each nonce: no padding, no stray bits.
var nonceEncoding = base64.RawURLEncoding.Strict()

const (
	// nonceLife is how long a nonce is taken (RFC 9449, section 9: the
	// server decides).
	nonceTTL = 5 * time.Minute
	// nonceAhead is how far another node's clock may be ahead.
	nonceAhead = 30 * time.Second
	nonceTag   = 16
)

// NonceError is an ErrNonce with the nonce that the caller is to use in the
// next proof: the answer's DPoP-Nonce header.
type NonceError struct{ Nonce string }

func (e *NonceError) Error() string { return ErrNonce.Error() }

// Unwrap leads to ErrNonce.
func (e *NonceError) Unwrap() error { return ErrNonce }

// A nonceKey makes nonces that need no memory: a time and a tag that only
// holders of the key can make. Nodes with the same key take each other's.
type nonceKey [32]byte

func (k *nonceKey) issue(now time.Time) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(now.Unix()))
	return nonceEncoding.EncodeToString(append(b, k.tag(b)...))
}

func (k *nonceKey) tag(made []byte) []byte {
	mac := hmac.New(sha256.New, k[:])
	mac.Write([]byte("dpop nonce"))
	mac.Write(made)
	return mac.Sum(nil)[:nonceTag]
}

func (k *nonceKey) valid(nonce string, now time.Time) bool {
	b, err := nonceEncoding.DecodeString(nonce)
	if err != nil || len(b) != 8+nonceTag || !hmac.Equal(b[8:], k.tag(b[:8])) {
		return false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
	return age < nonceTTL && age >= -nonceAhead
}
