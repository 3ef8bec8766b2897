package login_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// A wrong ID token is a page with status 502, one log line with the cause, and no
// session (L18).
func TestWrongIDTokens(t *testing.T) {
	type claims = enrichtest.Claims
	set := func(name string, value any) func(*stage, claims) []enrichtest.MintOption {
		return func(_ *stage, c claims) []enrichtest.MintOption {
			if c[name] = value; value == nil {
				delete(c, name)
			}
			return nil
		}
	}
	with := func(o func(s *stage) enrichtest.MintOption) func(*stage, claims) []enrichtest.MintOption {
		return func(s *stage, _ claims) []enrichtest.MintOption { return []enrichtest.MintOption{o(s)} }
	}
	for _, c := range []struct {
		name  string
		edit  func(*stage, claims) []enrichtest.MintOption
		cause string
	}{
		{"another issuer", set("iss", "https://evil.example"), ""},
		{"another audience", set("aud", "other"), "aud does not name"},
		{"two audiences without azp", set("aud", []string{testClient, "other"}), "no azp"},
		{"another azp", set("azp", "other"), "azp names another"},
		{"no sub", set("sub", nil), "sub is missing"},
		{"no iat", set("iat", nil), "iat is missing"},
		{"no exp", set("exp", nil), ""},
		{"expired", func(s *stage, c claims) []enrichtest.MintOption {
			c["exp"] = s.clock.Now().Add(-time.Minute).Unix()
			return nil
		}, ""},
		{"no nonce", set("nonce", nil), "nonce"},
		{"another nonce", set("nonce", "other"), "nonce"},
		{"another at_hash", set("at_hash", "AAAAAAAAAAAAAAAAAAAAAA"), "at_hash"},
		{"another key", with(func(s *stage) enrichtest.MintOption {
			return enrichtest.WithKey(s.providers[0].UnpublishedKey("ES256"))
		}), ""},
		{"alg none", with(func(*stage) enrichtest.MintOption { return enrichtest.Unsigned("none") }), ""},
		{"an HMAC with the client's secret", with(func(*stage) enrichtest.MintOption { return enrichtest.WithSecret("HS256", []byte(testSecret)) }), "HMAC"},
		{"an access token", with(func(*stage) enrichtest.MintOption { return enrichtest.WithType("at+jwt") }), "access token"},
		{"a broken signature", with(func(*stage) enrichtest.MintOption {
			return enrichtest.WithSignature(func([]byte) []byte { return make([]byte, 64) })
		}), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.providers[0].OnIDToken(func(claims claims) []enrichtest.MintOption { return c.edit(s, claims) })
			b := s.browser()
			b.wantFailure(c.name, b.open("/x"), http.StatusBadGateway, "sign-in-failed", "invalid_id_token", c.cause)
			if got := s.counts(); len(got) != 1 || got[0] != "corp invalid_id_token" {
				t.Errorf("counted %q", got)
			}
		})
	}
}

func TestARightAtHashAndARotatedKey(t *testing.T) {
	s := newStage(t)
	var access string
	s.providers[0].OnToken(func(answer map[string]any) { access, _ = answer["access_token"].(string) })
	b := s.browser()
	b.login("/x")
	s.clock.Advance(time.Minute)
	s.providers[0].Rotate()
	b.login("/.token-enrich/login")
	if access == "" {
		t.Fatal("no token was given")
	}
	sum := sha256.Sum256([]byte(access))
	s.providers[0].OnIDToken(func(c enrichtest.Claims) []enrichtest.MintOption {
		c["at_hash"] = base64.RawURLEncoding.EncodeToString(sum[:16])
		return nil
	})
	s.providers[0].OnToken(func(answer map[string]any) { answer["access_token"] = access })
	b.login("/.token-enrich/login")
}

