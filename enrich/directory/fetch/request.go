package fetch

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/internal/backoff"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// This file sends one request: it resolves the URL, keeps the server's pace,
// repeats what may be repeated, and checks the answer.

// Request is one question to the server.
type Request struct {
	// Method is the HTTP method. Default: GET.
	Method string

	// URL is absolute, at the client's origin, as in a link to the next page,
	// or relative to its base: an escaped path and query.
	URL string

	// Header is set on top of the client's.
	Header http.Header

	// Body is sent with ContentType. A nil Body is none.
	Body        []byte
	ContentType string

	// Repeat says that a request with another method than GET and HEAD may be
	// sent again, such as a search by POST.
	Repeat bool

	// Accept are the media types that an answer may have. Default:
	// application/json and each type that ends in +json.
	Accept []string

	// Absent are the statuses by which this server says with authority that the
	// object does not exist: directory.ErrNotFound. A 404 for one object has
	// that meaning, a 404 for a search means a wrong address.
	Absent []int
}

// Response is an answer with a status of 200 to 299.
type Response oauthclient.Response

// StatusError is a status outside 2xx. It wraps a sentinel of package
// directory.
type StatusError struct {
	Status int

	cause  error
	header http.Header
	body   []byte
}

// Error returns the status and the sentinel's text, never the URL.
func (e *StatusError) Error() string {
	return fmt.Sprintf("status %d: %v", e.Status, e.cause)
}

// Unwrap returns the sentinel.
func (e *StatusError) Unwrap() error { return e.cause }

// Header returns the header that came with the status.
func (e *StatusError) Header() http.Header { return e.header }

// Body returns the body that came with the status, 64 KiB of it at most, and
// nil where reading it failed. It is for error codes alone: servers repeat what
// they were asked, so that it belongs in no error and no log.
func (e *StatusError) Body() []byte { return e.body }

// Do sends a request and returns the answer. Any status outside 2xx is an
// error: see StatusError and Request.Absent. Attempts after a failure, and the
// pauses before them, end with the context.
func (c *Client) Do(ctx context.Context, q Request) (*Response, error) {
	target, err := c.resolve(q.URL)
	if err != nil {
		return nil, err
	}
	q.Method = cmp.Or(q.Method, http.MethodGet)
	repeatable := q.Repeat || q.Method == http.MethodGet || q.Method == http.MethodHead
	renewed := false
	for attempt := 0; ; attempt++ {
		if err := c.keepPace(ctx); err != nil {
			return nil, err
		}
		answer, again, err := c.once(ctx, q, target)
		if err == nil {
			return answer, nil
		}
		// Once, and not counted as an attempt: the credentials were at fault.
		if again == renewal {
			if renewed || ctx.Err() != nil {
				return nil, err
			}
			renewed = true
			attempt--
			continue
		}
		if again == never || !repeatable || attempt >= c.retries || !backoff.Wait(ctx, backoff.Pause(c.rand, attempt)) {
			return nil, err
		}
	}
}

// resolve returns a request's URL as an absolute one at the client's origin.
// One at another origin is an error.
func (c *Client) resolve(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("reading a URL: not valid: %w", directory.ErrMalformed)
	case u.User != nil || u.Opaque != "":
		return nil, fmt.Errorf("reading a URL: not a plain address: %w", directory.ErrMalformed)
	case u.IsAbs() || u.Host != "":
		u.Scheme = cmp.Or(u.Scheme, c.base.Scheme)
		if !c.SameOrigin(u) {
			return nil, fmt.Errorf("reading a URL: it leads to another host: %w", directory.ErrMalformed)
		}
		u.Fragment = ""
		return u, nil
	}
	// Joined as text, because url.JoinPath would unescape and clean the path.
	path := strings.TrimSuffix(c.base.EscapedPath(), "/")
	if p := u.EscapedPath(); p != "" {
		path += "/" + strings.TrimPrefix(p, "/")
	}
	joined := *c.base
	if joined.Path, err = url.PathUnescape(path); err != nil {
		return nil, fmt.Errorf("reading a URL: not valid: %w", directory.ErrMalformed)
	}
	joined.RawPath, joined.RawQuery = path, u.RawQuery
	return &joined, nil
}

