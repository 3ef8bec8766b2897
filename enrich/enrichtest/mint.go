package enrichtest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"time"
)

// Claims are the claims of a token. A member that is nil takes the default of
// that name away; a JSON null is json.RawMessage("null").
type Claims = map[string]any

// MintOption changes how one token is made.
type MintOption func(*draft)

// draft is a token that is being made.
type draft struct {
	key        *Key
	header     map[string]any
	claims     Claims
	rawHeader  []byte
	rawPayload []byte
	sign       func(input []byte) ([]byte, error)
}

// WithKey signs with k, be it published or not.
func WithKey(k *Key) MintOption {
	return func(d *draft) {
		d.key = k
		d.header["alg"], d.header["kid"] = k.Algorithm, k.ID
	}
}

// WithHeader sets a member of the token's header; nil takes it away. A
// changed alg is also what the key signs with, where it can.
func WithHeader(name string, value any) MintOption {
	return func(d *draft) { setOrDelete(d.header, name, value) }
}

// WithType sets the header's typ; the empty text takes it away.
func WithType(typ string) MintOption {
	if typ == "" {
		return WithHeader("typ", nil)
	}
	return WithHeader("typ", typ)
}

// WithRawHeader takes text as the header, byte for byte.
func WithRawHeader(text string) MintOption {
	return func(d *draft) { d.rawHeader = []byte(text) }
}

// WithRawPayload takes text as the payload, byte for byte.
func WithRawPayload(text string) MintOption {
	return func(d *draft) { d.rawPayload = []byte(text) }
}

// WithAlgorithm says alg in the header while the key signs with its own
// algorithm: a token whose signature is good and whose header lies.
func WithAlgorithm(alg string) MintOption {
	return func(d *draft) {
		d.header["alg"] = alg
		k := d.key
		d.sign = func(input []byte) ([]byte, error) { return d.key.Sign(k.Algorithm, input) }
	}
}

// WithSecret signs with an HS* algorithm and secret.
func WithSecret(alg string, secret []byte) MintOption {
	return func(d *draft) {
		d.header["alg"] = alg
		d.sign = func(input []byte) ([]byte, error) { return SignHMAC(alg, secret, input) }
	}
}

// WithSignature puts whatever sign returns in the signature's place.
func WithSignature(sign func(input []byte) []byte) MintOption {
	return func(d *draft) {
		d.sign = func(input []byte) ([]byte, error) { return sign(input), nil }
	}
}

// Unsigned leaves the signature empty and says alg in the header: none in one
// of its spellings, say.
func Unsigned(alg string) MintOption {
	return func(d *draft) {
		d.header["alg"] = alg
		d.sign = func([]byte) ([]byte, error) { return nil, nil }
	}
}

// MintWith makes a compact JWS (RFC 7515) with key k: header typ at+jwt and
// exactly the claims given. [Provider.Mint] is the usual way; this one is for
// tests without a provider.
func MintWith(k *Key, claims Claims, options ...MintOption) (string, error) {
	d := &draft{key: k, claims: Claims{}, header: map[string]any{"alg": k.Algorithm, "kid": k.ID, "typ": "at+jwt"}}
	for name, value := range claims {
		setOrDelete(d.claims, name, value)
	}
	for _, o := range options {
		o(d)
	}
	return d.text()
}

func (d *draft) text() (string, error) {
	header, payload := d.rawHeader, d.rawPayload
	var err error
	if header == nil {
		if header, err = json.Marshal(d.header); err != nil {
			return "", fmt.Errorf("encoding a token's header: %w", err)
		}
	}
	if payload == nil {
		if payload, err = json.Marshal(d.claims); err != nil {
			return "", fmt.Errorf("encoding a token's claims: %w", err)
		}
	}
	input := encode(header) + "." + encode(payload)
	sign := d.sign
	if sign == nil {
		alg, ok := d.header["alg"].(string)
		if !ok {
			alg = d.key.Algorithm
		}
		sign = func(input []byte) ([]byte, error) { return d.key.Sign(alg, input) }
	}
	signature, err := sign([]byte(input))
	if err != nil {
		return "", err
	}
	return input + "." + encode(signature), nil
}

// FlipSignature changes one bit of a token's signature.
func FlipSignature(token string) string {
	head, tail, found := cutLast(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(tail)
	if !found || err != nil || len(raw) == 0 {
		return token + "A"
	}
	raw[len(raw)/2] ^= 1
	return head + "." + encode(raw)
}

// Payload decodes the claims of a token without verifying anything.
func Payload(token string) (Claims, error) { return part(token, 1) }

// Header decodes the header of a token without verifying anything.
func Header(token string) (map[string]any, error) { return part(token, 0) }

func part(token string, i int) (map[string]any, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, fmt.Errorf("reading a token: %d parts", len(parts))
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		return nil, fmt.Errorf("reading a token: %w", err)
	}
	var out map[string]any
	if err := json.Unmarshal(raw, &out); err != nil {
		return nil, fmt.Errorf("reading a token: %w", err)
	}
	return out, nil
}

// standardClaims are what a token says unless the test says otherwise: all
// that RFC 9068, section 2.2 requires.
func standardClaims(issuer string, now time.Time, jti string) Claims {
	return Claims{
		"iss":       issuer,
		"sub":       "alice",
		"aud":       "api://legacy",
		"client_id": "payroll",
		"iat":       now.Unix(),
		"exp":       now.Add(5 * time.Minute).Unix(),
		"jti":       jti,
	}
}

func merge(base, over Claims) Claims {
	out := maps.Clone(base)
	for name, value := range over {
		setOrDelete(out, name, value)
	}
	return out
}

func setOrDelete(m map[string]any, name string, value any) {
	if value == nil {
		delete(m, name)
		return
	}
	m[name] = value
}

func encode(raw []byte) string { return base64.RawURLEncoding.EncodeToString(raw) }

func cutLast(s, sep string) (before, after string, found bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}