// What the token endpoint may do (L1, L16). The code is sent once, whatever comes.
func TestAnswersOfTheTokenEndpoint(t *testing.T) {
	const failed, unreachable = "sign-in-failed", "provider-unreachable"
	evil := "<script>alert(1)</script> " + testPerson
	for _, c := range []struct {
		name    string
		fault   enrichtest.Fault
		edit    func(answer map[string]any)
		status  int
		message string
		outcome string
		code    any
	}{
		{name: "500", fault: enrichtest.Status(500, `{"error":"server_error"}`), status: 503, message: unreachable, outcome: "unavailable"},
		{name: "503", fault: enrichtest.Status(503, ""), status: 503, message: unreachable, outcome: "unavailable"},
		{name: "400 in no format", fault: enrichtest.Status(400, "no"), status: 502, message: failed, outcome: "code_refused"},
		{name: "401", fault: json401("invalid_client"), status: 502, message: failed, outcome: "code_refused", code: "invalid_client"},
		{name: "a code that is none", fault: json401(evil), status: 502, message: failed, outcome: "code_refused", code: "malformed"},
		{name: "a long code", fault: json401(strings.Repeat("a", 65)), status: 502, message: failed, outcome: "code_refused", code: "malformed"},
		{name: "an error with 200", edit: func(a map[string]any) { clear(a); a["error"] = "slow_down" }, status: 502, message: failed, outcome: "code_refused", code: "slow_down"},
		{name: "garbage", fault: enrichtest.Status(200, "<html>%zz"), status: 502, message: failed, outcome: "provider_error"},
		{name: "another format", fault: enrichtest.ContentType("text/html"), status: 0},
		{name: "cut short", fault: enrichtest.Truncated(), status: 502, message: failed, outcome: "provider_error"},
		{name: "a broken connection", fault: enrichtest.Cut(), status: 503, message: unreachable, outcome: "unavailable"},
		{name: "too large", fault: enrichtest.Huge(2 << 20), status: 502, message: failed, outcome: "provider_error"},
		{name: "a redirect to another host", fault: enrichtest.Redirect("https://evil.example/token"), status: 503, message: unreachable, outcome: "unavailable"},
		{name: "hangs", fault: enrichtest.Hang(), status: 503, message: unreachable, outcome: "unavailable"},
		{name: "no access token", edit: func(a map[string]any) { delete(a, "access_token") }, status: 502, message: failed, outcome: "provider_error"},
		{name: "no ID token", edit: func(a map[string]any) { delete(a, "id_token") }, status: 502, message: failed, outcome: "invalid_id_token"},
		{name: "an ID token that is none", edit: func(a map[string]any) { a["id_token"] = "a.b.c" }, status: 502, message: failed, outcome: "invalid_id_token"},
		{name: "an ID token of another type", edit: func(a map[string]any) { a["id_token"] = []string{"a"} }, status: 502, message: failed, outcome: "invalid_id_token"},
		{name: "an encrypted ID token", edit: func(a map[string]any) { a["id_token"] = "aaaa.bbbb.cccc.dddd.eeee" }, status: 502, message: failed, outcome: "invalid_id_token"},
		{name: "a scope that cannot be kept", edit: func(a map[string]any) { a["scope"] = "openid \x01" }, status: 502, message: failed, outcome: "provider_error"},
		{name: "no scope", edit: func(a map[string]any) { delete(a, "scope") }},
		{name: "fewer scopes", edit: func(a map[string]any) { a["scope"] = "openid" }},
		{name: "a life without end", edit: func(a map[string]any) { a["expires_in"] = int64(1) << 60 }},
		{name: "another token type", edit: func(a map[string]any) { a["token_type"] = "bearer" }},
	} {
		t.Run(c.name, func(t *testing.T) {
			options := []option{}
			if c.name == "hangs" {
				options = append(options, withTimeout(time.Second))
			}
			s := newStage(t, options...)
			b := s.browser()
			at := b.callback("/x")
			if c.fault != nil {
				s.providers[0].Break(enrichtest.Token, c.fault)
			}
			s.providers[0].OnToken(c.edit)
			r := b.step(at.String())
			if n := s.providers[0].Hits(enrichtest.Token); n != 1 {
				t.Errorf("the code was sent %d times", n)
			}
			if c.status == 0 {
				if r = b.follow(r); r.status != http.StatusOK {
					t.Errorf("got %d %q\n%v", r.status, r.message(), s.log.lines())
				}
				return
			}
			line := b.wantFailure(c.name, r, c.status, c.message, c.outcome, "")
			if line["provider_error"] != c.code {
				t.Errorf("logged the provider's error %v, want %v", line["provider_error"], c.code)
			}
			if c.code != nil && strings.Contains(r.body, c.code.(string)) || strings.Contains(r.body, "script") {
				t.Errorf("the page repeats the provider: %s", r.body)
			}
		})
	}
}

