package enrichtest_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// A flow is a client that logs people in with the libraries of others.
type flow struct {
	t        *testing.T
	p        *enrichtest.Provider
	config   oauth2.Config
	verifier string
}

func newFlow(t *testing.T) *flow {
	p := enrichtest.NewProvider(t)
	return &flow{t: t, p: p, verifier: strings.Repeat("v", 43), config: oauth2.Config{
		ClientID: "client", RedirectURL: "http://localhost/callback", Scopes: []string{"openid"},
		Endpoint: oauth2.Endpoint{AuthURL: p.URL(enrichtest.Authorize), TokenURL: p.URL(enrichtest.Token), AuthStyle: oauth2.AuthStyleInParams},
	}}
}

// authorize asks for a code and returns the redirect's address.
func (f *flow) authorize(options ...oauth2.AuthCodeOption) *url.URL {
	f.t.Helper()
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	options = append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(f.verifier), oauth2.SetAuthURLParam("nonce", "n-1")}, options...)
	status, header, body, err := fetch(f.t, client, f.config.AuthCodeURL("s-1", options...))
	if err != nil || status != http.StatusFound {
		f.t.Fatalf("status %d: %s %v", status, body, err)
	}
	at, err := url.Parse(header.Get("Location"))
	if err != nil {
		f.t.Fatal(err)
	}
	return at
}

func TestAStrangersLibraryLogsIn(t *testing.T) {
	f := newFlow(t)
	f.p.SetAccount("grace", enrichtest.Claims{"email": "grace@example.com"})
	f.p.SetPerson("grace", enrichtest.Claims{"department": "compilers"})
	at := f.authorize(oauth2.SetAuthURLParam("acr_values", "mfa pwd"))
	want(t, "the answer", []string{at.Host + at.Path, at.Query().Get("state"), at.Query().Get("iss")}, []string{"localhost/callback", "s-1", f.p.Issuer()})
	token, err := f.config.Exchange(t.Context(), at.Query().Get("code"), oauth2.VerifierOption(f.verifier))
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.NewProvider(t.Context(), f.p.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := provider.Verifier(&oidc.Config{ClientID: "client"}).Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(err)
	}
	var claims struct{ ACR, Email string }
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	want(t, "the ID token", []string{id.Subject, id.Nonce, claims.ACR, claims.Email}, []string{"grace", "n-1", "mfa", "grace@example.com"})
	info, err := provider.UserInfo(t.Context(), oauth2.StaticTokenSource(token))
	if err != nil || info.Subject != "grace" {
		t.Errorf("userinfo: %v, %v", info, err)
	}
	want(t, "hits", []int{f.p.Hits(enrichtest.Authorize), f.p.Hits(enrichtest.Token)}, []int{1, 1})
	want(t, "secrets", len(f.p.Secrets()), 3)
}

func TestTheTokenEndpointIsStrict(t *testing.T) {
	for name, c := range map[string]struct {
		spoil   func(f *flow, code *string)
		refusal string
	}{
		"another verifier":     {func(f *flow, _ *string) { f.verifier = strings.Repeat("w", 43) }, "invalid_grant"},
		"another redirect URI": {func(f *flow, _ *string) { f.config.RedirectURL = "http://localhost/other" }, "invalid_grant"},
		"another client":       {func(f *flow, _ *string) { f.config.ClientID = "other" }, "invalid_grant"},
		"another code":         {func(_ *flow, code *string) { *code += "x" }, "invalid_grant"},
		"a second time": {func(f *flow, code *string) {
			if _, err := f.config.Exchange(f.t.Context(), *code, oauth2.VerifierOption(f.verifier)); err != nil {
				f.t.Error(err)
			}
		}, "invalid_grant"},
		"after a failure": {func(f *flow, code *string) {
			if _, err := f.config.Exchange(f.t.Context(), *code); err == nil {
				f.t.Error("no verifier is needed")
			}
		}, "invalid_grant"},
		"a secret that nobody gave": {func(f *flow, _ *string) { f.config.ClientSecret = "x" }, "invalid_client"},
		"no secret":                 {func(f *flow, _ *string) { f.p.RequireClient("client", "s") }, "invalid_client"},
		"another secret":            {func(f *flow, _ *string) { f.p.RequireClient("client", "s"); f.config.ClientSecret = "x" }, "invalid_client"},
		"the secret":                {func(f *flow, _ *string) { f.p.RequireClient("client", "s/+ "); f.config.ClientSecret = "s/+ " }, ""},
		"the secret in the header": {func(f *flow, _ *string) {
			f.p.RequireClient("client", "s/+ ")
			f.config.ClientSecret, f.config.Endpoint.AuthStyle = "s/+ ", oauth2.AuthStyleInHeader
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFlow(t)
			code := f.authorize().Query().Get("code")
			c.spoil(f, &code)
			_, err := f.config.Exchange(t.Context(), code, oauth2.VerifierOption(f.verifier))
			if refusal := refusalOf(err); refusal != c.refusal || (err == nil) != (c.refusal == "") {
				t.Errorf("got %v, want %q", err, c.refusal)
			}
		})
	}
}

