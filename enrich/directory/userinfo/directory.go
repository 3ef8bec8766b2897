package userinfo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
)

// This file asks the endpoint and checks its answer.

// Directory asks an issuer's userinfo endpoint with the caller's token.
type Directory struct {
	config  Config
	options Options

	mu     sync.Mutex // of the client, which changes with the endpoint
	at     string
	client *fetch.Client
	closed bool
}

// Person implements directory.Directory. An answer about another subject than
// the token's sub is directory.ErrForeign (OpenID Connect Core, section 5.3.2).
// A token that the endpoint refuses is directory.ErrRefused, which says nothing
// about the endpoint's health.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	if _, err := q.Subject(); err != nil {
		return nil, err
	}
	subject, err := d.check(q)
	if err != nil {
		return nil, err
	}
	client, address, err := d.endpoint(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := ask(ctx, client, address, q.Token)
	if err != nil {
		return nil, err
	}
	claims, keep, err := d.claims(ctx, answer, q.Principal)
	if err != nil {
		return nil, err
	}
	// Exactly: a sub is compared byte for byte.
	if sub, ok := claims["sub"].(string); !ok || sub != subject {
		return nil, fmt.Errorf("reading the answer: its sub is not the token's: %w", directory.ErrForeign)
	}
	p, err := d.person(claims)
	if err != nil {
		return nil, err
	}
	p.Keep = keep
	return p, nil
}

// check returns the sub that the answer must have. It is an error where this
// principal's token cannot be used at the endpoint.
func (d *Directory) check(q directory.Query) (string, error) {
	p := q.Principal
	sub, _ := p.Claims["sub"].(string)
	switch {
	case p.IssuerName != d.config.Issuer || p.Issuer != d.config.Identifier:
		return "", fmt.Errorf("asking: the token is another issuer's: %w", directory.ErrRejected)
	case p.Confirmation.Bound():
		// It cannot be used without the sender's key.
		return "", fmt.Errorf("asking: the token is bound to a key of its sender: %w", directory.ErrRejected)
	case sub == "":
		return "", fmt.Errorf("asking: the token has no sub to hold the answer to: %w", directory.ErrRejected)
	case q.Token == "":
		return "", fmt.Errorf("asking: no access token: %w", directory.ErrRejected)
	}
	return sub, nil
}

// Supports implements directory.Partial: the endpoint has the caller only.
func (d *Directory) Supports() (apps, appUsers bool) { return false, false }

// App implements directory.Directory. It always is ErrNotFound.
func (d *Directory) App(context.Context, string) (*identity.App, error) {
	return nil, fmt.Errorf("looking up an app: userinfo knows none: %w", directory.ErrNotFound)
}

// AppUser implements directory.Directory. It always is ErrNotFound.
func (d *Directory) AppUser(context.Context, directory.Query, string) (*identity.AppUser, error) {
	return nil, fmt.Errorf("looking up an app user: userinfo knows none: %w", directory.ErrNotFound)
}

// CacheScope implements directory.CacheScoper. An answer depends on the client
// and the scopes, and it is about the sub, which is not the subject where the
// issuer has a subject_claim. The expiry is part of the scope so that no answer
// outlives the token that it was requested with.
func (d *Directory) CacheScope(p *identity.Principal) directory.CacheScope {
	scopes := slices.Sorted(slices.Values(p.Scopes))
	sub, _ := p.Claims["sub"].(string)
	return directory.CacheScope{
		Caller: append([]string{sub, p.Client, strconv.FormatInt(p.Expiry.Unix(), 10)}, slices.Compact(scopes)...),
		Token:  true,
	}
}

// accept are the media types of answers.
var accept = []string{fetch.MediaJSON, fetch.MediaJWT}

// ask sends the token. The address is the endpoint's path and query.
func ask(ctx context.Context, client *fetch.Client, address, token string) (*fetch.Response, error) {
	answer, err := client.Do(ctx, fetch.Request{
		URL: address, Accept: accept, Header: http.Header{"Authorization": {"Bearer " + token}},
	})
	switch {
	case err == nil:
		return answer, nil
	case errors.Is(err, directory.ErrRefused):
		// One caller's token must not open the circuit for all others.
		return nil, fmt.Errorf("%w: %w", err, directory.ErrRejected)
	}
	return nil, err
}

// claims returns the claims of an answer, which is JSON or a JWT, and how long
// they may be used where the answer says so.
func (d *Directory) claims(ctx context.Context, answer *fetch.Response, p *identity.Principal) (claims map[string]any, keep *time.Duration, err error) {
	kind, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if kind != fetch.MediaJWT {
		claims, err = answer.Object()
		return claims, nil, err
	}
	if d.config.Verify == nil {
		return nil, nil, fmt.Errorf("reading the answer: it is signed and cannot be verified: %w", directory.ErrMalformed)
	}
	claims, err = d.config.Verify(ctx, strings.TrimSpace(string(answer.Body)))
	if err != nil {
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		// The reason may quote the answer.
		return nil, nil, fmt.Errorf("reading the answer: it does not verify: %w", directory.ErrMalformed)
	}
	keep, err = d.checkSigned(claims, p)
	return claims, keep, err
}

