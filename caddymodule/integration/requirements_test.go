package integration

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func TestRequirementsAndScopes(t *testing.T) {
	for _, tc := range []struct {
		name, options string
		claims        enrichtest.Claims
		code          int
		challenge     []string
	}{
		{"a requirement that holds", "require `user.login == \"ada@example.com\"`", nil, 200, nil},
		{"a requirement that is false", "require `user.login == \"grace@example.com\"`", nil, 403, nil},
		{"a requirement that is no boolean", "require `user.login`", nil, 403, nil},
		{"a requirement that errors", "require `user.nosuch.deep == null`", nil, 403, nil},
		{"a requirement that is null", "require `user.nosuch`", nil, 403, nil},
		{"two requirements, the second false", "require `user.login == \"ada@example.com\"`\nrequire `1 == 2`", nil, 403, nil},
		{"a requirement on a computed claim", "claim it `isMemberOfGroup(\"00gIT\")`\nrequire claims.it", nil, 200, nil},
		{"a requirement on a claim that was left out", "claim it `isMemberOfGroup(\"00gIT\")` {\nscopes nosuch\n}\nrequire claims.it", enrichtest.Claims{"it": true}, 403, nil},
		{"a scope that was granted", "require_scope groups", nil, 200, nil},
		{"a scope that is missing", "require_scope groups payroll:write", nil, 403, []string{`error="insufficient_scope"`, `scope="groups payroll:write"`}},
		{"a scope that only begins alike", "require_scope group", nil, 403, []string{`error="insufficient_scope"`}},
		{"scopes in one text", "require_scope b", enrichtest.Claims{"scp": nil, "scope": "a b c"}, 200, nil},
		{"scopes that no space parts", "require_scope b", enrichtest.Claims{"scp": nil, "scope": "a\tb\u00a0c,b"}, 403, []string{`error="insufficient_scope"`}},
		{"an acr and a login that suffice", "require_acr phr max_age 1h", enrichtest.Claims{"acr": "phr", "auth_time": time.Now().Unix()}, 200, nil},
		{"an acr that suffices, of an old login", "require_acr phr max_age 1h", enrichtest.Claims{"acr": "phr", "auth_time": time.Now().Add(-2 * time.Hour).Unix()}, 401, []string{`acr_values="phr"`, `max_age="3600"`}},
		{"a login that is yet to come", "require_acr max_age 1h", enrichtest.Claims{"auth_time": time.Now().Add(time.Hour).Unix()}, 401, []string{`max_age="3600"`}},
		{"an acr that suffices", "require_acr phr phrh", enrichtest.Claims{"acr": "phrh"}, 200, nil},
		{"an acr that does not", "require_acr phr phrh", enrichtest.Claims{"acr": "pwd"}, 401, []string{`error="insufficient_user_authentication"`, `acr_values="phr phrh"`}},
		{"a login that is too old", "require_acr max_age 1h", enrichtest.Claims{"auth_time": time.Now().Add(-2 * time.Hour).Unix()}, 401, []string{`error="insufficient_user_authentication"`, `max_age="3600"`}},
		{"a login that is young", "require_acr max_age 1h", enrichtest.Claims{"auth_time": time.Now().Add(-time.Minute).Unix()}, 200, nil},
		{"a login of unknown age", "require_acr max_age 1h", nil, 401, []string{`max_age="3600"`}},
		{"the caller's address as Caddy knows it", "require `request.client_ip == \"127.0.0.1\"`", nil, 200, nil},
		{"another address", "require `request.client_ip == \"10.0.0.1\"`", nil, 403, nil},
		{"the path", "require `String.startsWith(request.path, \"/in\")`", nil, 200, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\n" + tc.options + "\n}\nreverse_proxy " + w.legacy.Addr())
			token := w.token("00u1ada", tc.claims)
			for range 2 { // the second decision comes from the cache
				got := w.get("/in", token)
				if tc.code == 200 {
					wantStatus(t, got, 200)
					w.received()
					continue
				}
				wantRefusal(t, got, tc.code)
				w.nothingReceived()
				challenge := got.Header.Get("WWW-Authenticate")
				if tc.challenge == nil && challenge != "" {
					t.Errorf("challenge %q with %d", challenge, tc.code)
				}
				for _, want := range tc.challenge {
					if !strings.Contains(challenge, want) {
						t.Errorf("challenge %q lacks %s", challenge, want)
					}
				}
			}
		})
	}
}

