package enrichtest

import (
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"sync/atomic"
	"testing"
	"time"
)

// DPoPKey is a client's key for proofs of possession (RFC 9449).
type DPoPKey struct {
	*Key
	tb    testing.TB
	now   func() time.Time
	proof atomic.Int64
}

// NewDPoPKey makes a client's key; now dates its proofs, nil is the wall clock.
func NewDPoPKey(tb testing.TB, algorithm string, now func() time.Time) *DPoPKey {
	tb.Helper()
	k, err := NewKey(algorithm, "")
	if err != nil {
		tb.Fatal(err)
	}
	if now == nil {
		now = time.Now
	}
	return &DPoPKey{Key: k, tb: tb, now: now}
}

// Confirmation is the cnf claim that binds a token to the key.
func (k *DPoPKey) Confirmation() map[string]any { return map[string]any{"jkt": k.Thumbprint()} }

// Proof makes the DPoP header for one request: method and URL (without query
// and fragment) as htm and htu, and the access token's hash as ath where a
// token is given. Claims and options overlay it as in [MintWith].
func (k *DPoPKey) Proof(method, url, token string, claims Claims, options ...MintOption) string {
	k.tb.Helper()
	all := Claims{
		"htm": method,
		"htu": url,
		"iat": k.now().Unix(),
		"jti": fmt.Sprintf("proof-%s-%d", k.Thumbprint()[:8], k.proof.Add(1)),
	}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		all["ath"] = encode(sum[:])
	}
	jwk := k.JWK()
	for _, name := range []string{"alg", "use", "kid"} {
		delete(jwk, name)
	}
	base := []MintOption{WithType("dpop+jwt"), WithHeader("kid", nil), WithHeader("jwk", jwk)}
	proof, err := MintWith(k.Key, merge(all, claims), append(base, options...)...)
	if err != nil {
		k.tb.Fatalf("making a DPoP proof: %v", err)
	}
	return proof
}

// CertificateThumbprint is what a cnf claim's x5t#S256 holds for a client
// certificate (RFC 8705, section 3.1).
func CertificateThumbprint(certificate *x509.Certificate) string {
	sum := sha256.Sum256(certificate.Raw)
	return encode(sum[:])
}