// A person who leaves while the provider is asked is no failure of the provider.
func TestAPersonWhoLeaves(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	at := b.callback("/x")
	ctx, cancel := context.WithCancel(t.Context())
	s.providers[0].Break(enrichtest.Token, func(_ http.ResponseWriter, r *http.Request, _ http.HandlerFunc) {
		cancel()
		<-r.Context().Done()
	})
	s.counts()
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	s.site.ServeHTTP(httptest.NewRecorder(), r, []string{transactionCookie + "=" + b.cookie(transactionCookie)})
	if got := s.counts(); len(got) != 0 {
		t.Errorf("counted %q", got)
	}
	for _, line := range s.log.lines() {
		if line["level"] == "ERROR" {
			t.Errorf("logged %v", line)
		}
	}
}

// Metadata and keys are fetched for everybody, so that who leaves at once keeps nobody out.
func TestAPersonWhoLeavesDuringDiscovery(t *testing.T) {
	s := newStage(t)
	ctx, cancel := context.WithCancel(t.Context())
	s.providers[0].BreakTimes(enrichtest.Discovery, 1, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		cancel()
		answer(w, r)
	})
	s.site.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+login.LoginPath, nil), nil)
	b := s.browser()
	at := b.callback("/x")
	ctx, cancel = context.WithCancel(t.Context())
	s.providers[0].BreakTimes(enrichtest.KeySet, 1, func(w http.ResponseWriter, r *http.Request, answer http.HandlerFunc) {
		cancel()
		answer(w, r)
	})
	s.site.ServeHTTP(httptest.NewRecorder(), httptest.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil), []string{transactionCookie + "=" + b.cookie(transactionCookie)})
	b.login("/x")
}

// json401 answers with an error code.
func json401(code string) enrichtest.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]string{"error": code, "error_description": "of " + testPerson, "error_uri": "https://evil.example"})
	}
}

// What the provider says instead of a code is a page, and its error's code in the log
// alone.
func TestErrorsOfTheProvider(t *testing.T) {
	for _, c := range []struct {
		code    string
		status  int
		message string
		outcome string
		logged  string
	}{
		{"access_denied", 403, "access-denied", "access_denied", "access_denied"},
		{"login_required", 502, "sign-in-failed", "provider_error", "login_required"},
		{"server_error", 502, "sign-in-failed", "provider_error", "server_error"},
		{"<b>" + testPerson + "\n", 502, "sign-in-failed", "provider_error", "malformed"},
		{strings.Repeat("a", 3000), 502, "sign-in-failed", "provider_error", "malformed"},
	} {
		s := newStage(t)
		s.providers[0].OnAuthorize(func(_, response url.Values) {
			response.Del("code")
			response.Set("error", c.code)
			response.Set("error_description", "of "+testPerson)
		})
		b := s.browser()
		r := b.open("/x")
		line := b.wantFailure(c.code, r, c.status, c.message, c.outcome, "")
		if line["provider_error"] != c.logged || strings.Contains(r.body, c.code) {
			t.Errorf("%s: logged %v", c.code, line["provider_error"])
		}
		if s.providers[0].Hits(enrichtest.Token) != 0 || s.providers[0].Hits(enrichtest.Authorize) != 1 {
			t.Errorf("%s: the provider was asked again", c.code)
		}
	}
	s := newStage(t)
	s.providers[0].OnAuthorize(func(_, response url.Values) { response.Set("code", "") })
	b := s.browser()
	b.wantFailure("an empty code", b.open("/x"), 400, "malformed", "malformed", "neither code nor error")
	for _, query := range []string{"", "?code=a", "?state=&code=a", "?state=x&code=a", "?state=" + strings.Repeat("A", 9000), "?error=access_denied"} {
		b.wantFailure(query, b.step("/.token-enrich/callback"+query), 400, "malformed", "malformed", "state is not one of ours")
	}
}

