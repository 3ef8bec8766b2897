package login

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file holds the settings of logins and their checks, which touch neither
// network nor files.

// Config is how people log in at one issuer: as whom the gateway is registered
// there, and what it asks for.
type Config struct {
	// The client id under which the gateway is registered at the issuer.
	// Required. It becomes the client of each logged-in person.
	ClientID string `json:"client_id"`

	// The client's secret. Set one of client_secret, private_key and
	// client_certificate, or none for a public client.
	ClientSecret string `json:"client_secret,omitempty"`

	// The private key that authenticates the client by signed assertions
	// (private_key_jwt; OpenID Connect Core, section 9): a JWK or PEM text, or the
	// name of a file with one.
	PrivateKey string `json:"private_key,omitempty"`

	// The key id in the assertions' header. Default: the key's own, if any.
	KeyID string `json:"key_id,omitempty"`

	// The certificate that authenticates the client by mutual TLS (RFC 8705,
	// section 2).
	ClientCertificate *Certificate `json:"client_certificate,omitempty"`

	// How client_secret is sent: basic or post. Default: post where the issuer's
	// metadata offer it and not basic, else basic (RFC 8414, section 2).
	ClientAuth string `json:"client_auth,omitempty"`

	// The scopes to ask for; openid must be among them. Default: openid.
	Scopes []string `json:"scopes,omitempty"`

	// Whose claims the policies read: id_token (default). access_token needs a
	// session store that keeps tokens, which there is not yet.
	Principal string `json:"principal,omitempty"`

	// The authentication context classes to ask for, in order of preference (OpenID
	// Connect Core, section 3.1.2.1). Default: none; those that a policy requires
	// are asked for in any case.
	ACRValues []string `json:"acr_values,omitempty"`

	// What the provider is to ask the person: login, consent or select_account.
	// Default: what the provider thinks fit.
	Prompt string `json:"prompt,omitempty"`

	// Further parameters of the authorization request, such as kc_idp_hint.
	Parameters []Parameter `json:"parameters,omitempty"`

	// Whether the authorization request is pushed to the provider first (RFC
	// 9126): auto (default, where its metadata offer it), require or off.
	PAR string `json:"par,omitempty"`
}

// Certificate is a client certificate in two PEM files.
type Certificate struct {
	// The file with the certificate, and its chain if there is one. Required.
	Certificate string `json:"certificate"`

	// The file with its private key. Required.
	Key string `json:"key"`
}

// Parameter is one further parameter of an authorization request.
type Parameter struct {
	// The parameter's name. Required; none that the gateway sets itself.
	Name string `json:"name"`

	// The parameter's value.
	Value string `json:"value"`
}

// The values of the options that are words.
const (
	principalIDToken     = "id_token"
	principalAccessToken = "access_token"

	authBasic = "basic"
	authPost  = "post"

	parAuto    = "auto"
	parRequire = "require"
	parOff     = "off"
)

// AuthMethods, Principals, Prompts and PARModes return the words that the options
// client_auth, principal, prompt and par take; the first of the last is the default.
func AuthMethods() []string { return []string{authBasic, authPost} }

// Principals returns the words of the option principal; the first is the default.
func Principals() []string { return []string{principalIDToken, principalAccessToken} }

// Prompts returns the words of the option prompt.
func Prompts() []string { return []string{"login", "consent", "select_account"} }

// PARModes returns the words of the option par; the first is the default.
func PARModes() []string { return []string{parAuto, parRequire, parOff} }

// ownParameters are the parameters of an authorization request that the gateway
// sets, or that would change what its answer is.
var ownParameters = []string{
	"acr_values", "client_id", "client_assertion", "client_assertion_type", "client_secret", "code_challenge", "code_challenge_method", "id_token_hint",
	"max_age", "nonce", "prompt", "redirect_uri", "request", "request_uri", "response_mode", "response_type", "scope", "state",
}

