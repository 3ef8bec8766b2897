package fetch

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// This file turns failures of HTTP into the sentinels of package directory, and
// reads Retry-After.

// transportError returns the sentinel for a failed round trip, and whether to
// repeat it. It drops the URL that net/http writes into its errors, because
// that may hold a subject.
func (c *Client) transportError(ctx context.Context, err error) (*Response, repetition, error) {
	if ctx.Err() != nil {
		return nil, never, ctx.Err()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	// Only texts of known types are shown: they name hosts and certificates.
	var certificate *tls.CertificateVerificationError
	var timeout net.Error
	var op *net.OpError
	var redirect oauthclient.RedirectError
	switch {
	case errors.As(err, &redirect):
		return nil, never, fmt.Errorf("asking: %w: %w", redirect, directory.ErrUnavailable)
	case errors.As(err, &certificate):
		return nil, never, fmt.Errorf("asking: %w: %w", certificate, directory.ErrUnavailable)
	case errors.As(err, &timeout) && timeout.Timeout():
		return nil, pause, fmt.Errorf("asking: %w", directory.ErrTimeout)
	case errors.As(err, &op):
		return nil, pause, fmt.Errorf("asking: %w: %w", op, directory.ErrUnavailable)
	}
	// Other texts of net/http repeat bytes of the answer.
	return nil, pause, fmt.Errorf("asking: connection failed: %w", directory.ErrUnavailable)
}

// statusError returns the StatusError for a status outside 2xx, and whether to
// repeat the request.
func (c *Client) statusError(ctx context.Context, q Request, sent http.Header, answer *oauthclient.Response) (*Response, repetition, error) {
	// A status is final unless it says that a later attempt may succeed.
	e := &StatusError{Status: answer.Status, header: answer.Header, body: answer.Body}
	again := never
	switch {
	case slices.Contains(q.Absent, answer.Status):
		e.cause = directory.ErrNotFound
	case answer.Status == http.StatusUnauthorized:
		e.cause = directory.ErrRefused
		if c.unauthorized != nil && c.unauthorized(ctx, sent, answer.Header) {
			again = renewal
		}
	case answer.Status == http.StatusForbidden, answer.Status == http.StatusProxyAuthRequired:
		e.cause = directory.ErrRefused
	case answer.Status == http.StatusTooManyRequests:
		e.cause, again = directory.ErrThrottled, pause
	case answer.Status == http.StatusBadGateway, answer.Status == http.StatusServiceUnavailable,
		answer.Status == http.StatusGatewayTimeout, answer.Status == http.StatusRequestTimeout,
		answer.Status == http.StatusTooEarly:
		e.cause, again = directory.ErrUnavailable, pause
	case answer.Status >= 500 || answer.Status < 400:
		e.cause = directory.ErrUnavailable
	default:
		e.cause = directory.ErrRejected
	}
	return nil, again, fmt.Errorf("asking: %w", e)
}

// defaultPause is the pause after a 429 without Retry-After.
const defaultPause = time.Second

// RetryAfter returns the time before which no further request is sent, from the
// Retry-After of a 429 or 503 (RFC 9110, section 10.2.3). The zero time means
// no pause.
func RetryAfter(status int, answer http.Header, now time.Time) time.Time {
	if status != http.StatusTooManyRequests && status != http.StatusServiceUnavailable {
		return time.Time{}
	}
	text := strings.TrimSpace(answer.Get("Retry-After"))
	if seconds, err := strconv.ParseUint(text, 10, 32); err == nil {
		return now.Add(time.Duration(seconds) * time.Second)
	}
	if at, err := http.ParseTime(text); err == nil {
		// By the server's own clock, where it shows it.
		if date, err := http.ParseTime(answer.Get("Date")); err == nil {
			return now.Add(at.Sub(date))
		}
		return at
	}
	if status == http.StatusTooManyRequests {
		return now.Add(defaultPause)
	}
	return time.Time{}
}
