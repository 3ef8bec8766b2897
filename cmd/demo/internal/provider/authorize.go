package provider

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/loopback"
)

// The authorization endpoint (RFC 6749 section 4.1.1, OpenID Connect Core 1.0
// section 3.1.2): from an authorization request, by way of the form, to a code.

const (
	// sessionTTL is how long the provider remembers who signed in.
	sessionTTL = 8 * time.Hour

	// codeTTL is how long an authorization code can be redeemed.
	codeTTL = time.Minute

	// sessionCookie is what a browser holds meanwhile.
	sessionCookie = "demo_provider"

	// acr is the class of every login here, whatever acr_values ask for.
	acr = "pwd"

	// maxNonce bounds what a code keeps of the request, in bytes.
	maxNonce = 512
)

// scopes are those that a client can be granted. Others are ignored.
func scopes() []string { return []string{"openid", "profile", "email"} }

// session is one sign-in of a person at the provider.
type session struct {
	sid, person string
	at          time.Time
}

// grant is what a code stands for.
type grant struct {
	redirectURI, challenge, nonce string
	scopes                        []string
	session                       session
}

// authorization is a request of the registered client.
type authorization struct {
	grant  grant // without a session
	state  string
	prompt []string
	maxAge time.Duration // negative: any age will do
}

// refusal is an error of the authorization endpoint that is sent to the client
// (RFC 6749 section 4.1.2.1).
type refusal struct{ code, description string }

func (r *refusal) Error() string { return r.code + ": " + r.description }

// readAuthorization checks an authorization request. A *refusal is for the
// client; any other error says that there is no client to be told, and leaves
// the redirect URI empty.
func (p *Provider) readAuthorization(r *http.Request) (authorization, error) {
	a := authorization{maxAge: -1}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, errors.New("the query is malformed")
	}
	if name := repeated(query); name != "" {
		return a, fmt.Errorf("parameter %q is repeated", name)
	}
	if query.Get("client_id") != p.config.Login.ID {
		return a, errors.New("client_id is not registered")
	}
	uri := query.Get("redirect_uri")
	if u := onLoopback(uri); u == nil || u.Path != p.config.Login.Callback {
		return a, fmt.Errorf("redirect_uri is not registered (want a loopback origin with the path %s)", p.config.Login.Callback)
	}
	a.grant.redirectURI, a.state = uri, query.Get("state")
	return a, a.read(query)
}

// read reads what follows once the redirect URI is known.
func (a *authorization) read(query url.Values) error {
	a.grant.nonce, a.grant.challenge = query.Get("nonce"), query.Get("code_challenge")
	a.prompt = strings.Fields(query.Get("prompt"))
	asked := strings.Fields(query.Get("scope"))
	for _, s := range scopes() {
		if slices.Contains(asked, s) {
			a.grant.scopes = append(a.grant.scopes, s)
		}
	}
	if text := query.Get("max_age"); text != "" {
		seconds, err := strconv.ParseUint(text, 10, 31)
		if err != nil {
			return &refusal{"invalid_request", "max_age is not a number of seconds"}
		}
		a.maxAge = time.Duration(seconds) * time.Second
	}
	digest, err := base64.RawURLEncoding.DecodeString(a.grant.challenge)
	switch {
	case query.Has("request"):
		return &refusal{"request_not_supported", "request objects are not supported"}
	case query.Has("request_uri"):
		return &refusal{"request_uri_not_supported", "request objects are not supported"}
	case query.Get("response_type") != "code":
		return &refusal{"unsupported_response_type", "response_type must be code"}
	case query.Has("response_mode") && query.Get("response_mode") != "query":
		return &refusal{"invalid_request", "response_mode must be query"}
	case !slices.Contains(asked, "openid"):
		return &refusal{"invalid_scope", "scope must include openid"}
	case query.Get("code_challenge_method") != "S256" || err != nil || len(digest) != 32:
		return &refusal{"invalid_request", "PKCE with S256 is required"}
	case len(a.grant.nonce) > maxNonce:
		return &refusal{"invalid_request", "nonce is too long"}
	case slices.Contains(a.prompt, "none") && len(a.prompt) > 1:
		return &refusal{"invalid_request", "prompt none cannot be combined"}
	}
	return nil
}

