package provider

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
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

const (
	callback = "http://localhost:8080/callback"
	verifier = "a-verifier-of-forty-three-characters-or-more"
)

// flow is a provider whose clock the test sets, and a browser before it.
type flow struct {
	*Provider
	t       *testing.T
	url     string
	browser *http.Client
	now     time.Time
}

func begin(t *testing.T) *flow {
	t.Helper()
	p, server := start(t)
	f := &flow{Provider: p, t: t, url: server.URL, now: time.Now()}
	now := func() time.Time { return f.now }
	p.config.Now, p.sessions.now, p.codes.now = now, now, now
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	f.browser = &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	return f
}

// asked is an authorization request; an empty value takes its parameter out.
func asked(changes map[string]string) string {
	digest := sha256.Sum256([]byte(verifier))
	return "/oauth2/authorize?" + changed(changes, map[string]string{
		"client_id": "0oa1gateway", "redirect_uri": callback, "response_type": "code", "scope": "openid profile email offline_access",
		"state": "s&1", "nonce": "n1", "code_challenge": base64.RawURLEncoding.EncodeToString(digest[:]), "code_challenge_method": "S256",
	}).Encode()
}

func changed(changes, usual map[string]string) url.Values {
	maps.Copy(usual, changes)
	values := url.Values{}
	for name, v := range usual {
		if v != "" {
			values.Set(name, v)
		}
	}
	return values
}

// do sends a request and returns the response with its body and the query of
// its Location.
func (f *flow) do(method, target string, form url.Values, headers ...string) (*http.Response, string, url.Values) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.url+target, strings.NewReader(form.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	response, err := f.browser.Do(r)
	if err != nil {
		f.t.Fatal(err)
	}
	defer response.Body.Close()
	var body strings.Builder
	if _, err := io.Copy(&body, response.Body); err != nil {
		f.t.Fatal(err)
	}
	location, err := url.Parse(response.Header.Get("Location"))
	if err != nil {
		f.t.Fatal(err)
	}
	return response, body.String(), location.Query()
}

// code signs a person in and returns the code.
func (f *flow) code(person string, changes map[string]string) string {
	f.t.Helper()
	response, body, back := f.do(http.MethodPost, asked(changes), url.Values{"person": {person}})
	if response.StatusCode != http.StatusSeeOther || back.Get("code") == "" {
		f.t.Fatalf("%s %s %v", response.Status, body, back)
	}
	return back.Get("code")
}

func redeem(code string, changes map[string]string) url.Values {
	return changed(changes, map[string]string{
		"grant_type": "authorization_code", "code": code, "redirect_uri": callback, "code_verifier": verifier,
		"client_id": "0oa1gateway", "client_secret": "for a test: only",
	})
}

func basic(id, secret string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(url.QueryEscape(id)+":"+url.QueryEscape(secret)))
}