// A provider whose metadata cannot be had or used begins no login.
func TestMetadataThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		name    string
		edit    func(m map[string]any)
		status  int
		message string
		outcome string
		cause   string
	}{
		{"no authorization_endpoint", func(m map[string]any) { delete(m, "authorization_endpoint") }, 502, "sign-in-failed", "provider_error", "authorization_endpoint"},
		{"one without TLS", func(m map[string]any) { m["authorization_endpoint"] = "http://idp.example.com/a" }, 502, "sign-in-failed", "provider_error", "authorization_endpoint"},
		{"another issuer's", func(m map[string]any) { m["issuer"] = "https://evil.example" }, 503, "provider-unreachable", "unavailable", "metadata"},
		{"no token_endpoint", func(m map[string]any) { delete(m, "token_endpoint") }, 502, "sign-in-failed", "provider_error", "token_endpoint"},
	} {
		s := newStage(t, withMetadata(c.edit))
		b := s.browser()
		r := b.open("/x")
		b.wantFailure(c.name, r, c.status, c.message, c.outcome, c.cause)
		if got := r.header.Get("Retry-After"); (got != "") != (c.status == 503) {
			t.Errorf("%s: Retry-After %q", c.name, got)
		}
	}
	t.Run("down", func(t *testing.T) {
		s := newStage(t)
		s.providers[0].Break(enrichtest.Discovery, enrichtest.Status(500, ""))
		b := s.browser()
		b.wantFailure("down", b.open("/x"), 503, "provider-unreachable", "unavailable", "metadata")
		s.providers[0].Mend(enrichtest.Discovery)
		b.wantFailure("too soon", b.open("/x"), 503, "provider-unreachable", "unavailable", "metadata")
		s.clock.Advance(10 * time.Second)
		b.login("/x")
	})
	t.Run("an endpoint with a query", func(t *testing.T) {
		s := newStage(t, func(p *plan) {
			p.offer = func(remote *enrichtest.Provider, m map[string]any) {
				m["authorization_endpoint"] = remote.URL(enrichtest.Authorize) + "?tenant=a%20b"
			}
		})
		b := s.browser()
		if at := b.begin("/x"); at.Query().Get("tenant") != "a b" || at.Query().Get("client_id") != testClient {
			t.Errorf("got %s", at)
		}
		b.login("/x")
	})
}

// How the client proves who it is, by setting and metadata.
func TestClientAuthentication(t *testing.T) {
	methods := func(list ...string) option {
		return withMetadata(func(m map[string]any) { m["token_endpoint_auth_methods_supported"] = list })
	}
	secret := func(method string) option { return withLogin(func(c *login.Config) { c.ClientAuth = method }) }
	key := enrichtest.KeyFile(t)
	for _, c := range []struct {
		name     string
		settings []option
		want     string
	}{
		{"by default", nil, "basic"},
		{"as configured, basic", []option{secret("basic"), methods("client_secret_post")}, "basic"},
		{"as configured, post", []option{secret("post"), methods("client_secret_basic")}, "post"},
		{"post alone is offered", []option{methods("client_secret_post", "none")}, "post"},
		{"both are offered", []option{methods("client_secret_post", "client_secret_basic")}, "basic"},
		{"a public client", []option{withLogin(func(c *login.Config) { c.ClientSecret = "" })}, "none"},
		{"a private key", []option{withLogin(func(c *login.Config) { c.ClientSecret, c.PrivateKey = "", key })}, "assertion"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, c.settings...)
			b := s.browser()
			b.login("/x")
			seen := s.providers[0].Requests(enrichtest.Token)[0]
			form := seen.Form
			got := map[string]bool{
				"basic": seen.Header.Get("Authorization") != "", "post": form.Has("client_secret"), "assertion": form.Has("client_assertion"),
			}
			got["none"] = !got["basic"] && !got["post"] && !got["assertion"]
			for way, is := range got {
				if is != (way == c.want) {
					t.Errorf("%s is %v, want %s: %v", way, is, c.want, seen)
				}
			}
			if c.want != "basic" && form.Get("client_id") != testClient {
				t.Errorf("client_id is %q", form.Get("client_id"))
			}
			for name, want := range map[string]string{"grant_type": "authorization_code", "redirect_uri": s.server.URL + "/.token-enrich/callback"} {
				if form.Get(name) != want {
					t.Errorf("%s is %q, want %q", name, form.Get(name), want)
				}
			}
			if c.want == "assertion" {
				claims := must(enrichtest.Payload(form.Get("client_assertion")))(t)
				if claims["aud"] != s.providers[0].Issuer() || claims["sub"] != testClient || claims["iss"] != testClient {
					t.Errorf("the assertion says %v", claims)
				}
			}
		})
	}
}