// accepts reports whether the session needs no new sign-in.
func (a *authorization) accepts(s session, now time.Time) bool {
	return !slices.Contains(a.prompt, "login") && !slices.Contains(a.prompt, "select_account") &&
		(a.maxAge < 0 || now.Sub(s.at) < a.maxAge)
}

// serveAuthorize answers with a code at once where the person has signed in, and
// with the form otherwise.
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	a, ok := p.authorization(w, r)
	if !ok {
		return
	}
	_, s, known := p.session(r)
	switch {
	case known && a.accepts(s, p.config.Now()):
		p.answerCode(w, r, a, s)
	case slices.Contains(a.prompt, "none"):
		p.refuse(w, r, a, &refusal{"login_required", "nobody is signed in"})
	default:
		p.showForm(w, a)
	}
}

// serveChoice answers the form: the person who was chosen is signed in.
func (p *Provider) serveChoice(w http.ResponseWriter, r *http.Request) {
	a, ok := p.authorization(w, r)
	if !ok {
		return
	}
	if r.PostFormValue("cancel") != "" {
		p.refuse(w, r, a, &refusal{"access_denied", "the sign-in was cancelled"})
		return
	}
	name := r.PostFormValue("person")
	if p.config.People[name].Name == "" {
		http.Error(w, "no such person", http.StatusBadRequest)
		return
	}
	p.signOut(r)
	s := session{sid: rand.Text(), person: name, at: p.config.Now()}
	setCookie(w, p.sessions.put(s), 0)
	p.answerCode(w, r, a, s)
}

// authorization returns the request and reports whether it can be answered; if
// not, it has been refused.
func (p *Provider) authorization(w http.ResponseWriter, r *http.Request) (authorization, bool) {
	a, err := p.readAuthorization(r)
	if told, ok := errors.AsType[*refusal](err); ok {
		p.refuse(w, r, a, told)
	} else if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
	}
	return a, err == nil
}

func (p *Provider) answerCode(w http.ResponseWriter, r *http.Request, a authorization, s session) {
	a.grant.session = s
	p.redirect(w, r, a, url.Values{"code": {p.codes.put(a.grant)}})
}

func (p *Provider) refuse(w http.ResponseWriter, r *http.Request, a authorization, e *refusal) {
	p.redirect(w, r, a, url.Values{"error": {e.code}, "error_description": {e.description}})
}

// redirect sends the browser back to the client, with the issuer's name (RFC
// 9207). A 303 makes a GET of the form's POST.
func (p *Provider) redirect(w http.ResponseWriter, r *http.Request, a authorization, values url.Values) {
	values.Set("iss", p.config.Issuer)
	if a.state != "" {
		values.Set("state", a.state)
	}
	http.Redirect(w, r, a.grant.redirectURI+"?"+values.Encode(), http.StatusSeeOther)
}

// session returns the session of this browser with its key.
func (p *Provider) session(r *http.Request) (key string, s session, known bool) {
	cookies := r.CookiesNamed(sessionCookie)
	if len(cookies) != 1 {
		return "", session{}, false
	}
	s, known = p.sessions.get(cookies[0].Value)
	return cookies[0].Value, s, known
}

// signOut ends the session of this browser.
func (p *Provider) signOut(r *http.Request) {
	key, _, _ := p.session(r)
	p.sessions.take(key)
}

// setCookie sets the provider's cookie until the browser closes; a negative age
// deletes it. It is not Secure, because the provider speaks plain HTTP.
func setCookie(w http.ResponseWriter, value string, age int) {
	http.SetCookie(w, &http.Cookie{
		Name: sessionCookie, Value: value, Path: flowPath, MaxAge: age, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

// onLoopback returns a URL on a loopback origin, or nil where the text is not
// exactly one: what is compared is what the browser is sent to.
func onLoopback(text string) *url.URL {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" || !loopback.Host(u.Hostname()) || text != "http://"+u.Host+u.Path {
		return nil
	}
	return u
}

// repeated returns the name of a parameter with several values, if there is one
// (RFC 6749 section 3.1).
func repeated(values url.Values) string {
	for name, v := range values {
		if len(v) > 1 {
			return name
		}
	}
	return ""
}