func TestALoginFromTheFormToTheClaims(t *testing.T) {
	f := begin(t)
	response, form, _ := f.do(http.MethodGet, asked(nil), nil)
	for _, s := range []string{`value="ada">Ada Ampere`, `value="grace">Grace Gauss`, "at http://localhost:8080.", `name="cancel"`} {
		if !strings.Contains(form, s) {
			t.Errorf("the form lacks %s", s)
		}
	}
	for _, s := range []string{"nobody", "<script"} {
		if strings.Contains(form, s) {
			t.Errorf("the form has %s", s)
		}
	}
	_, sheet, _ := strings.Cut(form, "<style>")
	sheet, _, _ = strings.Cut(sheet, "</style>")
	sum := sha256.Sum256([]byte(sheet))
	policy := response.Header.Get("Content-Security-Policy")
	for _, s := range []string{"default-src 'none'", "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'", "form-action 'self' http://localhost:8080;"} {
		if !strings.Contains(policy, s) {
			t.Errorf("the policy lacks %s: %s", s, policy)
		}
	}

	response, _, back := f.do(http.MethodPost, asked(nil), url.Values{"person": {"ada"}})
	if location := response.Header.Get("Location"); !strings.HasPrefix(location, callback+"?") || back.Get("state") != "s&1" || back.Get("iss") != f.url {
		t.Errorf("back to %s", location)
	}
	response, body, _ := f.do(http.MethodPost, "/oauth2/token", redeem(back.Get("code"), map[string]string{"client_id": "", "client_secret": ""}),
		"Authorization", basic("0oa1gateway", "for a test: only"))
	var tokens struct {
		Access string `json:"access_token"`
		ID     string `json:"id_token"`
		Type   string `json:"token_type"`
		Scope  string `json:"scope"`
	}
	if err := json.Unmarshal([]byte(body), &tokens); err != nil || tokens.Type != "Bearer" || tokens.Scope != "openid profile email" {
		t.Fatalf("%s %s", response.Status, body)
	}

	found, err := oidc.NewProvider(t.Context(), f.url)
	if err != nil {
		t.Fatal(err)
	}
	id, err := found.Verifier(&oidc.Config{ClientID: "0oa1gateway"}).Verify(t.Context(), tokens.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := id.VerifyAccessToken(tokens.Access); err != nil {
		t.Error(err)
	}
	claims := map[string]any{}
	if err := id.Claims(&claims); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"sub": "00u1ada", "azp": "0oa1gateway", "nonce": "n1", "acr": "pwd", "auth_time": float64(f.now.Unix()),
		"name": "Ada Ampere", "preferred_username": "ada", "email": "ada@example.com",
	} {
		if claims[name] != want {
			t.Errorf("%s is %v", name, claims[name])
		}
	}
	if claims["sid"] == nil {
		t.Error("there is no sid")
	}
	if _, err := found.Verifier(&oidc.Config{ClientID: "api://legacy"}).Verify(t.Context(), tokens.Access); err != nil {
		t.Errorf("the access token: %v", err)
	}

	for name, c := range map[string]struct {
		token  string
		after  time.Duration
		status int
		says   string
	}{
		"the access token":           {tokens.Access, 0, 200, `"email":"ada@example.com"`},
		"the ID token":               {tokens.ID, 0, 401, "invalid_token"},
		"an access token of no one":  {"", 0, 401, "invalid_token"},
		"one that has expired":       {tokens.Access, 2 * DefaultTTL, 401, "invalid_token"},
		"one that is signed wrongly": {tokens.Access[:len(tokens.Access)-8] + "AAAAAAAA", 0, 401, "invalid_token"},
	} {
		t.Run("userinfo for "+name, func(t *testing.T) {
			began := f.now
			defer func() { f.now = began }()
			f.now = began.Add(c.after)
			response, body, _ := f.do(http.MethodGet, "/oauth2/userinfo", nil, "Authorization", "Bearer "+c.token)
			if response.StatusCode != c.status || !strings.Contains(body, c.says) {
				t.Errorf("%s %s", response.Status, body)
			}
		})
	}
	without, err := f.Mint("ada", Order{Scope: "email"})
	if err != nil {
		t.Fatal(err)
	}
	if response, body, _ := f.do(http.MethodGet, "/oauth2/userinfo", nil, "Authorization", "Bearer "+without); response.StatusCode != http.StatusUnauthorized {
		t.Errorf("userinfo without the scope openid: %s %s", response.Status, body)
	}
}

