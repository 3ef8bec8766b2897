package okta

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// Directory reads one Okta organization.
type Directory struct {
	config Config
	log    *slog.Logger
	clock  func() time.Time

	// Okta counts requests by endpoint: what the apps have used up must not
	// keep users waiting, and the other way round.
	users, apps *fetch.Client

	clients clientIndex
	own     *http.Transport // nil where the transport was injected
}

// New makes a Directory. It does not touch the network.
func New(c Config, o Options) (*Directory, error) {
	c, err := c.validate()
	if err != nil {
		return nil, err
	}
	d := &Directory{config: c, log: o.Logger, clock: o.Clock, clients: clientIndex{turn: make(chan struct{}, 1)}}
	if d.log == nil {
		d.log = slog.New(slog.DiscardHandler)
	}
	if d.clock == nil {
		d.clock = time.Now
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	transport := o.Transport
	if transport == nil {
		d.own = newTransport()
		transport = d.own
	}
	options := fetch.Options{
		Base:      strings.TrimSuffix(c.URL, "/"),
		Transport: noting{transport},
		RateLimit: rateLimit,
		Clock:     d.clock,
		Rand:      o.Rand,
	}
	if c.Token != "" {
		authorization := "SSWS " + c.Token
		options.Authorize = func(_ context.Context, r *http.Request) error {
			r.Header.Set("Authorization", authorization)
			return nil
		}
	} else {
		service, err := newServiceApp(c, options)
		if err != nil {
			return nil, err
		}
		options.Authorize, options.Unauthorized = service.authorize, service.unauthorized
	}
	options.Base += "/api/v1"
	if d.users, err = fetch.New(options); err != nil {
		return nil, fmt.Errorf("configuring the okta directory: %w", err)
	}
	if d.apps, err = fetch.New(options); err != nil {
		return nil, fmt.Errorf("configuring the okta directory: %w", err)
	}
	return d, nil
}

// newTransport is made here and not by package fetch, because errors are read
// from bodies (see noting), which fetch throws away.
func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    2 * time.Second,
		ForceAttemptHTTP2:      true,
		MaxConnsPerHost:        256,
		MaxIdleConnsPerHost:    64,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: 256 << 10,
	}
}

// Close ends the idle connections.
func (d *Directory) Close() error {
	if d.own != nil {
		d.own.CloseIdleConnections()
	}
	return nil
}

// get asks one question. A 404 is "there is none" only where Okta's own error
// code says so: a wrong address, or a proxy's error page, is a failure.
func (d *Directory) get(ctx context.Context, c *fetch.Client, url, contentType string) (*fetch.Response, error) {
	var n note
	answer, err := c.Do(context.WithValue(ctx, noteKey{}, &n), fetch.Request{URL: url, ContentType: contentType})
	if err == nil {
		return answer, nil
	}
	if n.code != "" || n.requestID != "" {
		d.log.Debug("okta refused a request", slog.String("code", n.code), slog.String("request", n.requestID),
			slog.String("error", directory.Class(err)))
	}
	return nil, n.explain(err)
}

var _ directory.Directory = (*Directory)(nil)
