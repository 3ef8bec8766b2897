package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// This file fetches an issuer's metadata, and its key set from where they say.

// Metadata is what the gateway reads of an issuer's metadata (OpenID Connect
// Discovery, section 3; RFC 8414, section 2).
type Metadata struct {
	// Issuer is the configured identifier, byte for byte.
	Issuer string

	// The endpoints of the issuer. JWKSURI is never empty, and https or on this
	// machine. The others are not checked, and empty if the metadata omit them.
	JWKSURI, AuthorizationEndpoint, TokenEndpoint, UserinfoEndpoint string
}

// discover fetches the issuer's metadata from the first URL that has them. A URL that
// answers 4xx leads to the next. Any other failure ends the search, because the next
// URL may then speak for another issuer.
func discover(ctx context.Context, client *oauthclient.Client, identifier string, places []string) (*Metadata, error) {
	var last error
	for _, place := range places {
		text, err := getJSON(ctx, client, place)
		if err == nil {
			return parseMetadata(text, identifier, place)
		}
		last = err
		var f *fetchError
		if !errors.As(err, &f) || f.status < 400 || f.status >= 500 {
			break
		}
	}
	return nil, fmt.Errorf("discovering: %w", last)
}

// parseMetadata reads metadata. They must be of this issuer (OpenID Connect
// Discovery, section 4.3): identifiers are compared byte for byte.
func parseMetadata(text []byte, identifier, place string) (*Metadata, error) {
	members, err := jose.DecodeObject(text)
	if err != nil {
		return nil, &fetchError{outcome: FetchMalformed, err: fmt.Errorf("metadata of %s are not a JSON object", place)}
	}
	if found, _ := members["issuer"].(string); found != identifier {
		return nil, &fetchError{outcome: FetchMismatch, err: fmt.Errorf("metadata of %s name another issuer: %.200q, not %q", place, found, identifier)}
	}
	str := func(name string) string { s, _ := members[name].(string); return s }
	m := &Metadata{
		Issuer:                identifier,
		JWKSURI:               str("jwks_uri"),
		AuthorizationEndpoint: str("authorization_endpoint"),
		TokenEndpoint:         str("token_endpoint"),
		UserinfoEndpoint:      str("userinfo_endpoint"),
	}
	keys, err := checkURL(m.JWKSURI)
	if err != nil {
		return nil, &fetchError{outcome: FetchMalformed, err: fmt.Errorf("jwks_uri of %s: %w", place, err)}
	}
	// A remote server must not send the gateway to ports of this machine.
	if at, err := url.Parse(place); err == nil && loopback.Host(keys.Hostname()) && !loopback.Host(at.Hostname()) {
		return nil, &fetchError{outcome: FetchMalformed, err: fmt.Errorf("jwks_uri of %s: %w", place, errInsecure)}
	}
	return m, nil
}

// wellKnown returns the URLs at which an issuer's metadata may be. OpenID Connect
// appends to the identifier, as do several authorization servers. RFC 8414, section
// 3.1 inserts before the path.
func wellKnown(identifier string) []string {
	base := strings.TrimSuffix(identifier, "/")
	places := []string{
		base + "/.well-known/openid-configuration",
		base + "/.well-known/oauth-authorization-server",
	}
	if u, err := url.Parse(base); err == nil && u.Path != "" {
		u.Path, u.RawPath = "/.well-known/oauth-authorization-server"+u.Path, ""
		places = append(places, u.String())
	}
	return places
}

// A metadataSource keeps an issuer's metadata, and fetches its key set from the URL
// that they name or that is configured. It is safe for concurrent use.
type metadataSource struct {
	client     *oauthclient.Client
	clock      func() time.Time
	identifier string
	urls       []string
	jwksURL    string // empty for that of the metadata

	refresh, minInterval, timeout time.Duration

	mu      sync.Mutex // held during a fetch, so that there is one at a time
	current *Metadata
	fetched time.Time
	started time.Time
}

func newMetadataSource(c Config, client *oauthclient.Client, clock func() time.Time) *metadataSource {
	m := &metadataSource{
		client: client, clock: clock, identifier: c.Issuer, urls: wellKnown(c.Issuer), jwksURL: c.JWKSURL,
		refresh: time.Duration(c.KeyRefresh), minInterval: time.Duration(c.KeyMinInterval), timeout: time.Duration(c.Timeout),
	}
	if c.DiscoveryURL != "" {
		m.urls = []string{c.DiscoveryURL}
	}
	return m
}

// keys fetches the key set. It fetches the metadata again once they are as old as
// key_refresh, and after a failure, because the keys may have moved.
func (m *metadataSource) keys(ctx context.Context) (*jose.KeySet, error) {
	from := m.jwksURL
	if from == "" {
		found, err := m.refreshed(ctx)
		if err != nil {
			return nil, err
		}
		from = found.JWKSURI
	}
	text, err := getJSON(ctx, m.client, from)
	if err == nil {
		var set *jose.KeySet
		if set, err = jose.ParseKeySet(text, false); err == nil {
			return set, nil
		}
		err = fmt.Errorf("reading key set of %s: %w", from, err)
	}
	m.mu.Lock()
	m.fetched = time.Time{}
	m.mu.Unlock()
	return nil, err
}

func (m *metadataSource) refreshed(ctx context.Context) (*Metadata, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	if m.current != nil && !m.fetched.IsZero() && now.Sub(m.fetched) < m.refresh {
		return m.current, nil
	}
	m.started = now
	found, err := discover(ctx, m.client, m.identifier, m.urls)
	if err != nil {
		return nil, err
	}
	m.current, m.fetched = found, now
	return found, nil
}

// get returns the metadata, also of an issuer whose keys are configured. It fetches
// no more often than key_min_interval. Errors wrap ErrUnavailable.
func (m *metadataSource) get(ctx context.Context) (*Metadata, error) {
	ctx, cancel := context.WithTimeout(ctx, m.timeout)
	defer cancel()
	m.mu.Lock()
	current, started := m.current, m.started
	m.mu.Unlock()
	if current != nil {
		return current, nil
	}
	if d := m.clock().Sub(started); !started.IsZero() && d >= 0 && d < m.minInterval {
		return nil, fmt.Errorf("metadata of the issuer: %w", ErrUnavailable)
	}
	found, err := m.refreshed(ctx)
	if err != nil {
		return nil, fmt.Errorf("metadata of the issuer: %w: %w", err, ErrUnavailable)
	}
	return found, nil
}