func TestForwardedHeadersOfAStrangerChangeNoRequirement(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\nrequire `request.path == \"/in\"`\nrequire `request.method == \"GET\"`\n}\nreverse_proxy " + w.legacy.Addr())
	token := w.token("00u1ada")
	for _, headers := range [][]string{
		{"X-Original-URL", "/in"}, {"X-Rewrite-URL", "/in"}, {"X-Forwarded-Uri", "/in"}, {"X-HTTP-Method-Override", "GET"}, {"X-Forwarded-Method", "GET"},
	} {
		want := 403
		if headers[0] == "X-HTTP-Method-Override" {
			want = 400 // P64: some applications take it for the method
		}
		wantRefusal(t, w.do("POST", "/out", token, headers...), want)
	}
	w.nothingReceived()
}

func TestDotSegmentsAndSlashesDoNotGetAroundARequirement(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\nrequire `String.startsWith(request.path, \"/in/\")`\n}\nreverse_proxy " + w.legacy.Addr())
	authorization := "Authorization: Bearer " + w.token("00u1ada")
	for want, targets := range map[string][]string{
		// P55: no reading of these holds, and of those one does.
		"403": {"/out", "//out", "/in", "/out?/in/", "/out;/in/", "/out%3f/in/"},
		"400": {
			"/in/../out", "/in/%2e%2e/out", "/in/%2E%2E/out", "/in/..%2fout", "/in%2f..%2fout", "/in/./../out", "/in//../../out", "/in/x/../../out",
			"/in;/../out", "/IN/x", "/in/../", "//in/x", "/out/../in/x",
		},
	} {
		for _, target := range targets {
			if got := answered(t, w.rawGet(target, authorization)); got != want {
				t.Errorf("%s: status %s, want %s", target, got, want)
			}
			w.nothingReceived()
		}
	}
	for _, target := range []string{"/in/", "/in/x", "/in/%2e/x"} {
		if got := answered(t, w.rawGet(target, authorization)); got != "200" {
			t.Errorf("%s: status %s", target, got)
		}
	}
}

// What a matcher leaves out is judged by the path that the application will
// serve. Java's servers take "..;x" for "..", and Windows' a backslash for a
// slash: no path that means two things to two readers goes on. Of
// "x:http://app/admin", reverse_proxy sends what follows the colon.
func TestPathsDoNotGetAroundAMatcher(t *testing.T) {
	w := prepare(t)
	w.load(`
	@private not path /public/*
	token_enrich @private {
		require "String.startsWith(request.path, \"/in/\")"
		header X-User sub
	}
	reverse_proxy ` + w.legacy.Addr())
	authorization := "Authorization: Bearer " + w.token("00u1ada")
	around := []string{"X-Original-URL: /public/x", "X-Rewrite-URL: /public/x", "X-Forwarded-Uri: /public/x", "X-Forwarded-Path: /public/x", "Referer: http://" + w.addr + "/public/x"}
	for _, tc := range []struct{ target, without, with string }{
		{"/admin", "401", "403"},
		{"/public/../admin", "400", "400"},
		{"/public/%2e%2e/admin", "400", "400"},
		{"/public/..%2fadmin", "400", "400"},
		{"/public/x/../../admin", "400", "400"},
		{"//admin", "401", "403"},
		{"/x//../admin", "401", "403"},
		{"/admin;/public/x", "401", "403"},
		{"/admin;x=/public/", "401", "403"},
		{"/admin%23/public/x", "401", "403"},
		{"/admin?/public/x", "401", "403"},
		{"/admin%3f/public/x", "401", "403"},
		{"/.;/public/x", "400", "400"},
		{"/public;/../admin", "400", "400"},
		{"/public/..;/admin", "400", "400"},
		{"/public/..;a=b/admin", "400", "400"},
		{"/public/%2e%2e;/admin", "400", "400"},
		{"/public/..%3b/admin", "400", "400"},
		{"/public/.;/x", "400", "400"},
		{"/public/..%5cadmin", "400", "400"},
		{"/public%5c..%5cadmin", "400", "400"},
		{"/public/x%5c..%5c..%5cadmin", "400", "400"},
		{"/in/..;/admin", "400", "400"},
		{"/in/..%5Cadmin", "400", "400"},
		{"x:http://app/admin", "400", "400"},
		{"http:http://app/in/x", "400", "400"},
		{"x:admin", "400", "400"},
		{"x:%2fadmin", "400", "400"},
		{`x:\admin`, "400", "400"},
		{"/in/x", "401", "200"},
		{"/in/x;v=1", "401", "200"},
		{"/in/a%5cb", "401", "200"},
		{"/public/x", "200", "200"},
		{"/public/x;jsessionid=1", "200", "200"},
		{"/public/a..;b/c", "200", "200"},
		{"/public/a%5cb", "200", "200"},
	} {
		for line, want := range map[string]string{"Accept: */*": tc.without, authorization: tc.with} {
			got := w.rawGet(tc.target, append([]string{line}, around...)...)
			if code := answered(t, got); code != want {
				t.Errorf("%s with %.13s: status %s, want %s", tc.target, line, code, want)
			}
			if want == "200" {
				w.received()
			}
			w.nothingReceived()
		}
	}
}

