package issuer

import (
	"cmp"
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
	// machine. The others are empty if the metadata omit them, and CheckEndpoint
	// checks them where they are used.
	JWKSURI, AuthorizationEndpoint, TokenEndpoint, UserinfoEndpoint string

	// EndSessionEndpoint logs a user out (OpenID Connect RP-Initiated Logout,
	// section 2.1), and PushedAuthorizationEndpoint takes authorization requests
	// (RFC 9126). Both are as the endpoints above.
	EndSessionEndpoint, PushedAuthorizationEndpoint string

	// MTLSTokenEndpoint and MTLSPushedAuthorizationEndpoint are the same for clients
	// that authenticate by a certificate (RFC 8705, section 5).
	MTLSTokenEndpoint, MTLSPushedAuthorizationEndpoint string

	// TokenAuthMethods are the ways in which a client can authenticate at the
	// token endpoint. Nil means that the metadata name none, which stands for
	// client_secret_basic (OpenID Connect Discovery, section 3).
	TokenAuthMethods []string

	// ResponseIssuer says that each authorization response has an iss (RFC
	// 9207, section 3).
	ResponseIssuer bool
}

// CheckEndpoint returns why an endpoint of the metadata must not be used, or
// nil. It must be there, and https or on this machine; on this machine only if
// the issuer is. Errors wrap ErrUnavailable and do not repeat the URL.
func (m *Metadata) CheckEndpoint(endpoint string) error {
	err := errNoEndpoint
	if endpoint != "" {
		err = checkEndpoint(endpoint, m.Issuer)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", err, ErrUnavailable)
	}
	return nil
}

var errNoEndpoint = errors.New("the metadata name no such endpoint")

// checkEndpoint checks the URL of a server that place names. A remote server
// must not send the gateway to ports of this machine.
func checkEndpoint(endpoint, place string) error {
	u, err := checkURL(endpoint)
	if err != nil {
		return err
	}
	if at, err := url.Parse(place); loopback.Host(u.Hostname()) && (err != nil || !loopback.Host(at.Hostname())) {
		return errInsecure
	}
	return nil
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
		Issuer:                      identifier,
		JWKSURI:                     str("jwks_uri"),
		AuthorizationEndpoint:       str("authorization_endpoint"),
		TokenEndpoint:               str("token_endpoint"),
		UserinfoEndpoint:            str("userinfo_endpoint"),
		EndSessionEndpoint:          str("end_session_endpoint"),
		PushedAuthorizationEndpoint: str("pushed_authorization_request_endpoint"),
		ResponseIssuer:              members["authorization_response_iss_parameter_supported"] == true,
	}
	aliases, _ := members["mtls_endpoint_aliases"].(map[string]any)
	alias := func(name string) string { s, _ := aliases[name].(string); return cmp.Or(s, str(name)) }
	m.MTLSTokenEndpoint, m.MTLSPushedAuthorizationEndpoint = alias("token_endpoint"), alias("pushed_authorization_request_endpoint")
	if methods, ok := members["token_endpoint_auth_methods_supported"].([]any); ok {
		m.TokenAuthMethods, _ = texts(methods)
	}
	if err := checkEndpoint(m.JWKSURI, place); err != nil {
		return nil, &fetchError{outcome: FetchMalformed, err: fmt.Errorf("jwks_uri of %s: %w", place, err)}
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
// no more often than key_min_interval, and for all callers: that one of them leaves
// does not end a fetch. Errors wrap ErrUnavailable.
func (m *metadataSource) get(ctx context.Context) (*Metadata, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), m.timeout)
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