// refusalOf returns the error code of the token endpoint, or nothing.
func refusalOf(err error) string {
	if r, ok := err.(*oauth2.RetrieveError); ok { //nolint:errorlint // it is returned as it is
		return r.ErrorCode
	}
	return ""
}

func TestAuthorizationRequestsThatAreRefused(t *testing.T) {
	f := newFlow(t)
	for name, spoil := range map[string]func(v url.Values){
		"no PKCE":        func(v url.Values) { v.Del("code_challenge") },
		"plain PKCE":     func(v url.Values) { v.Set("code_challenge_method", "plain") },
		"no nonce":       func(v url.Values) { v.Del("nonce") },
		"no openid":      func(v url.Values) { v.Set("scope", "profile") },
		"implicit":       func(v url.Values) { v.Set("response_type", "id_token") },
		"twice":          func(v url.Values) { v.Add("state", "x") },
		"no such pushed": func(v url.Values) { v.Set("request_uri", "urn:x") },
	} {
		at, err := url.Parse(f.config.AuthCodeURL("s-1", oauth2.S256ChallengeOption(f.verifier), oauth2.SetAuthURLParam("nonce", "n")))
		if err != nil {
			t.Fatal(err)
		}
		query := at.Query()
		spoil(query)
		at.RawQuery = query.Encode()
		if status, _, body, err := fetch(t, nil, at.String()); status != http.StatusBadRequest || err != nil {
			t.Errorf("%s: %d %s %v", name, status, body, err)
		}
	}
}

func TestAnswersOfALoginCanBeChanged(t *testing.T) {
	f := newFlow(t)
	f.p.OnAuthorize(func(request, response url.Values) { response.Set("iss", "other of "+request.Get("client_id")) })
	f.p.OnIDToken(func(claims enrichtest.Claims) []enrichtest.MintOption {
		claims["sub"] = "other"
		return []enrichtest.MintOption{enrichtest.WithHeader("kid", "k")}
	})
	f.p.OnToken(func(answer map[string]any) { answer["scope"] = "less"; answer["refresh_token"] = "r-1" })
	at := f.authorize()
	want(t, "iss", at.Query().Get("iss"), "other of client")
	token, err := f.config.Exchange(t.Context(), at.Query().Get("code"), oauth2.VerifierOption(f.verifier))
	if err != nil {
		t.Fatal(err)
	}
	raw, _ := token.Extra("id_token").(string)
	header, claims := open(t, raw)
	want(t, "the token", []any{header["kid"], claims["sub"], token.Extra("scope"), token.RefreshToken}, []any{"k", "other", "less", "r-1"})
	want(t, "secrets", len(f.p.Secrets()), 4)
	f.p.OnAuthorize(func(_, response url.Values) { response.Del("code") })
	status, _, _, err := fetch(t, nil, f.config.AuthCodeURL("s", oauth2.S256ChallengeOption(f.verifier), oauth2.SetAuthURLParam("nonce", "n")))
	if status != http.StatusOK || err != nil {
		t.Errorf("a person who is asked: %d %v", status, err)
	}
}

func TestPushedRequestsAndLogouts(t *testing.T) {
	f := newFlow(t)
	at, err := url.Parse(f.config.AuthCodeURL("s-1", oauth2.S256ChallengeOption(f.verifier), oauth2.SetAuthURLParam("nonce", "n")))
	if err != nil {
		t.Fatal(err)
	}
	push := func(form url.Values, wanted int) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, f.p.URL(enrichtest.PAR), strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		want(t, "pushing", answer.StatusCode, wanted)
	}
	push(at.Query(), http.StatusCreated)
	f.p.RequireClient("client", "s")
	push(at.Query(), http.StatusUnauthorized)
	at.RawQuery += "&client_secret=s"
	push(at.Query(), http.StatusCreated)
	want(t, "hits", f.p.Hits(enrichtest.PAR), 3)

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	status, header, _, err := fetch(t, client, f.p.URL(enrichtest.EndSession)+"?post_logout_redirect_uri=http://localhost/done&state=s-2")
	if err != nil || status != http.StatusFound || header.Get("Location") != "http://localhost/done?state=s-2" {
		t.Errorf("logout: %d %s %v", status, header.Get("Location"), err)
	}
	if status, _, _, err := fetch(t, nil, f.p.URL(enrichtest.EndSession)); status != http.StatusOK || err != nil {
		t.Errorf("logout without a way back: %d %v", status, err)
	}
}
