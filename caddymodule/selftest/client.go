package selftest

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This file sends requests exactly as an attempt spells them. HTTP/1.1 is written to
// the connection by hand, because net/http corrects or refuses what is malformed.
// HTTP/2 goes through net/http, whose frames cannot carry most malformed names.

// The protocols of requests, as a report names them.
const (
	protocol1 = "HTTP/1.1"
	protocol2 = "HTTP/2"
)

// line is one header or trailer line, sent as it is.
type line struct{ name, value string }

// request is one request as it is sent. Requests are GET requests.
type request struct {
	protocol   string
	host, path string
	raw        string // the path as it is sent; empty: path, escaped
	query      string
	lines      []line
	trailers   []line
	announced  bool     // whether a Trailer header announces the trailers
	connection []string // what Connection names; HTTP/1.1 only
}

// reply is the answer to a request, with at most maxReplyBody bytes of its body.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// Bounds of one request.
const (
	attemptTimeout = 15 * time.Second // over the default timeouts of issuer and directory
	maxReplyBody   = 256 << 10
)

// client speaks to one server of the private configuration, in two protocols. It does
// not follow redirects and asks for no compression, so that each answer is compared
// as the gateway sent it.
type client struct {
	addr  string
	tls   *tls.Config
	http2 *http.Client
	close func()
}

// newClient returns a client that connects to addr for any host, and that
// trusts only the certificate that was made for the test.
func newClient(addr string, pool *x509.CertPool) *client {
	c := &client{addr: addr, tls: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS13}}
	var only http.Protocols
	only.SetHTTP2(true)
	transport := &http.Transport{
		TLSClientConfig: c.tls.Clone(), Protocols: &only, DisableCompression: true,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, addr)
		},
	}
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http2 = &http.Client{Transport: transport, CheckRedirect: noRedirect}
	c.close = transport.CloseIdleConnections
	return c
}

// send sends a request and returns the answer. An error means that there was none,
// twice: a server may end a connection in use (HTTP/2 GOAWAY), and http.Client
// does not send a body again by itself.
func (c *client) send(ctx context.Context, a request) (*reply, error) {
	r, err := c.sendOnce(ctx, a)
	if err != nil && ctx.Err() == nil {
		r, err = c.sendOnce(ctx, a)
	}
	return r, err
}

// sendOnce sends a request once.
func (c *client) sendOnce(ctx context.Context, a request) (*reply, error) {
	// The bound of one request, within that of the selftest.
	ctx, cancel := context.WithTimeout(ctx, attemptTimeout)
	defer cancel()
	if a.protocol == protocol2 {
		return c.sendHTTP2(ctx, a)
	}
	return c.sendHTTP1(ctx, a)
}

// sendHTTP1 sends a request over HTTP/1.1 line by line, so that a malformed one is
// sent as it is.
func (c *client) sendHTTP1(ctx context.Context, a request) (*reply, error) {
	// A connection for each request: a malformed one may leave it in any state.
	config := c.tls.Clone()
	config.ServerName, config.NextProtos = a.host, []string{"http/1.1"}
	conn, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", c.addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	// Built by hand: net/http refuses to send names and values that are malformed.
	var b strings.Builder
	fmt.Fprintf(&b, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: %s\r\n", a.target(), a.host, strings.Join(append([]string{"close"}, a.connection...), ", "))
	for _, l := range a.lines {
		fmt.Fprintf(&b, "%s: %s\r\n", l.name, l.value)
	}
	if len(a.trailers) > 0 {
		fmt.Fprintf(&b, "Trailer: %s\r\n", strings.Join(a.announcedNames(), ", "))
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n")
		for _, l := range a.trailers {
			fmt.Fprintf(&b, "%s: %s\r\n", l.name, l.value)
		}
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(conn, b.String()); err != nil {
		return nil, err
	}
	in := bufio.NewReader(io.LimitReader(conn, 2*maxReplyBody))
	for { // until the final answer, behind those with a status of 1xx
		resp, err := http.ReadResponse(in, &http.Request{Method: http.MethodGet})
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= http.StatusOK || resp.StatusCode == http.StatusSwitchingProtocols {
			return readReply(resp)
		}
	}
}

// sendHTTP2 sends a request over HTTP/2. Connections are reused: a malformed request
// ends a stream, not the connection.
func (c *client) sendHTTP2(ctx context.Context, a request) (*reply, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+bracketed(a.host), nil)
	if err != nil {
		return nil, err
	}
	r.URL.Opaque = "//" + r.URL.Host + a.target() // the part behind the host becomes :path
	for _, l := range a.lines {
		r.Header[l.name] = append(r.Header[l.name], l.value)
	}
	// http.Client sends trailers only behind a body of unknown length.
	if len(a.trailers) > 0 {
		r.Trailer = http.Header{}
		for _, name := range a.announcedNames() {
			r.Trailer[name] = nil
		}
		r.Body = io.NopCloser(&trailingBody{Reader: strings.NewReader("body"), to: r.Trailer, lines: a.trailers})
		r.ContentLength = -1
	}
	resp, err := c.http2.Do(r)
	if err != nil {
		return nil, err
	}
	return readReply(resp)
}

// trailingBody fills in trailers when the body has been sent. http.Client sends
// those that are there by then, announced or not.
type trailingBody struct {
	io.Reader
	to    http.Header
	lines []line
}

// Read reads the body. At its end, it fills in the trailers.
func (b *trailingBody) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	if errors.Is(err, io.EOF) {
		for _, l := range b.lines {
			b.to[l.name] = append(b.to[l.name], l.value)
		}
		b.lines = nil
	}
	return n, err
}

// readReply reads an answer with a bounded body. The body matters only for a value of
// the client that an error page repeats.
func readReply(resp *http.Response) (*reply, error) {
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxReplyBody))
	if err != nil && len(body) == 0 {
		// The status is what matters; a body that was cut short says nothing
		// against it.
		body = nil
	}
	return &reply{status: resp.StatusCode, header: resp.Header, body: body}, nil
}

// target returns the request target: the path with its query. A raw path is sent as
// it is, also where it is not a valid one.
func (a request) target() string {
	target := cmp.Or(a.raw, (&url.URL{Path: a.path}).EscapedPath())
	if a.query != "" {
		target += "?" + a.query
	}
	return target
}

// bracketed returns a host as it is written in a URL: an IPv6 address in brackets.
func bracketed(host string) string {
	if strings.Contains(host, ":") {
		return "[" + host + "]"
	}
	return host
}

// announcedNames returns the names that Trailer lists: the trailers, or else one
// that is not sent. The latter lets trailers through that are not announced: Go's
// server merges both into one map, which handlers share before the body ends.
func (a request) announcedNames() []string {
	if !a.announced {
		return []string{"X-Token-Enrich-Selftest"}
	}
	var names []string
	for _, l := range a.trailers {
		if !slices.Contains(names, l.name) {
			names = append(names, l.name)
		}
	}
	return names
}
