package integration

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// overTLS gives Caddy a site with a certificate of its own making, over
// HTTP/1.1, 2 and 3, and makes the test's client speak one of them.
func (w *world) overTLS(protocol, site string, global ...string) {
	w.t.Helper()
	text := w.caddyfile(site, global...)
	text = strings.Replace(text, "auto_https off", "auto_https disable_redirects\n\tskip_install_trust\n\tlocal_certs\n\thttp_port "+port(cachetest.FreeAddr(w.t)), 1)
	text = strings.Replace(text, "protocols h1 h2c", "protocols h1 h2 h3", 1)
	text = strings.Replace(text, "http://"+w.addr+" {", "https://localhost:"+port(w.addr)+" {\n\tbind 127.0.0.1\n\ttls internal", 1)
	loadTLS(w.t, text)
	w.addr = "localhost:" + port(w.addr)
	w.scheme = "https"
	trust := &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", MinVersion: tls.VersionTLS12}
	w.client = &http.Client{Timeout: time.Minute}
	switch protocol {
	case "HTTP/1.1":
		trust.NextProtos = []string{"http/1.1"}
		w.client.Transport = &http.Transport{TLSClientConfig: trust}
	case "HTTP/2":
		w.client.Transport = &http.Transport{TLSClientConfig: trust, ForceAttemptHTTP2: true}
	case "HTTP/3":
		w.client.Transport = &http3.Transport{TLSClientConfig: trust, QUICConfig: &quic.Config{HandshakeIdleTimeout: 20 * time.Second, MaxIdleTimeout: time.Minute}}
	}
	w.t.Cleanup(func() {
		if c, ok := w.client.Transport.(interface{ Close() error }); ok {
			_ = c.Close()
		}
		w.client.CloseIdleConnections()
	})
	// The certificate is made in the background.
	eventually(w.t, "a first answer over "+protocol, func() bool {
		r, err := http.NewRequestWithContext(w.t.Context(), "GET", "https://"+w.addr+"/", nil)
		if err != nil {
			w.t.Fatal(err)
		}
		resp, err := w.client.Do(r)
		if err != nil {
			return false
		}
		defer resp.Body.Close()
		if got := resp.Proto; got != protocol && got != protocol+".0" {
			w.t.Fatalf("the answer came over %s", got)
		}
		return true
	})
	w.legacy.Forget()
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// overPlainHTTP2 makes the test's client speak HTTP/2 without TLS.
func (w *world) overPlainHTTP2() {
	var only http.Protocols
	only.SetUnencryptedHTTP2(true)
	w.client = &http.Client{Timeout: time.Minute, Transport: &http.Transport{Protocols: &only}}
	w.t.Cleanup(w.client.CloseIdleConnections)
}

// spoof sends forged headers and trailers over the test's client.
func (w *world) spoof(path, token string, names ...string) answer {
	w.t.Helper()
	scheme := w.scheme
	if scheme == "" {
		scheme = "http"
	}
	body := &trailing{text: strings.NewReader("hello")}
	r, err := http.NewRequestWithContext(w.t.Context(), "POST", scheme+"://"+w.addr+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for _, line := range forged(names...) {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	r.Trailer = http.Header{}
	for _, name := range names {
		r.Trailer[name] = nil
	}
	r.Trailer["X_user"] = nil
	body.fill = func() {
		for name := range r.Trailer {
			r.Trailer[name] = []string{"root"}
		}
	}
	return w.send(r)
}

// trailing is a body that gives the trailers their values when it ends.
type trailing struct {
	text io.Reader
	fill func()
}

func (b *trailing) Read(p []byte) (int, error) {
	n, err := b.text.Read(p)
	if err != nil {
		b.fill()
	}
	return n, err
}

func TestEveryProtocolIsScrubbed(t *testing.T) {
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2 without TLS", "HTTP/1.1 with TLS", "HTTP/2", "HTTP/3"} {
		t.Run(protocol, func(t *testing.T) {
			serve := func(site string) *world {
				w := prepare(t)
				site += w.legacy.Addr()
				switch protocol {
				case "HTTP/1.1":
					w.load(site)
				case "HTTP/2 without TLS":
					w.load(site)
					w.overPlainHTTP2()
				default:
					w.overTLS(strings.TrimSuffix(protocol, " with TLS"), site)
				}
				return w
			}
			// The last resort of the test itself: without a policy the same
			// request gets through.
			bare := serve("reverse_proxy ")
			wantStatus(t, bare.spoof("/bare", "", "X-User"), 200)
			// Over HTTP/3 trailers come too late for Caddy to see them.
			if seen := bare.received(); len(seen.Trailers) == 0 && protocol != "HTTP/3" || len(seen.Like("X-User")) < len(separators) {
				t.Fatalf("the attack does not even reach an unprotected application: %q", seen.Raw)
			}
			w := serve(site("anonymous"))
			for _, tc := range []struct {
				token string
				want  map[string]string
			}{{w.token("00u1ada"), spoofedNames}, {"", nothing(spoofedNames)}} {
				for range 2 {
					wantStatus(t, w.spoof("/in", tc.token, "X-User", "X-User-Groups", "X-Null"), 200)
					seen := w.received()
					if string(seen.Body) != "hello" {
						t.Errorf("the body is %q", seen.Body)
					}
					for name, value := range tc.want {
						wantHeader(t, seen, name, value)
					}
					if strings.Contains(string(seen.Raw), "root") {
						t.Errorf("the application received %q", seen.Raw)
					}
				}
			}
			wantRefusal(t, w.spoof("/in", "garbage", "X-User"), 401)
			w.nothingReceived()
		})
	}
}

// HTTP/2 has no field that announces trailers, so that only frames of one's
// own making can send them unannounced.
func TestUnannouncedTrailersOverHTTP2DoNotReachTheApplication(t *testing.T) {
	w := prepare(t)
	w.load(site("") + w.legacy.Addr())
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", w.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte(http2.ClientPreface)); err != nil {
		t.Fatal(err)
	}
	framer := http2.NewFramer(c, c)
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	fields := func(list ...string) []byte {
		block.Reset()
		for i := 0; i+1 < len(list); i += 2 {
			if err := encoder.WriteField(hpack.HeaderField{Name: list[i], Value: list[i+1]}); err != nil {
				t.Fatal(err)
			}
		}
		return bytes.Clone(block.Bytes())
	}
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	check(framer.WriteSettings())
	check(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, BlockFragment: fields(
		":method", "POST", ":scheme", "http", ":authority", w.addr, ":path", "/", "authorization", "Bearer "+w.token("00u1ada"),
		"x_user", "root", "x.user", "root", "x-user", "root", "trailer", "x-null")}))
	check(framer.WriteData(1, false, []byte("hello")))
	check(framer.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, EndHeaders: true, EndStream: true, BlockFragment: fields("x-user", "root", "x-null", "root", "x_user", "root", "x-new", "root")}))
	ctx := t.Context()
	seen, err := w.legacy.Wait(ctx, 1)
	check(err)
	for name, value := range spoofedNames {
		wantHeader(t, seen, name, value)
	}
	if strings.Contains(string(seen.Raw), "root") {
		t.Errorf("the application received %q", seen.Raw)
	}
}
