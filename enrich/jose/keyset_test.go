package jose

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
)

// decoys are keys that cannot be used. Next to a good key each of them must
// be skipped, counted and otherwise without effect.
func decoys() map[string]string {
	text := func(v any) string { return string(must(json.Marshal(v))) }
	good := jwk(rsaKey(), "good", "RS256")
	change := func(change ...any) string { return text(jwk(rsaKey(), "decoy", "RS256", change...)) }
	b64 := base64.RawURLEncoding.EncodeToString
	private := gojose.JSONWebKey{Key: otherRSAKey(), KeyID: "decoy", Algorithm: "RS256"}
	weak := must(rsa.GenerateKey(rand.Reader, 1024))
	even := new(big.Int).Lsh(big.NewInt(3), 2047)
	return map[string]string{
		"AKP (ML-DSA)":            `{"kty":"AKP","kid":"pq","alg":"ML-DSA-44","pub":"AAAA"}`,
		"made-up kty":             `{"kty":"WAT","kid":"w"}`,
		"missing kty":             `{"kid":"m"}`,
		"EC of an unknown curve":  `{"kty":"EC","kid":"c","crv":"P-999","x":"AAAA","y":"AAAA"}`,
		"EC of secp256k1":         `{"kty":"EC","kid":"k1","crv":"secp256k1","x":"AAAA","y":"AAAA"}`,
		"EC of a short point":     `{"kty":"EC","kid":"c","crv":"P-256","x":"AAAA","y":"AAAA"}`,
		"EC off its curve":        text(jwk(ecKeys()["ES256"], "c", "ES256", "x", b64(make([]byte, 32)))),
		"EC at infinity":          text(jwk(ecKeys()["ES256"], "c", "ES256", "x", b64(make([]byte, 32)), "y", b64(make([]byte, 32)))),
		"EC with alg of another":  text(jwk(ecKeys()["ES256"], "c", "ES384")),
		"EC with alg ES521":       text(jwk(ecKeys()["ES512"], "c", "ES521")),
		"EC without y":            text(jwk(ecKeys()["ES256"], "c", "ES256", "y", nil)),
		"OKP of X25519":           `{"kty":"OKP","kid":"x","crv":"X25519","x":"` + b64(make([]byte, 32)) + `"}`,
		"OKP of a short key":      `{"kty":"OKP","kid":"x","crv":"Ed25519","x":"AAAA"}`,
		"bad x5c":                 change("x5c", []string{"AAAA"}),
		"null":                    `null`,
		"a number":                `1`,
		"a list":                  `[{"kty":"RSA"}]`,
		"a name twice":            strings.Replace(text(good), "{", `{"kid":"good2",`, 1),
		"invalid UTF-8":           "{\"kty\":\"RSA\",\"kid\":\"\xff\"}",
		"use enc":                 change("use", "enc"),
		"use a list":              change("use", []string{"sig"}),
		"key_ops without verify":  change("key_ops", []string{"encrypt", "sign"}),
		"key_ops empty":           change("key_ops", []string{}),
		"key_ops a string":        change("key_ops", "verify"),
		"alg of an encryption":    change("alg", "RSA-OAEP"),
		"alg of another kind":     change("alg", "ES256"),
		"alg none":                change("alg", "none"),
		"alg a number":            change("alg", 1),
		"alg of an HMAC":          change("alg", "HS256"),
		"kid a number":            change("kid", 1),
		"private key":             string(must(private.MarshalJSON())),
		"RSA of 1024 bits":        text(jwk(weak, "weak", "RS256")),
		"RSA with exponent 1":     change("e", "AQ"),
		"RSA with exponent 0":     change("e", "AA"),
		"RSA with even exponent":  change("e", b64([]byte{1, 0, 0})),
		"RSA with even modulus":   change("n", b64(even.Bytes())),
		"RSA without modulus":     change("n", nil),
		"RSA with a huge modulus": change("n", b64(append([]byte{1}, make([]byte, 2048)...))),
		"a secret":                `{"kty":"oct","kid":"s","alg":"HS256","k":"` + b64(make([]byte, 64)) + `"}`,
	}
}

// testClaims are what the tokens of these tests say.
const testClaims = `{"iss":"https://idp.example.com","sub":"00u1ada"}`

