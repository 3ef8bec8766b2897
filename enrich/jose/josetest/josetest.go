// Package josetest holds keys and signed tokens for tests.
package josetest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// The keys are made once a process: RSA keys are slow to make.
var (
	// RSAKey and OtherRSAKey are of 2048 bits.
	RSAKey      = sync.OnceValue(func() *rsa.PrivateKey { return Must(rsa.GenerateKey(rand.Reader, 2048)) })
	OtherRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return Must(rsa.GenerateKey(rand.Reader, 2048)) })
	// ECKeys has a key for each of ES256, ES384 and ES512.
	ECKeys = sync.OnceValue(func() map[string]*ecdsa.PrivateKey {
		return map[string]*ecdsa.PrivateKey{
			"ES256": Must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
			"ES384": Must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
			"ES512": Must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		}
	})
	// Ed25519Key is for EdDSA.
	Ed25519Key = sync.OnceValue(func() ed25519.PrivateKey {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return Must(k, err)
	})
)

// Must returns v, and panics on an error.
func Must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// SignerKey returns a private key that fits the algorithm.
func SignerKey(alg string) any {
	switch {
	case strings.HasPrefix(alg, "ES"):
		return ECKeys()[alg]
	case alg == "EdDSA":
		return Ed25519Key()
	}
	return RSAKey()
}

// Sign signs claims as text or as anything that JSON can say.
func Sign(t testing.TB, alg, kid string, key any, header map[string]any, claims any) string {
	t.Helper()
	o := new(jose.SignerOptions)
	for name, v := range header {
		o.WithHeader(jose.HeaderKey(name), v)
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(alg), Key: jose.JSONWebKey{Key: key, KeyID: kid}}, o)
	if err != nil {
		t.Fatal(err)
	}
	text, ok := claims.(string)
	if !ok {
		text = string(Must(json.Marshal(claims)))
	}
	signed, err := s.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return Must(signed.CompactSerialize())
}

// SignRaw signs header and payload as they stand, with RS256.
func SignRaw(t testing.TB, header, payload string) string {
	t.Helper()
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	digest := sha256.Sum256([]byte(text))
	sig, err := rsa.SignPKCS1v15(rand.Reader, RSAKey(), crypto.SHA256, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// JWK returns the public JWK of a private key, with members added or changed.
func JWK(key any, kid, alg string, change ...any) map[string]any {
	k := jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg, Use: "sig"}
	if _, secret := key.([]byte); !secret {
		k = k.Public()
	}
	var members map[string]any
	if err := json.Unmarshal(Must(k.MarshalJSON()), &members); err != nil {
		panic(err)
	}
	for n := 0; n < len(change); n += 2 {
		if change[n+1] == nil {
			delete(members, change[n].(string))
		} else {
			members[change[n].(string)] = change[n+1]
		}
	}
	return members
}

// KeySet returns the text of a key set with these keys.
func KeySet(keys ...any) string {
	if keys == nil {
		keys = []any{}
	}
	return string(Must(json.Marshal(map[string]any{"keys": keys})))
}

// PublicKeyAlgorithms are the names of the algorithms with a public key.
var PublicKeyAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

// AllKeys returns the text of a key set with one key for each of
// PublicKeyAlgorithms, named as the algorithm.
var AllKeys = sync.OnceValue(func() string {
	var keys []any
	for _, alg := range PublicKeyAlgorithms {
		keys = append(keys, JWK(SignerKey(alg), alg, alg))
	}
	return KeySet(keys...)
})
