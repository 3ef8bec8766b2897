package enrichtest

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// This file is the part of a provider at which people log in: OpenID Connect's
// code flow with PKCE, pushed requests (RFC 9126) and RP-initiated logout. The
// person is never asked: whom SetAccount names is let in at once.

// codeFlow is the state of a provider's logins.
type codeFlow struct {
	account string
	claims  Claims
	codes   map[string]grant
	pushed  map[string]url.Values

	response func(request, response url.Values)
	idToken  func(claims Claims) []MintOption
	answer   func(answer map[string]any)

	secrets []string
}

// grant is what a code stands for.
type grant struct {
	request url.Values
	account string
	used    bool
}

func newCodeFlow() codeFlow {
	return codeFlow{account: "alice", claims: Claims{}, codes: map[string]grant{}, pushed: map[string]url.Values{}}
}

// SetAccount sets who logs in from here on, alice to begin with, and what ID
// tokens say of that person besides what every ID token says.
func (p *Provider) SetAccount(subject string, claims Claims) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.account, p.flow.claims = subject, claims
}

// OnAuthorize edits the parameters of each authorization response; nil ends that.
// Without code and error the person is left at the provider, which then answers
// 200.
func (p *Provider) OnAuthorize(edit func(request, response url.Values)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.response = edit
}

// OnIDToken edits the claims of each ID token, and may return options that shape
// its header and signature; nil ends that.
func (p *Provider) OnIDToken(edit func(claims Claims) []MintOption) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.idToken = edit
}

// OnToken edits the members of each good answer of the token endpoint; nil ends
// that.
func (p *Provider) OnToken(edit func(answer map[string]any)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.flow.answer = edit
}

// Secrets are the codes and tokens that logins were given until now: what must
// be in no log and on no page.
func (p *Provider) Secrets() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.flow.secrets)
}

// serveAuthorize lets the account in and answers with a redirect (RFC 6749,
// section 4.1.2, and iss of RFC 9207).
func (p *Provider) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	request := r.URL.Query()
	p.mu.Lock()
	if reference := request.Get("request_uri"); reference != "" {
		pushed, known := p.flow.pushed[reference]
		delete(p.flow.pushed, reference)
		if !known || pushed.Get("client_id") != request.Get("client_id") {
			p.mu.Unlock()
			http.Error(w, "unknown request_uri", http.StatusBadRequest)
			return
		}
		request = pushed
	}
	p.minted++
	code := fmt.Sprintf("code-%d-%x", p.minted, sha256.Sum256([]byte(request.Get("state"))))
	p.flow.codes[code] = grant{request: request, account: p.flow.account}
	p.flow.secrets = append(p.flow.secrets, code)
	edit := p.flow.response
	p.mu.Unlock()
	if fault := requestFault(request); fault != "" {
		http.Error(w, fault, http.StatusBadRequest)
		return
	}
	response := url.Values{"code": {code}, "state": {request.Get("state")}, "iss": {p.Issuer()}}
	if edit != nil {
		edit(request, response)
	}
	if !response.Has("code") && !response.Has("error") {
		write(w, []byte("the person is asked for a password"))
		return
	}
	http.Redirect(w, r, request.Get("redirect_uri")+"?"+response.Encode(), http.StatusFound)
}

// requestFault says what is wrong with an authorization request.
func requestFault(request url.Values) string {
	for name, values := range request {
		if len(values) != 1 {
			return name + " is there twice"
		}
	}
	switch {
	case request.Get("response_type") != "code":
		return "response_type is not code"
	case request.Get("code_challenge_method") != "S256" || len(request.Get("code_challenge")) != 43:
		return "no code_challenge by S256"
	case !slices.Contains(strings.Fields(request.Get("scope")), "openid"):
		return "scope has no openid"
	}
	for _, name := range []string{"client_id", "redirect_uri", "state", "nonce"} {
		if request.Get(name) == "" {
			return name + " is missing"
		}
	}
	return ""
}

