package issuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

const (
	testIssuer   = "https://idp.example.com/oauth2/default"
	testAudience = "api://legacy"
	testKeysURL  = "https://idp.example.com/keys"
)

// testNow is the time at which the tests' clocks begin.
var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The keys are made once: RSA keys are slow to make.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	ecKeys      = sync.OnceValue(func() map[string]*ecdsa.PrivateKey {
		return map[string]*ecdsa.PrivateKey{
			"ES256": must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)),
			"ES384": must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)),
			"ES512": must(ecdsa.GenerateKey(elliptic.P521(), rand.Reader)),
		}
	})
	edKey = sync.OnceValue(func() ed25519.PrivateKey {
		_, k, err := ed25519.GenerateKey(rand.Reader)
		return must(k, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// signerKey gives a private key that fits the algorithm.
func signerKey(alg string) any {
	switch {
	case strings.HasPrefix(alg, "ES"):
		return ecKeys()[alg]
	case alg == "EdDSA":
		return edKey()
	}
	return rsaKey()
}

// sign signs claims as text or as anything that JSON can say.
func sign(t testing.TB, alg, kid string, key any, header map[string]any, claims any) string {
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
		text = string(must(json.Marshal(claims)))
	}
	signed, err := s.Sign([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return must(signed.CompactSerialize())
}

// signRaw signs header and payload as they stand, with RS256.
func signRaw(t testing.TB, header, payload string) string {
	t.Helper()
	a := lookAlgorithm("RS256")
	text := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	sig, err := rsa.SignPKCS1v15(rand.Reader, rsaKey(), a.hash, a.digest([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// goodClaims are the claims of a token that is accepted at testNow.
func goodClaims(change ...any) map[string]any {
	claims := map[string]any{
		"iss": testIssuer, "aud": testAudience, "sub": "00u1ada", "client_id": "0oa1payroll",
		"exp": testNow.Add(time.Hour).Unix(), "iat": testNow.Unix(), "jti": "j-1", "scp": []string{"openid", "profile"},
	}
	for n := 0; n < len(change); n += 2 {
		if change[n+1] == nil {
			delete(claims, change[n].(string))
		} else {
			claims[change[n].(string)] = change[n+1]
		}
	}
	return claims
}

// jwk gives the public JWK of a private key, with members added or changed.
func jwk(key any, kid, alg string, change ...any) map[string]any {
	k := jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: alg, Use: "sig"}
	if _, secret := key.([]byte); !secret {
		k = k.Public()
	}
	var members map[string]any
	if err := json.Unmarshal(must(k.MarshalJSON()), &members); err != nil {
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

func keySetText(keys ...any) string {
	if keys == nil {
		keys = []any{}
	}
	return string(must(json.Marshal(map[string]any{"keys": keys})))
}

func newClock() *enrichtest.Clock { return enrichtest.NewClock(testNow) }

// A fakeServer answers requests by their URL and counts them. It stands in
// for the network so that faults can be put there.
type fakeServer struct {
	mu      sync.Mutex
	answers map[string]func(*http.Request) (*http.Response, error)
	counts  map[string]int
}

func newServer() *fakeServer {
	return &fakeServer{answers: map[string]func(*http.Request) (*http.Response, error){}, counts: map[string]int{}}
}

func (s *fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	at := r.URL.String()
	s.mu.Lock()
	s.counts[at]++
	answer := s.answers[at]
	s.mu.Unlock()
	if answer == nil {
		return response(http.StatusNotFound, "not here"), nil
	}
	res, err := answer(r)
	if res != nil {
		res.Request = r
	}
	return res, err
}

func (s *fakeServer) on(at string, answer func(*http.Request) (*http.Response, error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[at] = answer
}

// say answers 200 with the text.
func (s *fakeServer) say(at, text string) {
	s.on(at, func(*http.Request) (*http.Response, error) { return response(http.StatusOK, text), nil })
}

func (s *fakeServer) fail(at string) {
	s.on(at, func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })
}

func (s *fakeServer) count(at string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts[at]
}

func response(status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

// A stage is one issuer with its clock and its server.
type stage struct {
	*Set
	t      testing.TB
	issuer *Issuer
	clock  *enrichtest.Clock
	server *fakeServer
}

// baseConfig is an issuer with a fixed key set URL.
func baseConfig() Config {
	return Config{Issuer: testIssuer, Name: "corp", Audience: []string{testAudience}, JWKSURL: testKeysURL}
}

// newStage makes an issuer whose key server publishes one key for each
// algorithm, named as the algorithm.
func newStage(t testing.TB, change ...func(*Config, *Options)) *stage {
	t.Helper()
	s := &stage{t: t, clock: newClock(), server: newServer()}
	s.server.say(testKeysURL, allKeys())
	c, o := baseConfig(), Options{Clock: s.clock.Now, Transport: s.server}
	for _, f := range change {
		f(&c, &o)
	}
	i, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Stop)
	s.issuer = i
	s.Set = must(NewSet(i))
	return s
}

var publicAlgorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

var allKeys = sync.OnceValue(func() string {
	var keys []any
	for _, alg := range publicAlgorithms {
		keys = append(keys, jwk(signerKey(alg), alg, alg))
	}
	return keySetText(keys...)
})

func (s *stage) verify(raw string) (*Verified, error) {
	return s.Verify(context.Background(), raw, nil, nil)
}

// token signs with RS256 under the key RS256.
func (s *stage) token(claims any) string {
	return sign(s.t, "RS256", "RS256", rsaKey(), nil, claims)
}

// ed25519Options asks for plain Ed25519.
var ed25519Options ed25519.Options

func writeCertificate(t *testing.T, file string, c *x509.Certificate) {
	t.Helper()
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
	if err := os.WriteFile(file, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
