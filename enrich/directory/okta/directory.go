package okta

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file holds the directory with its clients. What they read is in user.go,
// person.go and app.go; their rate limits are in allowance.go, their
// credentials in serviceapp.go.

// Directory reads one Okta organization.
type Directory struct {
	config Config
	log    *slog.Logger
	clock  func() time.Time

	// One client for each kind of request, because Okta counts by endpoint:
	// users must not wait for a limit that apps have used up. All share one
	// transport.
	of [kinds]*fetch.Client

	clients clientIndex
}

// New returns a Directory. It reads the CA file and does not touch the network.
func New(c Config, o Options) (*Directory, error) {
	c, err := c.validate()
	if err != nil {
		return nil, err
	}
	d := &Directory{config: c, log: o.Logger, clock: o.Clock, clients: clientIndex{turn: make(chan struct{}, 1)}}
	d.log = cmp.Or(d.log, slog.New(slog.DiscardHandler))
	if d.clock == nil {
		d.clock = time.Now
	}
	o.Rand = cmp.Or(o.Rand, rand.Reader)
	transport := o.Transport
	if transport == nil {
		if transport, err = fetch.NewTransport(c.CAFile); err != nil {
			return nil, fmt.Errorf("configuring the okta directory: %w", err)
		}
	}
	options := fetch.Options{
		Base:      strings.TrimSuffix(c.URL, "/"),
		Transport: transport,
		RateLimit: rateLimit,
		Clock:     d.clock,
		Rand:      o.Rand,
	}
	if c.Token != "" {
		// An API token (SSWS) does not expire while it is in use.
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
	// The token endpoint above is outside of the API's path.
	options.Base += "/api/v1"
	// Each client waits for its own allowance before the credentials are put on
	// a request, so that a wait does not outlast a token.
	left := &allowances{clock: d.clock, rand: o.Rand}
	credentials := options.Authorize
	for k := range kinds {
		options.Authorize, options.RateLimit = left.authorize(k, credentials), left.rateLimit(k)
		if d.of[k], err = fetch.New(options); err != nil {
			return nil, fmt.Errorf("configuring the okta directory: %w", err)
		}
	}
	return d, nil
}

// Close closes the idle connections.
func (d *Directory) Close() error {
	return d.of[kindUser].Close() // all its clients share a transport
}

// get sends one request. A 404 is ErrNotFound only with Okta's own error code:
// a wrong address, or the error page of a proxy, is a failure.
func (d *Directory) get(ctx context.Context, k kind, url, contentType string) (*fetch.Response, error) {
	answer, err := d.of[k].Do(ctx, fetch.Request{URL: url, ContentType: contentType})
	if err == nil {
		return answer, nil
	}
	// Failures without a status have their sentinel already.
	status, ok := errors.AsType[*fetch.StatusError](err)
	if !ok {
		return nil, err
	}
	code, requestID := readRefusal(status)
	// Logged here alone: the error must not hold what Okta repeats of the
	// request.
	if code != "" || requestID != "" {
		d.log.Debug("okta refused a request", slog.String("code", code), slog.String("request", requestID),
			slog.String("error", directory.Class(err)))
	}
	return nil, explain(err, status.Status, code)
}

// Unsupported implements directory.Limited: only the assignment to the
// protected app is read, and linked objects only where they are configured.
func (d *Directory) Unsupported() identity.Facts {
	unsupported := identity.FactAppUsers
	if len(d.config.Linked) == 0 {
		unsupported |= identity.FactLinked
	}
	return unsupported
}

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Partial   = (*Directory)(nil)
	_ directory.Limited   = (*Directory)(nil)
)
