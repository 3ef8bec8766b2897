package okta

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// This file gets access tokens as an API service app.

const (
	// tokenPath is the token endpoint of the organization's own server.
	tokenPath = "/oauth2/v1/token" // #nosec G101 -- a path

	// assertionLife is how long a client assertion is valid. Okta accepts up to
	// an hour; the assertion is used at once.
	assertionLife = 5 * time.Minute

	// expiryMargin is how long before its expiry a token is no longer used.
	expiryMargin = 30 * time.Second

	// failurePause is how long no token is requested after a failure.
	failurePause = time.Second

	// maxTokenAnswer bounds the token endpoint's answer, in bytes.
	maxTokenAnswer = 64 << 10
)

// A serviceApp exchanges signed assertions for access tokens (RFC 7523, section
// 2.2). It renews a token before it expires, and one request at a time.
type serviceApp struct {
	scope     string
	assertion *oauthclient.Assertion
	client    *fetch.Client
	clock     func() time.Time

	turn    chan struct{} // held by the one that asks for a token
	current atomic.Pointer[accessToken]

	mu       sync.Mutex
	failed   error
	failedAt time.Time
}

// accessToken is a token with the times that bound its use.
type accessToken struct {
	text   string
	renew  time.Time // from then on one request asks for the next
	expiry time.Time
}

// String keeps the token out of what is printed.
func (*accessToken) String() string { return "access token" }

// newServiceApp returns a serviceApp of the configuration. Options are those of
// the directory's other clients, for the transport.
func newServiceApp(c Config, o fetch.Options) (*serviceApp, error) {
	s := &serviceApp{
		scope: strings.Join(c.Scopes, " "), clock: o.Clock, turn: make(chan struct{}, 1),
	}
	key, err := jose.ParsePrivateKey([]byte(c.PrivateKey))
	if err == nil && key.Algorithm == "EdDSA" {
		err = errors.New("okta does not accept Ed25519 keys")
	}
	if err != nil {
		return nil, fmt.Errorf("configuring the okta directory: private_key: %w", err)
	}
	if c.KeyID != "" {
		key.ID = c.KeyID
	}
	s.assertion, err = oauthclient.NewAssertion(oauthclient.AssertionOptions{
		ClientID: c.ClientID, Audience: o.Base + tokenPath, Key: key, Lifetime: assertionLife, Clock: o.Clock, Rand: o.Rand,
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the okta directory: private_key: %w", err)
	}
	// The options are a copy: the other clients keep their limit.
	o.MaxBody = maxTokenAnswer
	if s.client, err = fetch.New(o); err != nil {
		return nil, fmt.Errorf("configuring the okta directory: %w", err)
	}
	return s, nil
}

// authorize puts an access token on a request. After five sixths of a token's
// lifetime one request renews it, while the others go on with it.
func (s *serviceApp) authorize(ctx context.Context, r *http.Request) error {
	token, err := s.token(ctx)
	if err != nil {
		return err
	}
	r.Header.Set("Authorization", "Bearer "+token.text)
	return nil
}

// unauthorized drops the token that was refused, so that the request is sent
// once more with a new one. It keeps one that has replaced the refused token
// meanwhile.
func (s *serviceApp) unauthorized(_ context.Context, sent, _ http.Header) bool {
	if t := s.current.Load(); t != nil && sent.Get("Authorization") == "Bearer "+t.text {
		s.current.CompareAndSwap(t, nil)
	}
	return true
}

// token returns the current token, or a new one where that has expired. The
// wait for a new one ends with the context.
func (s *serviceApp) token(ctx context.Context) (*accessToken, error) {
	t := s.current.Load()
	now := s.clock()
	if t != nil && now.Before(t.renew) {
		return t, nil
	}
	if t != nil && now.Before(t.expiry) {
		select {
		case s.turn <- struct{}{}:
			defer func() { <-s.turn }()
			// Another request has renewed it meanwhile.
			if again := s.current.Load(); again != t && again != nil {
				return again, nil
			}
			// A failure is no harm yet: the current token is still valid.
			if next, err := s.ask(ctx); err == nil {
				return next, nil
			}
		default:
		}
		return t, nil
	}
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if t := s.current.Load(); t != nil && s.clock().Before(t.expiry) {
		return t, nil
	}
	return s.ask(ctx)
}

// ask requests a token. For failurePause after a failure it returns the same
// error, so that many look-ups do not cause as many requests.
func (s *serviceApp) ask(ctx context.Context) (*accessToken, error) {
	s.mu.Lock()
	failed, at := s.failed, s.failedAt
	s.mu.Unlock()
	if failed != nil && s.clock().Sub(at) < failurePause {
		return nil, failed
	}
	t, err := s.request(ctx)
	// A caller that went away says nothing about the endpoint.
	if ctx.Err() == nil {
		s.mu.Lock()
		s.failed, s.failedAt = err, s.clock()
		s.mu.Unlock()
	}
	if err != nil {
		return nil, err
	}
	s.current.Store(t)
	return t, nil
}

// request sends one token request (RFC 6749, section 4.4).
func (s *serviceApp) request(ctx context.Context) (*accessToken, error) {
	asked := s.clock()
	form := url.Values{"grant_type": {"client_credentials"}, "scope": {s.scope}}
	if err := s.assertion.Add(form); err != nil {
		return nil, err
	}
	answer, err := s.client.Do(ctx, fetch.Request{
		Method: http.MethodPost, URL: tokenPath,
		Body: []byte(form.Encode()), ContentType: "application/x-www-form-urlencoded",
	})
	if err != nil {
		var status *fetch.StatusError
		if errors.As(err, &status) && status.Status == http.StatusBadRequest {
			// invalid_scope, invalid_client or a demand for DPoP: the
			// credentials cannot be used.
			return nil, fmt.Errorf("signing in: status 400: %w", directory.ErrRefused)
		}
		return nil, fmt.Errorf("signing in: %w", err)
	}
	var body struct {
		Type    string `json:"token_type"`
		Token   string `json:"access_token"`
		Expires int64  `json:"expires_in"`
	}
	if err := answer.Decode(&body); err != nil {
		return nil, fmt.Errorf("signing in: %w", err)
	}
	// Bounded, because a wrong number must not keep a revoked token for days.
	lifetime := time.Duration(min(body.Expires, 24*3600)) * time.Second
	if !strings.EqualFold(body.Type, "Bearer") || body.Token == "" || !printable(body.Token) || lifetime <= expiryMargin {
		return nil, fmt.Errorf("signing in: the answer holds no usable bearer token: %w", directory.ErrMalformed)
	}
	return &accessToken{text: body.Token, renew: asked.Add(lifetime * 5 / 6), expiry: asked.Add(lifetime - expiryMargin)}, nil
}