// verify checks the signature of a token with the keys of the set.
func verify(t *testing.T, s *KeySet, raw string) error {
	t.Helper()
	parsed, err := Parse(raw, MaxTokenBytes, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s.Verify(&parsed)
}

func TestUnusableKeysAreSkippedAndCounted(t *testing.T) {
	good := string(must(json.Marshal(jwk(rsaKey(), "good", "RS256"))))
	token := sign(t, "RS256", "good", rsaKey(), nil, testClaims)
	for name, decoy := range decoys() {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{
				`{"keys":[` + decoy + `,` + good + `]}`,
				`{"keys":[` + good + `,` + decoy + `]}`,
			} {
				s, err := ParseKeySet([]byte(text), false)
				if err != nil {
					t.Fatal(err)
				}
				if err := verify(t, s, token); err != nil {
					t.Errorf("the good key does not work: %v", err)
				}
				if s.Len() != 1 || s.Skipped() != 1 {
					t.Errorf("got %d keys, %d skipped", s.Len(), s.Skipped())
				}
			}
			if _, err := ParseKeySet([]byte(`{"keys":[`+decoy+`]}`), false); !errors.Is(err, ErrNoKeys) {
				t.Errorf("a set of the decoy alone: got %v, want %v", err, ErrNoKeys)
			}
		})
	}
}

