package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"

	gojose "github.com/go-jose/go-jose/v4"
)

// This file reads one public key or secret and decides whether it may verify
// signatures.

const (
	// maxKeyID bounds a kid. Those in use are thumbprints, UUIDs and names.
	maxKeyID = 512
	// minRSABits is the smallest RSA key (RFC 7518, section 3.3).
	minRSABits = 2048
	// maxRSABits bounds the work of one verification. go-jose, which decodes
	// the keys, has the same bound.
	maxRSABits = 4096
)

// A Key is a key that may verify signatures. It is never changed.
type Key struct {
	kid    string     // empty if it has none
	bound  *Algorithm // the key's own alg; nil if any that fits its kind will do
	public any        // *rsa.PublicKey, *ecdsa.PublicKey, ed25519.PublicKey or []byte
	print  [sha256.Size]byte
}

// Fits reports whether the key may be used with the algorithm (RFC 8725,
// section 3.1: one key, one algorithm, where the key says which).
func (k *Key) Fits(a *Algorithm) bool {
	if k.bound != nil && k.bound != a {
		return false
	}
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		return a.family == familyRSA
	case *ecdsa.PublicKey:
		return a.family == familyEC && (pub.Curve.Params().BitSize+7)/8 == a.size
	case ed25519.PublicKey:
		return a.family == familyEd25519
	case []byte:
		return a.family == familyHMAC && len(pub) >= a.hash.Size()
	}
	return false
}

// Symmetric reports whether the key is a secret.
func (k *Key) Symmetric() bool {
	_, ok := k.public.([]byte)
	return ok
}

// Why a key cannot be used.
var (
	errKeyUse     = errors.New("key is not for verifying signatures")
	errKeyPrivate = errors.New("key holds private members")
	errKeyWeak    = errors.New("key is too weak")
	errKeyKind    = errors.New("key kind is not supported")
)

// ParseKey reads one JWK (RFC 7517). It refuses private keys, keys for another
// use, weak keys and kinds that are not supported. Errors hold nothing of the
// key.
func ParseKey(text []byte) (*Key, error) {
	members, err := DecodeObject(text)
	if err != nil {
		return nil, err
	}
	if err := checkUse(members); err != nil {
		return nil, err
	}
	k := new(Key)
	if v, ok := members["kid"]; ok {
		if k.kid, ok = v.(string); !ok || len(k.kid) > maxKeyID {
			return nil, fmt.Errorf("kid is not a short string: %w", errKeyKind)
		}
	}
	if v, ok := members["alg"]; ok {
		name, _ := v.(string)
		if k.bound = LookupAlgorithm(name); k.bound == nil {
			return nil, fmt.Errorf("alg is not a signature algorithm: %w", errKeyKind)
		}
	}
	var parsed gojose.JSONWebKey
	if err := parsed.UnmarshalJSON(text); err != nil {
		return nil, fmt.Errorf("reading the key: %w", errKeyKind)
	}
	k.public = parsed.Key
	if err := k.checkMaterial(); err != nil {
		return nil, err
	}
	if k.bound != nil && !k.Fits(k.bound) {
		return nil, fmt.Errorf("alg does not fit the key: %w", errKeyKind)
	}
	k.print = k.fingerprint()
	return k, nil
}

// checkUse refuses keys for another use (RFC 7517, sections 4.2 and 4.3), and
// private keys: whoever can read the key set can sign with them.
func checkUse(members map[string]any) error {
	if use, ok := members["use"]; ok && use != "sig" {
		return errKeyUse
	}
	if v, ok := members["key_ops"]; ok {
		ops, _ := v.([]any)
		verify := false
		for _, op := range ops {
			verify = verify || op == "verify"
		}
		if !verify {
			return errKeyUse
		}
	}
	for _, name := range []string{"d", "p", "q", "dp", "dq", "qi", "oth", "priv"} {
		if _, ok := members[name]; ok {
			return errKeyPrivate
		}
	}
	return nil
}

// checkMaterial refuses keys whose signatures can be forged. go-jose has already
// refused points that are not on their curve.
func (k *Key) checkMaterial() error {
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		switch bits := pub.N.BitLen(); {
		case bits < minRSABits, bits > maxRSABits:
			return fmt.Errorf("RSA modulus of %d bits: %w", bits, errKeyWeak)
		case pub.N.Bit(0) == 0, pub.E < 3, pub.E&1 == 0:
			return fmt.Errorf("RSA modulus or exponent: %w", errKeyWeak)
		case isROCA(pub.N):
			return fmt.Errorf("RSA modulus of a broken generator: %w", errKeyWeak)
		}
	case *ecdsa.PublicKey, ed25519.PublicKey:
	case []byte:
		if len(pub) < sha256.Size {
			return fmt.Errorf("secret of %d bytes: %w", len(pub), errKeyWeak)
		}
	default:
		return errKeyKind
	}
	return nil
}

// Thumbprint returns the key's SHA-256 thumbprint (RFC 7638) in base64url, as
// the jkt of a token's cnf names it.
func (k *Key) Thumbprint() (string, error) {
	jwk := gojose.JSONWebKey{Key: k.public}
	sum, err := jwk.Thumbprint(crypto.SHA256)
	if err != nil {
		return "", fmt.Errorf("hashing the key: %w", errKeyKind)
	}
	return base64.RawURLEncoding.EncodeToString(sum), nil
}

// fingerprint returns a hash of all that matters to verification. Keys with equal
// fingerprints verify the same tokens. Each part is written with its length, so
// that no two keys have the same input.
func (k *Key) fingerprint() [sha256.Size]byte {
	h := sha256.New()
	part := func(b []byte) {
		var n [8]byte
		binary.BigEndian.PutUint64(n[:], uint64(len(b)))
		h.Write(n[:])
		h.Write(b)
	}
	part([]byte(k.kid))
	if k.bound != nil {
		part([]byte(k.bound.name))
	} else {
		part(nil)
	}
	switch pub := k.public.(type) {
	case *rsa.PublicKey:
		part([]byte("RSA"))
		part(pub.N.Bytes())
		part(binary.BigEndian.AppendUint64(nil, uint64(pub.E)))
	case *ecdsa.PublicKey:
		part([]byte("EC"))
		if b, err := pub.Bytes(); err == nil {
			part(b)
		}
	case ed25519.PublicKey:
		part([]byte("Ed25519"))
		part(pub)
	case []byte:
		part([]byte("oct"))
		part(pub)
	}
	var print [sha256.Size]byte
	h.Sum(print[:0])
	return print
}
