package mint

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

func writePEM(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func ecKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func pkcs8File(t *testing.T, k crypto.Signer) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(k)
	return writePEM(t, "PRIVATE KEY", der, err)
}

func TestTheFirstKeyFileSignsAndTheOthersArePublished(t *testing.T) {
	p256, p384 := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384())
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(p256)
	sec1File := writePEM(t, "EC PRIVATE KEY", sec1, err)
	public, err := x509.MarshalPKIXPublicKey(p384.Public())
	publicFile := writePEM(t, "PUBLIC KEY", public, err)
	certificate, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{SerialNumber: big.NewInt(1)}, &x509.Certificate{}, rsaKey.Public(), rsaKey)
	certificateFile := writePEM(t, "CERTIFICATE", certificate, err)
	for _, c := range []struct {
		name, algorithm string
		files           []string
		want            string // the algorithm that signs; empty: refused
		published       string
	}{
		{"the key decides", "", []string{pkcs8File(t, p256)}, "ES256", "ES256"},
		{"SEC 1", "", []string{sec1File}, "ES256", "ES256"},
		{"P-384", "", []string{pkcs8File(t, p384)}, "ES384", "ES384"},
		{"Ed25519", "", []string{pkcs8File(t, ed)}, "EdDSA", "EdDSA"},
		{"RSA", "", []string{pkcs8File(t, rsaKey)}, "RS256", "RS256"},
		{"PKCS #1 with PSS", "PS256", []string{writePEM(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(rsaKey), nil)}, "PS256", "PS256"},
		{"others are only published", "", []string{pkcs8File(t, p256), publicFile, certificateFile, pkcs8File(t, ed)}, "ES256", "ES256 ES384 RS256 EdDSA"},
		{"wrong kind for the algorithm", "RS256", []string{pkcs8File(t, p256)}, "", ""},
		{"wrong curve for the algorithm", "ES256", []string{pkcs8File(t, p384)}, "", ""},
		{"a curve that no algorithm takes", "", []string{pkcs8File(t, ecKey(t, elliptic.P521()))}, "", ""},
		{"a public key first", "", []string{publicFile}, "", ""},
		{"the same key twice", "", []string{pkcs8File(t, p256), sec1File}, "", ""},
		{"a file that is not there", "", []string{"/nowhere/key.pem"}, "", ""},
		{"not PEM", "", []string{writeText(t, "secret words")}, "", ""},
		{"a damaged key", "", []string{writePEM(t, "PRIVATE KEY", []byte("damaged"), nil)}, "", ""},
		{"an encrypted key", "", []string{writePEM(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil)}, "", ""},
		{"a file without end", "", []string{writeText(t, strings.Repeat("x", maxKeyFile+1))}, "", ""},
		{"two keys in a file", "", []string{writeText(t, readText(t, sec1File)+readText(t, pkcs8File(t, ed)))}, "", ""},
	} {
		s, err := New(Config{Issuer: testIssuer, Algorithm: c.algorithm, KeyFiles: c.files}, Options{})
		if c.want == "" {
			if !errors.Is(err, errConfig) || strings.Contains(err.Error(), "secret words") {
				t.Errorf("%s: got %v", c.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		m, err := s.Mint(t.Context(), template(t, TokenDefinition{}), request(time.Now()))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		claims(t, s, m)
		document, _, err := s.KeySet()
		if err != nil {
			t.Fatal(err)
		}
		var set jose.JSONWebKeySet
		if err := json.Unmarshal(document, &set); err != nil {
			t.Fatal(err)
		}
		var published []string
		for _, k := range set.Keys {
			published = append(published, k.Algorithm)
			if !k.IsPublic() {
				t.Errorf("%s: a private key is published", c.name)
			}
		}
		if got := strings.Join(published, " "); got != c.published || set.Keys[0].KeyID != m.KeyID {
			t.Errorf("%s: published %s, signed with %s", c.name, got, m.KeyID)
		}
		list := s.List()
		if len(list) != len(c.files) || list[0].State != "signing" || !list[0].SignsFrom.IsZero() {
			t.Errorf("%s: list %+v", c.name, list)
		}
		for _, k := range list[1:] {
			if k.State != "published" {
				t.Errorf("%s: a further file's key is %q", c.name, k.State)
			}
		}
		if err := s.Rotate(t.Context(), true); !errors.Is(err, ErrFixedKeys) {
			t.Errorf("%s: rotate: %v", c.name, err)
		}
	}
}

func writeText(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func readText(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestKeyFileThatIsReplaced(t *testing.T) {
	file := pkcs8File(t, ecKey(t, elliptic.P256()))
	s, err := New(Config{Issuer: testIssuer, KeyFiles: []string{file}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	first := s.List()[0].ID
	if err := os.WriteFile(file, []byte(readText(t, pkcs8File(t, ecKey(t, elliptic.P256())))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.refresh(t.Context()); err != nil || s.List()[0].ID == first {
		t.Errorf("the new key is not used: %v", err)
	}
	second := s.List()[0].ID
	for name, text := range map[string]string{"broken": "x", "another algorithm": readText(t, pkcs8File(t, ecKey(t, elliptic.P384())))} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := s.refresh(t.Context()); err == nil || s.List()[0].ID != second {
			t.Errorf("%s: got %v, key kept %v", name, err, s.List()[0].ID == second)
		}
	}
}

func TestKeyFileThatEveryUserCanRead(t *testing.T) {
	file := pkcs8File(t, ecKey(t, elliptic.P256()))
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	for mode, warned := range map[os.FileMode]bool{0o600: false, 0o640: false, 0o644: true} {
		out.Reset()
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := New(Config{Issuer: testIssuer, KeyFiles: []string{file}}, Options{Logger: log}); err != nil {
			t.Errorf("%o: %v", mode, err)
		}
		if strings.Contains(out.String(), "every user") != warned {
			t.Errorf("%o: log says %q", mode, out.String())
		}
	}
}
