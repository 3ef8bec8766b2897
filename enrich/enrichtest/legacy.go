package enrichtest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Bounds of what a legacy application takes in, far over what any test sends.
const (
	maxLegacyRequest  = 4 << 20
	maxLegacyRequests = 4096
)

// Field is one header or trailer line, spelled as it came over the wire; only
// the white space around the value is gone.
type Field struct{ Name, Value string }

// RawRequest is one request as a legacy application received it.
type RawRequest struct {
	// Line is the request line.
	Line string

	// Fields are the header lines in their order.
	Fields []Field

	// Body is the body without its chunking.
	Body []byte

	// Trailers are the trailer lines of a chunked body in their order.
	Trailers []Field

	// Raw is every byte of the request.
	Raw []byte
}

// Exact returns the values of the header lines spelled exactly name.
func (r RawRequest) Exact(name string) []string {
	return values(r.Fields, func(s string) bool { return s == name })
}

// Values returns the values of the header lines named name in any case.
func (r RawRequest) Values(name string) []string {
	return values(r.Fields, func(s string) bool { return strings.EqualFold(s, name) })
}

// Like returns the lines, headers and trailers, whose names could be mistaken
// for name by an application: case does not count, nor which symbol stands
// between letters and digits (CGI makes one of all of them).
func (r RawRequest) Like(name string) []Field {
	wanted := cgiName(name)
	var out []Field
	for _, f := range slices.Concat(r.Fields, r.Trailers) {
		if cgiName(f.Name) == wanted {
			out = append(out, f)
		}
	}
	return out
}

func values(fields []Field, matches func(string) bool) []string {
	var out []string
	for _, f := range fields {
		if matches(f.Name) {
			out = append(out, f.Value)
		}
	}
	return out
}

func cgiName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		}
		return '_'
	}, name)
}

// Legacy is an HTTP/1.1 application on a bare socket: it keeps the bytes of
// every request as they were sent, trailers included, where net/http would
// have cleaned them. It is safe for concurrent use.
type Legacy struct {
	listener net.Listener

	mu       sync.Mutex
	respond  func(RawRequest) []byte
	requests []RawRequest
	arrived  chan struct{}
	open     map[net.Conn]struct{}
	closed   bool
	serving  sync.WaitGroup
}

// NewLegacy starts a legacy application on loopback; it stops with the test.
func NewLegacy(tb testing.TB) *Legacy {
	tb.Helper()
	listener, err := (&net.ListenConfig{}).Listen(tb.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("starting the legacy application: %v", err)
	}
	l := &Legacy{listener: listener, arrived: make(chan struct{}), open: map[net.Conn]struct{}{}}
	l.serving.Go(l.accept)
	tb.Cleanup(l.Close)
	return l
}

// Close stops the application and cuts its connections.
func (l *Legacy) Close() {
	l.mu.Lock()
	l.closed = true
	for c := range l.open {
		_ = c.Close()
	}
	l.mu.Unlock()
	_ = l.listener.Close()
	l.serving.Wait()
}

// Addr is the address as host and port.
func (l *Legacy) Addr() string { return l.listener.Addr().String() }

// URL is the address as a URL.
func (l *Legacy) URL() string { return "http://" + l.Addr() }

// Respond sets the whole answer, status line and all, for requests from here
// on; nil, or an empty answer, stands for the usual 200 that says ok. An answer
// that says "Connection: close" closes the connection.
func (l *Legacy) Respond(answer func(RawRequest) []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.respond = answer
}

// Requests are the requests so far, oldest first, at most 4096.
func (l *Legacy) Requests() []RawRequest {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.requests)
}

// Last is the latest request; false where none came.
func (l *Legacy) Last() (RawRequest, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.requests) == 0 {
		return RawRequest{}, false
	}
	return l.requests[len(l.requests)-1], true
}

// Forget drops the requests so far.
func (l *Legacy) Forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = nil
}

// Wait returns the n-th request (from 1), waiting for it as long as ctx lasts.
func (l *Legacy) Wait(ctx context.Context, n int) (RawRequest, error) {
	for {
		l.mu.Lock()
		if len(l.requests) >= n {
			r := l.requests[n-1]
			l.mu.Unlock()
			return r, nil
		}
		arrived, count := l.arrived, len(l.requests)
		l.mu.Unlock()
		select {
		case <-arrived:
		case <-ctx.Done():
			return RawRequest{}, fmt.Errorf("waiting for request %d, %d came: %w", n, count, ctx.Err())
		}
	}
}

func (l *Legacy) accept() {
	for {
		c, err := l.listener.Accept()
		if err != nil {
			return
		}
		l.mu.Lock()
		if l.closed {
			l.mu.Unlock()
			_ = c.Close()
			return
		}
		l.open[c] = struct{}{}
		l.mu.Unlock()
		l.serving.Go(func() { l.serve(c) })
	}
}