func TestTheClaimsFollowTheScopes(t *testing.T) {
	f := begin(t)
	g, _ := f.codes.take(f.code("ada", map[string]string{"scope": "openid", "nonce": ""}))
	tokens, err := f.tokens(g)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := tokens["id_token"].(string)
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(text, ".")[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []string{"nonce", "Ada", "example.com"} {
		if strings.Contains(string(payload), s) {
			t.Errorf("the ID token has %s: %s", s, payload)
		}
	}
}

func TestAuthorizationRequestsThatAreRefused(t *testing.T) {
	f := begin(t)
	for name, c := range map[string]struct {
		changes map[string]string
		more    string // of the query
		refusal string // the error for the client; empty: a page, and no redirect
	}{
		"another client":                {map[string]string{"client_id": "0oa1payroll"}, "", ""},
		"no client":                     {map[string]string{"client_id": ""}, "", ""},
		"no redirect URI":               {map[string]string{"redirect_uri": ""}, "", ""},
		"another path":                  {map[string]string{"redirect_uri": "http://localhost:8080/callback/"}, "", ""},
		"another host":                  {map[string]string{"redirect_uri": "http://evil.example/callback"}, "", ""},
		"a host that begins like it":    {map[string]string{"redirect_uri": "http://localhost.evil.example/callback"}, "", ""},
		"a user before the host":        {map[string]string{"redirect_uri": "http://localhost:8080@evil.example/callback"}, "", ""},
		"a user before loopback":        {map[string]string{"redirect_uri": "http://evil@localhost:8080/callback"}, "", ""},
		"a backslash":                   {map[string]string{"redirect_uri": `http://localhost\.evil.example/callback`}, "", ""},
		"another scheme":                {map[string]string{"redirect_uri": "javascript://localhost/callback"}, "", ""},
		"a query":                       {map[string]string{"redirect_uri": callback + "?next=1"}, "", ""},
		"a fragment":                    {map[string]string{"redirect_uri": callback + "#x"}, "", ""},
		"an escaped path":               {map[string]string{"redirect_uri": "http://localhost:8080/%63allback"}, "", ""},
		"a zone that is a directive":    {map[string]string{"redirect_uri": "http://[::1%25;x]:8080/callback"}, "", ""},
		"a repeated redirect URI":       {nil, "&redirect_uri=" + url.QueryEscape(callback), ""},
		"a repeated state":              {nil, "&state=2", ""},
		"a malformed query":             {nil, "&x=%zz", ""},
		"no response type":              {map[string]string{"response_type": ""}, "", "unsupported_response_type"},
		"the implicit flow":             {map[string]string{"response_type": "id_token token"}, "", "unsupported_response_type"},
		"another response mode":         {map[string]string{"response_mode": "fragment"}, "", "invalid_request"},
		"no scope":                      {map[string]string{"scope": ""}, "", "invalid_scope"},
		"a scope without openid":        {map[string]string{"scope": "profile openidx"}, "", "invalid_scope"},
		"no challenge":                  {map[string]string{"code_challenge": ""}, "", "invalid_request"},
		"the plain method":              {map[string]string{"code_challenge_method": "plain"}, "", "invalid_request"},
		"no method, which means plain":  {map[string]string{"code_challenge_method": ""}, "", "invalid_request"},
		"a short challenge":             {map[string]string{"code_challenge": "AAAA"}, "", "invalid_request"},
		"a challenge of other letters":  {map[string]string{"code_challenge": strings.Repeat("+", 43)}, "", "invalid_request"},
		"a long nonce":                  {map[string]string{"nonce": strings.Repeat("n", maxNonce+1)}, "", "invalid_request"},
		"a negative age":                {map[string]string{"max_age": "-1"}, "", "invalid_request"},
		"an age that is no number":      {map[string]string{"max_age": "soon"}, "", "invalid_request"},
		"an age beyond all bounds":      {map[string]string{"max_age": "99999999999999999999"}, "", "invalid_request"},
		"none together with login":      {map[string]string{"prompt": "none login"}, "", "invalid_request"},
		"none while nobody is there":    {map[string]string{"prompt": "none"}, "", "login_required"},
		"a request object":              {map[string]string{"request": "e30.e30."}, "", "request_not_supported"},
		"a request object by reference": {map[string]string{"request_uri": "http://localhost/r"}, "", "request_uri_not_supported"},
	} {
		t.Run(name, func(t *testing.T) {
			f.t = t
			response, body, back := f.do(http.MethodGet, asked(c.changes)+c.more, nil)
			if c.refusal == "" {
				if response.StatusCode != http.StatusBadRequest || response.Header.Get("Location") != "" {
					t.Errorf("%s %s, Location %q", response.Status, body, response.Header.Get("Location"))
				}
				return
			}
			if response.StatusCode != http.StatusSeeOther || back.Get("error") != c.refusal || back.Get("state") != "s&1" || back.Get("iss") != f.url || back.Has("code") {
				t.Errorf("%s %s %v", response.Status, body, back)
			}
		})
	}
}

func TestChoicesThatSignNobodyIn(t *testing.T) {
	f := begin(t)
	for name, c := range map[string]struct {
		form    url.Values
		headers []string
		status  int
		refusal string
	}{
		"cancel":                        {url.Values{"cancel": {"yes"}}, nil, 303, "access_denied"},
		"cancel and a person":           {url.Values{"cancel": {"yes"}, "person": {"ada"}}, nil, 303, "access_denied"},
		"no choice":                     {url.Values{"x": {"y"}}, nil, 400, ""},
		"a stranger":                    {url.Values{"person": {"eve"}}, nil, 400, ""},
		"one who is not on the form":    {url.Values{"person": {"nobody"}}, nil, 400, ""},
		"a form of another site's page": {url.Values{"person": {"ada"}}, []string{"Sec-Fetch-Site", "cross-site"}, 403, ""},
		"a form of another origin":      {url.Values{"person": {"ada"}}, []string{"Origin", "http://localhost:8080"}, 403, ""},
		"a form that is too large":      {url.Values{"person": {"ada"}, "x": {strings.Repeat("x", maxBody)}}, nil, 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			f.t = t
			response, body, back := f.do(http.MethodPost, asked(nil), c.form, c.headers...)
			if response.StatusCode != c.status || back.Get("error") != c.refusal || back.Has("code") || len(response.Cookies()) > 0 {
				t.Errorf("%s %s %v", response.Status, body, back)
			}
		})
	}
}

