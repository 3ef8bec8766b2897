package issuer

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// nonceLife is how long a nonce is taken (RFC 9449, section 9: the
	// server decides).
	nonceLife = 5 * time.Minute
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

// A nonceSource makes nonces that need no memory: a time and a tag that only
// holders of the key can make. Nodes with the same key take each other's.
type nonceSource struct {
	key   []byte
	clock func() time.Time
}

func newNonceSource(o Options) (*nonceSource, error) {
	s := &nonceSource{key: o.NonceKey, clock: o.Clock}
	if s.key == nil {
		s.key = make([]byte, sha256.Size)
		if _, err := io.ReadFull(o.Rand, s.key); err != nil {
			return nil, fmt.Errorf("reading randomness: %w", err)
		}
	}
	if len(s.key) < sha256.Size {
		return nil, errors.New("the key for nonces is too short")
	}
	return s, nil
}

func (s *nonceSource) issue() string {
	b := binary.BigEndian.AppendUint64(nil, uint64(s.clock().Unix()))
	return strictBase64.EncodeToString(append(b, s.tag(b)...))
}

func (s *nonceSource) tag(made []byte) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte("dpop nonce"))
	mac.Write(made)
	return mac.Sum(nil)[:nonceTag]
}

func (s *nonceSource) valid(nonce string, now time.Time) bool {
	b, err := strictBase64.DecodeString(nonce)
	if err != nil || len(b) != 8+nonceTag || !hmac.Equal(b[8:], s.tag(b[:8])) {
		return false
	}
	age := now.Sub(time.Unix(int64(binary.BigEndian.Uint64(b)), 0))
	return age < nonceLife && age >= -nonceAhead
}
