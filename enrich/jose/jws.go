// Package jose reads and verifies signed tokens in their strict form: compact
// JWS (RFC 7515), the closed table of signature algorithms (RFC 7518), keys and
// key sets (RFC 7517), and the JSON inside of them. It follows RFC 8725 where
// the standards leave a choice. Cryptography is the standard library's, and
// go-jose decodes the keys. It knows nothing of issuers, claims or networks.
package jose

import (
	"encoding/base64"
	"fmt"
	"strings"
)

const (
	// maxTokenBytes is the longest token that is looked at, as long as what
	// the finding of tokens lets through.
	MaxTokenBytes = 16 << 10
	// maxHeaderBytes bounds the encoded protected header; the largest that
	// are seen carry a certificate chain of a few KiB.
	maxHeaderBytes = 8 << 10
	// maxKeyID bounds a kid. Those in use are thumbprints, UUIDs and names.
	maxKeyID = 512
)

// strictBase64 is base64url without padding and without stray bits (RFC
// 7515, section 2).
var strictBase64 = base64.RawURLEncoding.Strict()

// A jws is a compact JWS in its strict form, taken apart and not verified.
type JWS struct {
	Header    *Header
	Members   map[string]any // all of the header; nil if it was remembered
	signed    []byte         // the text that the signature covers
	Payload   []byte
	signature []byte
}

// A header is what of a protected header the verification reads. Members
// that offer keys (jwk, jku, x5u, x5c) are not among it: a token never
// chooses its own key (RFC 8725, section 3.10).
type Header struct {
	Algorithm *Algorithm // nil: not in the table
	KeyID     string     // empty: none
	Type      string     // normalized; empty: none
}

// parseJWS takes a token apart. The form is checked before any cryptography
// (RFC 7515, section 7.1): three parts of strict base64url, a header of
// strict JSON, and nothing else. Errors wrap ErrMalformed or ErrCritical.
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
	// The decoder refuses every character outside of the alphabet but these
	// two, which it skips.
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

// verifiedBy reports whether the signature is that of the key, which must fit
// the header's algorithm.
func (t *JWS) VerifiedBy(k *Key) bool { return t.Header.Algorithm.verify(k, t.signed, t.signature) }

// parseHeader reads a protected header; it also gives all its members.
func parseHeader(encoded string) (*Header, map[string]any, error) {
	if len(encoded) > maxHeaderBytes {
		return nil, nil, fmt.Errorf("header over %d bytes: %w", maxHeaderBytes, ErrMalformed)
	}
	text, err := strictBase64.DecodeString(encoded)
	if err != nil {
		return nil, nil, fmt.Errorf("header: not strict base64url: %w", ErrMalformed)
	}
	members, err := DecodeObject(text)
	if err != nil {
		return nil, nil, fmt.Errorf("header: %w", err)
	}
	// Both change what is signed or must be understood; this gateway
	// understands no extension (RFC 7515, section 4.1.11; RFC 7797).
	for _, name := range []string{"crit", "b64"} {
		if _, ok := members[name]; ok {
			return nil, nil, fmt.Errorf("header has %s: %w", name, ErrCritical)
		}
	}
	alg, ok := members["alg"].(string)
	if !ok {
		return nil, nil, fmt.Errorf("header without alg: %w", ErrMalformed)
	}
	h := &Header{Algorithm: LookupAlgorithm(alg)}
	if v, ok := members["kid"]; ok {
		if h.KeyID, ok = v.(string); !ok || len(h.KeyID) > maxKeyID || hasControl(h.KeyID) {
			return nil, nil, fmt.Errorf("header's kid is not a short printable string: %w", ErrMalformed)
		}
	}
	if v, ok := members["typ"]; ok {
		typ, ok := v.(string)
		if !ok {
			return nil, nil, fmt.Errorf("header's typ is not a string: %w", ErrMalformed)
		}
		// Two words that would pass for a token without typ.
		if h.Type = NormalizeType(typ); h.Type == "" || h.Type == "none" {
			return nil, nil, fmt.Errorf("header's typ is empty: %w", ErrType)
		}
	}
	return h, members, nil
}

// normalType gives a media type as typ values are compared: without case,
// and with the "application/" that RFC 7515, section 4.1.9 lets go taken off.
func NormalizeType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// hasControl reports whether s holds a control character.
func hasControl(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < 0x20 || s[i] == 0x7f {
			return true
		}
	}
	return false
}