// Check returns what is wrong with the settings in themselves. Each error says
// which setting it is about (see setting.Error).
func (c Config) Check() error {
	fail := func(path, format string, args ...any) error {
		return setting.Wrap(fmt.Errorf(format, args...), path)
	}
	if c.ClientID == "" {
		return fail("client_id", "client_id is missing: the gateway's registration at the issuer")
	}
	ways := 0
	for _, set := range []bool{c.ClientSecret != "", c.PrivateKey != "", c.ClientCertificate != nil} {
		if set {
			ways++
		}
	}
	switch {
	case ways > 1:
		return fail("client_secret", "client_secret, private_key and client_certificate cannot be combined")
	case c.ClientAuth != "" && c.ClientSecret == "":
		return fail("client_auth", "client_auth %s needs client_secret", c.ClientAuth)
	case c.KeyID != "" && c.PrivateKey == "":
		return fail("key_id", "key_id needs private_key")
	case c.ClientCertificate != nil && (c.ClientCertificate.Certificate == "" || c.ClientCertificate.Key == ""):
		return fail("client_certificate", "client_certificate takes two files: the certificate and its key")
	case c.Scopes != nil && !slices.Contains(c.Scopes, "openid"):
		return fail("scopes", "scopes must contain openid: without it the provider issues no ID token (OpenID Connect Core, section 3.1.2.1)")
	}
	for _, words := range []struct {
		option string
		list   []string
	}{{"scopes", c.Scopes}, {"acr_values", c.ACRValues}} {
		for _, w := range words.list {
			if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
				return fail(words.option, "%s: %q must be a single value without spaces", words.option, w)
			}
		}
	}
	for _, word := range []struct {
		option, value string
		values        []string
	}{{"client_auth", c.ClientAuth, AuthMethods()}, {"principal", c.Principal, Principals()}, {"prompt", c.Prompt, Prompts()}, {"par", c.PAR, PARModes()}} {
		if word.value != "" && !slices.Contains(word.values, word.value) {
			return fail(word.option, "%s: unknown value %q (want %s)%s", word.option, word.value, suggest.JoinOr(word.values), suggest.DidYouMean(word.value, word.values))
		}
	}
	if c.Principal == principalAccessToken {
		return fail("principal", "principal access_token needs a session store that keeps tokens; the sealed cookie keeps none")
	}
	for i, p := range c.Parameters {
		at := setting.Index("parameters", i)
		switch {
		case p.Name == "":
			return fail(at, "parameter: a name is missing")
		case slices.Contains(ownParameters, p.Name):
			return fail(at, "parameter: %q is set by the gateway itself", p.Name)
		case slices.ContainsFunc(c.Parameters[:i], func(q Parameter) bool { return q.Name == p.Name }):
			return fail(at, "parameter: duplicate %q", p.Name)
		}
	}
	return nil
}

// SessionConfig is how long sessions last and where they are kept.
type SessionConfig struct {
	// Where sessions are kept: cookie (default), sealed, in the browser itself.
	Store string `json:"store,omitempty"`

	// How long a session lasts without a request. Default: 30 minutes.
	Idle cache.Duration `json:"idle,omitempty"`

	// How long a session lasts at most; nothing moves it. Default: 10 hours; at
	// most 24 hours.
	Max cache.Duration `json:"max,omitempty"`

	// A folder with html/template files in place of the gateway's own pages.
	Pages string `json:"pages,omitempty"`
}

// Defaults and bounds of sessions.
const (
	defaultIdle = 30 * time.Minute
	defaultMax  = 10 * time.Hour

	// MaxSession is the longest life of a session.
	MaxSession = 24 * time.Hour

	minIdle = 10 * time.Second

	// StoreCookie keeps sessions in the browser, sealed.
	StoreCookie = "cookie"
)

// WithDefaults checks the settings and returns them with the defaults filled in.
// Each error says which setting it is about (see setting.Error).
func (c SessionConfig) WithDefaults() (SessionConfig, error) {
	fail := func(path, format string, args ...any) (SessionConfig, error) {
		return c, setting.Wrap(fmt.Errorf(format, args...), path)
	}
	if c.Store == "" {
		c.Store = StoreCookie
	}
	switch c.Store {
	case StoreCookie:
	case "redis":
		return fail("store", "store: redis is not supported yet; want cookie")
	default:
		return fail("store", "store: unknown value %q (want cookie)%s", c.Store, suggest.DidYouMean(c.Store, []string{StoreCookie}))
	}
	if c.Max == 0 {
		c.Max = cache.Duration(defaultMax)
	}
	if c.Idle == 0 {
		c.Idle = min(cache.Duration(defaultIdle), c.Max)
	}
	switch {
	case c.Max < 0 || c.Max > cache.Duration(MaxSession):
		return fail("max", "max: %s is not between 0 and %s", time.Duration(c.Max), MaxSession)
	case c.Idle < cache.Duration(minIdle):
		return fail("idle", "idle: %s is below the minimum of %s", time.Duration(c.Idle), minIdle)
	case c.Idle > c.Max:
		return fail("idle", "idle: %s is longer than max, %s", time.Duration(c.Idle), time.Duration(c.Max))
	}
	return c, nil
}

