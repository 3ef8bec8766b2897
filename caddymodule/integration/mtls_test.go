package integration

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// certified runs a gateway over TLS that asks for client certificates in a
// mode of Caddy's, and verifies them with the authority of pki.
func certified(t *testing.T, pki cachetest.PKI, mode, options string, protocols ...string) *world {
	t.Helper()
	w := prepare(t)
	w.certified(pki, mode, w.issuerBlock(options), protocols...)
	return w
}

func (w *world) certified(pki cachetest.PKI, mode, issuer string, protocols ...string) {
	w.t.Helper()
	trust := ""
	if strings.Contains(mode, "verify") {
		trust = "trust_pool file " + pki.CA
	}
	listener := fmt.Sprintf("https://localhost:%s {\n\tbind 127.0.0.1\n\ttls %s %s {\n\t\tclient_auth {\n\t\t\tmode %s\n\t\t\t%s\n\t\t}\n\t}",
		port(w.addr), pki.ServerCert, pki.ServerKey, mode, trust)
	text := w.caddyfile(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), issuer, script(w.t, knows("somebody")))
	text = strings.Replace(text, "http://"+w.addr+" {", listener, 1)
	text = strings.Replace(text, "auto_https off", "auto_https disable_redirects\n\tskip_install_trust\n\thttp_port "+port(cachetest.FreeAddr(w.t)), 1)
	if len(protocols) == 0 {
		protocols = []string{"h1"}
	}
	text = strings.Replace(text, "protocols h1 h2c", "protocols "+strings.Join(protocols, " "), 1)
	loadTLS(w.t, text)
	w.scheme = "https"
}

// as sends a GET over a connection of its own with a client certificate (none
// where the files are empty).
func (w *world) as(pki cachetest.PKI, cert, key, token string, headers ...string) (answer, error) {
	w.t.Helper()
	authority, err := os.ReadFile(pki.CA)
	if err != nil {
		w.t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(authority)
	config := &tls.Config{RootCAs: roots, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			w.t.Fatal(err)
		}
		// Sent also where the server names authorities that did not sign it.
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	transport := &http.Transport{TLSClientConfig: config, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", "https://localhost:"+port(w.addr)+"/", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	resp, err := (&http.Client{Timeout: time.Minute, Transport: transport}).Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	return answer{Response: resp}, nil
}

// wantAs checks the status that a certificate and a token lead to.
func (w *world) wantAs(t *testing.T, pki cachetest.PKI, cert, key, token string, code int, headers ...string) {
	t.Helper()
	w.legacy.Forget()
	got, err := w.as(pki, cert, key, token, headers...)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != code {
		t.Fatalf("status %d, want %d", got.StatusCode, code)
	}
	if code == 200 {
		wantHeader(t, w.received(), "X-User", "somebody")
		return
	}
	if c := got.Header.Get("WWW-Authenticate"); !strings.Contains(c, `error="invalid_token"`) {
		t.Errorf("the challenge is %q", c)
	}
	w.nothingReceived()
}

func certificateIn(t *testing.T, file string) *x509.Certificate {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(text)
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

// certificateBound mints a token that is bound to the certificate in a file.
func (w *world) certificateBound(file string) string {
	w.t.Helper()
	return w.token("ada", enrichtest.Claims{"cnf": map[string]any{"x5t#S256": enrichtest.CertificateThumbprint(certificateIn(w.t, file))}})
}

func TestCertificateBoundTokens(t *testing.T) {
	pki, foreign := cachetest.NewPKI(t), cachetest.NewPKI(t)
	for _, mode := range []string{"off", "require"} {
		t.Run("mtls "+mode, func(t *testing.T) {
			w := certified(t, pki, "verify_if_given", "mtls "+mode)
			token := w.certificateBound(pki.ClientCert)
			for range 2 { // also from the decision cache
				w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, token, 200)
				w.wantAs(t, pki, "", "", token, 401)
			}
			if _, err := w.as(pki, foreign.ClientCert, foreign.ClientKey, token); err == nil {
				t.Error("a certificate of another authority got through the handshake")
			}
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.certificateBound(foreign.ClientCert), 401)
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.token("ada", enrichtest.Claims{"cnf": map[string]any{"x5t#S256": "AAAA"}}), 401)
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.token("ada", enrichtest.Claims{"cnf": map[string]any{"x5t#S256": ""}}), 401)
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.token("ada", enrichtest.Claims{"cnf": map[string]any{"x5t": enrichtest.CertificateThumbprint(certificateIn(t, pki.ClientCert))}}), 401)

			unbound := map[string]int{"off": 200, "require": 401}[mode]
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.token("ada"), unbound)
			w.wantAs(t, pki, "", "", w.token("ada"), unbound)
		})
	}
}