// checkSigned makes the checks that a signed answer needs and an unsigned one,
// which comes over a connection of its own, does not: that this issuer made it,
// for this client, and that it is valid now. It returns how long it stays so,
// where it has an exp.
func (d *Directory) checkSigned(claims map[string]any, p *identity.Principal) (keep *time.Duration, err error) {
	if claims["iss"] != d.config.Identifier {
		return nil, fmt.Errorf("reading the answer: its iss is another: %w", directory.ErrForeign)
	}
	if p.Client == "" || !named(claims["aud"], p.Client) {
		return nil, fmt.Errorf("reading the answer: its aud is another client: %w", directory.ErrForeign)
	}
	now := d.options.Clock()
	if nbf, ok := claims["nbf"]; ok {
		if from, ok := date(nbf); !ok || now.Add(leeway).Before(from) {
			return nil, fmt.Errorf("reading the answer: it is not valid yet: %w", directory.ErrMalformed)
		}
	}
	if exp, ok := claims["exp"]; ok {
		until, ok := date(exp)
		if !ok || !now.Before(until.Add(leeway)) {
			return nil, fmt.Errorf("reading the answer: it has expired: %w", directory.ErrMalformed)
		}
		left := max(until.Sub(now), 0)
		keep = &left
	}
	return keep, nil
}

// date returns a NumericDate (RFC 7519, section 2).
func date(v any) (t time.Time, ok bool) {
	switch n := v.(type) {
	case int64:
		return time.Unix(n, 0), n >= 0 && n < math.MaxInt32*4
	case float64:
		return time.Unix(int64(n), 0), n >= 0 && n < math.MaxInt32*4
	}
	return time.Time{}, false
}

// leeway is how far the clocks of the issuer and of this machine may differ.
const leeway = 30 * time.Second

// named reports whether an aud is or contains the client.
func named(aud any, client string) bool {
	if list, ok := aud.([]any); ok {
		return slices.Contains(list, any(client))
	}
	return aud == client
}

// endpoint returns a client for the current endpoint, and the path and query to
// request.
func (d *Directory) endpoint(ctx context.Context) (*fetch.Client, string, error) {
	endpoint, err := d.config.Endpoint(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, "", ctx.Err()
	case err != nil:
		return nil, "", fmt.Errorf("looking for the endpoint: the issuer's metadata is not available: %w", directory.ErrUnavailable)
	case endpoint == "":
		return nil, "", fmt.Errorf("looking for the endpoint: the issuer has none: %w", directory.ErrUnavailable)
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, "", fmt.Errorf("looking for the endpoint: the issuer's userinfo_endpoint is not a URL: %w", directory.ErrUnavailable)
	}
	// A remote issuer must not direct tokens to ports of this machine.
	if own, err := url.Parse(d.config.Identifier); err != nil || loopback.Host(u.Hostname()) && !loopback.Host(own.Hostname()) {
		return nil, "", fmt.Errorf("looking for the endpoint: it is on this machine and the issuer is not: %w", directory.ErrUnavailable)
	}
	client, err := d.clientAt(u.Scheme + "://" + u.Host)
	return client, u.RequestURI(), err
}

// clientAt returns the client for an origin, a new one where the endpoint has
// moved.
func (d *Directory) clientAt(origin string) (*fetch.Client, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("asking: %w", directory.ErrClosed)
	}
	if d.client != nil && d.at == origin {
		return d.client, nil
	}
	client, err := d.newClient(origin)
	if err != nil {
		return nil, fmt.Errorf("reaching the endpoint: %w: %w", err, directory.ErrUnavailable)
	}
	if d.client != nil {
		_ = d.client.Close()
	}
	d.client, d.at = client, origin
	return client, nil
}

// newClient returns a client for an origin.
func (d *Directory) newClient(origin string) (*fetch.Client, error) {
	return fetch.New(fetch.Options{
		Base: origin, CAFile: d.config.CAFile, Transport: d.options.Transport, Clock: d.options.Clock, Rand: d.options.Rand,
		// Issuers limit how often one token may ask. That must not stop
		// requests with other tokens, so no answer sets a pause.
		RateLimit: func(int, http.Header, time.Time) time.Time { return time.Time{} },
		Retries:   1,
	})
}

// Close closes the idle connections. Later look-ups fail with ErrClosed.
func (d *Directory) Close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	if d.client == nil {
		return nil
	}
	return d.client.Close()
}

// Unsupported implements directory.Limited: the standard claims have none of
// these facts.
func (d *Directory) Unsupported() identity.Facts {
	return identity.FactStatus | identity.FactCreated | identity.FactPasswordChanged | identity.FactLastLogin |
		identity.FactLinked | identity.FactAppUsers
}

var (
	_ directory.Directory   = (*Directory)(nil)
	_ directory.Partial     = (*Directory)(nil)
	_ directory.CacheScoper = (*Directory)(nil)
	_ directory.Limited     = (*Directory)(nil)
)