func TestExchangesThatAreRefused(t *testing.T) {
	f := begin(t)
	for name, c := range map[string]struct {
		changes map[string]string
		more    url.Values
		headers []string
		after   time.Duration
		status  int
		refusal string
	}{
		"another grant":              {changes: map[string]string{"grant_type": "client_credentials"}, status: 400, refusal: "unsupported_grant_type"},
		"no grant":                   {changes: map[string]string{"grant_type": ""}, status: 400, refusal: "unsupported_grant_type"},
		"another code":               {changes: map[string]string{"code": "x"}, status: 400, refusal: "invalid_grant"},
		"no code":                    {changes: map[string]string{"code": ""}, status: 400, refusal: "invalid_grant"},
		"another redirect URI":       {changes: map[string]string{"redirect_uri": "http://localhost:8081/callback"}, status: 400, refusal: "invalid_grant"},
		"no redirect URI":            {changes: map[string]string{"redirect_uri": ""}, status: 400, refusal: "invalid_grant"},
		"another verifier":           {changes: map[string]string{"code_verifier": verifier + "x"}, status: 400, refusal: "invalid_grant"},
		"no verifier":                {changes: map[string]string{"code_verifier": ""}, status: 400, refusal: "invalid_grant"},
		"after a minute":             {after: codeTTL, status: 400, refusal: "invalid_grant"},
		"another secret":             {changes: map[string]string{"client_secret": "guess"}, status: 401, refusal: "invalid_client"},
		"no secret":                  {changes: map[string]string{"client_secret": ""}, status: 401, refusal: "invalid_client"},
		"another client":             {changes: map[string]string{"client_id": "0oa1payroll"}, status: 401, refusal: "invalid_client"},
		"no client":                  {changes: map[string]string{"client_id": "", "client_secret": ""}, status: 401, refusal: "invalid_client"},
		"another secret in a header": {changes: map[string]string{"client_secret": ""}, headers: []string{"Authorization", basic("0oa1gateway", "guess")}, status: 401, refusal: "invalid_client"},
		"another client in a header": {changes: map[string]string{"client_secret": ""}, headers: []string{"Authorization", basic("0oa1payroll", "for a test: only")}, status: 400, refusal: "invalid_request"},
		"a header of another scheme": {headers: []string{"Authorization", "Bearer x"}, status: 401, refusal: "invalid_client"},
		"a header that is malformed": {changes: map[string]string{"client_secret": ""}, headers: []string{"Authorization", "Basic " + base64.StdEncoding.EncodeToString([]byte("%zz:x"))}, status: 401, refusal: "invalid_client"},
		"a secret in both":           {headers: []string{"Authorization", basic("0oa1gateway", "for a test: only")}, status: 400, refusal: "invalid_request"},
		"a repeated parameter":       {more: url.Values{"code": {"1", "2"}}, status: 400, refusal: "invalid_request"},
	} {
		t.Run(name, func(t *testing.T) {
			f.t = t
			code := f.code("ada", nil)
			f.now = f.now.Add(c.after)
			form := redeem(code, c.changes)
			maps.Copy(form, c.more)
			response, body, _ := f.do(http.MethodPost, "/oauth2/token", form, c.headers...)
			if response.StatusCode != c.status || !strings.Contains(body, `"`+c.refusal+`"`) || strings.Contains(body, "token") {
				t.Errorf("%s %s", response.Status, body)
			}
			if challenged := response.Header.Get("WWW-Authenticate") != ""; challenged != (c.status == http.StatusUnauthorized) {
				t.Errorf("a challenge: %v", challenged)
			}
		})
	}
	t.Run("a code twice", func(t *testing.T) {
		f.t = t
		form := redeem(f.code("ada", nil), nil)
		for i, status := range []int{http.StatusOK, http.StatusBadRequest} {
			if response, body, _ := f.do(http.MethodPost, "/oauth2/token", form); response.StatusCode != status {
				t.Errorf("time %d: %s %s", i+1, response.Status, body)
			}
		}
	})
	t.Run("a code after a guess", func(t *testing.T) {
		f.t = t
		code := f.code("ada", nil)
		for _, v := range []string{"a guess", verifier} {
			if response, body, _ := f.do(http.MethodPost, "/oauth2/token", redeem(code, map[string]string{"code_verifier": v})); response.StatusCode != http.StatusBadRequest {
				t.Errorf("%s %s", response.Status, body)
			}
		}
	})
}

