package oauthclient

import (
	"bytes"
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/internal/trust"
)

const (
	// maxRedirects bounds the redirects of one request: enough for a trailing
	// slash and a moved version.
	maxRedirects = 3

	// maxErrorBody bounds what is read of the body of a status outside 2xx, in
	// bytes. Error documents have a few hundred.
	maxErrorBody = 64 << 10

	// maxHeader bounds the header section of an answer, in bytes.
	maxHeader = 256 << 10

	// maxConnections bounds the connections to one server. Callers bound what
	// they ask at once; one question may take several requests.
	maxConnections = 256

	// idleConnections are kept open to one server.
	idleConnections = 64

	// defaultDialTimeout bounds connecting where no other bound is given.
	defaultDialTimeout = 10 * time.Second
)

// ErrTooLarge says that an answer is over its bound. It is never cut short.
var ErrTooLarge = errors.New("body is too large")

// A RedirectError is a redirect that a Client does not follow; its text says
// why.
type RedirectError string

// Error returns the reason. It holds no URL.
func (e RedirectError) Error() string { return "redirects " + string(e) }

// TransportOptions shape a transport. Each field may be left at its zero value.
type TransportOptions struct {
	// CAFile is a PEM file with the certificates to trust instead of the
	// system's. It is read once, by NewTransport.
	CAFile string

	// DialTimeout bounds connecting to a server, and likewise the TLS
	// handshake after it. Default: 10 s.
	DialTimeout time.Duration
}

// NewTransport returns a transport with TLS 1.2 or higher and bounds on its
// connections and on headers. It does not touch the network.
func NewTransport(o TransportOptions) (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		authorities, err := trust.Authorities(o.CAFile)
		if err != nil {
			return nil, err
		}
		config.RootCAs = authorities
	}
	o.DialTimeout = cmp.Or(o.DialTimeout, defaultDialTimeout)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: o.DialTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        config,
		TLSHandshakeTimeout:    o.DialTimeout,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        maxConnections,
		MaxIdleConns:           idleConnections,
		MaxIdleConnsPerHost:    idleConnections,
		IdleConnTimeout:        90 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: maxHeader,
	}, nil
}

// A Client sends requests and reads their answers within a bound. It follows
// a redirect only within the origin of the request and with the same method, so
// that neither credentials nor trust go astray. It is safe for concurrent use.
type Client struct{ http *http.Client }

// New returns a client over a transport, or over one of its own with these
// options where transport is nil. Options and a transport together are an
// error: the options would have no effect.
func New(transport http.RoundTripper, o TransportOptions) (*Client, error) {
	if transport == nil {
		var err error
		if transport, err = NewTransport(o); err != nil {
			return nil, err
		}
	} else if o.CAFile != "" {
		return nil, errors.New("making an HTTP client: TLS settings have no effect on an injected transport")
	}
	return &Client{&http.Client{Transport: transport, CheckRedirect: checkRedirect}}, nil
}

// HTTPClient returns the client for packages that send requests themselves, such
// as golang.org/x/oauth2, which takes it from its context. Connections, headers
// and redirects stay bounded as those of Do. Bodies and time do not: x/oauth2
// reads at most 1 MiB, and the context bounds the time.
func (c *Client) HTTPClient() *http.Client { return c.http }

// CloseIdleConnections closes the connections that carry no request. Requests
// under way go on.
func (c *Client) CloseIdleConnections() { c.http.CloseIdleConnections() }

// A Response is an answer that has been read.
type Response struct {
	Status int
	Header http.Header

	// Body is the whole body of a 2xx. Of another status it is the first 64
	// KiB, or nil where reading it failed: the status says enough.
	Body []byte

	// URL is where the answer came from, after redirects.
	URL *url.URL
}

// Do sends a request and returns the answer, whatever its status. A body of a
// 2xx that is over maxBody bytes is ErrTooLarge, and a redirect that is not
// followed is a RedirectError; other errors are those of net/http, which repeat
// the URL. Where the body of a 2xx cannot be read, the error comes together with
// the answer's status and header.
func (c *Client) Do(r *http.Request, maxBody int64) (*Response, error) {
	answer, err := c.http.Do(r) // #nosec G704 -- callers check what they ask, and redirects stay at its origin
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read from
	out := &Response{Status: answer.StatusCode, Header: answer.Header, URL: r.URL}
	if answer.Request != nil { // an injected transport may leave it out
		out.URL = answer.Request.URL
	}
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		// Reading the body lets the connection be used again.
		if text, err := io.ReadAll(io.LimitReader(answer.Body, maxErrorBody)); err == nil {
			out.Body = text
		}
		return out, nil
	}
	out.Body, err = readBody(answer.Body, answer.ContentLength, maxBody)
	return out, err
}

// readBody reads a body within a bound. length is what its header says of it.
func readBody(body io.Reader, length, bound int64) ([]byte, error) {
	if length > bound {
		return nil, ErrTooLarge
	}
	var text bytes.Buffer
	if length > 0 {
		text.Grow(int(length) + bytes.MinRead)
	}
	switch n, err := text.ReadFrom(io.LimitReader(body, bound+1)); {
	case err != nil:
		return nil, fmt.Errorf("reading: %w", err)
	case n > bound:
		return nil, ErrTooLarge
	}
	return text.Bytes(), nil
}

// checkRedirect decides whether a redirect is followed.
func checkRedirect(r *http.Request, via []*http.Request) error {
	switch {
	case !SameOrigin(r.URL, via[0].URL) || r.URL.User != nil:
		return RedirectError("to another host")
	case len(via) > maxRedirects:
		return RedirectError("too often")
	case r.Method != via[0].Method:
		return RedirectError("a request into another method")
	}
	return nil
}

// SameOrigin reports whether two URLs have the same scheme, host and port (RFC
// 6454, section 4). A missing port is the scheme's own.
func SameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Hostname(), b.Hostname()) && port(a) == port(b)
}

// port returns the port of a URL, or that of its scheme where it names none.
func port(u *url.URL) string {
	if p := u.Port(); p != "" {
		return p
	}
	if strings.EqualFold(u.Scheme, "https") {
		return "443"
	}
	return "80"
}