// authenticated checks how a client proves who it is: with the secret of
// RequireClient by basic or post, with an assertion if that secret is empty and
// one is sent, or not at all if no client is required.
func (p *Provider) authenticated(r *http.Request) (client string, ok bool) {
	client, secret, basic := r.BasicAuth()
	if basic {
		for _, text := range []*string{&client, &secret} { // RFC 6749, section 2.3.1
			var err error
			if *text, err = url.QueryUnescape(*text); err != nil {
				return "", false
			}
		}
		if r.PostForm.Has("client_secret") {
			return "", false // two ways at once
		}
	} else {
		client, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	wanted, known := p.clients[client]
	return client, len(p.clients) == 0 && secret == "" || known && secret == wanted
}

// serveToken exchanges a code (RFC 6749, section 4.1.3; RFC 7636, section 4.6).
// A code is good for one request, whatever becomes of that.
func (p *Provider) serveToken(w http.ResponseWriter, r *http.Request) {
	client, ok := p.authenticated(r)
	if !ok {
		respond(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	form := r.PostForm
	p.mu.Lock()
	g, known := p.flow.codes[form.Get("code")]
	used := g.used
	g.used = true
	if known {
		p.flow.codes[form.Get("code")] = g
	}
	now, k := p.now(), p.keys[0]
	extra, edit, editAnswer := p.flow.claims, p.flow.idToken, p.flow.answer
	p.mu.Unlock()
	verifier := sha256.Sum256([]byte(form.Get("code_verifier")))
	switch {
	case form.Get("grant_type") != "authorization_code":
		respond(w, http.StatusBadRequest, map[string]any{"error": "unsupported_grant_type"})
		return
	case !known || used || g.request.Get("client_id") != client || g.request.Get("redirect_uri") != form.Get("redirect_uri") ||
		g.request.Get("code_challenge") != encode(verifier[:]):
		respond(w, http.StatusBadRequest, map[string]any{"error": "invalid_grant", "error_description": "no such code"})
		return
	}
	claims := merge(idTokenClaims(p.Issuer(), g, now), extra)
	options := []MintOption{WithType("JWT")}
	if edit != nil {
		options = append(options, edit(claims)...)
	}
	idToken, err := MintWith(k, claims, options...)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	answer := map[string]any{
		"access_token": p.Opaque(Claims{"sub": g.account}), "token_type": "Bearer", "expires_in": 3600,
		"scope": g.request.Get("scope"), "id_token": idToken,
	}
	if editAnswer != nil {
		editAnswer(answer)
	}
	p.mu.Lock()
	for _, name := range []string{"access_token", "id_token", "refresh_token"} {
		if text, _ := answer[name].(string); text != "" {
			p.flow.secrets = append(p.flow.secrets, text)
		}
	}
	p.mu.Unlock()
	respond(w, http.StatusOK, answer)
}

// idTokenClaims are what an ID token says unless the test says otherwise. The
// first acr that the client asked for is what it gets.
func idTokenClaims(issuer string, g grant, now time.Time) Claims {
	claims := Claims{
		"iss": issuer, "sub": g.account, "aud": g.request.Get("client_id"), "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
		"auth_time": now.Unix(), "nonce": g.request.Get("nonce"),
	}
	if acr := strings.Fields(g.request.Get("acr_values")); len(acr) > 0 {
		claims["acr"] = acr[0]
	}
	return claims
}

// servePAR takes an authorization request (RFC 9126, section 2).
func (p *Provider) servePAR(w http.ResponseWriter, r *http.Request) {
	client, ok := p.authenticated(r)
	if !ok || client != r.PostForm.Get("client_id") {
		respond(w, http.StatusUnauthorized, map[string]any{"error": "invalid_client"})
		return
	}
	request := url.Values{}
	for name, values := range r.PostForm {
		if !strings.HasPrefix(name, "client_") || name == "client_id" {
			request[name] = values
		}
	}
	p.mu.Lock()
	p.minted++
	reference := fmt.Sprintf("urn:ietf:params:oauth:request_uri:%d", p.minted)
	p.flow.pushed[reference] = request
	p.mu.Unlock()
	respond(w, http.StatusCreated, map[string]any{"request_uri": reference, "expires_in": 60})
}

// serveEndSession sends the person back (OpenID Connect RP-Initiated Logout 1.0,
// section 3).
func (p *Provider) serveEndSession(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	back := query.Get("post_logout_redirect_uri")
	if back == "" {
		write(w, []byte("the person is logged out"))
		return
	}
	http.Redirect(w, r, back+"?"+url.Values{"state": {query.Get("state")}}.Encode(), http.StatusFound)
}
