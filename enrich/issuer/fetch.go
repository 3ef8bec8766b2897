package issuer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// This file fetches documents of an issuer and classifies what goes wrong.

// maxBody bounds what an issuer answers, in bytes: key set, metadata, ID token and
// userinfo. The largest key sets in use, with certificate chains, have some 50
// KiB.
const maxBody = 1 << 20

var errInsecure = errors.New("URL is neither https nor http to loopback")

// A fetchError is a failed fetch with its outcome for metrics.
type fetchError struct {
	outcome string
	status  int // the HTTP status, or 0
	err     error
}

func (e *fetchError) Error() string { return e.err.Error() }
func (e *fetchError) Unwrap() error { return e.err }

// outcomeOf returns the outcome word for an error of a fetch.
func outcomeOf(err error) string {
	var f *fetchError
	var redirect oauthclient.RedirectError
	var netErr net.Error
	switch {
	case err == nil:
		return FetchOK
	case errors.As(err, &f):
		return f.outcome
	case errors.As(err, &redirect):
		return FetchRedirect
	case errors.Is(err, oauthclient.ErrTooLarge):
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

// readFile reads a file up to a bound.
func readFile(name string, limit int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, fmt.Errorf("opening file: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("reading: %w", err)
	}
	if int64(len(text)) > limit {
		return nil, oauthclient.ErrTooLarge
	}
	return text, nil
}

// getJSON fetches a document. Its content type does not matter: key servers
// differ in what they say.
func getJSON(ctx context.Context, client *oauthclient.Client, from string) ([]byte, error) {
	answer, err := get(ctx, client, from, http.Header{"Accept": {"application/json, application/jwk-set+json;q=0.9, */*;q=0.1"}})
	if err != nil {
		return nil, err
	}
	return answer.Body, nil
}

// get asks for a document with this header. A status other than 200 is a
// *fetchError.
func get(ctx context.Context, client *oauthclient.Client, from string, header http.Header) (*oauthclient.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, from, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("making request: %w", err)
	}
	r.Header = header
	answer, err := client.Do(r, maxBody)
	switch {
	case answer == nil:
		return nil, fmt.Errorf("fetching: %w", err)
	case answer.Status != http.StatusOK:
		return nil, &fetchError{FetchError, answer.Status, fmt.Errorf("fetching %s: status %d", from, answer.Status)}
	case err != nil:
		return nil, fmt.Errorf("fetching %s: %w", from, err)
	}
	return answer, nil
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
