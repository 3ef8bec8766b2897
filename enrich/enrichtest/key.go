package enrichtest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha256" // registers SHA-256 for crypto.Hash
	_ "crypto/sha512" // registers SHA-384 and SHA-512 for crypto.Hash
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"strings"

	"github.com/go-jose/go-jose/v4"
)

// Key is a signing key and the entry that stands for it in a key set.
type Key struct {
	// ID is the kid.
	ID string

	// Algorithm is what tokens signed with the key say by default.
	Algorithm string

	signer crypto.Signer
	jwk    map[string]any
}

// NewKey makes a key for a JWS algorithm: RS*, PS* (2048 bits), ES256, ES384,
// ES512, EdDSA or its newer name Ed25519 (RFC 9864).
func NewKey(algorithm, id string) (*Key, error) {
	var signer crypto.Signer
	var err error
	switch algorithm {
	case "RS256", "RS384", "RS512", "PS256", "PS384", "PS512":
		signer, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ES256":
		signer, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		signer, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "ES512":
		signer, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case "EdDSA", "Ed25519":
		_, signer, err = ed25519.GenerateKey(rand.Reader)
	default:
		return nil, fmt.Errorf("making a key: unknown algorithm %q", algorithm)
	}
	if err != nil {
		return nil, fmt.Errorf("making a key for %s: %w", algorithm, err)
	}
	return KeyFrom(signer, algorithm, id)
}

// KeyFrom wraps a key that exists already, such as an RSA key that is too
// short to be accepted.
func KeyFrom(signer crypto.Signer, algorithm, id string) (*Key, error) {
	text, err := jose.JSONWebKey{Key: signer.Public(), KeyID: id, Algorithm: algorithm, Use: "sig"}.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("encoding key %s: %w", id, err)
	}
	k := &Key{ID: id, Algorithm: algorithm, signer: signer}
	if err := json.Unmarshal(text, &k.jwk); err != nil {
		return nil, fmt.Errorf("encoding key %s: %w", id, err)
	}
	return k, nil
}

// Public is the public half.
func (k *Key) Public() crypto.PublicKey { return k.signer.Public() }

// Private is the private half.
func (k *Key) Private() crypto.Signer { return k.signer }

// JWK is a copy of the entry in the key set (RFC 7517).
func (k *Key) JWK() map[string]any { return maps.Clone(k.jwk) }

// With returns the same key under an altered entry: edit gets a copy and may
// change or delete members (alg, use, key_ops, kid, …).
func (k *Key) With(edit func(jwk map[string]any)) *Key {
	altered := &Key{ID: k.ID, Algorithm: k.Algorithm, signer: k.signer, jwk: k.JWK()}
	edit(altered.jwk)
	return altered
}

// Thumbprint is the SHA-256 thumbprint of the public key in base64url
// (RFC 7638); a cnf claim's jkt holds it.
func (k *Key) Thumbprint() string {
	sum, err := (&jose.JSONWebKey{Key: k.signer.Public()}).Thumbprint(crypto.SHA256)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(sum)
}

// Sign signs input under any algorithm that the kind of key can do, whatever
// the key's own algorithm is.
func (k *Key) Sign(algorithm string, input []byte) ([]byte, error) {
	switch key := k.signer.(type) {
	case ed25519.PrivateKey:
		return ed25519.Sign(key, input), nil
	case *rsa.PrivateKey:
		hash, digest, err := digestFor(algorithm, input)
		if err != nil {
			return nil, err
		}
		if strings.HasPrefix(algorithm, "PS") {
			return rsa.SignPSS(rand.Reader, key, hash, digest, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
		}
		return rsa.SignPKCS1v15(rand.Reader, key, hash, digest)
	case *ecdsa.PrivateKey:
		_, digest, err := digestFor(algorithm, input)
		if err != nil {
			return nil, err
		}
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			return nil, fmt.Errorf("signing with %s: %w", algorithm, err)
		}
		size := (key.Curve.Params().BitSize + 7) / 8
		out := make([]byte, 2*size)
		r.FillBytes(out[:size])
		s.FillBytes(out[size:])
		return out, nil
	}
	return nil, fmt.Errorf("signing: a key of type %T cannot sign", k.signer)
}

// SignHMAC is the signature of the HS* algorithms, for tests that use a
// public key's text as the secret.
func SignHMAC(algorithm string, secret, input []byte) ([]byte, error) {
	hash, err := hashFor(algorithm)
	if err != nil {
		return nil, err
	}
	mac := hmac.New(hash.New, secret)
	mac.Write(input)
	return mac.Sum(nil), nil
}

func digestFor(algorithm string, input []byte) (crypto.Hash, []byte, error) {
	hash, err := hashFor(algorithm)
	if err != nil {
		return 0, nil, err
	}
	h := hash.New()
	h.Write(input)
	return hash, h.Sum(nil), nil
}

func hashFor(algorithm string) (crypto.Hash, error) {
	switch {
	case strings.HasSuffix(algorithm, "256"):
		return crypto.SHA256, nil
	case strings.HasSuffix(algorithm, "384"):
		return crypto.SHA384, nil
	case strings.HasSuffix(algorithm, "512"):
		return crypto.SHA512, nil
	}
	return 0, fmt.Errorf("signing: algorithm %q names no hash", algorithm)
}