// Endpoints are the addresses at which the policies of one site log people in
// and out.
type Endpoints struct {
	// The origin under which people reach the site, such as
	// https://app.example.com: scheme, host and port, no path. Default: the site's
	// own address, where that names one host. Its scheme decides whether cookies
	// are Secure.
	ExternalURL string `json:"external_url,omitempty"`

	// The path of the redirect URI. With several issuers to log in at, each has its
	// own: the path, a slash and the issuer's name. Default:
	// /.token-enrich/callback.
	Callback string `json:"callback,omitempty"`

	// The path that signs people out. Default: /.token-enrich/logout.
	Logout string `json:"logout,omitempty"`

	// Where a person is sent after signing out: a path of this site or an absolute
	// URL. Default: a page that says so.
	AfterLogout string `json:"after_logout,omitempty"`

	// The path at which single-page applications learn of the session. Default:
	// /.token-enrich/session.
	SessionInfo string `json:"session_info,omitempty"`
}

// LoginPath is the path that begins a login, with the parameters return and issuer.
const LoginPath = "/.token-enrich/login"

// WithDefaults checks the settings and returns them with the defaults filled in, but
// for ExternalURL, which may be empty. Each error says which setting it is about
// (see setting.Error).
func (e Endpoints) WithDefaults() (Endpoints, error) {
	if e.ExternalURL != "" {
		origin, err := ParseOrigin(e.ExternalURL)
		if err != nil {
			return e, setting.Wrap(fmt.Errorf("external_url: %w", err), "external_url")
		}
		e.ExternalURL = origin.String()
	}
	taken := map[string]string{LoginPath: "the path that begins a login"}
	for _, p := range []struct {
		option string
		path   *string
		normal string
	}{
		{"callback", &e.Callback, "/.token-enrich/callback"},
		{"logout", &e.Logout, "/.token-enrich/logout"},
		{"session_info", &e.SessionInfo, "/.token-enrich/session"},
	} {
		if *p.path == "" {
			*p.path = p.normal
		}
		if err := checkPath(*p.path); err != nil {
			return e, setting.Wrap(fmt.Errorf("%s: %w", p.option, err), p.option)
		}
		if other := taken[*p.path]; other != "" {
			return e, setting.Wrap(fmt.Errorf("%s: %s is also %s", p.option, *p.path, other), p.option)
		}
		taken[*p.path] = "the path of " + p.option
	}
	if a := e.AfterLogout; a != "" {
		if _, ok := ReturnTarget(a); !ok {
			u, err := url.Parse(a)
			if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil {
				return e, setting.Wrap(fmt.Errorf("logout: %q is neither a path of this site nor an absolute http or https URL", a), "after_logout")
			}
		}
	}
	return e, nil
}

// checkPath checks the path of an endpoint, which is compared literally.
func checkPath(path string) error {
	switch clean, ok := ReturnTarget(path); {
	case !ok || clean != path:
		return fmt.Errorf("%q is not an absolute path", path)
	case path == "/" || strings.HasSuffix(path, "/"):
		return fmt.Errorf("the path %q ends in a slash", path)
	case strings.ContainsAny(path, "*?#{%;"):
		return fmt.Errorf("the path %q contains a pattern, query or escape character; want one literal path", path)
	}
	return nil
}

// errOrigin is the error of an external_url that is no origin.
var errOrigin = errors.New("want an origin such as https://app.example.com: a scheme, a host and perhaps a port, without a path")

// errPlainHTTP is the error of an external_url that would send cookies unencrypted.
var errPlainHTTP = errors.New("plain http is accepted on this machine only (localhost, 127.0.0.1): session cookies must not travel unencrypted")