// To Java's servers a path has no parameters, and to Windows' a backslash is a
// slash: "/admin;x/users" and "/admin\\users" are "/admin/users", which the
// policy's matcher must not miss.
func TestPathParametersDoNotGetAroundAMatcher(t *testing.T) {
	w := prepare(t)
	w.load(`
	token_enrich /admin/* {
		header X-User sub
	}
	@calls path_regexp call ^/call/(.*)$
	token_enrich @calls {
		header X-User sub
	}
	@spoken expression path_regexp("/spoken/") || {path}.startsWith("/said/")
	token_enrich @spoken {
		header X-User sub
	}
	@style path *.css
	token_enrich @style {
		anonymous
	}
	@rest not path /public/*
	token_enrich @rest {
		require ` + "`!String.startsWith(request.path, \"/secret/\")`" + `
		header X-User sub
	}
	reverse_proxy ` + w.legacy.Addr() + ` {
		header_up X-Call "<{re.call.1}>"
	}`)
	authorization := "Authorization: Bearer " + w.token("00u1ada")
	for _, tc := range []struct{ target, without, with string }{
		{"/admin/users", "401", "200"},
		{"/admin/users;x=1", "401", "200"},
		{"/admin/users;x=/y", "401", "200"},
		{"/admin;x/users", "400", "400"},
		{"/admin%3bx/users", "400", "400"},
		{"/;/admin/users", "400", "400"},
		{"/admin%5cusers", "400", "400"},
		{"/%5cadmin;x/users", "400", "400"},
		{"/admin;x%5cusers", "400", "400"},
		{"/said;/x", "400", "400"},
		{"/said/x;y", "401", "200"},
		{"/style.css", "200", "200"},
		{"/style.css;v=1", "400", "400"},
		{"/users;.css", "400", "400"},
		{"/users;a=b/x.css", "200", "200"},
		{"/other;x", "401", "200"},
		{"/secret/x", "401", "403"},
		{"/secret;x/y", "401", "400"},
		{"/secret%5cy", "401", "400"},
		{"/public/x;y", "200", "200"},
		{"/public;/x", "400", "400"},
	} {
		for line, want := range map[string]string{"Accept: */*": tc.without, authorization: tc.with} {
			if code := answered(t, w.rawGet(tc.target, line)); code != want {
				t.Errorf("%s with %.13s: status %s, want %s", tc.target, line, code, want)
			}
			if want == "200" {
				w.received()
			}
			w.nothingReceived()
		}
	}
	if code := answered(t, w.rawGet("/call/a;b", authorization)); code != "200" {
		t.Fatalf("status %s", code)
	}
	if got := w.received().Values("X-Call"); len(got) != 1 || got[0] != "<a;b>" {
		t.Errorf("what the matcher captured is %q, want the path as it stands", got)
	}
}

