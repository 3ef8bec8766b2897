package jose

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"os"

	"github.com/go-jose/go-jose/v4"
)

// This file reads the private keys that the gateway signs with: client
// assertions, proofs and tokens. One set of rules holds for all of them. No
// error quotes the text of a key or the name of its file.

const (
	// maxPrivateKeyFile bounds the file of a private key, in bytes: an RSA key
	// of 16,384 bits has 13 KB in PEM.
	maxPrivateKeyFile = 64 << 10

	// minSigningRSABits is the smallest RSA key that signs (RFC 7518, section
	// 3.3).
	minSigningRSABits = 2048
)

var (
	errNoPrivateKey  = errors.New("neither PEM nor a JSON Web Key")
	errNoKeyFile     = errors.New("neither PEM, nor a JSON Web Key, nor a file that can be read")
	errNotPrivateJWK = errors.New("not a valid private JSON Web Key")
	errNotPlainKey   = errors.New("not a plain private key (PKCS #8, PKCS #1 or SEC 1)")
	errSigningKind   = errors.New("not a private key of a supported kind (RSA of 2048 bits or more, EC on P-256, P-384 or P-521, or Ed25519)")
	errKeyAlgorithm  = errors.New("the key does not fit its algorithm")
)

// A PrivateKey is a key that signs.
type PrivateKey struct {
	// Signer is an *rsa.PrivateKey of 2048 bits or more, an *ecdsa.PrivateKey
	// on P-256, P-384 or P-521, or an ed25519.PrivateKey.
	Signer crypto.Signer

	// ID is the kid of a JSON Web Key; empty for one that has none, and for
	// PEM.
	ID string

	// Algorithm is what the key signs with: the alg of a JSON Web Key, or else
	// RS256, ES256, ES384, ES512 or EdDSA, by the kind of the key.
	Algorithm string
}

// String returns a fixed text: no format verb prints the key.
func (PrivateKey) String() string { return "private key" }

// GoString returns the text of String.
func (k PrivateKey) GoString() string { return k.String() }

// NewSigner returns a signer of JWTs with this typ. Where the key has an ID, it
// is the kid of each header. It fails where the key's own alg does not fit it.
func (k PrivateKey) NewSigner(typ string) (jose.Signer, error) {
	key := jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(k.Algorithm),
		Key:       jose.JSONWebKey{Key: k.Signer, KeyID: k.ID, Algorithm: k.Algorithm},
	}
	signer, err := jose.NewSigner(key, new(jose.SignerOptions).WithType(jose.ContentType(typ)))
	if err != nil {
		return nil, errKeyAlgorithm
	}
	return signer, nil
}

// ReadPrivateKey returns the key that a setting holds or names: PEM, a JSON Web
// Key, or the name of a file with either.
func ReadPrivateKey(setting string) (PrivateKey, error) {
	text := bytes.TrimSpace([]byte(setting))
	if bytes.HasPrefix(text, []byte("-----BEGIN")) || bytes.HasPrefix(text, []byte("{")) {
		return ParsePrivateKey(text)
	}
	f, err := os.Open(string(text))
	if err != nil {
		return PrivateKey{}, errNoKeyFile
	}
	defer f.Close() //nolint:errcheck // only read from
	content, err := io.ReadAll(io.LimitReader(f, maxPrivateKeyFile+1))
	if err != nil || len(content) > maxPrivateKeyFile {
		return PrivateKey{}, errNoKeyFile
	}
	return ParsePrivateKey(content)
}

// ParsePrivateKey returns the key of a text: PEM or a private JSON Web Key (RFC
// 7517). What follows the first block of PEM is ignored, such as certificates.
func ParsePrivateKey(text []byte) (PrivateKey, error) {
	if text = bytes.TrimSpace(text); !bytes.HasPrefix(text, []byte("{")) {
		block, _ := DecodePEM(text)
		if block == nil {
			return PrivateKey{}, errNoPrivateKey
		}
		signer, err := ParsePrivateKeyBlock(block)
		if err != nil {
			return PrivateKey{}, err
		}
		return PrivateKey{Signer: signer, Algorithm: signingAlgorithm(signer)}, nil
	}
	var parsed jose.JSONWebKey
	if err := parsed.UnmarshalJSON(text); err != nil || !parsed.Valid() {
		return PrivateKey{}, errNotPrivateJWK
	}
	signer, err := checkSigner(parsed.Key)
	if err != nil {
		return PrivateKey{}, err
	}
	key := PrivateKey{Signer: signer, ID: parsed.KeyID, Algorithm: parsed.Algorithm}
	if key.Algorithm == "" {
		key.Algorithm = signingAlgorithm(signer)
	}
	return key, nil
}

// DecodePEM returns the first block of PEM and what follows it. It skips the
// parameters that openssl ecparam writes before a key. The block is nil where
// the text holds none.
func DecodePEM(text []byte) (block *pem.Block, rest []byte) {
	block, rest = pem.Decode(text)
	if block != nil && block.Type == "EC PARAMETERS" {
		block, rest = pem.Decode(rest)
	}
	return block, rest
}

// ParsePrivateKeyBlock returns the key of a block of PEM: PKCS #8, PKCS #1 or
// SEC 1, each under its own label. An encrypted key is an error.
func ParsePrivateKeyBlock(block *pem.Block) (crypto.Signer, error) {
	var key any
	var err error
	switch block.Type {
	case "PRIVATE KEY":
		return ParsePKCS8(block.Bytes)
	case "RSA PRIVATE KEY":
		key, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		key, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		return nil, errNotPlainKey
	}
	if err != nil {
		return nil, errNotPlainKey
	}
	return checkSigner(key)
}

// ParsePKCS8 returns the key of a PKCS #8 structure in DER (RFC 5208).
func ParsePKCS8(der []byte) (crypto.Signer, error) {
	key, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, errNotPlainKey
	}
	return checkSigner(key)
}

// checkSigner returns the key where it is one that may sign.
func checkSigner(key any) (crypto.Signer, error) {
	signer, ok := key.(crypto.Signer)
	if !ok || signingAlgorithm(signer) == "" {
		return nil, errSigningKind
	}
	return signer, nil
}

// signingAlgorithm returns the algorithm for a key that names none, empty for a
// key that may not sign.
func signingAlgorithm(key crypto.Signer) string {
	switch k := key.(type) {
	case *rsa.PrivateKey:
		if k.N.BitLen() >= minSigningRSABits {
			return "RS256"
		}
	case ed25519.PrivateKey:
		return "EdDSA"
	case *ecdsa.PrivateKey:
		switch k.Curve {
		case elliptic.P256():
			return "ES256"
		case elliptic.P384():
			return "ES384"
		case elliptic.P521():
			return "ES512"
		}
	}
	return ""
}
