package integration

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// streamingApp is an application whose answers do not end by themselves: /ws is
// upgraded and says again what it hears, anything else is an event stream.
func streamingApp(t *testing.T) *httptest.Server {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			conn, rw, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
			defer stop()
			_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", r.Header.Get("Upgrade"))
			_, _ = io.Copy(conn, rw)
			return
		}
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush()
		select {
		case <-r.Context().Done():
		case <-ctx.Done():
		}
	}))
	t.Cleanup(func() {
		cancel()
		s.Close()
	})
	return s
}

// tunnel is a connection that was upgraded through the gateway.
type tunnel struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
}

// longest ends a broken test; nothing is judged by it.
const longest = 2 * time.Minute

// upgrade asks for an upgrade with a token and gives the status.
func (w *world) upgrade(token, protocol string) (*tunnel, int) {
	w.t.Helper()
	return w.upgradeAt("/ws", token, protocol)
}

func (w *world) upgradeAt(path, token, protocol string) (*tunnel, int) {
	w.t.Helper()
	conn, err := (&net.Dialer{}).DialContext(w.t.Context(), "tcp", w.addr)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(longest))
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: %s\r\n", path, w.addr, protocol)
	if protocol == "websocket" {
		request += "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	}
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"); err != nil {
		w.t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	return &tunnel{w.t, conn, in}, resp.StatusCode
}

// upgraded asks for an upgrade that must come about.
func (w *world) upgraded(token string) *tunnel {
	w.t.Helper()
	c, code := w.upgrade(token, "websocket")
	if code != 101 {
		w.t.Fatalf("status %d, want 101", code)
	}
	c.lives()
	return c
}

// lives checks that what is said comes back.
func (c *tunnel) lives() {
	c.t.Helper()
	if !c.alive() {
		c.t.Fatal("the connection has ended, or gives something else")
	}
}

// alive reports whether what is said comes back.
func (c *tunnel) alive() bool {
	_ = c.conn.SetDeadline(time.Now().Add(longest))
	if _, err := io.WriteString(c.conn, "hello\n"); err != nil {
		return false
	}
	line, err := c.in.ReadString('\n')
	return err == nil && line == "hello\n"
}

// ends waits until the other side closes the connection.
func (c *tunnel) ends() {
	c.t.Helper()
	_ = c.conn.SetDeadline(time.Now().Add(longest))
	if _, err := io.Copy(io.Discard, c.in); errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatal("the connection goes on")
	}
}

// events is an event stream through the gateway.
type events struct {
	t    *testing.T
	body io.ReadCloser
	in   *bufio.Reader
	ctx  context.Context
}

// stream asks for an event stream, which must come about.
func (w *world) stream(token string, headers ...string) *events {
	w.t.Helper()
	e, code := w.tryStream(token, headers...)
	if code != 200 || e == nil {
		w.t.Fatalf("status %d, a first event %v", code, e != nil)
	}
	return e
}

// tryStream asks for an event stream and reads its first event; there is no
// stream where none comes.
func (w *world) tryStream(token string, headers ...string) (*events, int) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), longest)
	w.t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+w.addr+"/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	c := http.DefaultTransport
	if w.client != nil {
		c = w.client.Transport
	}
	resp, err := c.RoundTrip(r)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = resp.Body.Close() })
	if resp.StatusCode != 200 {
		return nil, resp.StatusCode
	}
	e := &events{w.t, resp.Body, bufio.NewReader(resp.Body), ctx}
	if line, err := e.in.ReadString('\n'); err != nil || line != "data: first\n" {
		return nil, resp.StatusCode
	}
	return e, resp.StatusCode
}

// ends waits until the other side ends the stream.
func (e *events) ends() {
	e.t.Helper()
	_, _ = io.Copy(io.Discard, e.in)
	if e.ctx.Err() != nil {
		e.t.Fatal("the stream goes on")
	}
}

