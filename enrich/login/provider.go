package login

import (
	"cmp"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"golang.org/x/oauth2"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// A Provider is an issuer at which people log in, with the gateway's registration
// there. It is safe for concurrent use.
type Provider struct {
	config    Config
	issuer    *issuer.Issuer
	client    *oauthclient.Client
	assertion *oauthclient.Assertion // nil without a private key
	timeout   time.Duration
	logger    *slog.Logger
	warned    atomic.Bool // that tokens end before sessions do
}

// ProviderOptions are the dependencies of a Provider.
type ProviderOptions struct {
	// CA is a PEM file with the certificates to trust instead of the system's.
	CA string

	// Timeout bounds each request to the provider. Default: 5 seconds.
	Timeout time.Duration

	// Transport carries the requests to the provider. Default: one of its own. A
	// client certificate needs that one.
	Transport http.RoundTripper

	// Clock and Rand are for client assertions. Default: time.Now, crypto/rand.
	Clock func() time.Time
	Rand  io.Reader

	// Logger logs what an operator should know. Default: nothing is logged.
	Logger *slog.Logger
}

// NewProvider returns the provider of an issuer. It reads the files that the
// settings name and does not touch the network.
func NewProvider(c Config, is *issuer.Issuer, o ProviderOptions) (*Provider, error) {
	if err := c.Check(); err != nil {
		return nil, err
	}
	if len(c.Scopes) == 0 {
		c.Scopes = []string{"openid"}
	}
	c.PAR = cmp.Or(c.PAR, parAuto)
	p := &Provider{config: c, issuer: is, timeout: cmp.Or(o.Timeout, 5*time.Second), logger: o.Logger}
	if p.logger == nil {
		p.logger = slog.New(slog.DiscardHandler)
	}
	transport := o.Transport
	if cert := c.ClientCertificate; cert != nil {
		pair, err := tls.LoadX509KeyPair(cert.Certificate, cert.Key)
		if err != nil {
			return nil, fmt.Errorf("client_certificate: %w", err)
		}
		own, err := oauthclient.NewTransport(oauthclient.TransportOptions{CAFile: o.CA})
		if err != nil {
			return nil, err
		}
		own.TLSClientConfig.Certificates = []tls.Certificate{pair}
		transport, o.CA = own, ""
	}
	var err error
	if p.client, err = oauthclient.New(transport, oauthclient.TransportOptions{CAFile: o.CA}); err != nil {
		return nil, err
	}
	if c.PrivateKey != "" {
		key, err := jose.ReadPrivateKey(c.PrivateKey)
		if err != nil {
			return nil, fmt.Errorf("private_key: %w", err)
		}
		key.ID = cmp.Or(c.KeyID, key.ID)
		// The audience is the issuer itself, which no other server can take for its own.
		p.assertion, err = oauthclient.NewAssertion(oauthclient.AssertionOptions{
			ClientID: c.ClientID, Audience: is.Identifier(), Key: key, Clock: o.Clock, Rand: o.Rand,
		})
		if err != nil {
			return nil, fmt.Errorf("private_key: %w", err)
		}
	}
	return p, nil
}

// Name returns the issuer's configured name.
func (p *Provider) Name() string { return p.issuer.Name() }

// authorization is one authorization request (OpenID Connect Core, section
// 3.1.2.1).
type authorization struct {
	redirectURI, state, nonce, verifier string

	// acrValues and maxAge are what a policy requires of the authentication (RFC
	// 9470); empty and 0 for nothing.
	acrValues []string
	maxAge    time.Duration
}

// authorizationURL returns the address that a person is sent to. It pushes the
// request first where the settings and the metadata say so.
func (p *Provider) authorizationURL(ctx context.Context, a authorization) (string, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return "", err
	}
	if err := m.CheckEndpoint(m.AuthorizationEndpoint); err != nil {
		return "", p.metadataError("authorization_endpoint", err)
	}
	form := url.Values{
		"response_type": {"code"}, "client_id": {p.config.ClientID}, "redirect_uri": {a.redirectURI}, "scope": {strings.Join(p.config.Scopes, " ")},
		"state": {a.state}, "nonce": {a.nonce}, "code_challenge": {oauth2.S256ChallengeFromVerifier(a.verifier)}, "code_challenge_method": {"S256"},
	}
	// None of these is one of those above: Config.Check has refused them.
	for _, parameter := range p.config.Parameters {
		form.Set(parameter.Name, parameter.Value)
	}
	if p.config.Prompt != "" {
		form.Set("prompt", p.config.Prompt)
	}
	if values := cmp.Or(strings.Join(a.acrValues, " "), strings.Join(p.config.ACRValues, " ")); values != "" {
		form.Set("acr_values", values)
	}
	if a.maxAge > 0 {
		form.Set("max_age", strconv.FormatInt(int64(a.maxAge/time.Second), 10))
	}
	switch offered := m.PushedAuthorizationEndpoint != ""; {
	case p.config.PAR == parRequire && !offered:
		return "", p.metadataError("pushed_authorization_request_endpoint", errors.New("it is missing, and par is require"))
	case p.config.PAR != parOff && offered:
		if form, err = p.push(ctx, m, form); err != nil {
			return "", err
		}
	}
	endpoint, err := url.Parse(m.AuthorizationEndpoint)
	if err != nil {
		return "", p.metadataError("authorization_endpoint", err)
	}
	// The endpoint may have a query of its own (RFC 6749, section 3.1).
	if endpoint.RawQuery != "" {
		endpoint.RawQuery += "&"
	}
	endpoint.RawQuery += form.Encode()
	return endpoint.String(), nil
}