func TestKeySetMustBeAnObjectWithKeys(t *testing.T) {
	good := string(must(json.Marshal(jwk(rsaKey(), "good", "RS256"))))
	for name, text := range map[string]string{
		"nothing":           ``,
		"HTML":              `<!doctype html><title>Sign in</title>`,
		"a list":            `[` + good + `]`,
		"a key":             good,
		"no keys":           `{}`,
		"keys null":         `{"keys":null}`,
		"keys an object":    `{"keys":{"a":` + good + `}}`,
		"keys in capitals":  `{"KEYS":[` + good + `]}`,
		"keys twice":        `{"keys":[` + good + `],"keys":[` + good + `]}`,
		"truncated":         `{"keys":[` + good,
		"truncated in key":  `{"keys":[` + good[:len(good)/2],
		"something behind":  `{"keys":[` + good + `]}x`,
		"another behind":    `{"keys":[` + good + `]}{}`,
		"comma at the end":  `{"keys":[` + good + `,]}`,
		"garbage before it": `{"a":tru,"keys":[` + good + `]}`,
	} {
		if _, err := ParseKeySet([]byte(text), false); !errors.Is(err, ErrNotKeySet) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := ParseKeySet([]byte(`{"keys":[]}`), false); !errors.Is(err, ErrNoKeys) {
		t.Errorf("an empty set: got %v", err)
	}
	for name, text := range map[string]string{
		"other members":  `{"a":{"keys":1},"keys":[` + good + `],"b":[]}`,
		"a member twice": `{"a":1,"keys":[` + good + `],"a":2}`,
		"spaces":         " {\n\"keys\" :\t[ " + good + " ] } ",
	} {
		if s, err := ParseKeySet([]byte(text), false); err != nil || len(s.keys) != 1 {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestKeySetLooksAtABoundedNumberOfKeys(t *testing.T) {
	var keys []any
	for n := range maxKeys + 10 {
		keys = append(keys, jwk(edKey(), fmt.Sprint("k", n), "EdDSA"))
	}
	s := must(ParseKeySet([]byte(keySetText(keys...)), false))
	if len(s.keys) != maxKeys || s.skipped != 10 {
		t.Errorf("got %d keys, %d skipped", len(s.keys), s.skipped)
	}
	h := &Header{Algorithm: LookupAlgorithm("EdDSA")}
	if list, err := s.candidates(h); err != nil || len(list) != maxTrials {
		t.Errorf("%d keys are tried without a kid, want %d (%v)", len(list), maxTrials, err)
	}
}

func TestKeySetDigestIsThatOfTheContent(t *testing.T) {
	a, b := jwk(rsaKey(), "a", "RS256"), jwk(edKey(), "b", "EdDSA")
	base := must(ParseKeySet([]byte(keySetText(a, b)), false)).digest
	same := map[string]string{
		"another order":     keySetText(b, a),
		"a key twice":       keySetText(a, b, a),
		"a decoy beside":    keySetText(a, b, map[string]any{"kty": "WAT"}),
		"another member":    keySetText(jwk(rsaKey(), "a", "RS256", "x5t", "AAAA", "use", nil), b),
		"Ed25519 for EdDSA": keySetText(a, jwk(edKey(), "b", "EdDSA", "alg", "Ed25519")),
	}
	for name, text := range same {
		if name == "another member" {
			text = keySetText(jwk(rsaKey(), "a", "RS256", "use", nil, "note", "x"), b)
		}
		if must(ParseKeySet([]byte(text), false)).digest != base {
			t.Errorf("%s changes the digest", name)
		}
	}
	for name, text := range map[string]string{
		"one key less":  keySetText(a),
		"another kid":   keySetText(jwk(rsaKey(), "c", "RS256"), b),
		"another alg":   keySetText(jwk(rsaKey(), "a", "RS512"), b),
		"no alg":        keySetText(jwk(rsaKey(), "a", "RS256", "alg", nil), b),
		"another key":   keySetText(jwk(otherRSAKey(), "a", "RS256"), b),
		"one key more":  keySetText(a, b, jwk(ecKeys()["ES256"], "e", "ES256")),
		"kids swapped":  keySetText(jwk(rsaKey(), "b", "RS256"), jwk(edKey(), "a", "EdDSA")),
		"another curve": keySetText(a, jwk(ecKeys()["ES384"], "b", "ES384")),
	} {
		if must(ParseKeySet([]byte(text), false)).digest == base {
			t.Errorf("%s leaves the digest", name)
		}
	}
}

func TestDuplicateKeyIDsDoNotDependOnTheirOrder(t *testing.T) {
	one, other := jwk(rsaKey(), "k", "RS256"), jwk(otherRSAKey(), "k", "RS256")
	rs, ps := jwk(rsaKey(), "k", "RS256"), jwk(otherRSAKey(), "k", "PS256")
	open := jwk(otherRSAKey(), "k", "RS256", "alg", nil)
	byOne := sign(t, "RS256", "k", rsaKey(), nil, testClaims)
	byOther := sign(t, "RS256", "k", otherRSAKey(), nil, testClaims)
	pss := sign(t, "PS256", "k", otherRSAKey(), nil, testClaims)
	for _, c := range []struct {
		name string
		keys []any
		raw  string
		want error
	}{
		{"two keys, the first", []any{one, other}, byOne, errKeyAmbiguous},
		{"two keys, the second", []any{one, other}, byOther, errKeyAmbiguous},
		{"one key twice", []any{one, one}, byOne, nil},
		{"two algorithms, the first", []any{rs, ps}, byOne, nil},
		{"two algorithms, the second", []any{rs, ps}, pss, nil},
		{"two algorithms, the wrong key", []any{rs, ps}, byOther, ErrSignature},
		{"a key for any algorithm beside", []any{rs, open}, byOne, errKeyAmbiguous},
		{"a key for any algorithm, where it is alone", []any{rs, open}, pss, nil},
	} {
		for range 2 {
			s := must(ParseKeySet([]byte(keySetText(c.keys...)), false))
			if err := verify(t, s, c.raw); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
			slices.Reverse(c.keys)
		}
	}
}

func TestTokenWithoutKeyIDIsTriedWithEveryKeyThatFits(t *testing.T) {
	s := must(ParseKeySet([]byte(keySetText(
		jwk(otherRSAKey(), "a", "RS256"), jwk(rsaKey(), "b", "PS256"), jwk(rsaKey(), "c", "RS256"), jwk(edKey(), "d", "EdDSA"))), false))
	for _, alg := range []string{"RS256", "PS256", "EdDSA"} {
		if err := verify(t, s, sign(t, alg, "", signerKey(alg), nil, testClaims)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	if err := verify(t, s, sign(t, "ES256", "", signerKey("ES256"), nil, testClaims)); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("an algorithm without a key: got %v", err)
	}
	if err := verify(t, s, sign(t, "PS256", "", otherRSAKey(), nil, testClaims)); !errors.Is(err, ErrSignature) {
		t.Errorf("a key of another algorithm: got %v", err)
	}
}

func TestSecretsAndPublicKeysNeverMix(t *testing.T) {
	secret := []byte(strings.Repeat("s", 64))
	oct := jwk(secret, "s", "HS256")
	if _, err := ParseKeySet([]byte(keySetText(oct, jwk(rsaKey(), "r", "RS256"))), true); !errors.Is(err, ErrMixedKeys) {
		t.Errorf("a mixed set for HMACs: got %v", err)
	}
	if s, err := ParseKeySet([]byte(keySetText(oct)), true); err != nil || len(s.keys) != 1 {
		t.Errorf("a set of secrets for HMACs: got %v", err)
	}
	if s, err := ParseKeySet([]byte(keySetText(oct, jwk(rsaKey(), "r", "RS256"))), false); err != nil || len(s.keys) != 1 || s.skipped != 1 {
		t.Errorf("a mixed set for public keys: got %v", err)
	}
	for alg, size := range map[string]int{"HS256": 31, "HS384": 47, "HS512": 63} {
		k := jwk(make([]byte, size), "s", alg)
		if _, err := ParseKeySet([]byte(keySetText(k)), true); !errors.Is(err, ErrNoKeys) {
			t.Errorf("a secret of %d bytes for %s: got %v", size, alg, err)
		}
	}
}
