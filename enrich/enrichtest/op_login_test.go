package enrichtest_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

const (
	callback = "http://app.localhost/callback"
	goodbye  = "http://app.localhost/bye"
	verifier = "a-verifier-of-at-least-forty-three-characters-00"
	secret   = "login-secret-only-for-tests-000000" // #nosec G101 -- a test server's
)

// relyingParty is a client of the certified provider as the test plays it.
type relyingParty struct {
	o            *enrichtest.OIDCProvider
	id           string
	authenticate func(r *http.Request, form url.Values)
}

func basic(id string) func(*http.Request, url.Values) {
	return func(r *http.Request, _ url.Values) { r.SetBasicAuth(id, secret) }
}

// ask returns an authorization request.
func (p relyingParty) ask(more ...string) url.Values {
	hash := sha256.Sum256([]byte(verifier))
	all := url.Values{
		"client_id": {p.id}, "response_type": {"code"}, "redirect_uri": {callback}, "scope": {"openid email groups"}, "state": {"s1"}, "nonce": {"n1"},
		"code_challenge": {base64.RawURLEncoding.EncodeToString(hash[:])}, "code_challenge_method": {"S256"},
	}
	for i := 0; i+1 < len(more); i += 2 {
		all.Set(more[i], more[i+1])
	}
	return all
}

func (p relyingParty) authorization(more ...string) string {
	return p.o.Issuer + "/auth?" + p.ask(more...).Encode()
}

// post asks an endpoint of the provider as the client.
func (p relyingParty) post(t *testing.T, path string, form url.Values) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.o.Issuer+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.authenticate == nil {
		form.Set("client_id", p.id)
	} else {
		p.authenticate(r, form)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Body = io.NopCloser(strings.NewReader(form.Encode()))
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var answer map[string]any
	if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, answer
}

// exchange redeems the code of a callback for tokens.
func (p relyingParty) exchange(t *testing.T, back string) map[string]any {
	t.Helper()
	u, err := url.Parse(back)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(back, callback+"?") {
		t.Fatalf("the provider redirected to %s", back)
	}
	want(t, "state", u.Query().Get("state"), "s1")
	want(t, "iss", u.Query().Get("iss"), p.o.Issuer)
	status, tokens := p.post(t, "/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {u.Query().Get("code")}, "redirect_uri": {callback}, "code_verifier": {verifier},
	})
	if status != http.StatusOK {
		t.Fatalf("status %d of the code exchange: %v", status, tokens["error_description"])
	}
	return tokens
}

func idToken(t *testing.T, tokens map[string]any) map[string]any {
	t.Helper()
	_, claims := open(t, tokens["id_token"].(string))
	want(t, "nonce", claims["nonce"], "n1")
	return claims
}

func browser(t *testing.T) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return &http.Client{Jar: jar}
}

func TestOIDCProviderSignsPeopleIn(t *testing.T) {
	key, err := enrichtest.NewKey("ES256", "k1")
	if err != nil {
		t.Fatal(err)
	}
	redirects := []string{callback}
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{Login: []enrichtest.OPLoginClient{
		{ID: "basic", Secret: secret, RedirectURIs: redirects},
		{ID: "post", Secret: secret, AuthMethod: "client_secret_post", RedirectURIs: redirects},
		{ID: "public", RedirectURIs: redirects},
		{ID: "key", AuthMethod: "private_key_jwt", RedirectURIs: redirects, Metadata: map[string]any{
			"jwks": map[string]any{"keys": []any{key.JWK()}},
		}},
	}})
	assertion := func(_ *http.Request, form url.Values) {
		now := time.Now()
		text, err := enrichtest.MintWith(key, enrichtest.Claims{
			"iss": "key", "sub": "key", "aud": o.Issuer, "jti": now.String(), "iat": now.Unix(), "exp": now.Add(time.Minute).Unix(),
		}, enrichtest.WithType("JWT"))
		if err != nil {
			t.Fatal(err)
		}
		form.Set("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer")
		form.Set("client_assertion", text)
	}
	post := func(_ *http.Request, form url.Values) {
		maps.Copy(form, url.Values{"client_id": {"post"}, "client_secret": {secret}})
	}
	alice := browser(t) // logs in with a form once, and is known from then on
	for _, p := range []relyingParty{{o, "basic", basic("basic")}, {o, "post", post}, {o, "public", nil}, {o, "key", assertion}} {
		t.Run("a client with "+p.id, func(t *testing.T) {
			claims := idToken(t, p.exchange(t, o.SignIn(t, alice, p.authorization(), "alice")))
			want(t, "sub", claims["sub"], "alice")
			want(t, "aud", claims["aud"], p.id)
			want(t, "email", claims["email"], "alice@example.com")
			want(t, "groups", claims["groups"], []any{"admins", "dev"})
		})
	}
	p := relyingParty{o, "basic", basic("basic")}
	t.Run("another person in the same browser", func(t *testing.T) {
		claims := idToken(t, p.exchange(t, o.SignIn(t, alice, p.authorization("prompt", "login"), "bob")))
		want(t, "sub", claims["sub"], "bob")
	})
	t.Run("a pushed request", func(t *testing.T) {
		status, answer := p.post(t, "/request", p.ask())
		want(t, "status", status, http.StatusCreated)
		at := o.Issuer + "/auth?" + url.Values{"client_id": {"basic"}, "request_uri": {answer["request_uri"].(string)}}.Encode()
		want(t, "sub", idToken(t, p.exchange(t, o.SignIn(t, browser(t), at, "bob")))["sub"], "bob")
	})
	t.Run("a login given up", func(t *testing.T) {
		back, err := url.Parse(o.Cancel(t, browser(t), p.authorization()))
		if err != nil {
			t.Fatal(err)
		}
		want(t, "error", back.Query().Get("error"), "access_denied")
		want(t, "state", back.Query().Get("state"), "s1")
	})
	t.Run("a JWT access token", func(t *testing.T) {
		tokens := p.exchange(t, o.SignIn(t, browser(t), p.authorization("scope", "openid api:read", "resource", "urn:test:es256"), "alice"))
		verify(t, o, tokens["access_token"].(string), "ES256")
		_, claims := open(t, tokens["access_token"].(string))
		want(t, "aud", claims["aud"], "api://legacy")
		want(t, "scope", claims["scope"], "openid api:read")
	})
	t.Run("a refresh token needs consent to offline_access", func(t *testing.T) {
		_, found := p.exchange(t, o.SignIn(t, browser(t), p.authorization("scope", "openid offline_access"), "alice"))["refresh_token"]
		want(t, "without prompt", found, false)
		_, found = p.exchange(t, o.SignIn(t, browser(t), p.authorization("scope", "openid offline_access", "prompt", "consent"), "alice"))["refresh_token"]
		want(t, "with prompt=consent", found, true)
	})
}