// keepPace waits until the pause ends that the server asked for. It fails where
// that is later than the context's deadline.
func (c *Client) keepPace(ctx context.Context) error {
	until := c.pausedUntil.Load()
	if until == 0 {
		return nil
	}
	wait := time.Unix(0, until).Sub(c.clock())
	if wait <= 0 {
		c.pausedUntil.CompareAndSwap(until, 0)
		return nil
	}
	if !backoff.Wait(ctx, wait+backoff.Jitter(c.rand, wait/4)) {
		if err := ctx.Err(); err != nil {
			return err
		}
		return fmt.Errorf("keeping to the directory's rate limit: %w", directory.ErrThrottled)
	}
	return nil
}

// A repetition says whether a request may be sent again after an error.
type repetition uint8

const (
	never   repetition = iota
	pause              // after a pause
	renewal            // at once, with renewed credentials
)

// once sends the request once and checks the answer.
func (c *Client) once(ctx context.Context, q Request, target *url.URL) (*Response, repetition, error) {
	var body io.Reader
	if q.Body != nil {
		body = bytes.NewReader(q.Body)
	}
	r, err := http.NewRequestWithContext(ctx, q.Method, target.String(), body)
	if err != nil {
		return nil, never, fmt.Errorf("making a request: %w", directory.ErrMalformed)
	}
	accept := q.Accept
	if len(accept) == 0 {
		accept = []string{"application/json"}
	}
	r.Header.Set("Accept", strings.Join(accept, ", "))
	if q.ContentType != "" {
		r.Header.Set("Content-Type", q.ContentType)
	}
	for _, h := range []http.Header{c.header, q.Header} {
		for name, values := range h {
			r.Header[http.CanonicalHeaderKey(name)] = values
		}
	}
	if c.authorize != nil {
		if err := c.authorize(ctx, r); err != nil {
			return nil, never, fmt.Errorf("authorizing a request: %w", err)
		}
	}
	answer, err := c.http.Do(r, c.maxBody)
	// Also where the body could not be read: the server has spoken about its
	// load.
	if answer != nil {
		if until := c.rateLimit(answer.Status, answer.Header, c.clock()); !until.IsZero() {
			c.pauseUntil(until)
		}
	}
	switch {
	case errors.Is(err, oauthclient.ErrTooLarge):
		return nil, never, fmt.Errorf("reading an answer: over %d bytes: %w", c.maxBody, directory.ErrTooLarge)
	case err != nil:
		return c.transportError(ctx, err)
	case answer.Status < 200 || answer.Status > 299:
		return c.statusError(ctx, q, r.Header, answer)
	}
	if err := checkType(answer.Header.Get("Content-Type"), answer.Body, q.Accept); err != nil {
		return nil, never, err
	}
	return (*Response)(answer), never, nil
}

// pauseUntil sets the pause, where it is later than the one that is set, to
// maxPause from now at most.
func (c *Client) pauseUntil(until time.Time) {
	if latest := c.clock().Add(maxPause); until.After(latest) {
		until = latest
	}
	for {
		known := c.pausedUntil.Load()
		if until.UnixNano() <= known || c.pausedUntil.CompareAndSwap(known, until.UnixNano()) {
			return
		}
	}
}

// checkType checks the media type of an answer against those that were asked
// for. An error page with status 200 is no answer.
func checkType(header string, body []byte, accept []string) error {
	if len(body) == 0 {
		return nil
	}
	kind, params, err := mime.ParseMediaType(header)
	if err != nil {
		return fmt.Errorf("reading an answer: it has no media type: %w", directory.ErrMalformed)
	}
	if charset := params["charset"]; charset != "" && !strings.EqualFold(charset, "utf-8") && !strings.EqualFold(charset, "us-ascii") {
		return fmt.Errorf("reading an answer: it is not in UTF-8: %w", directory.ErrMalformed)
	}
	if len(accept) == 0 {
		if kind == "application/json" || strings.HasSuffix(kind, "+json") {
			return nil
		}
	} else if slices.Contains(accept, kind) {
		return nil
	}
	return fmt.Errorf("reading an answer: unexpected media type: %w", directory.ErrMalformed)
}
