package integration

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// over sends a GET over the test's client, with each header field by itself.
func (w *world) over(path string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), "GET", "https://"+w.addr+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header[headers[i]] = append(r.Header[headers[i]], headers[i+1])
	}
	return w.send(r)
}

// Where a request's token stands and who sent it is judged alike in every
// protocol, although they write a request in different ways.
func TestTokensOverEveryProtocol(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2", "HTTP/3"} {
		t.Run(protocol, func(t *testing.T) {
			w := prepare(t)
			w.servers = "max_header_size 64KiB"
			w.overTLS(protocol, strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock("dpop accept"), script(t, knows("somebody")))
			token := w.token("ada")
			key := enrichtest.NewDPoPKey(t, "ES256", nil)
			bound := w.boundTo(key)
			url := "https://" + w.addr + "/x"
			proof := func(url string) string { return key.Proof("GET", url, bound, nil) }
			once := proof(url)
			long := strings.Repeat("x", 17<<10)
			for _, c := range []struct {
				name    string
				code    int
				headers []string
			}{
				{"a token", 200, []string{"Authorization", "Bearer " + token}},
				{"the same field twice", 400, []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}},
				{"a second field of another scheme", 400, []string{"Authorization", "Bearer " + token, "Authorization", "Basic eDp5"}},
				{"none", 401, nil},
				{"one that is too long", 401, []string{"Authorization", "Bearer " + long}},
				{"a proof", 200, []string{"Authorization", "DPoP " + bound, "Dpop", once}},
				{"the same proof", 401, []string{"Authorization", "DPoP " + bound, "Dpop", once}},
				{"two proofs", 401, []string{"Authorization", "DPoP " + bound, "Dpop", proof(url), "Dpop", proof(url)}},
				{"a proof for another scheme", 401, []string{"Authorization", "DPoP " + bound, "Dpop", proof("http://" + w.addr + "/x")}},
				{"a proof for another authority", 401, []string{"Authorization", "DPoP " + bound, "Dpop", proof("https://other.example/x")}},
				{"a proof for a forwarded host", 401, []string{"Authorization", "DPoP " + bound, "Dpop", proof("https://other.example/x"), "X-Forwarded-Host", "other.example"}},
				{"a proof for the authority in capitals", 200, []string{"Authorization", "DPoP " + bound, "Dpop", proof(strings.Replace(url, "localhost", "LOCALHOST", 1))}},
				{"the scheme Bearer", 401, []string{"Authorization", "Bearer " + bound, "Dpop", proof(url)}},
			} {
				w.legacy.Forget()
				got := w.over("/x", c.headers...)
				if got.StatusCode != c.code {
					t.Errorf("%s: status %d, want %d", c.name, got.StatusCode, c.code)
				}
				if c.code == 200 {
					wantHeader(t, w.received(), "X-User", "somebody")
				} else {
					w.nothingReceived()
				}
			}
		})
	}
}

// HTTP/2 and HTTP/3 may part a Cookie field at its semicolons.
func TestCookieFieldsOverEveryProtocol(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2", "HTTP/3"} {
		t.Run(protocol, func(t *testing.T) {
			w := prepare(t)
			site := strings.Replace(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), "token_enrich {", "token_enrich {\ntoken_from header Authorization Bearer\ntoken_from cookie session", 1)
			w.overTLS(protocol, site, w.issuerBlock(""), script(t, knows("somebody")))
			token, other := w.token("ada"), w.token("grace")
			for _, c := range []struct {
				name    string
				code    int
				rest    string
				headers []string
			}{
				{"one field", 200, "a=1; b=2", []string{"Cookie", "a=1; session=" + token + "; b=2"}},
				{"parted", 200, "a=1; b=2", []string{"Cookie", "a=1", "Cookie", "session=" + token, "Cookie", "b=2"}},
				{"two tokens, parted", 400, "", []string{"Cookie", "session=" + token, "Cookie", "session=" + other}},
				{"two tokens", 400, "", []string{"Cookie", "session=" + token + "; session=" + other}},
				{"in both places", 400, "", []string{"Cookie", "session=" + token, "Authorization", "Bearer " + token}},
			} {
				w.legacy.Forget()
				got := w.over("/", c.headers...)
				if got.StatusCode != c.code {
					t.Errorf("%s: status %d, want %d", c.name, got.StatusCode, c.code)
					continue
				}
				if c.code != 200 {
					w.nothingReceived()
					continue
				}
				if cookies := strings.Join(w.received().Values("Cookie"), "; "); cookies != c.rest {
					t.Errorf("%s: the application received the cookies %q", c.name, cookies)
				}
			}
		})
	}
}

func TestCertificateOverHTTP3(t *testing.T) {
	pki := cachetest.NewPKI(t)
	w := certified(t, pki, "verify_if_given", "mtls require", "h1", "h2", "h3")
	w.addr = "localhost:" + port(w.addr)
	token := w.certificateBound(pki.ClientCert)
	pair, err := tls.LoadX509KeyPair(pki.ClientCert, pki.ClientKey)
	if err != nil {
		t.Fatal(err)
	}
	for code, pairs := range map[int][]tls.Certificate{200: {pair}, 401: nil} {
		transport := &http3.Transport{
			TLSClientConfig: &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", Certificates: pairs},
			QUICConfig:      &quic.Config{HandshakeIdleTimeout: 20 * time.Second, MaxIdleTimeout: time.Minute},
		}
		w.client = &http.Client{Timeout: time.Minute, Transport: transport}
		for range 2 {
			if got := w.over("/", "Authorization", "Bearer "+token); got.StatusCode != code || got.ProtoMajor != 3 {
				t.Errorf("%d certificates: status %d over %s, want %d", len(pairs), got.StatusCode, got.Proto, code)
			}
		}
		_ = transport.Close()
	}
}

// An application that has nothing to say keeps no stream open, also where the
// client did not ask for one by name.
func TestSilentEventStreamsEndOverEveryProtocol(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2", "HTTP/3"} {
		t.Run(protocol, func(t *testing.T) {
			w := prepare(t)
			w.overTLS(protocol, strings.ReplaceAll(policySite, "%a", streamingApp(t).Listener.Addr().String()), w.issuerBlock(""), script(t, knows("somebody")))
			for id, accept := range map[string]string{"asked for": "text/event-stream", "not asked for": "*/*"} {
				r, err := http.NewRequestWithContext(t.Context(), "GET", "https://"+w.addr+"/events", nil)
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", "Bearer "+w.token("ada", enrichtest.Claims{"jti": id}))
				r.Header.Set("Accept", accept)
				resp, err := w.client.Do(r)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil || resp.StatusCode != 200 {
					t.Fatalf("%s: status %d, %v", id, resp.StatusCode, err)
				}
				w.ordered("deny", `{"jti":"`+id+`","issuer":"corp"}`)
				_, err = io.Copy(io.Discard, resp.Body)
				if silent, ok := errors.AsType[net.Error](err); ok && silent.Timeout() {
					t.Errorf("%s: the stream goes on", id)
				}
				_ = resp.Body.Close()
			}
		})
	}
}
