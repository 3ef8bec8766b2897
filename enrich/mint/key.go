package mint

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// algorithms is the closed set of what the gateway signs with: asymmetric
// only, because applications must be able to verify and not to sign.
var algorithms = []string{"ES256", "ES384", "EdDSA", "RS256", "PS256"}

// rsaBits is the size of RSA keys made here. 2048 is what RFC 7518, section
// 3.3 demands and every library accepts; the keys live for a month.
const rsaBits = 2048

// errKey says that a key cannot be used: it is damaged, or of another kind or
// size than the algorithm takes.
var errKey = errors.New("unusable key")

// key is one signing key, or, without a private part, one that is only
// published. It never changes once it is in a ring.
type key struct {
	id        string
	algorithm string
	created   time.Time
	signsFrom time.Time

	private crypto.Signer // nil: published only
	public  jose.JSONWebKey

	// One signer for each typ that a token can have.
	access, plain jose.Signer
}

// String returns the key's id, so that no format verb prints the private part.
func (k *key) String() string { return "key " + k.id }

// GoString keeps %#v from printing the private part.
func (k *key) GoString() string { return k.String() }

// LogValue returns the key's id, which is all that a log shows of it.
func (k *key) LogValue() slog.Value { return slog.StringValue(k.id) }

// generate makes a key for an algorithm.
func generate(algorithm string, random io.Reader) (*key, error) {
	var private crypto.Signer
	var err error
	switch algorithm {
	case "ES256":
		private, err = ecdsa.GenerateKey(elliptic.P256(), random)
	case "ES384":
		private, err = ecdsa.GenerateKey(elliptic.P384(), random)
	case "EdDSA":
		_, private, err = ed25519.GenerateKey(random)
	case "RS256", "PS256":
		private, err = rsa.GenerateKey(random, rsaBits)
	default:
		return nil, fmt.Errorf("making a key for %q: %w", algorithm, errKey)
	}
	if err != nil {
		return nil, fmt.Errorf("making a signing key: %w", err)
	}
	return newKey(algorithm, private)
}

// newKey makes a key that signs.
func newKey(algorithm string, private crypto.Signer) (*key, error) {
	k, err := newPublicKey(algorithm, private.Public())
	if err != nil {
		return nil, err
	}
	k.private = private
	signing := jose.SigningKey{
		Algorithm: jose.SignatureAlgorithm(algorithm),
		Key:       jose.JSONWebKey{Key: private, KeyID: k.id, Algorithm: algorithm},
	}
	if k.access, err = jose.NewSigner(signing, (&jose.SignerOptions{}).WithType(TypeAccess)); err == nil {
		k.plain, err = jose.NewSigner(signing, (&jose.SignerOptions{}).WithType(TypePlain))
	}
	if err != nil {
		return nil, fmt.Errorf("preparing a signing key: %w", errKey)
	}
	return k, nil
}

// newPublicKey makes a key that is only published. Its id is its thumbprint
// (RFC 7638), so that the same key has the same id on every node.
func newPublicKey(algorithm string, public crypto.PublicKey) (*key, error) {
	if err := fits(algorithm, public); err != nil {
		return nil, err
	}
	k := &key{algorithm: algorithm, public: jose.JSONWebKey{Key: public, Algorithm: algorithm, Use: "sig"}}
	thumbprint, err := k.public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fmt.Errorf("taking a key's thumbprint: %w", errKey)
	}
	k.id = base64.RawURLEncoding.EncodeToString(thumbprint)
	k.public.KeyID = k.id
	return k, nil
}

// fits checks that a key is of the algorithm's kind, and strong enough
// (RFC 7518, sections 3.3 and 3.4).
func fits(algorithm string, public crypto.PublicKey) error {
	ok := false
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		ok = algorithm == "ES256" && p.Curve == elliptic.P256() || algorithm == "ES384" && p.Curve == elliptic.P384()
	case ed25519.PublicKey:
		ok = algorithm == "EdDSA"
	case *rsa.PublicKey:
		ok = (algorithm == "RS256" || algorithm == "PS256") && p.N.BitLen() >= rsaBits
	}
	if !ok {
		return fmt.Errorf("%s for %s (ES256 takes P-256, ES384 P-384, EdDSA Ed25519, RS256 and PS256 RSA from %d bits): %w", kind(public), algorithm, rsaBits, errKey)
	}
	return nil
}

// kind names what a key is, for an operator.
func kind(public crypto.PublicKey) string {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		return "an ECDSA key on " + p.Curve.Params().Name
	case ed25519.PublicKey:
		return "an Ed25519 key"
	case *rsa.PublicKey:
		return fmt.Sprintf("an RSA key of %d bits", p.N.BitLen())
	}
	return "a key of an unsupported type"
}

// algorithmOf is the algorithm that a key is made for; an RSA key, which
// could serve several, takes the wish.
func algorithmOf(public crypto.PublicKey, wish string) string {
	switch p := public.(type) {
	case *ecdsa.PublicKey:
		if p.Curve == elliptic.P384() {
			return "ES384"
		}
		return "ES256"
	case ed25519.PublicKey:
		return "EdDSA"
	}
	if wish == "PS256" {
		return wish
	}
	return "RS256"
}

// pkcs8 encodes the private key for the storage. Its error holds nothing of it.
func (k *key) pkcs8() ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(k.private)
	if err != nil {
		return nil, errors.New("encoding a signing key")
	}
	return der, nil
}
