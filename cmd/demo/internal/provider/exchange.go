package provider

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// What a client asks the provider directly: tokens for a code, and claims for an
// access token.

// serveExchange is the token endpoint (RFC 6749 section 4.1.3). A code is gone
// as soon as the client has shown it, whatever the answer.
func (p *Provider) serveExchange(w http.ResponseWriter, r *http.Request) {
	if err := r.ParseForm(); err != nil || repeated(r.PostForm) != "" {
		answerError(w, http.StatusBadRequest, "invalid_request")
		return
	}
	if code := p.authenticate(r); code != "" {
		status := http.StatusBadRequest
		if code == "invalid_client" {
			status = http.StatusUnauthorized
			w.Header().Set("WWW-Authenticate", `Basic realm="token"`)
		}
		answerError(w, status, code)
		return
	}
	form := r.PostForm
	if form.Get("grant_type") != "authorization_code" {
		answerError(w, http.StatusBadRequest, "unsupported_grant_type")
		return
	}
	g, known := p.codes.take(form.Get("code"))
	digest := sha256.Sum256([]byte(form.Get("code_verifier")))
	if !known || form.Get("redirect_uri") != g.redirectURI || !equal(base64.RawURLEncoding.EncodeToString(digest[:]), g.challenge) {
		answerError(w, http.StatusBadRequest, "invalid_grant")
		return
	}
	tokens, err := p.tokens(g)
	if err != nil {
		answerError(w, http.StatusInternalServerError, "server_error")
		return
	}
	answer(w, tokens)
}

// authenticate returns the error code of a request that is not the client's, or
// none. The client shows its secret in one way, in the header or in the form
// (RFC 6749 section 2.3.1).
func (p *Provider) authenticate(r *http.Request) string {
	id, secret := r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	if r.Header.Get("Authorization") != "" {
		user, password, ok := r.BasicAuth()
		name, badName := url.QueryUnescape(user)
		word, badWord := url.QueryUnescape(password)
		switch {
		case !ok || badName != nil || badWord != nil:
			return "invalid_client"
		case secret != "" || id != "" && id != name:
			return "invalid_request"
		}
		id, secret = name, word
	}
	if id != p.config.Login.ID || !equal(secret, p.config.Login.Secret) {
		return "invalid_client"
	}
	return ""
}

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

// tokens is the answer to a code: an access token, and an ID token about the
// same login (OpenID Connect Core 1.0 section 3.1.3.3).
func (p *Provider) tokens(g grant) (map[string]any, error) {
	client, scope := p.config.Login.ID, strings.Join(g.scopes, " ")
	access, err := p.Mint(g.session.person, Order{Client: client, Scope: scope})
	if err != nil {
		return nil, err
	}
	half := sha256.Sum256([]byte(access))
	claims := p.config.People[g.session.person].claims(g.session.person, g.scopes)
	claims["azp"] = client
	claims["auth_time"] = g.session.at.Unix()
	claims["sid"] = g.session.sid
	claims["acr"] = acr
	claims["at_hash"] = base64.RawURLEncoding.EncodeToString(half[:len(half)/2])
	if g.nonce != "" {
		claims["nonce"] = g.nonce
	}
	id, err := p.Mint(g.session.person, Order{ID: true, Client: client, Claims: claims})
	if err != nil {
		return nil, err
	}
	return map[string]any{
		"access_token": access, "token_type": "Bearer", "expires_in": int(DefaultTTL.Seconds()), "scope": scope, "id_token": id,
	}, nil
}

// claims are what the scopes say about a person (OpenID Connect Core 1.0 section
// 5.4).
func (w Person) claims(name string, scopes []string) map[string]any {
	claims := map[string]any{"sub": w.Subject}
	if slices.Contains(scopes, "profile") {
		claims["name"], claims["preferred_username"] = w.Name, name
	}
	if slices.Contains(scopes, "email") {
		claims["email"], claims["email_verified"] = w.Email, true
	}
	return claims
}

// serveUserinfo answers with the claims of the access token's person (OpenID
// Connect Core 1.0 section 5.3).
func (p *Provider) serveUserinfo(w http.ResponseWriter, r *http.Request) {
	text, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	claims, err := p.verify(text, "at+jwt")
	if err == nil && p.config.Now().Before(claims.Expiry.Time()) && slices.Contains(strings.Fields(claims.Scope), "openid") {
		for name, person := range p.config.People {
			if person.Subject == claims.Subject {
				answer(w, person.claims(name, strings.Fields(claims.Scope)))
				return
			}
		}
	}
	w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
	answerError(w, http.StatusUnauthorized, "invalid_token")
}

// verified are claims of a token that this provider has signed.
type verified struct {
	jwt.Claims
	Scope string `json:"scope"`
}

// verify returns the claims of a token of this provider that has the type. It
// may have expired.
func (p *Provider) verify(text, kind string) (verified, error) {
	var claims verified
	token, err := jwt.ParseSigned(text, []jose.SignatureAlgorithm{jose.RS256, jose.ES256})
	if err != nil {
		return claims, fmt.Errorf("reading a token: %w", err)
	}
	if token.Headers[0].ExtraHeaders[jose.HeaderType] != kind {
		return claims, fmt.Errorf("the token's type is not %s", kind)
	}
	if err := token.Claims(p.publicKeys(), &claims); err != nil {
		return claims, fmt.Errorf("verifying a token: %w", err)
	}
	return claims, nil
}

func answerError(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The other side has gone where this fails.
	_ = json.NewEncoder(w).Encode(map[string]string{"error": code})
}