func TestOIDCProviderSignsPeopleInAsConfigured(t *testing.T) {
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{
		UserinfoClaims: true, RefreshTokens: true, RotateRefresh: true, ACRValues: []string{"low", "high"},
		Login: []enrichtest.OPLoginClient{{
			ID: "basic", Secret: secret, RedirectURIs: []string{callback}, Metadata: map[string]any{"require_auth_time": true},
		}},
	})
	p := relyingParty{o, "basic", basic("basic")}
	alice := browser(t)
	var tokens map[string]any
	for _, step := range []struct {
		name string
		more []string
		acr  any
	}{
		{"nothing asked", nil, nil},
		{"the weaker class", []string{"acr_values", "low"}, "low"},
		{"the stronger class", []string{"acr_values", "high"}, "high"},
		{"a class that is not there", []string{"acr_values", "hardware"}, "low"},
		{"a new login", []string{"max_age", "0", "acr_values", "high"}, "high"},
	} {
		t.Run(step.name, func(t *testing.T) {
			tokens = p.exchange(t, o.SignIn(t, alice, p.authorization(step.more...), "alice"))
			claims := idToken(t, tokens)
			want(t, "acr", claims["acr"], step.acr)
			_, found := claims["email"]
			want(t, "email in the ID token", found, false)
			_, found = claims["auth_time"]
			want(t, "auth_time in the ID token", found, true)
		})
	}
	t.Run("claims at userinfo", func(t *testing.T) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, o.Issuer+"/me", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+tokens["access_token"].(string))
		response, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		var claims map[string]any
		if err := json.NewDecoder(response.Body).Decode(&claims); err != nil {
			t.Fatal(err)
		}
		want(t, "email", claims["email"], "alice@example.com")
	})
	t.Run("a refresh token serves once", func(t *testing.T) {
		refresh := func(token any) (int, map[string]any) {
			return p.post(t, "/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token.(string)}})
		}
		status, next := refresh(tokens["refresh_token"])
		want(t, "status", status, http.StatusOK)
		status, _ = refresh(tokens["refresh_token"])
		want(t, "status of the second use", status, http.StatusBadRequest)
		status, _ = refresh(next["refresh_token"])
		want(t, "status of the successor", status, http.StatusBadRequest)
	})
}

func TestOIDCProviderSignsPeopleOut(t *testing.T) {
	told := make(chan string, 1)
	channel := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { told <- r.FormValue("logout_token") }))
	defer channel.Close()
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{Login: []enrichtest.OPLoginClient{{
		ID: "basic", Secret: secret, RedirectURIs: []string{callback}, LogoutURIs: []string{goodbye}, BackchannelURI: channel.URL,
	}}})
	p := relyingParty{o, "basic", basic("basic")}
	alice := browser(t)
	for _, tc := range []struct {
		name, asks string
		want       string
	}{
		{"a client asks with the ID token", "id_token_hint=%s&state=s2&post_logout_redirect_uri=" + url.QueryEscape(goodbye), goodbye + "?state=s2"},
		{"a client asks with its name", "client_id=basic&post_logout_redirect_uri=" + url.QueryEscape(goodbye), goodbye},
		{"the person asks the provider", "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tokens := p.exchange(t, o.SignIn(t, alice, p.authorization(), "alice"))
			asks := strings.Replace(tc.asks, "%s", tokens["id_token"].(string), 1)
			want(t, "where the logout ends", o.SignOut(t, alice, o.Issuer+"/session/end?"+asks), tc.want)
			token := <-told
			verify(t, o, token, "RS256")
			header, claims := open(t, token)
			want(t, "typ", header["typ"], "logout+jwt")
			want(t, "sid", claims["sid"], idToken(t, tokens)["sid"])
			if back := o.SignIn(t, alice, p.authorization("prompt", "none"), "alice"); !strings.Contains(back, "error=login_required") {
				t.Errorf("the person is still logged in: %s", back)
			}
		})
	}
}