// push sends the authorization request to the provider and returns the parameters
// that refer to it (RFC 9126, section 2).
func (p *Provider) push(ctx context.Context, m *issuer.Metadata, form url.Values) (url.Values, error) {
	if err := m.CheckEndpoint(m.PushedAuthorizationEndpoint); err != nil {
		return nil, p.metadataError("pushed_authorization_request_endpoint", err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	header := http.Header{"Content-Type": {"application/x-www-form-urlencoded"}, "Accept": {"application/json"}}
	if err := p.authentication(m)(form, header); err != nil {
		return nil, failed(outcomeInternal, err)
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, m.PushedAuthorizationEndpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return nil, p.metadataError("pushed_authorization_request_endpoint", err)
	}
	r.Header = header
	answer, err := p.client.Do(r, maxAnswer)
	if err != nil {
		return nil, failed(outcomeUnavailable, fmt.Errorf("pushing the authorization request: %w", withoutURL(err)))
	}
	var body struct {
		RequestURI string `json:"request_uri"`
		Error      string `json:"error"`
	}
	malformed := json.Unmarshal(answer.Body, &body) != nil
	switch {
	case answer.Status >= http.StatusInternalServerError:
		return nil, failed(outcomeUnavailable, fmt.Errorf("pushing the authorization request: status %d", answer.Status))
	case answer.Status != http.StatusCreated && answer.Status != http.StatusOK || malformed || body.RequestURI == "" || len(body.RequestURI) > maxRequestURI:
		f := failed(outcomeProvider, fmt.Errorf("pushing the authorization request: status %d without a request_uri", answer.Status))
		f.code = errorCode(body.Error)
		return nil, f
	}
	return url.Values{"client_id": {p.config.ClientID}, "request_uri": {body.RequestURI}}, nil
}

const (
	// maxAnswer bounds an answer of the provider, in bytes.
	maxAnswer = 1 << 20

	// maxRequestURI bounds a request_uri, which becomes a part of a URL.
	maxRequestURI = 2 << 10
)

// authentication returns how the client proves who it is to a provider with this
// metadata.
func (p *Provider) authentication(m *issuer.Metadata) oauthclient.Authentication {
	switch {
	case p.assertion != nil:
		return oauthclient.PrivateKeyJWT(p.assertion)
	case p.config.ClientSecret == "":
		return func(form url.Values, _ http.Header) error {
			form.Set("client_id", p.config.ClientID)
			return nil
		}
	case p.sendsSecretInForm(m):
		return oauthclient.SecretPost(p.config.ClientID, p.config.ClientSecret)
	}
	return oauthclient.SecretBasic(p.config.ClientID, p.config.ClientSecret)
}

// sendsSecretInForm reports whether the secret is a parameter of the form: where it
// is so configured, or where the metadata offer nothing else.
func (p *Provider) sendsSecretInForm(m *issuer.Metadata) bool {
	if p.config.ClientAuth != "" {
		return p.config.ClientAuth == authPost
	}
	return slices.Contains(m.TokenAuthMethods, "client_secret_post") && !slices.Contains(m.TokenAuthMethods, "client_secret_basic")
}

// tokens are what the provider gave for a code.
type tokens struct {
	idToken, accessToken string
	scopes               []string
	lifetime             time.Duration // of the access token; 0 where it is not told
}

// exchange exchanges a code for tokens (RFC 6749, section 4.1.3; RFC 7636).
func (p *Provider) exchange(ctx context.Context, code, redirectURI, verifier string) (*tokens, error) {
	m, err := p.metadata(ctx)
	if err != nil {
		return nil, err
	}
	if err := m.CheckEndpoint(m.TokenEndpoint); err != nil {
		return nil, p.metadataError("token_endpoint", err)
	}
	config := oauth2.Config{
		ClientID: p.config.ClientID, ClientSecret: p.config.ClientSecret, RedirectURL: redirectURI,
		Endpoint: oauth2.Endpoint{TokenURL: m.TokenEndpoint, AuthStyle: oauth2.AuthStyleInParams},
	}
	// Never AutoDetect: it tries both ways, and so sends the code twice.
	if p.config.ClientSecret != "" && !p.sendsSecretInForm(m) {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInHeader
	}
	options := []oauth2.AuthCodeOption{oauth2.VerifierOption(verifier)}
	if p.assertion != nil {
		form := url.Values{}
		if err := p.assertion.Add(form); err != nil {
			return nil, failed(outcomeInternal, err)
		}
		for name := range form {
			options = append(options, oauth2.SetAuthURLParam(name, form.Get(name)))
		}
	}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, oauth2.HTTPClient, p.client.HTTPClient()), p.timeout)
	defer cancel()
	token, err := config.Exchange(ctx, code, options...)
	if err != nil {
		return nil, exchangeError(err)
	}
	out := &tokens{accessToken: token.AccessToken, scopes: p.config.Scopes, lifetime: time.Duration(token.ExpiresIn) * time.Second}
	out.idToken, _ = token.Extra("id_token").(string)
	if granted, _ := token.Extra("scope").(string); granted != "" {
		out.scopes = strings.Fields(granted)
		if strings.ContainsFunc(granted, unicode.IsControl) {
			return nil, failed(outcomeProvider, errors.New("the scope in the token answer has a control character"))
		}
	}
	// An answer without scope means that all were granted (RFC 6749, section 5.1).
	if out.idToken == "" {
		return nil, failed(outcomeIDToken, errors.New("the token answer has no id_token"))
	}
	return out, nil
}

