package integration

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// spelledPolicy writes two names that Go would spell Sm_user and Sm_groups-1.
const spelledPolicy = `
	token_enrich {
		claim login user.login
		claim groups groups regex .*
		header SM_USER login {
			exact
		}
		header SM_GROUPS groups {
			exact
			max_bytes 9
			on_overflow split
		}
		header X_Plain login
	}
	`

// TestExactSpelling tells where reverse_proxy keeps the spelling of a header
// name by itself, and that the transport keeps it everywhere else. HTTP/1
// alone has spellings.
func TestExactSpelling(t *testing.T) {
	const plain, secure = "LEGACY", "https://SECURE"
	for _, tc := range []struct {
		name, proxy string // LEGACY and SECURE are addresses
		kept        bool
	}{
		{"plain", "reverse_proxy " + plain, true},
		{"with header_down", "reverse_proxy " + plain + " {\n header_down X-A b\n}", true},
		{"with another method and path", "reverse_proxy " + plain + " {\n method GET\n rewrite /y\n}", true},
		{"with a buffered body", "reverse_proxy " + plain + " {\n request_buffers 1KiB\n}", true},
		{"with retries", "reverse_proxy " + plain + " {\n lb_retries 2\n lb_try_duration 1s\n}", true},
		{"behind request_header", "request_header X-A b\nreverse_proxy " + plain, true},
		{"with the HTTP transport", "reverse_proxy " + plain + " {\n transport http {\n  compression off\n }\n}", true},

		{"with header_up", "reverse_proxy " + plain + " {\n header_up X-A b\n}", false},
		{"with header_up that deletes", "reverse_proxy " + plain + " {\n header_up -X-A\n}", false},
		{"with header_up Host", "reverse_proxy " + plain + " {\n header_up Host {upstream_hostport}\n}", false},
		{"over TLS", "reverse_proxy " + secure + " {\n transport http {\n  tls_insecure_skip_verify\n }\n}", false},
		{"over TLS that is not https", "reverse_proxy SECURE {\n transport http {\n  tls\n  tls_insecure_skip_verify\n }\n}", false},

		{"transport, plain", "reverse_proxy " + plain + " {\n transport token_enrich\n}", true},
		{"transport, with header_up", "reverse_proxy " + plain + " {\n header_up X-A b\n transport token_enrich\n}", true},
		{"transport, with header_up that deletes", "reverse_proxy " + plain + " {\n header_up -X-A\n transport token_enrich {\n  compression off\n }\n}", true},
		{"transport, over TLS", "reverse_proxy " + secure + " {\n transport token_enrich {\n  tls_insecure_skip_verify\n }\n}", true},
		{"transport, over TLS with header_up", "reverse_proxy " + secure + " {\n header_up X-A b\n transport token_enrich {\n  tls_insecure_skip_verify\n  versions 1.1\n }\n}", true},
		{"transport, with retries and header_up", "reverse_proxy DEAD " + plain + " {\n lb_policy first\n fail_duration 1m\n lb_retries 3\n lb_try_duration 1m\n header_up X-A b\n transport token_enrich\n}", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load(spelledPolicy + strings.NewReplacer("LEGACY", w.legacy.Addr(), "SECURE", secured(t, w.legacy.Addr()), "DEAD", cachetest.FreeAddr(t)).Replace(tc.proxy))
			if got := w.get("/x", w.token("00u1ada")); got.StatusCode != http.StatusOK {
				t.Fatalf("status %d: %s", got.StatusCode, got.body)
			}
			seen := w.received()
			for _, name := range []string{"SM_USER", "SM_GROUPS-1", "SM_GROUPS-2"} {
				if got := len(seen.Exact(name)) == 1; got != tc.kept {
					t.Errorf("%s spelled so: %v, want %v; there is %v", name, got, tc.kept, seen.Like(name))
				}
				if like := seen.Like(name); len(like) != 1 {
					t.Errorf("%s stands there %d times: %v", name, len(like), like)
				}
			}
			if len(seen.Exact("X_plain")) != 1 {
				t.Errorf("a name without exact is not spelled the canonical way: %v", seen.Like("X_Plain"))
			}
		})
	}
}

// TestExactNamesAreScrubbedBeforeTheTransport proves that a client cannot make
// use of the respelling: what it sent under the canonical name is gone.
func TestExactNamesAreScrubbedBeforeTheTransport(t *testing.T) {
	w := prepare(t)
	w.load(strings.Replace(spelledPolicy, "token_enrich {", "token_enrich /in/* {", 1) +
		"reverse_proxy " + w.legacy.Addr() + " {\n header_up X-A b\n transport token_enrich\n}")
	for _, path := range []string{"/in/x", "/out"} {
		got := w.get(path, w.token("00u1ada"), "SM_USER", "root", "sm-user", "root", "Sm-Groups-7", "root")
		if got.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d: %s", path, got.StatusCode, got.body)
		}
		seen := w.received()
		if strings.Contains(string(seen.Raw), "root") {
			t.Errorf("%s: what the client sent reached the application:\n%s", path, seen.Raw)
		}
	}
}

