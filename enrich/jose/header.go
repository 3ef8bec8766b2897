package jose

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// This file parses the protected header of a JWS.

// maxHeaderBytes bounds the encoded protected header. The largest in use carry
// a certificate chain of a few KiB.
const maxHeaderBytes = 8 << 10

// strictBase64 is base64url without padding (RFC 7515, section 2). It refuses
// stray bits at the end, so that a value has one text only.
var strictBase64 = base64.RawURLEncoding.Strict()

// A Header holds the members of a protected header that verification reads.
// Members that offer keys (jwk, jku, x5u, x5c) are left out: a token never
// chooses its own key (RFC 8725, section 3.10). It is never changed.
type Header struct {
	// Algorithm is the alg, nil where the table has none of that name.
	Algorithm *Algorithm

	// KeyID is the kid, empty where the header has none.
	KeyID string

	// Type is the typ as NormalizeType returns it, empty where the header has
	// none.
	Type string
}

// parseHeader parses an encoded protected header. It returns what verification
// reads, and all members.
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
	// crit lists extensions that must be understood, and this gateway
	// understands none (RFC 7515, section 4.1.11). b64 changes what is signed
	// (RFC 7797).
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
		// Neither may pass for a header without typ, which issuers call "none".
		if h.Type = NormalizeType(typ); h.Type == "" || h.Type == "none" {
			return nil, nil, fmt.Errorf("header's typ is empty: %w", ErrType)
		}
	}
	return h, members, nil
}

// NormalizeType returns the form in which typ values are compared: lower case,
// without the "application/" that RFC 7515, section 4.1.9 lets senders omit.
func NormalizeType(typ string) string {
	return strings.TrimPrefix(strings.ToLower(typ), "application/")
}

// hasControl reports whether s holds a control character of ASCII. A kid is
// logged.
func hasControl(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f })
}