// long is a request that lasts.
type long interface{ ends() }

// asEvents is what browsers ask for an event stream with.
var asEvents = []string{"Accept", "text/event-stream"}

// begun begins a long request of each kind with one token.
func (w *world) begun(token string) map[string]long {
	return map[string]long{"an upgraded connection": w.upgraded(token), "an event stream": w.stream(token, asEvents...)}
}

// inTime begins a request that lasts for a few seconds at most, until one has
// shown that it was alive: a machine may be busy for longer than that.
func (w *world) inTime(begin func() (one long, alive bool)) (one long) {
	w.t.Helper()
	eventually(w.t, "a long request that is alive", func() (alive bool) {
		one, alive = begin()
		return alive
	})
	return one
}

// upgrading begins an upgraded connection for inTime.
func (w *world) upgrading(token func() string, protocol string) func() (long, bool) {
	return func() (long, bool) {
		c, code := w.upgrade(token(), protocol)
		return c, code == 101 && c.alive()
	}
}

// streaming begins an event stream for inTime.
func (w *world) streaming(token func() string, headers ...string) func() (long, bool) {
	return func() (long, bool) {
		e, _ := w.tryStream(token(), headers...)
		return e, e != nil
	}
}

func wantEnds(t *testing.T, all map[string]long) {
	t.Helper()
	for name, one := range all {
		t.Run(name, func(*testing.T) { one.ends() })
	}
}

// streams runs a gateway before an application whose answers last.
func streams(t *testing.T, options, issuer string) *world {
	t.Helper()
	w := prepare(t)
	upstream := streamingApp(t)
	w.load(strings.Replace(strings.ReplaceAll(editions, "%a", upstream.Listener.Addr().String()), "name payroll", "name payroll\n"+options, 1),
		w.issuerBlock(issuer), script(t, &newEdition().Fake))
	return w
}

func TestLongRequestEndsWithItsToken(t *testing.T) {
	w := streams(t, "", "leeway 0s")
	short := func() string { return w.token("ada", enrichtest.Claims{"exp": time.Now().Add(3 * time.Second).Unix()}) }
	lasts := w.upgraded(w.token("ada"))
	all := map[string]long{
		"an upgraded connection": w.inTime(w.upgrading(short, "websocket")),
		"another protocol":       w.inTime(w.upgrading(short, "legacy-protocol")),
		"an event stream":        w.inTime(w.streaming(short, asEvents...)),
	}
	wantEnds(t, all)
	lasts.lives()
}

func TestLongRequestEndsAtMaxConnection(t *testing.T) {
	w := streams(t, "max_connection 1s\nanonymous", "")
	token, nobody := func() string { return w.token("ada") }, func() string { return "" }
	wantEnds(t, map[string]long{
		"an upgraded connection":               w.inTime(w.upgrading(token, "websocket")),
		"an event stream":                      w.inTime(w.streaming(token, asEvents...)),
		"a stream that was not asked for so":   w.inTime(w.streaming(token)),
		"an upgraded connection of a stranger": w.inTime(w.upgrading(nobody, "websocket")),
	})
}

func TestLongRequestEndsWhenItIsDenied(t *testing.T) {
	w := streams(t, "", "")
	all := map[string]long{}
	add := func(how string, begun map[string]long) {
		for name, one := range begun {
			all[how+", "+name] = one
		}
	}
	add("by token id", w.begun(w.token("ada", enrichtest.Claims{"jti": "jti-1"})))
	add("by session", w.begun(w.token("ada", enrichtest.Claims{"sid": "sid-1"})))
	add("by user", w.begun(w.token("alan")))
	all["by user, an event stream that was not asked for by name"] = w.stream(w.token("alan"), "Accept", "*/*")
	other := w.upgraded(w.token("ada"))
	for _, body := range []string{`{"jti":"jti-1","issuer":"corp"}`, `{"sid":"sid-1","issuer":"corp"}`, `{"user":"alan","issuer":"corp"}`} {
		w.ordered("deny", body)
	}
	wantEnds(t, all)
	other.lives()
}