func TestAuthorityAloneIsNoBinding(t *testing.T) {
	pki := cachetest.NewPKI(t)
	w := certified(t, pki, "verify_if_given", "mtls require")
	w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.certificateBound(pki.ServerCert), 401) // of the same authority
	w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.certificateBound(pki.CA), 401)
	w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.certificateBound(pki.ClientCert), 200)
}

// A certificate that Caddy asked for and did not verify shows nothing.
func TestUnverifiedCertificateDoesNotCount(t *testing.T) {
	pki, foreign := cachetest.NewPKI(t), cachetest.NewPKI(t)
	for _, mode := range []string{"request", "require"} {
		t.Run(mode, func(t *testing.T) {
			w := certified(t, pki, mode, "mtls require")
			w.wantAs(t, pki, foreign.ClientCert, foreign.ClientKey, w.certificateBound(foreign.ClientCert), 401)
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.certificateBound(pki.ClientCert), 401)
		})
	}
}

func TestCertificateInAHeaderDoesNotCount(t *testing.T) {
	pki, foreign := cachetest.NewPKI(t), cachetest.NewPKI(t)
	w := certified(t, pki, "verify_if_given", "mtls require")
	for name, file := range map[string]string{"ours": pki.ClientCert, "foreign": foreign.ClientCert} {
		certificate := certificateIn(t, file)
		der := base64.StdEncoding.EncodeToString(certificate.Raw)
		text := url.QueryEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: certificate.Raw})))
		headers := []string{
			"Client-Cert", ":" + der + ":", "X-Client-Cert", text, "X-SSL-Client-Cert", text, "SSL-Client-Cert", text, "X-SSL-Client-Verify", "SUCCESS",
			"X-Forwarded-Client-Cert", "Cert=" + text, "X-Forwarded-Tls-Client-Cert", der, "X-ARR-ClientCert", der, "X-Client-Cert-Thumbprint", enrichtest.CertificateThumbprint(certificate),
		}
		t.Run(name, func(t *testing.T) {
			w.wantAs(t, pki, "", "", w.certificateBound(file), 401, headers...)
			if file == foreign.ClientCert {
				w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.certificateBound(file), 401, headers...)
			}
		})
	}
	w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, w.certificateBound(pki.ClientCert), 200)
}

func TestCertificateOverHTTP2(t *testing.T) {
	pki := cachetest.NewPKI(t)
	w := certified(t, pki, "require_and_verify", "mtls require", "h1", "h2")
	token := w.certificateBound(pki.ClientCert)
	got, err := w.as(pki, pki.ClientCert, pki.ClientKey, token)
	if err != nil {
		t.Fatal(err)
	}
	if got.StatusCode != 200 || got.Proto != "HTTP/2.0" {
		t.Errorf("status %d over %s", got.StatusCode, got.Proto)
	}
	if _, err := w.as(pki, "", "", token); err == nil {
		t.Error("no certificate, and an answer")
	}
}

func TestCertificateBoundTokenWithoutTLS(t *testing.T) {
	pki := cachetest.NewPKI(t)
	w := bound(t, "mtls off")
	w.wantInvalidToken(t, w.get("/", w.certificateBound(pki.ClientCert)))
}
