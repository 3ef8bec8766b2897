// Package fetch is the HTTP client of the kinds of directory that speak HTTP, on
// top of package oauthclient. It talks to one origin only and sends credentials
// nowhere else, bounds every answer, checks its type, repeats what may be
// repeated, keeps the pace that the server asks for, and returns the sentinels of
// package directory. Its errors never hold a URL, because URLs hold subjects.
package fetch

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Options are the settings of a Client. Only Base is required.
type Options struct {
	// Base is the directory's address. Its scheme, host and port are the only
	// ones that requests, redirects and links of answers may go to. Its path is
	// put in front of relative request URLs. It holds no user, query or
	// fragment.
	Base string

	// Plaintext allows http to a host that is not this machine. Without it such
	// a Base is an error, because credentials and data of users would travel in
	// the clear.
	Plaintext bool

	// CAFile is a PEM file with the certificates to trust instead of the
	// system's. It is read once, by New. Default: the system's.
	CAFile string

	// Transport replaces the client's own. A CAFile is then an error, because
	// it would have no effect. Default: a transport as NewTransport returns it.
	Transport http.RoundTripper

	// Header is set on each request. Default: none.
	Header http.Header

	// Authorize puts the credentials on a request, anew for each attempt. Its
	// error ends the request. Default: no credentials.
	Authorize func(ctx context.Context, r *http.Request) error

	// Unauthorized is called after a 401, once for each request, with the
	// header that was sent and the one that came. It reports whether to send
	// the request again, such as after it dropped an expired token. Default: a
	// 401 is final.
	Unauthorized func(ctx context.Context, sent, answer http.Header) (again bool)

	// RateLimit returns from an answer the time before which no further request
	// is sent; the zero time means no pause. Default: RetryAfter.
	RateLimit func(status int, answer http.Header, now time.Time) time.Time

	// MaxBody bounds an answer, decompressed, in bytes. Default:
	// directory.MaxResponse.
	MaxBody int64

	// Retries is how often a request is repeated that may be, at most
	// directory.MaxRetries. Default: 2; negative: never.
	Retries int

	// Clock is the time against which pauses are measured. Default: time.Now.
	Clock func() time.Time

	// Rand is the source of the jitter of pauses. Default: crypto/rand.
	Rand io.Reader
}

// Limits of a client.
const (
	// defaultRetries is enough for a connection that the server had closed in
	// the pool, and for one backend that is being replaced.
	defaultRetries = 2

	// dialTimeout bounds connecting, and the TLS handshake. It is shorter than
	// a look-up, so that there is time for another attempt.
	dialTimeout = 2 * time.Second

	// maxPause bounds the pause that one answer can ask for: a wrong clock of
	// the server must not stop requests for days.
	maxPause = time.Minute
)

// Client sends requests to one origin. It is safe for concurrent use.
type Client struct {
	base         *url.URL
	http         *oauthclient.Client
	header       http.Header
	authorize    func(context.Context, *http.Request) error
	unauthorized func(ctx context.Context, sent, answer http.Header) bool
	rateLimit    func(int, http.Header, time.Time) time.Time
	maxBody      int64
	retries      int
	clock        func() time.Time
	rand         io.Reader
	pausedUntil  atomic.Int64 // Unix nanoseconds; no request before
}

// New returns a client. It reads CAFile and does not touch the network.
func New(o Options) (*Client, error) {
	base, err := parseBase(o.Base, o.Plaintext)
	if err != nil {
		return nil, err
	}
	c := &Client{
		base: base, header: o.Header.Clone(), authorize: o.Authorize, unauthorized: o.Unauthorized,
		rateLimit: o.RateLimit, maxBody: o.MaxBody, retries: o.Retries, clock: o.Clock, rand: o.Rand,
	}
	switch {
	case o.Retries > directory.MaxRetries:
		return nil, fmt.Errorf("making an HTTP client: over %d retries", directory.MaxRetries)
	case o.MaxBody < 0:
		return nil, errors.New("making an HTTP client: bound of the answer is negative")
	case o.Retries == 0:
		c.retries = defaultRetries
	}
	c.maxBody = cmp.Or(c.maxBody, directory.MaxResponse)
	if c.rateLimit == nil {
		c.rateLimit = RetryAfter
	}
	if c.clock == nil {
		c.clock = time.Now
	}
	c.rand = cmp.Or(c.rand, rand.Reader)
	settings := oauthclient.TransportOptions{CAFile: o.CAFile, DialTimeout: dialTimeout}
	if c.http, err = oauthclient.New(o.Transport, settings); err != nil {
		return nil, err
	}
	return c, nil
}

// Close closes the idle connections. Requests under way go on. It never fails.
func (c *Client) Close() error {
	c.http.CloseIdleConnections()
	return nil
}

// NewTransport returns a transport like that which New makes where none is
// injected, for kinds whose clients share one. CAFile has the meaning of
// Options.CAFile.
func NewTransport(caFile string) (*http.Transport, error) {
	return oauthclient.NewTransport(oauthclient.TransportOptions{CAFile: caFile, DialTimeout: dialTimeout})
}

// CheckAddress returns the error that New would return for a base address.
func CheckAddress(base string, plaintext bool) error {
	_, err := parseBase(base, plaintext)
	return err
}

// parseBase parses a base address. Its errors quote no credentials.
func parseBase(text string, plaintext bool) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		// The error repeats the text, which may hold a password.
		return nil, errors.New("reading the directory's address: not a URL")
	case !strings.Contains(text, "://"):
		// The text before a colon may be a user's name.
		return nil, errors.New("reading the directory's address: want https://…")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("reading the directory's address: want https://…, not %q%s", u.Scheme, suggest.DidYouMean(u.Scheme, []string{"https", "http"}))
	case u.Host == "" || u.Opaque != "":
		return nil, errors.New("reading the directory's address: no host in it")
	case u.User != nil:
		return nil, errors.New("reading the directory's address: it must not contain credentials")
	case u.RawQuery != "" || u.ForceQuery || u.Fragment != "":
		return nil, errors.New("reading the directory's address: it must not have a query or a fragment")
	case u.Scheme == "http" && !plaintext && !loopback.Host(u.Hostname()):
		return nil, errors.New("reading the directory's address: http would send credentials and profiles in the clear; use https")
	}
	return u, nil
}

// SameOrigin reports whether u has the scheme, host and port of the base.
func (c *Client) SameOrigin(u *url.URL) bool { return oauthclient.SameOrigin(u, c.base) }