func TestTheProviderRemembersWhoSignedIn(t *testing.T) {
	f := begin(t)
	for name, c := range map[string]struct {
		changes map[string]string
		after   time.Duration
		asks    bool
	}{
		"at once":               {nil, 0, false},
		"silently":              {map[string]string{"prompt": "none"}, 0, false},
		"with consent":          {map[string]string{"prompt": "consent"}, 0, false},
		"after hours":           {nil, sessionTTL - time.Second, false},
		"after its time":        {nil, sessionTTL, true},
		"young enough":          {map[string]string{"max_age": "60"}, 59 * time.Second, false},
		"too old":               {map[string]string{"max_age": "60"}, time.Minute, true},
		"of no age":             {map[string]string{"max_age": "0"}, 0, true},
		"asked to sign in anew": {map[string]string{"prompt": "login"}, 0, true},
		"asked to choose":       {map[string]string{"prompt": "select_account"}, 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			f.t = t
			first, _ := f.codes.take(f.code("grace", nil))
			f.now = f.now.Add(c.after)
			response, body, back := f.do(http.MethodGet, asked(c.changes), nil)
			if asks := response.StatusCode == http.StatusOK && strings.Contains(body, "<form"); asks != c.asks {
				t.Fatalf("%s %s", response.Status, body)
			}
			if c.asks {
				second, _ := f.codes.take(f.code("grace", c.changes))
				if second.session.sid == first.session.sid || !second.session.at.Equal(f.now) {
					t.Error("the session is still the old one")
				}
				return
			}
			if again, _ := f.codes.take(back.Get("code")); again.session != first.session {
				t.Errorf("another session: %v", again.session)
			}
		})
	}
}

func TestTheCookieGoesToTheFlowAlone(t *testing.T) {
	f := begin(t)
	response, _, _ := f.do(http.MethodPost, asked(nil), url.Values{"person": {"ada"}})
	cookies := response.Cookies()
	if len(cookies) != 1 || cookies[0].Path != "/oauth2" || !cookies[0].HttpOnly || cookies[0].SameSite != http.SameSiteLaxMode {
		t.Errorf("cookies %v", cookies)
	}
}

