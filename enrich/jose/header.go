package jose

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// maxHeaderBytes bounds the encoded protected header. The largest in use carry
// a certificate chain of a few KiB.
const maxHeaderBytes = 8 << 10

// strictBase64 is base64url without padding and without stray bits (RFC
// 7515, section 2).
var strictBase64 = base64.RawURLEncoding.Strict()

// A Header is what of a protected header the verification reads. Members
// that offer keys (jwk, jku, x5u, x5c) are not among it: a token never
// chooses its own key (RFC 8725, section 3.10).
type Header struct {
	Algorithm *Algorithm // nil: not in the table
	KeyID     string     // empty: none
	Type      string     // normalized; empty: none
}

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

// NormalizeType returns a media type as typ values are compared: without case,
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