// The settings of a login in the authorization request.
func TestSettingsOfTheAuthorizationRequest(t *testing.T) {
	s := newStage(t, withLogin(func(c *login.Config) {
		c.Scopes, c.ACRValues, c.Prompt = []string{"openid", "profile", "email"}, []string{"a", "b"}, "select_account"
		c.Parameters = []login.Parameter{{Name: "kc_idp_hint", Value: "a b&c"}, {Name: "domain_hint", Value: ""}}
	}))
	b := s.browser()
	query := b.begin("/x").Query()
	for name, want := range map[string]string{"scope": "openid profile email", "acr_values": "a b", "prompt": "select_account", "kc_idp_hint": "a b&c", "domain_hint": ""} {
		if got := query[name]; len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if r := b.login("/x"); !strings.Contains(r.body, "scopes [openid profile email]") {
		t.Errorf("got %s", r.body)
	}
	if got := b.begin("/strong").Query().Get("acr_values"); got != "mfa" {
		t.Errorf("the policy's acr_values are %q", got)
	}
}

// When the request is pushed, and what becomes of one that is refused (RFC 9126).
func TestPushedAuthorizationRequests(t *testing.T) {
	offered := func(p *plan) {
		p.offer = func(remote *enrichtest.Provider, m map[string]any) {
			m["pushed_authorization_request_endpoint"] = remote.URL(enrichtest.PAR)
		}
	}
	par := func(mode string) option { return withLogin(func(c *login.Config) { c.PAR = mode }) }
	for _, c := range []struct {
		name     string
		settings []option
		pushed   int
	}{
		{"auto, not offered", nil, 0},
		{"auto, offered", []option{offered}, 1},
		{"off", []option{offered, par("off")}, 0},
		{"required", []option{offered, par("require")}, 1},
		{"a public client", []option{offered, withLogin(func(c *login.Config) { c.ClientSecret = "" })}, 1},
		{"by post", []option{offered, withLogin(func(c *login.Config) { c.ClientAuth = "post" })}, 1},
		{"with a private key", []option{offered, withLogin(func(c *login.Config) { c.ClientSecret, c.PrivateKey = "", enrichtest.KeyFile(t) })}, 1},
		{"one without TLS, off", []option{withMetadata(func(m map[string]any) { m["pushed_authorization_request_endpoint"] = "http://idp.example.com/par" }), par("off")}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, c.settings...)
			b := s.browser()
			b.login("/x")
			if n := s.providers[0].Hits(enrichtest.PAR); n != c.pushed {
				t.Errorf("pushed %d times", n)
			}
			at := must(url.Parse(b.trail[1]))(t).Query()
			if c.pushed > 0 && (len(at) != 2 || at.Get("client_id") != testClient || at.Get("request_uri") == "") {
				t.Errorf("redirected with %v", at)
			}
			for _, seen := range s.providers[0].Requests(enrichtest.PAR) {
				if seen.Form.Get("redirect_uri") == "" || seen.Form.Get("code_challenge_method") != "S256" || seen.Form.Get("client_id") != testClient {
					t.Errorf("pushed %v", seen.Form)
				}
			}
		})
	}
	s := newStage(t, par("require"))
	b := s.browser()
	b.wantFailure("required and not offered", b.open("/x"), 502, "sign-in-failed", "provider_error", "pushed_authorization_request_endpoint")
	s = newStage(t, withMetadata(func(m map[string]any) { m["pushed_authorization_request_endpoint"] = "http://idp.example.com/par" }))
	b = s.browser()
	b.wantFailure("without TLS", b.open("/x"), 502, "sign-in-failed", "provider_error", "pushed_authorization_request_endpoint")
	for _, c := range []struct {
		name    string
		fault   enrichtest.Fault
		status  int
		message string
		outcome string
		code    any
	}{
		{"refused", json401("invalid_request"), 502, "sign-in-failed", "provider_error", "invalid_request"},
		{"500", enrichtest.Status(500, ""), 503, "provider-unreachable", "unavailable", nil},
		{"garbage", enrichtest.Status(201, "x"), 502, "sign-in-failed", "provider_error", nil},
		{"without a reference", enrichtest.Status(201, "{}"), 502, "sign-in-failed", "provider_error", nil},
		{"an endless reference", enrichtest.Status(201, `{"request_uri":"urn:`+strings.Repeat("a", 3000)+`"}`), 502, "sign-in-failed", "provider_error", nil},
		{"too large", enrichtest.Huge(2 << 20), 503, "provider-unreachable", "unavailable", nil},
		{"a redirect", enrichtest.Redirect("https://evil.example"), 503, "provider-unreachable", "unavailable", nil},
		{"cut", enrichtest.Cut(), 503, "provider-unreachable", "unavailable", nil},
	} {
		s := newStage(t, offered)
		s.providers[0].Break(enrichtest.PAR, c.fault)
		b := s.browser()
		line := b.wantFailure(c.name, b.open("/x"), c.status, c.message, c.outcome, "pushing the authorization request")
		if line["provider_error"] != c.code {
			t.Errorf("%s: logged %v", c.name, line["provider_error"])
		}
		if b.cookie(transactionCookie) != "" {
			t.Errorf("%s: there is a transaction", c.name)
		}
	}
}