// exchangeError returns the failure for an error of the token endpoint. The errors of
// package oauth2 quote the answer, so their text is not passed on.
func exchangeError(err error) *failure {
	answer, ok := errors.AsType[*oauth2.RetrieveError](err)
	switch {
	case !ok:
		if urlError, ok := errors.AsType[*url.Error](err); ok {
			return failed(outcomeUnavailable, fmt.Errorf("asking the token endpoint: %w", withoutURL(urlError)))
		}
		return failed(outcomeProvider, errors.New("the answer of the token endpoint cannot be read"))
	case answer.Response != nil && answer.Response.StatusCode >= http.StatusInternalServerError:
		return failed(outcomeUnavailable, fmt.Errorf("the token endpoint answers with status %d", answer.Response.StatusCode))
	}
	f := failed(outcomeCode, errors.New("the token endpoint refuses the code"))
	f.code = errorCode(answer.ErrorCode)
	return f
}

// userinfo adds to the claims what the provider's userinfo endpoint has, if one that is
// held is missing. Providers that follow OpenID Connect Core, section 5.4, put
// profile and email there and not into the ID token.
func (p *Provider) userinfo(ctx context.Context, claims map[string]any, subject string, t *tokens, held *claimSet) error {
	if t.accessToken == "" || !held.lacks(claims) {
		return nil
	}
	m, err := p.metadata(ctx)
	if err != nil {
		return err
	}
	if m.UserinfoEndpoint == "" {
		return nil
	}
	more, err := p.issuer.Userinfo(ctx, t.accessToken, subject)
	switch {
	case errors.Is(err, issuer.ErrUnavailable):
		return failed(outcomeUnavailable, fmt.Errorf("asking for userinfo: %w", err))
	case err != nil:
		return failed(outcomeUserinfo, fmt.Errorf("asking for userinfo: %w", err))
	}
	complete(claims, more)
	return nil
}