// TestExactNamesAreLowerCaseOverHTTP2 documents that HTTP/2 has no spellings.
func TestExactNamesAreLowerCaseOverHTTP2(t *testing.T) {
	for _, transport := range []string{"http", "token_enrich"} {
		w := prepare(t)
		app := newH2C(t)
		w.load(spelledPolicy + "reverse_proxy h2c://" + app.addr + " {\n header_up X-A b\n transport " + transport + "\n}")
		if got := w.get("/x", w.token("00u1ada")); got.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d: %s", transport, got.StatusCode, got.body)
		}
		app.mu.Lock()
		if !app.names["sm_user"] || !app.names["sm_groups-1"] {
			t.Errorf("%s: names on the wire: %v", transport, app.names)
		}
		app.mu.Unlock()
	}
}

// TestTransportTakesTheOptionsOfHTTP proves that the transport is set up from
// the Caddyfile like `transport http`, and refuses what that refuses.
func TestTransportTakesTheOptionsOfHTTP(t *testing.T) {
	w := prepare(t)
	for _, tc := range []struct{ block, want string }{
		{"transport token_enrich {\n dial_timeout 1s\n versions 1.1\n keepalive off\n max_conns_per_host 3\n}", ""},
		{"transport token_enrich {\n nosuch\n}", "unrecognized subdirective nosuch"},
		{"transport token_enrich extra", "wrong argument count"},
		{"transport token_enrich {\n versions 9\n}", "unsupported HTTP version"},
	} {
		err := w.tryLoad(spelledPolicy + "reverse_proxy " + w.legacy.Addr() + " {\n" + tc.block + "\n}")
		switch {
		case tc.want == "" && err != nil:
			t.Errorf("%s: %v", tc.block, err)
		case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
			t.Errorf("%s: error %v, want %q", tc.block, err, tc.want)
		}
	}
}

// secured puts TLS, HTTP/1.1 only, in front of an address, byte for byte.
func secured(t *testing.T, address string) string {
	t.Helper()
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate(t)}, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		t.Fatal(err)
	}
	serveAll(t, l, func(in net.Conn) { splice(in, address) })
	return l.Addr().String()
}

// serveAll serves connections until the test ends, and cuts them then: Caddy
// keeps its own open for the next request.
func serveAll(t *testing.T, l net.Listener, serve func(net.Conn)) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	t.Cleanup(func() {
		_ = l.Close()
		mu.Lock()
		for _, c := range open {
			_ = c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			wg.Go(func() { serve(c) })
		}
	})
}

// splice copies both ways until either side ends.
func splice(in net.Conn, address string) {
	defer in.Close()
	out, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		_, _ = io.Copy(out, in)
		_ = out.Close()
	})
	_, _ = io.Copy(in, out)
	_ = in.Close()
	wg.Wait()
}

// certificate is a self-signed one for loopback.
func certificate(t *testing.T) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}, &x509.Certificate{SerialNumber: big.NewInt(1)}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{text}, PrivateKey: key}
}

// h2cApp speaks HTTP/2 without TLS, frame by frame, and keeps the names of
// the fields as they stand on the wire.
type h2cApp struct {
	addr  string
	mu    sync.Mutex
	names map[string]bool
}

func newH2C(t *testing.T) *h2cApp {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	a := &h2cApp{addr: l.Addr().String(), names: map[string]bool{}}
	serveAll(t, l, a.serve)
	return a
}

func (a *h2cApp) serve(c net.Conn) {
	defer c.Close()
	preface := make([]byte, len(http2.ClientPreface))
	if _, err := io.ReadFull(c, preface); err != nil {
		return
	}
	frames := http2.NewFramer(c, c)
	var out bytes.Buffer
	encoder := hpack.NewEncoder(&out)
	decoder := hpack.NewDecoder(4096, func(f hpack.HeaderField) {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.names[f.Name] = true
	})
	if frames.WriteSettings() != nil {
		return
	}
	for {
		frame, err := frames.ReadFrame()
		if err != nil {
			return
		}
		switch f := frame.(type) {
		case *http2.SettingsFrame:
			if !f.IsAck() && frames.WriteSettingsAck() != nil {
				return
			}
		case *http2.HeadersFrame:
			if _, err := decoder.Write(f.HeaderBlockFragment()); err != nil {
				return
			}
			out.Reset()
			_ = encoder.WriteField(hpack.HeaderField{Name: ":status", Value: "200"})
			if frames.WriteHeaders(http2.HeadersFrameParam{StreamID: f.StreamID, BlockFragment: out.Bytes(), EndHeaders: true, EndStream: true}) != nil {
				return
			}
		}
	}
}