func TestLongRequestEndsWhenItsRecordIsPurged(t *testing.T) {
	w := streams(t, "", "")
	all := map[string]long{}
	other := w.upgraded(w.token("grace"))
	for subject, body := range map[string]string{
		"subject": `{"user":"subject"}`, "login": `{"user":"login@example.com"}`, "id": `{"user":"id-id"}`, "mail": `{"user":"mail-mail@example.com"}`, "group": `{"group":"group-group"}`,
	} {
		for name, one := range w.begun(w.token(subject)) {
			all["by "+subject+", "+name] = one
		}
		w.ordered("purge", body)
	}
	wantEnds(t, all)
	other.lives()
	for _, body := range []string{`{"app":"0oa1payroll"}`, `{"all":true}`} { // of which everybody is part
		one := w.upgraded(w.token("grace"))
		w.ordered("purge", body)
		one.ends()
	}
	other.ends()
	w.upgraded(w.token("grace")) // whoever is still in may begin anew at once
}

func TestLongRequestThatIsRefusedIsNotBegun(t *testing.T) {
	w := streams(t, "", "")
	for name, token := range map[string]string{"no token": "", "an expired token": w.token("ada", enrichtest.Claims{"exp": 1}), "garbage": "x"} {
		if _, code := w.upgrade(token, "websocket"); code != 401 {
			t.Errorf("%s: status %d", name, code)
		}
	}
}

func TestLogoutEndsLongRequests(t *testing.T) {
	w := prepare(t)
	upstream := streamingApp(t)
	w.load(strings.ReplaceAll(logoutSite, "%a", upstream.Listener.Addr().String()), w.issuerBlock(""), script(t, &newEdition().Fake))
	all := w.begun(w.token("ada", enrichtest.Claims{"sid": "s-1"}))
	other := w.upgraded(w.token("ada", enrichtest.Claims{"sid": "s-2"}))
	wantLoggedOut(t, w.logOut(w.logoutToken(enrichtest.Claims{"sid": "s-1"})))
	wantEnds(t, all)
	other.lives()
}

func TestEventStreamOverHTTP2EndsWhenItIsDenied(t *testing.T) {
	w := streams(t, "", "")
	w.overPlainHTTP2()
	one := w.stream(w.token("ada"), asEvents...)
	w.ordered("deny", `{"user":"ada","issuer":"corp"}`)
	one.ends()
}

// Behind an upgrade to another HTTP the client would speak to the application
// by itself, with headers of its own: nobody gets one, with or without a token.
func TestUpgradeThatWouldCarryRequestsIsNotPassedOn(t *testing.T) {
	w := prepare(t)
	upstream := streamingApp(t)
	w.load(strings.ReplaceAll(`
	token_enrich /judged* {
		header X-User sub
	}
	token_enrich /anonymous* {
		anonymous
		header X-User sub
	}
	reverse_proxy %a`, "%a", upstream.Listener.Addr().String()))
	for _, protocol := range []string{"h2c", "H2C", "h2", "HTTP/2.0", "TLS/1.2", "SPDY/3.1", "websocket, h2c", "websocket\r\nUpgrade: h2c"} {
		for path, token := range map[string]string{"/judged": w.token("00u1ada"), "/anonymous": "", "/of-no-policy": ""} {
			if _, code := w.upgradeAt(path, token, protocol+"\r\nHTTP2-Settings: AAMAAABkAAQAAP__"); code != 200 {
				t.Errorf("%q at %s: status %d, want an answer without an upgrade", protocol, path, code)
			}
		}
	}
	c, code := w.upgradeAt("/judged", w.token("00u1ada"), "websocket")
	if code != 101 {
		t.Fatalf("websocket: status %d", code)
	}
	c.lives()
}
