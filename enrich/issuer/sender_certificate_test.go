package issuer

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
)

func TestCertificateBoundTokens(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	certificate := server.Certificate()
	sum := sha256.Sum256(certificate.Raw)
	right := base64.RawURLEncoding.EncodeToString(sum[:])
	bound := func(s *stage, text string) string {
		return s.token(goodClaims("cnf", map[string]any{"x5t#S256": text}))
	}
	for _, mode := range []string{"off", "require"} {
		s := newStage(t, func(c *Config, _ *Options) { c.MTLS = mode })
		for _, c := range []struct {
			name, raw   string
			certificate *x509.Certificate
			want        error
		}{
			{"the right certificate", bound(s, right), certificate, nil},
			{"no certificate", bound(s, right), nil, errSender},
			{"another certificate", bound(s, strings.Repeat("A", 43)), certificate, errSender},
			{"a thumbprint with padding", bound(s, right+"="), certificate, errSender},
			{"a thumbprint in hexadecimal", bound(s, strings.ToLower(right)), certificate, errSender},
		} {
			if _, err := s.Verify(t.Context(), c.raw, nil, &Caller{Token: c.raw, AuthScheme: "Bearer", Certificate: c.certificate}); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s, %s: got %v", mode, c.name, err)
			}
		}
		plain := s.token(goodClaims())
		_, err := s.Verify(t.Context(), plain, nil, &Caller{Token: plain, AuthScheme: "Bearer", Certificate: certificate})
		if (err == nil) != (mode == "off") {
			t.Errorf("%s, not bound: %v", mode, err)
		}
	}
}

func TestTokenBoundTwiceNeedsBoth(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	sum := sha256.Sum256(server.Certificate().Raw)
	s := newStage(t, withDPoP("accept"))
	raw := s.token(goodClaims("cnf", map[string]any{
		"jkt": thumbprint(ecKeys()["ES256"]), "x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:]),
	}))
	for _, certificate := range []*x509.Certificate{nil, server.Certificate()} {
		for _, proofs := range [][]string{nil, {proof(t, proofClaims(raw))}} {
			c := dpopCaller(raw, proofs...)
			c.Certificate = certificate
			_, err := s.Verify(t.Context(), raw, nil, c)
			if good := certificate != nil && proofs != nil; (err == nil) != good {
				t.Errorf("certificate %v, proof %v: %v", certificate != nil, proofs != nil, err)
			}
		}
	}
}

func TestCallerOfTakesWhatWasVerified(t *testing.T) {
	one, other := &x509.Certificate{Raw: []byte{1}}, &x509.Certificate{Raw: []byte{2}}
	r := httptest.NewRequest(http.MethodPost, "http://app.example.com/a%2Fb/c?d=e", http.NoBody)
	r.Header.Add("DPoP", "p1")
	r.Header.Add("dpop", "p2")
	for name, v := range map[string]string{
		"X-Forwarded-Proto": "https", "X-Forwarded-Host": "evil.example", "Forwarded": "proto=https;host=evil.example",
		"X-Client-Cert": "x", "X-Forwarded-Client-Cert": "x",
	} {
		r.Header.Set(name, v)
	}
	want := Caller{
		Token: "t", AuthScheme: "DPoP", Method: "POST", URLScheme: "http", Host: "app.example.com",
		Path: "/a%2Fb/c", Proofs: []string{"p1", "p2"},
	}
	if got := CallerOf(r, "t", "DPoP"); !reflect.DeepEqual(*got, want) {
		t.Errorf("got %+v", got)
	}
	r.TLS = &tls.ConnectionState{PeerCertificates: []*x509.Certificate{one}}
	if got := CallerOf(r, "t", ""); got.Certificate != nil || got.URLScheme != "https" {
		t.Errorf("a certificate that nobody verified: %+v", got)
	}
	r.TLS.VerifiedChains = [][]*x509.Certificate{{one, other}}
	if got := CallerOf(r, "t", ""); got.Certificate != one {
		t.Errorf("the verified one: %+v", got)
	}
}
