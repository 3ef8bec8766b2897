package enrichtest

import (
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// maxHops bounds how many pages and redirects of the provider one login may
// have.
const maxHops = 20

// OPLoginClient is a client of the certified provider that people log in to:
// authorization code flow, with refresh tokens where the provider gives them.
type OPLoginClient struct {
	// ID is the client_id.
	ID string

	// Secret is the client's secret of 22 characters or more; empty: a public
	// client, or one with a key.
	Secret string

	// AuthMethod is how the client authenticates at the token endpoint (RFC 7591
	// section 2); default client_secret_basic, and none without a secret.
	AuthMethod string

	// RedirectURIs are where a login may come back to. Scheme http is allowed.
	RedirectURIs []string

	// LogoutURIs are where a logout may come back to.
	LogoutURIs []string

	// BackchannelURI receives a logout token at each end of a session. Its ID
	// tokens then have a sid.
	BackchannelURI string

	// Metadata is further client metadata (RFC 7591 section 2), such as jwks for
	// private_key_jwt, require_auth_time, default_acr_values, or
	// require_pushed_authorization_requests.
	Metadata map[string]any
}

// registration is the client as server.mjs reads it.
func (c OPLoginClient) registration() map[string]any {
	method := c.AuthMethod
	switch {
	case method != "":
	case c.Secret != "":
		method = "client_secret_basic"
	default:
		method = "none"
	}
	all := map[string]any{
		"id":                         c.ID,
		"grant_types":                []string{"authorization_code", "refresh_token"},
		"response_types":             []string{"code"},
		"token_endpoint_auth_method": method,
		"redirect_uris":              c.RedirectURIs,
		"post_logout_redirect_uris":  append([]string{}, c.LogoutURIs...),
	}
	if c.Secret != "" {
		all["secret"] = c.Secret
	}
	if c.BackchannelURI != "" {
		all["backchannel_logout_uri"] = c.BackchannelURI
		all["backchannel_logout_session_required"] = true
	}
	maps.Copy(all, c.Metadata)
	return all
}

// SignIn walks through a login as a person's browser would: it follows the
// provider's redirects, fills in its form, gives consent where asked, and
// returns the URL that the provider redirects back to, without following it.
// The client's jar is the browser's, so a second login needs no form. The test
// fails where the provider does not redirect back.
func (o *OIDCProvider) SignIn(tb testing.TB, client *http.Client, authorizationURL, account string) string {
	tb.Helper()
	forms := 0
	back, text := o.walk(tb, client, authorizationURL, func(page string, form *htmlForm) string {
		if form.fields.Has("login") {
			if forms++; forms > 1 {
				tb.Fatalf("the provider asks for the login of %s again", account)
			}
			form.fields.Set("login", account)
			form.fields.Set("password", "any")
		}
		return form.resolve(tb, page)
	})
	if back == "" {
		tb.Fatalf("the provider did not redirect back: %s", text)
	}
	return back
}

// Cancel begins a login as [OIDCProvider.SignIn] does and gives it up at the
// provider's first page. It returns the URL that the provider redirects back
// to, which has error=access_denied.
func (o *OIDCProvider) Cancel(tb testing.TB, client *http.Client, authorizationURL string) string {
	tb.Helper()
	cancelled := false
	back, text := o.walk(tb, client, authorizationURL, func(page string, form *htmlForm) string {
		if cancelled {
			tb.Fatal("the provider shows a form after the login was cancelled")
		}
		cancelled = true
		form.method = http.MethodGet
		return page + "/cancel"
	})
	if back == "" {
		tb.Fatalf("the provider did not redirect back: %s", text)
	}
	return back
}

// SignOut asks for a logout at endSessionURL (OpenID Connect RP-Initiated
// Logout 1.0) and confirms it, which ends the person's session at the provider
// and tells each client with a back channel, before it returns. The result is
// the URL that the provider redirects back to, without following it; empty
// where the provider shows its own page, as it does without a
// post_logout_redirect_uri.
func (o *OIDCProvider) SignOut(tb testing.TB, client *http.Client, endSessionURL string) string {
	tb.Helper()
	back, _ := o.walk(tb, client, endSessionURL, func(page string, form *htmlForm) string {
		form.fields.Set("logout", "yes")
		return form.resolve(tb, page)
	})
	return back
}

// walk follows the provider from a URL on until it redirects elsewhere, and
// returns that URL; else the text of its last page, which has no form. Submit
// fills in the form of the page it is given and returns where the form goes.
func (o *OIDCProvider) walk(tb testing.TB, client *http.Client, from string, submit func(page string, form *htmlForm) string) (back, text string) {
	tb.Helper()
	if client.Jar == nil {
		tb.Fatal("a browser without a jar cannot log in")
	}
	browser := *client
	browser.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	next := &htmlForm{method: http.MethodGet}
	for range maxHops {
		response, body := next.send(tb, &browser, from)
		if location, err := response.Location(); err == nil {
			from, next = location.String(), &htmlForm{method: http.MethodGet}
			if !strings.HasPrefix(from, o.Issuer+"/") {
				return from, ""
			}
			continue
		}
		if next = firstForm(body); next == nil || response.StatusCode != http.StatusOK {
			return "", response.Status + " " + body
		}
		from = submit(from, next)
	}
	tb.Fatalf("the provider did not come to an end within %d steps", maxHops)
	return "", ""
}

// htmlForm is a form of a page with what its fields hold.
type htmlForm struct {
	method, action string
	fields         url.Values
}

func (f *htmlForm) send(tb testing.TB, client *http.Client, to string) (*http.Response, string) {
	tb.Helper()
	r, err := http.NewRequestWithContext(tb.Context(), f.method, to, nil)
	if f.method == http.MethodPost {
		r, err = http.NewRequestWithContext(tb.Context(), f.method, to, strings.NewReader(f.fields.Encode()))
	}
	if err != nil {
		tb.Fatalf("asking the provider: %v", err)
	}
	if f.method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := client.Do(r)
	if err != nil {
		tb.Fatalf("asking the provider: %v", err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxRequestBody))
	if err != nil {
		tb.Fatalf("reading the provider's page: %v", err)
	}
	return response, string(body)
}

// resolve returns where the form of a page goes.
func (f *htmlForm) resolve(tb testing.TB, page string) string {
	tb.Helper()
	base, err := url.Parse(page)
	if err != nil {
		tb.Fatalf("the address of the provider's page: %v", err)
	}
	to, err := base.Parse(f.action)
	if err != nil {
		tb.Fatalf("the action of the provider's form: %v", err)
	}
	return to.String()
}

// firstForm returns the first form of a page, nil where there is none.
func firstForm(page string) *htmlForm {
	var form *htmlForm
	tokens := html.NewTokenizer(strings.NewReader(page))
	for kind := tokens.Next(); kind != html.ErrorToken; kind = tokens.Next() {
		token := tokens.Token()
		attributes := map[string]string{}
		for _, a := range token.Attr {
			attributes[a.Key] = a.Val
		}
		switch {
		case kind == html.EndTagToken && token.Data == "form" && form != nil:
			return form
		case kind == html.StartTagToken && token.Data == "form" && form == nil:
			form = &htmlForm{method: strings.ToUpper(attributes["method"]), action: attributes["action"], fields: url.Values{}}
		case token.Data == "input" && form != nil && attributes["name"] != "":
			form.fields.Set(attributes["name"], attributes["value"])
		}
	}
	return form
}