func TestRequirementOnTheRequestIsJudgedEachTime(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\nrequire `request.method == \"GET\"`\n}\nreverse_proxy " + w.legacy.Addr())
	token := w.token("00u1ada")
	for _, step := range []struct {
		method string
		code   int
	}{{"GET", 200}, {"POST", 403}, {"GET", 200}, {"DELETE", 403}} {
		wantStatus(t, w.do(step.method, "/", token), step.code)
	}
	if n := len(w.legacy.Requests()); n != 2 {
		t.Errorf("the application received %d requests, want 2", n)
	}
}

func TestAnonymousRequests(t *testing.T) {
	for _, tc := range []struct {
		name, options, token string
		headers              []string
		code                 int
	}{
		{"without a token", "", "", nil, 200},
		{"with another scheme", "", "", []string{"Authorization", "Basic YTpi"}, 200},
		{"with a bad token", "", "garbage", nil, 401},
		{"with a malformed request", "", "", []string{"Authorization", "Bearer"}, 400},
		{"under a requirement that is true of nobody", "require `user == null`", "", nil, 200},
		{"under a requirement that there is no token", "require `token == null`", "", nil, 200},
		{"under a requirement that there are no groups", "require `groups == null`", "", nil, 200},
		{"under a requirement on a claim", "require `token.sub == \"00u1ada\"`", "", nil, 401},
		{"under a requirement that is false", "require `user != null`", "", nil, 401},
		{"under a requirement that errors", "require `user.login == \"ada\"`", "", nil, 401},
		{"under a requirement on the request", "require `request.method == \"GET\"`", "", nil, 200},
		{"under a false requirement on the request", "require `request.method == \"POST\"`", "", nil, 401},
		{"under a required scope", "require_scope groups", "", nil, 401},
		{"under a required acr", "require_acr phr", "", nil, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\nanonymous\n" + tc.options + `
				claim login user.login
				header X-User login
				header X-Group groups {
					on_empty default none
				}
			}` + status + w.legacy.Addr())
			got := w.get("/", tc.token, append([]string{"X-User", "root", "x_group", "root"}, tc.headers...)...)
			if tc.code != 200 {
				wantRefusal(t, got, tc.code)
				w.nothingReceived()
				if c := got.Header.Get("WWW-Authenticate"); tc.code == 401 && !strings.HasPrefix(c, "Bearer") {
					t.Errorf("challenge %q", c)
				}
				return
			}
			wantStatus(t, got, 200)
			seen := w.received()
			wantHeader(t, seen, "X-User", "")
			wantHeader(t, seen, "X-Group", "") // not even the default
			wantHeader(t, seen, "X-Status", "anonymous")
		})
	}
}

func TestMalformedRequestsAre400(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\ntoken_from header Authorization Bearer\ntoken_from header X-Token\ntoken_from cookie session\ntoken_from query access_token\n}\nreverse_proxy " + w.legacy.Addr())
	token := w.token("00u1ada")
	for _, tc := range []struct {
		name, path string
		headers    []string
	}{
		{"two Authorization headers", "/", []string{"Authorization", "Bearer " + token, "Authorization", "Bearer " + token}},
		{"two Authorization headers of other schemes", "/", []string{"Authorization", "Bearer " + token, "Authorization", "Basic YTpi"}},
		{"a scheme alone", "/", []string{"Authorization", "Bearer"}},
		{"header and cookie", "/", []string{"Authorization", "Bearer " + token, "Cookie", "session=" + token}},
		{"header and query", "/?access_token=" + token, []string{"Authorization", "Bearer " + token}},
		{"two headers", "/", []string{"Authorization", "Bearer " + token, "X-Token", token}},
		{"cookie twice", "/", []string{"Cookie", "session=" + token + "; session=" + token}},
		{"query twice", "/?access_token=" + token + "&access_token=" + token, nil},
		{"query twice, one encoded", "/?access_token=" + token + "&access%5ftoken=" + token, nil},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			got := w.get(tc.path, "", tc.headers...)
			wantRefusal(t, got, 400)
			if c := got.Header.Get("WWW-Authenticate"); !strings.Contains(c, `error="invalid_request"`) {
				t.Errorf("challenge %q", c)
			}
			w.nothingReceived()
		})
	}
	t.Run("a query token beside a good header where query is not listed", func(t *testing.T) {
		w := prepare(t)
		w.load("token_enrich\nreverse_proxy " + w.legacy.Addr())
		wantStatus(t, w.get("/?access_token=x&access_token=y", w.token("00u1ada")), 200)
		if line := w.received().Line; line != "GET /?access_token=x&access_token=y HTTP/1.1" {
			t.Errorf("the application received %q", line)
		}
	})
	t.Run("a body is never read for a token", func(t *testing.T) {
		w := prepare(t)
		w.load("token_enrich {\ntoken_from query access_token\n}\nreverse_proxy " + w.legacy.Addr())
		body := "access_token=" + w.token("00u1ada")
		r, err := http.NewRequestWithContext(t.Context(), "POST", "http://"+w.addr+"/", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		wantRefusal(t, w.send(r), 401)
		w.nothingReceived()
	})
}

func TestGroupsThatTheTokenLeftOutAreUnknownAndNotEmpty(t *testing.T) {
	for name, claims := range map[string]enrichtest.Claims{
		"by _claim_names":     {"_claim_names": map[string]any{"groups": "src1"}, "_claim_sources": map[string]any{"src1": map[string]any{"endpoint": "https://example.com"}}},
		"by hasgroups":        {"hasgroups": true},
		"by a list at a cap":  {"groups": names(200)},
		"by no claim at all":  nil,
		"by a claim of null":  {"groups": []byte(nil)},
		"by a claim of texts": {"groups": 7},
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich {\nrequire `!isMemberOfGroupName(\"banned\")`\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
			wantRefusal(t, w.get("/", w.token("00u1ada", claims)), 403)
			w.nothingReceived()
		})
	}
	t.Run("but a list is known", func(t *testing.T) {
		w := prepare(t)
		w.load("token_enrich {\nrequire `!isMemberOfGroupName(\"banned\")`\n}\nreverse_proxy "+w.legacy.Addr(), w.issuerBlock(""))
		wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"groups": []string{"a"}})), 200)
		wantRefusal(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"groups": []string{"banned"}})), 403)
	})
}

