package jose_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// secretText is part of what must be in no error.
const secretText = "hunter2"

func pemText(t *testing.T, label string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func pkcs8Text(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pemText(t, "PRIVATE KEY", der, err)
}

func jwkText(t *testing.T, key gojose.JSONWebKey) string {
	t.Helper()
	text, err := json.Marshal(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func ecPrivate(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func TestPrivateKeysOfEveryKindAndEncoding(t *testing.T) {
	p256 := ecPrivate(t, elliptic.P256())
	sec1, err := x509.MarshalECPrivateKey(p256)
	sec1Text := pemText(t, "EC PRIVATE KEY", sec1, err)
	parameters := pemText(t, "EC PARAMETERS", []byte{6, 8, 42, 134, 72, 206, 61, 3, 1, 7}, nil)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte("\n"+sec1Text), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text, algorithm, id string
	}{
		{"PKCS #8, P-256", pkcs8Text(t, p256), "ES256", ""},
		{"PKCS #8, P-384", pkcs8Text(t, ecPrivate(t, elliptic.P384())), "ES384", ""},
		{"PKCS #8, P-521", pkcs8Text(t, ecPrivate(t, elliptic.P521())), "ES512", ""},
		{"PKCS #8, RSA", pkcs8Text(t, rsaKey), "RS256", ""},
		{"PKCS #8, Ed25519", pkcs8Text(t, ed), "EdDSA", ""},
		{"PKCS #1", pemText(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil), "RS256", ""},
		{"SEC 1", sec1Text, "ES256", ""},
		{"SEC 1 behind its parameters", parameters + sec1Text, "ES256", ""},
		{"a certificate behind the key", sec1Text + pemText(t, "CERTIFICATE", []byte("x"), nil), "ES256", ""},
		{"a JSON Web Key", " " + jwkText(t, gojose.JSONWebKey{Key: ed, KeyID: "k"}), "EdDSA", "k"},
		{"a JSON Web Key with an alg", jwkText(t, gojose.JSONWebKey{Key: rsaKey, Algorithm: "PS256"}), "PS256", ""},
		{"a file", file, "ES256", ""},
	} {
		key, err := jose.ReadPrivateKey(c.text)
		if err != nil || key.Algorithm != c.algorithm || key.ID != c.id {
			t.Errorf("%s: %s, %q, %v", c.name, key.Algorithm, key.ID, err)
			continue
		}
		signer, err := key.NewSigner("JWT")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		signed, err := signer.Sign([]byte("{}"))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		text, err := signed.CompactSerialize()
		if err != nil {
			t.Fatal(err)
		}
		parsed, err := gojose.ParseSignedCompact(text, []gojose.SignatureAlgorithm{gojose.SignatureAlgorithm(c.algorithm)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := parsed.Verify(key.Signer.Public()); err != nil || parsed.Signatures[0].Header.KeyID != c.id {
			t.Errorf("%s: %v", c.name, err)
		}
		if shown := fmt.Sprintf("%v %+v %#v", key, key, key); shown != "private key private key private key" {
			t.Errorf("%s: shown as %s", c.name, shown)
		}
	}
}

func TestWhatIsNoPrivateKeyIsRefused(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	p256 := ecPrivate(t, elliptic.P256())
	public, err := x509.MarshalPKIXPublicKey(p256.Public())
	publicText := pemText(t, "PUBLIC KEY", public, err)
	good := pkcs8Text(t, p256)
	long := filepath.Join(t.TempDir(), "long.pem")
	if err := os.WriteFile(long, []byte(strings.Repeat(" ", 64<<10)+good), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"nothing":             "",
		"words":               secretText,
		"half a key":          good[:len(good)/2],
		"a damaged key":       pemText(t, "PRIVATE KEY", []byte(secretText), nil),
		"an encrypted key":    pemText(t, "ENCRYPTED PRIVATE KEY", []byte(secretText), nil),
		"another label":       strings.ReplaceAll(good, "PRIVATE KEY", "CERTIFICATE"),
		"a public key":        publicText,
		"weak RSA":            pkcs8Text(t, weak),
		"a curve that is out": pkcs8Text(t, ecPrivate(t, elliptic.P224())),
		"a broken JWK":        "{" + secretText + "}",
		"a public JWK":        jwkText(t, gojose.JSONWebKey{Key: p256.Public()}),
		"a symmetric JWK":     `{"kty":"oct","k":"` + secretText + `"}`,
		"a file over bound":   long,
	} {
		if key, err := jose.ReadPrivateKey(text); err == nil || key.Signer != nil || strings.Contains(err.Error(), secretText) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	key := jose.PrivateKey{Signer: crypto.Signer(p256), Algorithm: "RS256"}
	if _, err := key.NewSigner("JWT"); err == nil {
		t.Error("a key signs by an algorithm that does not fit it")
	}
}
