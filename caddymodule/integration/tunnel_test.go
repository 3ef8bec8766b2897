package integration

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// plainApp is an application that knows no CONNECT: it reads the next request
// where the last one ends.
type plainApp struct {
	*httptest.Server

	mu   sync.Mutex
	seen []string
}

func newPlainApp(t *testing.T) *plainApp {
	t.Helper()
	a := &plainApp{}
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		a.mu.Lock()
		a.seen = append(a.seen, r.Method+" "+r.URL.Path+" as "+strings.Join(r.Header.Values("X-User"), ", "))
		a.mu.Unlock()
		if r.Method == http.MethodConnect {
			w.WriteHeader(http.StatusMethodNotAllowed)
		}
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *plainApp) requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.seen)
}

// What follows a CONNECT request goes to the application as it is: a whole
// request that nobody has scrubbed would be answered as if it came from us. Over
// HTTP/1.1 Caddy itself reads it as the client's next one.
func TestRequestsInATunnelDoNotReachTheApplication(t *testing.T) {
	for _, protocol := range []string{"HTTP/2 without TLS", "HTTP/2", "HTTP/3"} {
		for _, kind := range []string{"decided", "anonymous", "unmatched", "scrubbed early"} {
			t.Run(protocol+", "+kind, func(t *testing.T) {
				w := prepare(t)
				app := newPlainApp(t)
				token, text, user := "", "", ""
				switch kind {
				case "decided":
					token, user, text = w.token("00u1ada"), "ada@example.com", site("")
				case "anonymous":
					text = site("anonymous")
				case "unmatched":
					text = strings.Replace(site(""), "token_enrich {", "token_enrich /in* {", 1)
				case "scrubbed early":
					text = "token_enrich_scrub\n@in path /in*\nhandle @in {\n" + site("") + app.Listener.Addr().String() + "\n}\nreverse_proxy "
				}
				// On one connection, so that a request that is hidden in the
				// first has been answered before the last.
				text += app.Listener.Addr().String() + " {\n transport http {\n max_conns_per_host 1\n }\n}"
				if protocol == "HTTP/2 without TLS" {
					w.load(text)
					w.overPlainHTTP2()
				} else {
					w.overTLS(protocol, text)
				}
				before := len(app.requests())
				scheme := "http"
				if w.scheme != "" {
					scheme = w.scheme
				}
				r, err := http.NewRequestWithContext(t.Context(), "CONNECT", scheme+"://"+w.addr, strings.NewReader("GET /admin HTTP/1.1\r\nHost: app\r\nX-User: root\r\n\r\n"))
				if err != nil {
					t.Fatal(err)
				}
				r.ContentLength = -1
				if token != "" {
					r.Header.Set("Authorization", "Bearer "+token)
				}
				w.send(r)
				w.get("/last", token)
				got, want := app.requests()[before:], []string{"CONNECT  as " + user, "GET /last as " + user}
				if !slices.Equal(got, want) {
					t.Errorf("the application received %q, want %q", got, want)
				}
			})
		}
	}
}

// A WebSocket over HTTP/3 begins with CONNECT (RFC 9220), and reverse_proxy
// makes an upgrade of it.
func TestWebSocketOverHTTP3IsScrubbedAndEndsWhenItIsDenied(t *testing.T) {
	w := prepare(t)
	asked := make(chan http.Header, 8)
	echo := streamingApp(t).Config.Handler
	app := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			asked <- r.Header.Clone()
		}
		echo.ServeHTTP(rw, r)
	}))
	t.Cleanup(app.Close)
	w.overTLS("HTTP/3", site("token_from header Authorization Bearer\ntoken_from cookie session")+app.Listener.Addr().String())
	open := func(headers http.Header) (io.Writer, *http.Response) {
		t.Helper()
		out, in := io.Pipe()
		t.Cleanup(func() { _ = in.Close() })
		r, err := http.NewRequestWithContext(t.Context(), "CONNECT", "https://"+w.addr+"/ws", out)
		if err != nil {
			t.Fatal(err)
		}
		r.Proto, r.ContentLength, r.Header = "websocket", -1, headers
		resp, err := w.client.Transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		return in, resp
	}
	token := w.token("00u1ada")

	if _, resp := open(http.Header{"Cookie": {"session=" + token}, "Origin": {"https://evil.example"}}); resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page's WebSocket with a cookie: status %d, want 403", resp.StatusCode)
	}

	headers := http.Header{"Authorization": {"Bearer " + token}, "Sec-Websocket-Version": {"13"}}
	for _, s := range spellings("X-User") {
		headers[s] = []string{"root"}
	}
	in, resp := open(headers)
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, want 200", resp.StatusCode)
	}
	seen := <-asked
	if got := seen.Values("X-User"); len(got) != 1 || got[0] != "ada@example.com" || seen.Get("Upgrade") != "websocket" {
		t.Errorf("the application was asked with %q", seen)
	}
	for name, values := range seen {
		if slices.Contains(values, "root") {
			t.Errorf("the application received %s", name)
		}
	}
	if _, err := io.WriteString(in, "hello\n"); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, 6)
	if _, err := io.ReadFull(resp.Body, said); err != nil || string(said) != "hello\n" {
		t.Fatalf("the connection gave %q, %v", said, err)
	}
	w.ordered("deny", `{"user":"00u1ada","issuer":"corp"}`)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, resp.Body)
	}()
	select {
	case <-ended:
	case <-time.After(longest):
		t.Fatal("the connection goes on")
	}
}