func TestGroupsThatTheTokenBringsInPartAreNotHandedOn(t *testing.T) {
	part := enrichtest.Claims{"groups": names(100)}
	for name, c := range map[string]struct {
		site   string
		status int
	}{
		"header":       {"token_enrich {\nheader X-Groups groups\n}\nreverse_proxy ", 500},
		"headers_from": {"token_enrich {\nheaders_from X-Claim-\n}\nreverse_proxy ", 500},
		"preset":       {"token_enrich {\npreset oauth2_proxy\n}\nreverse_proxy ", 500},
		"token":        {"token_enrich {\ntoken {\naudience payroll\nclaims *\n}\n}\nreverse_proxy ", 500},
		"rule":         {"token_enrich {\nclaim g token.groups\n}\nreverse_proxy ", 500},
		"requirement":  {"token_enrich {\nrequire `!Arrays.contains(token.groups, \"banned\")`\n}\nreverse_proxy ", 403},
		"nobody asks":  {"token_enrich {\nheader X-User sub\n}\nreverse_proxy ", 200},
	} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.load(c.site+w.legacy.Addr(), w.issuerBlock("")+"\n"+signing)
			whole := w.token("00u1ada", enrichtest.Claims{"groups": []string{"a", "b"}, "preferred_username": "ada"})
			eventually(t, "keys to sign with", func() bool { return w.get("/", whole).StatusCode == 200 })
			w.legacy.Forget()
			got := w.get("/", w.token("00u1ada", part))
			if c.status == 200 {
				wantStatus(t, got, 200)
				return
			}
			wantRefusal(t, got, c.status)
			w.nothingReceived()
		})
	}
	t.Run("placeholder", func(t *testing.T) {
		w := prepare(t)
		w.load("token_enrich\nrespond \"[{token_enrich.claims.groups}]\"", w.issuerBlock(""))
		if got := w.get("/", w.token("00u1ada", part)); got.body != "[]" {
			t.Errorf("the placeholder shows %.40q", got.body)
		}
		if got := w.get("/", w.token("00u1ada", enrichtest.Claims{"groups": []string{"a"}})); got.body != `[["a"]]` {
			t.Errorf("the placeholder shows %.40q", got.body)
		}
	})
}

func names(n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = "g" + string(rune('a'+i%26)) + strings.Repeat("x", i/26)
	}
	return list
}
