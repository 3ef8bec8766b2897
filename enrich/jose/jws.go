// Package jose reads and verifies signed tokens in their strict form: compact
// JWS (RFC 7515), the closed table of signature algorithms (RFC 7518), keys and
// key sets (RFC 7517), and the JSON inside of them. It follows RFC 8725 where
// the standards leave a choice. Cryptography is the standard library's, and
// go-jose decodes the keys. It knows nothing of issuers, claims or networks.
package jose

import (
	"fmt"
	"strings"
)

// MaxTokenBytes is the length of the longest token that is read. It is the limit
// of package token as well, which finds the tokens of a request.
const MaxTokenBytes = 16 << 10

// A JWS is a compact JWS in its strict form, parsed and not verified.
type JWS struct {
	// Header holds the members of the protected header that verification reads.
	Header *Header

	// Members are all members of the protected header. They are nil where the
	// header came from a HeaderCache.
	Members map[string]any

	// Payload is the decoded payload. Nothing vouches for it until VerifiedBy
	// or KeySet.Verify has.
	Payload []byte

	signed    []byte // the text that the signature covers
	signature []byte
}

// Parse parses a token of at most limit bytes. It checks the form before any
// cryptography (RFC 7515, section 7.1): three parts of strict base64url, a
// header of strict JSON, and nothing else. A header that cache remembers is not
// parsed again; a nil cache remembers none. Errors wrap ErrMalformed,
// ErrCritical or ErrType.
func Parse(raw string, limit int, cache *HeaderCache) (JWS, error) {
	if len(raw) > limit {
		return JWS{}, fmt.Errorf("over %d bytes: %w", limit, ErrMalformed)
	}
	head, rest, ok := strings.Cut(raw, ".")
	if !ok {
		return JWS{}, fmt.Errorf("not three parts: %w", ErrMalformed)
	}
	body, tail, ok := strings.Cut(rest, ".")
	if !ok || head == "" || tail == "" {
		return JWS{}, fmt.Errorf("not three parts: %w", ErrMalformed)
	}
	// The decoder of base64 skips these two and refuses every other character
	// outside of the alphabet.
	if strings.IndexByte(raw, '\n') >= 0 || strings.IndexByte(raw, '\r') >= 0 {
		return JWS{}, fmt.Errorf("line break: %w", ErrMalformed)
	}
	t := JWS{Header: cache.Get(head)}
	var err error
	if t.Header == nil {
		if t.Header, t.Members, err = parseHeader(head); err != nil {
			return JWS{}, err
		}
	}
	// One buffer holds the signed text and both decoded parts.
	n := len(head) + 1 + len(body)
	room := strictBase64.DecodedLen(len(body))
	buffer := make([]byte, n+room+strictBase64.DecodedLen(len(tail)))
	copy(buffer, raw[:n])
	t.signed = buffer[:n:n]
	if t.Payload, err = strictBase64.AppendDecode(buffer[n:n:n+room], t.signed[len(head)+1:]); err != nil {
		return JWS{}, fmt.Errorf("payload: not strict base64url: %w", ErrMalformed)
	}
	if t.signature, err = strictBase64.AppendDecode(buffer[n+room:n+room], []byte(tail)); err != nil {
		return JWS{}, fmt.Errorf("signature: not strict base64url: %w", ErrMalformed)
	}
	return t, nil
}

// VerifiedBy reports whether the signature is that of the key, which must fit
// the header's algorithm.
func (t *JWS) VerifiedBy(k *Key) bool {
	return t.Header.Algorithm.verify(k.public, t.signed, t.signature)
}