func TestLogout(t *testing.T) {
	f := begin(t)
	const after = "http://localhost:8080/.token-enrich/logout"
	for name, c := range map[string]struct {
		form   url.Values
		hint   bool // an ID token of the client's
		status int
		back   string
		out    bool
	}{
		"without a client":           {url.Values{}, false, 200, "", true},
		"back to the client":         {url.Values{"client_id": {"0oa1gateway"}, "post_logout_redirect_uri": {after}, "state": {"s&1"}}, false, 303, after + "?state=s%261", true},
		"back without a state":       {url.Values{"client_id": {"0oa1gateway"}, "post_logout_redirect_uri": {after}}, false, 303, after, true},
		"with a token":               {url.Values{"post_logout_redirect_uri": {after}}, true, 303, after, true},
		"with a token and a client":  {url.Values{"client_id": {"0oa1gateway"}, "post_logout_redirect_uri": {after}}, true, 303, after, true},
		"a token of another client":  {url.Values{"client_id": {"0oa1payroll"}, "post_logout_redirect_uri": {after}}, true, 400, "", false},
		"no token at all":            {url.Values{"id_token_hint": {"x"}}, false, 400, "", false},
		"an address without client":  {url.Values{"post_logout_redirect_uri": {after}}, false, 400, "", false},
		"an address of another host": {url.Values{"client_id": {"0oa1gateway"}, "post_logout_redirect_uri": {"http://evil.example/"}}, false, 400, "", false},
		"an address with a query":    {url.Values{"client_id": {"0oa1gateway"}, "post_logout_redirect_uri": {after + "?x=1"}}, false, 400, "", false},
		"two addresses":              {url.Values{"client_id": {"0oa1gateway"}, "post_logout_redirect_uri": {after, after}}, false, 400, "", false},
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			t.Run(name+" by "+method, func(t *testing.T) {
				f.t = t
				g, _ := f.codes.take(f.code("ada", nil))
				tokens, err := f.tokens(g)
				if err != nil {
					t.Fatal(err)
				}
				form := maps.Clone(c.form)
				if c.hint {
					text, _ := tokens["id_token"].(string)
					form.Set("id_token_hint", text)
				}
				target := "/oauth2/logout"
				if method == http.MethodGet {
					target, form = target+"?"+form.Encode(), nil
				}
				response, body, _ := f.do(method, target, form, "Sec-Fetch-Site", "cross-site")
				if response.StatusCode != c.status || response.Header.Get("Location") != c.back {
					t.Errorf("%s %s, Location %q", response.Status, body, response.Header.Get("Location"))
				}
				if c.status == http.StatusOK && !strings.Contains(body, "You are signed out") {
					t.Errorf("page %s", body)
				}
				response, _, _ = f.do(http.MethodGet, asked(nil), nil)
				if out := response.StatusCode == http.StatusOK; out != c.out {
					t.Errorf("signed out: %v", out)
				}
			})
		}
	}
}

func TestAStoreHoldsTheNewestOnly(t *testing.T) {
	now := time.Now()
	s := newStore[int](func() time.Time { now = now.Add(time.Millisecond); return now }, time.Hour)
	keys := make([]string, 0, maxHeld+10)
	for i := range cap(keys) {
		keys = append(keys, s.put(i))
	}
	lost := slices.IndexFunc(keys, func(k string) bool { _, ok := s.get(k); return ok })
	if lost != 10 || len(s.held) != maxHeld {
		t.Errorf("%d held, %d lost", len(s.held), lost)
	}
	if v, ok := s.take(keys[20]); !ok || v != 20 {
		t.Errorf("value %d, %v", v, ok)
	}
	if _, ok := s.get(keys[20]); ok {
		t.Error("a value is there after it was taken")
	}
}

func TestTheFlowFromElsewhere(t *testing.T) {
	p, _ := start(t)
	for _, target := range []string{asked(nil), "/oauth2/logout", "/oauth2/userinfo"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, target, nil)
		r.RemoteAddr = "192.0.2.7:1"
		w := httptest.NewRecorder()
		p.Handler().ServeHTTP(w, r)
		if w.Code != http.StatusForbidden {
			t.Errorf("%s: %d", target, w.Code)
		}
	}
}