// Userinfo adds what the ID token lacks, and nothing else.
func TestUserinfo(t *testing.T) {
	person := enrichtest.Claims{
		"name": "Another", "email": "ada@example.com", "email_verified": true, "department": "R&D", "acr": "mfa", "sid": "x", "auth_time": 1, "amr": []string{"otp"}, "unread": "y",
	}
	for _, c := range []struct {
		name    string
		claims  []string
		idToken enrichtest.Claims
		asked   int
		want    string // the claims of the session
	}{
		{"nothing is read", nil, nil, 0, `"name":"` + testName + `","sub":"` + testPerson + `"`},
		{"all is there", []string{"name"}, nil, 0, `"name":"` + testName + `"`},
		{"one is missing", []string{"name", "department"}, nil, 1, `"department":"R\u0026D","name":"` + testName + `","sub"`},
		{"a claim about the authentication", []string{"acr", "amr", "sid", "auth_time"}, enrichtest.Claims{"auth_time": nil}, 0, `{"name":"` + testName + `","sub":`},
		{"beside one about the authentication", []string{"acr", "amr", "sid", "auth_time", "department"}, nil, 1, `,"department":"R\u0026D","name"`},
		{"an address", []string{"email", "email_verified"}, nil, 1, `"email":"ada@example.com","email_verified":true`},
		{"an address that the ID token has", []string{"email", "email_verified", "department"}, enrichtest.Claims{"email": "b@example.com"}, 1, `"email":"b@example.com","name"`},
		{"verified without an address", []string{"email", "email_verified"}, enrichtest.Claims{"email_verified": false}, 1, `"email":"ada@example.com","email_verified":true`},
		{"a claim that nobody has", []string{"nothing"}, nil, 1, `"name":"` + testName + `","sub"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, withClaims(c.claims...))
			s.providers[0].SetPerson(testPerson, person)
			extra := enrichtest.Claims{"name": testName}
			maps.Copy(extra, c.idToken)
			s.providers[0].SetAccount(testPerson, extra)
			r := s.browser().login("/x")
			if n := s.providers[0].Hits(enrichtest.Userinfo); n != c.asked {
				t.Errorf("asked %d times", n)
			}
			if !strings.Contains(r.body, c.want) {
				t.Errorf("got %s, want %s", r.body, c.want)
			}
			for _, never := range []string{"mfa", "unread", `"sid"`, "Another", "otp"} {
				if strings.Contains(r.body, never) {
					t.Errorf("the session has %s: %s", never, r.body)
				}
			}
		})
	}
}

func TestUserinfoThatCannotBeUsed(t *testing.T) {
	for _, c := range []struct {
		name    string
		fault   enrichtest.Fault
		status  int
		message string
		outcome string
	}{
		{"another sub", enrichtest.Status(200, `{"sub":"other","department":"x"}`), 502, "sign-in-failed", "invalid_userinfo"},
		{"no sub", enrichtest.Status(200, `{"department":"x"}`), 502, "sign-in-failed", "invalid_userinfo"},
		{"refused", enrichtest.Status(401, ``), 502, "sign-in-failed", "invalid_userinfo"},
		{"500", enrichtest.Status(500, ``), 503, "provider-unreachable", "unavailable"},
		{"cut", enrichtest.Cut(), 503, "provider-unreachable", "unavailable"},
	} {
		s := newStage(t, withClaims("department"))
		s.providers[0].Break(enrichtest.Userinfo, c.fault)
		b := s.browser()
		b.wantFailure(c.name, b.open("/x"), c.status, c.message, c.outcome, "userinfo")
	}
	// Without the endpoint the session is what the ID token says.
	s := newStage(t, withClaims("department"), withMetadata(func(m map[string]any) { delete(m, "userinfo_endpoint") }))
	s.browser().login("/x")
}

// The claim that names the user may be userinfo's.
func TestTheSubjectClaimOfUserinfo(t *testing.T) {
	s := newStage(t, withIssuer(func(c *issuer.Config) { c.SubjectClaim = "email" }))
	s.providers[0].SetPerson(testPerson, enrichtest.Claims{"email": "ada@example.com", "email_verified": true})
	if r := s.browser().login("/x"); !strings.Contains(r.body, "for ada@example.com of corp") {
		t.Errorf("got %s", r.body)
	}
	s.providers[0].SetPerson(testPerson, enrichtest.Claims{"email": "ada@example.com"})
	b := s.browser()
	b.wantFailure("not verified", b.open("/x"), 502, "sign-in-failed", "invalid_id_token", "email is not verified")
}

// A session that does not fit is refused, and the log names the claims and not what
// they say.
func TestClaimsThatDoNotFit(t *testing.T) {
	s := newStage(t, withClaims("groups", "department"))
	groups := make([]string, 120)
	for i := range groups {
		groups[i] = "secret-group-" + strings.Repeat("x", 20)
	}
	s.providers[0].SetAccount(testPerson, enrichtest.Claims{"groups": groups, "department": "R&D"})
	s.secret("secret-group-")
	b := s.browser()
	b.wantFailure("too large", b.open("/x"), 500, "too-large", "too_large", "its largest claims: groups (")
	s.providers[0].SetAccount(testPerson, enrichtest.Claims{"groups": groups[:20], "department": "R&D"})
	b.login("/x")
}

// The warning that sessions outlast the provider's tokens comes once.
func TestTheWarningOfShortTokens(t *testing.T) {
	s := newStage(t)
	for range 2 {
		s.browser().login("/x")
	}
	var warnings []map[string]any
	for _, line := range s.log.lines() {
		if line["level"] == "WARN" {
			warnings = append(warnings, line)
		}
	}
	if len(warnings) != 1 || warnings[0]["token"] != "5m0s" || warnings[0]["max"] != "10h0m0s" || warnings[0]["issuer"] != "corp" {
		t.Errorf("got %v", warnings)
	}
}