func (l *Legacy) serve(c net.Conn) {
	defer func() {
		_ = c.Close()
		l.mu.Lock()
		delete(l.open, c)
		l.mu.Unlock()
	}()
	in := bufio.NewReader(c)
	for {
		request, err := readRaw(in)
		if err != nil {
			return
		}
		answer := l.keep(request)
		if _, err := c.Write(answer); err != nil {
			return
		}
		if bytes.Contains(bytes.ToLower(answer), []byte("\r\nconnection: close\r\n")) {
			return
		}
	}
}

// keep remembers a request, wakes who waits for it, and finds the answer.
func (l *Legacy) keep(request RawRequest) []byte {
	l.mu.Lock()
	if len(l.requests) < maxLegacyRequests {
		l.requests = append(l.requests, request)
		close(l.arrived)
		l.arrived = make(chan struct{})
	}
	respond := l.respond
	l.mu.Unlock()
	if respond != nil {
		if answer := respond(request); len(answer) > 0 {
			return answer
		}
	}
	return []byte("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok")
}

// recorder keeps every byte that is read through it.
type recorder struct {
	in  *bufio.Reader
	raw bytes.Buffer
}

var errLegacyRequest = errors.New("request is malformed or too long")

func (r *recorder) line() (string, error) {
	text, err := r.in.ReadString('\n')
	r.raw.WriteString(text)
	if err != nil {
		return "", err
	}
	if r.raw.Len() > maxLegacyRequest {
		return "", errLegacyRequest
	}
	return strings.TrimRight(text, "\r\n"), nil
}

func (r *recorder) take(n int) ([]byte, error) {
	if n < 0 || n > maxLegacyRequest-r.raw.Len() {
		return nil, errLegacyRequest
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(r.in, body); err != nil {
		return nil, err
	}
	r.raw.Write(body)
	return body, nil
}

func (r *recorder) fields() ([]Field, error) {
	var out []Field
	for {
		text, err := r.line()
		if err != nil {
			return nil, err
		}
		if text == "" {
			return out, nil
		}
		name, value, _ := strings.Cut(text, ":")
		out = append(out, Field{Name: name, Value: strings.TrimSpace(value)})
	}
}

func (r *recorder) chunks() ([]byte, error) {
	var body []byte
	for {
		text, err := r.line()
		if err != nil {
			return nil, err
		}
		digits, _, _ := strings.Cut(text, ";")
		size, err := strconv.ParseInt(strings.TrimSpace(digits), 16, 32)
		if err != nil {
			return nil, fmt.Errorf("reading a chunk: %w", err)
		}
		if size == 0 {
			return body, nil
		}
		chunk, err := r.take(int(size))
		if err != nil {
			return nil, err
		}
		body = append(body, chunk...)
		if _, err := r.line(); err != nil {
			return nil, err
		}
	}
}

// readRaw reads one request as plainly as can be: whatever stands before the
// first colon of a line is the name.
func readRaw(in *bufio.Reader) (RawRequest, error) {
	r := &recorder{in: in}
	var request RawRequest
	var err error
	if request.Line, err = r.line(); err != nil {
		return request, err
	}
	if request.Fields, err = r.fields(); err != nil {
		return request, err
	}
	if coding := request.Values("Transfer-Encoding"); len(coding) > 0 {
		if request.Body, err = r.chunks(); err != nil {
			return request, err
		}
		if request.Trailers, err = r.fields(); err != nil {
			return request, err
		}
	} else if lengths := request.Values("Content-Length"); len(lengths) > 0 {
		n, err := strconv.Atoi(lengths[0])
		if err != nil {
			return request, fmt.Errorf("reading a body: %w", err)
		}
		if request.Body, err = r.take(n); err != nil {
			return request, err
		}
	}
	request.Raw = r.raw.Bytes()
	return request, nil
}

// rawTimeout ends a [SendRaw] to a server that does not close. One that is asked
// to answers within milliseconds, or on a busy machine within seconds.
const rawTimeout = time.Minute

// SendRaw sends bytes over a fresh connection and returns everything that
// comes back until the other side closes. The request should say
// "Connection: close".
func SendRaw(ctx context.Context, address string, request []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, rawTimeout)
	defer cancel()
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("sending a raw request: %w", err)
	}
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	if _, err := c.Write(request); err != nil {
		return nil, fmt.Errorf("sending a raw request: %w", err)
	}
	answer, err := io.ReadAll(io.LimitReader(c, maxLegacyRequest))
	if err != nil {
		return answer, fmt.Errorf("reading the answer to a raw request: %w", err)
	}
	return answer, nil
}
