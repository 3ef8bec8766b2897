package issuer

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
)

const (
	// maxBody bounds a key set, metadata or an introspection's answer; the
	// largest key sets in use, with certificate chains, have some 50 KiB.
	maxBody = 1 << 20
	// maxRedirects bounds the redirects inside one origin.
	maxRedirects = 3
	// maxConnections bounds the connections to one server.
	maxConnections = 64
	// maxCAFile bounds the file of authorities.
	maxCAFile = 1 << 20
)

var (
	errRedirect = errors.New("redirect to another origin")
	errTooLarge = errors.New("body is too large")
	errInsecure = errors.New("URL is neither https nor http to loopback")
)

// A fetchError is a failed fetch with its outcome for metrics.
type fetchError struct {
	outcome string
	status  int // the HTTP status, or 0
	err     error
}

func (e *fetchError) Error() string { return e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

// outcomeOf gives the outcome word for an error of a fetch.
func outcomeOf(err error) string {
	var f *fetchError
	var netErr net.Error
	switch {
	case err == nil:
		return FetchOK
	case errors.As(err, &f):
		return f.outcome
	case errors.Is(err, errRedirect):
		return FetchRedirect
	case errors.Is(err, errTooLarge):
		return FetchTooLarge
	case errors.Is(err, jose.ErrNotKeySet), errors.Is(err, jose.ErrMixedKeys):
		return FetchMalformed
	case errors.Is(err, jose.ErrNoKeys):
		return FetchNoKeys
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &netErr) && netErr.Timeout():
		return FetchTimeout
	}
	return FetchError
}

// newClient makes the client for an issuer's servers. It follows a redirect
// only within its origin, so that neither credentials nor trust go astray.
func newClient(transport http.RoundTripper, caFile string) (*http.Client, error) {
	if caFile != "" {
		pool, err := readAuthorities(caFile)
		if err != nil {
			return nil, err
		}
		base, ok := transport.(*http.Transport)
		switch {
		case transport == nil:
			base = newTransport()
		case !ok:
			return nil, errors.New("using ca with a transport that is not an *http.Transport")
		default:
			base = base.Clone()
		}
		if base.TLSClientConfig == nil {
			base.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
		}
		base.TLSClientConfig.RootCAs = pool
		transport = base
	}
	if transport == nil {
		transport = newTransport()
	}
	return &http.Client{
		Transport: transport,
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if !sameOrigin(r.URL, via[0].URL) || len(via) > maxRedirects {
				return errRedirect
			}
			return nil
		},
	}, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        maxConnections,
		MaxIdleConnsPerHost:    maxConnections / 4,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
	}
}

func readAuthorities(file string) (*x509.CertPool, error) {
	text, err := readFile(file, maxCAFile)
	if err != nil {
		return nil, fmt.Errorf("reading ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("reading ca: no certificate in %s", file)
	}
	return pool, nil
}

// readFile reads a file up to a bound.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening file: %w", err)
	}
	defer f.Close()
	return readBody(f, limit)
}

func readBody(r io.Reader, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, errTooLarge
	}
	return text, nil
}

// getJSON fetches a document. Its content type is not looked at: key servers
// say many things.
func getJSON(ctx context.Context, client *http.Client, from string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	r.Header.Set("Accept", "application/json, application/jwk-set+json;q=0.9, */*;q=0.1")
	answer, err := client.Do(r)
	if err != nil {
		return nil, fmt.Errorf("fetching: %w", err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, &fetchError{FetchError, answer.StatusCode, fmt.Errorf("fetching %s: status %d", from, answer.StatusCode)}
	}
	text, err := readBody(answer.Body, maxBody)
	if err != nil {
		return nil, fmt.Errorf("fetching %s: %w", from, err)
	}
	return text, nil
}

func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && strings.EqualFold(a.Host, b.Host)
}

// checkURL parses the URL of a server that is to be trusted: https, or http
// to this machine, without credentials and fragment.
func checkURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err == nil && !strings.Contains(text, "://") {
		return nil, errors.New("it has no scheme, such as https://")
	}
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, errors.New("not an absolute URL without credentials and fragment")
	}
	switch strings.ToLower(u.Scheme) {
	case "https":
		return u, nil
	case "http":
		if loopback.Host(u.Hostname()) {
			return u, nil
		}
	}
	return nil, errInsecure
}
