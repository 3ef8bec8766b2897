package issuer

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose/josetest"
)

const (
	testIssuer   = "https://idp.example.com/oauth2/default"
	testAudience = "api://legacy"
	testKeysURL  = "https://idp.example.com/keys"
)

// testNow is the time at which the tests' clocks begin.
var testNow = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// The keys and signatures of package josetest, by shorter names.
var (
	rsaKey, otherRSAKey, ecKeys, edKey = josetest.RSAKey, josetest.OtherRSAKey, josetest.ECKeys, josetest.Ed25519Key

	signerKey, sign, signRaw, jwk, keySetText = josetest.SignerKey, josetest.Sign, josetest.SignRaw, josetest.JWK, josetest.KeySet

	publicAlgorithms, allKeys = josetest.PublicKeyAlgorithms, josetest.AllKeys
)

func must[T any](v T, err error) T { return josetest.Must(v, err) }

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