// logoutURL returns the address at which the provider ends its own session (OpenID
// Connect RP-Initiated Logout 1.0, section 2), or nothing where it has none.
func (p *Provider) logoutURL(ctx context.Context, back, state string) (string, error) {
	m, err := p.metadata(ctx)
	if err != nil || m.EndSessionEndpoint == "" {
		return "", err
	}
	if err := m.CheckEndpoint(m.EndSessionEndpoint); err != nil {
		return "", p.metadataError("end_session_endpoint", err)
	}
	endpoint, err := url.Parse(m.EndSessionEndpoint)
	if err != nil {
		return "", p.metadataError("end_session_endpoint", err)
	}
	query := endpoint.Query()
	query.Set("client_id", p.config.ClientID)
	query.Set("post_logout_redirect_uri", back)
	query.Set("state", state)
	endpoint.RawQuery = query.Encode()
	return endpoint.String(), nil
}

// metadata returns the issuer's metadata, with the endpoints for this client, and fetches
// them if need be.
func (p *Provider) metadata(ctx context.Context) (*issuer.Metadata, error) {
	m, err := p.issuer.Metadata(ctx)
	switch {
	case err != nil:
		return nil, failed(outcomeUnavailable, err)
	case p.config.ClientCertificate != nil:
		own := *m
		own.TokenEndpoint, own.PushedAuthorizationEndpoint = m.MTLSTokenEndpoint, m.MTLSPushedAuthorizationEndpoint
		m = &own
	}
	return m, nil
}

// metadataError returns the failure of metadata that cannot be used.
func (p *Provider) metadataError(member string, err error) *failure {
	return failed(outcomeProvider, fmt.Errorf("metadata: %s: %w", member, err))
}

// warnOfShortTokens says once that what a session holds may be out of date before it
// ends: no store keeps a refresh token yet.
func (p *Provider) warnOfShortTokens(token, session time.Duration) {
	if token <= 0 || token >= session || p.warned.Swap(true) {
		return
	}
	p.logger.Warn("sessions last longer than the provider's tokens, and nothing refreshes them: changes at the provider are seen at the next login",
		"issuer", p.Name(), "token", token.String(), "max", session.String())
}

// withoutURL returns an error of net/http without the URL in it, whose query may hold
// what must not be logged.
func withoutURL(err error) error {
	if urlError, ok := errors.AsType[*url.Error](err); ok {
		return urlError.Err
	}
	return err
}

// errorCode returns an error code of the provider (RFC 6749, sections 4.1.2.1 and
// 5.2) as it may be logged, or nothing where it is none.
func errorCode(code string) string {
	const maxCode = 64
	if len(code) > maxCode || strings.Trim(code, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.") != "" {
		return "malformed"
	}
	return code
}
