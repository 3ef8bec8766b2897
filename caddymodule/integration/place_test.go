package integration

import (
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func TestCookieTokenIsSafeFromForeignPages(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich /open* {\nname open\ntoken_from cookie session\ncross_origin allow\n}\ntoken_enrich {\ntoken_from cookie session\ntoken_from header Authorization Bearer\n}\nreverse_proxy " + w.legacy.Addr())
	own := "http://" + w.addr
	cookie := []string{"Cookie", "session=" + w.token("00u1ada")}
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket"}
	for _, tc := range []struct {
		name, method, path string
		headers            []string
		code               int
	}{
		{"a read from anywhere", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 200},
		{"a write from the same origin", "POST", "/", []string{"Sec-Fetch-Site", "same-origin", "Origin", own}, 200},
		{"a write without a browser", "POST", "/", nil, 200},
		{"a write from another site", "POST", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a write from the same site but another origin", "POST", "/", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"a write by an old browser from another origin", "POST", "/", []string{"Origin", "https://evil.example"}, 403},
		{"a write from an opaque origin", "POST", "/", []string{"Origin", "null"}, 403},
		{"PUT", "PUT", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"PATCH", "PATCH", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"DELETE", "DELETE", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a WebSocket from the same origin", "GET", "/", append([]string{"Origin", own}, upgrade...), 200},
		{"a WebSocket without a browser", "GET", "/", upgrade, 200},
		{"a WebSocket from a foreign origin", "GET", "/", append([]string{"Origin", "https://evil.example"}, upgrade...), 403},
		{"a WebSocket from a foreign port", "GET", "/", append([]string{"Origin", "http://127.0.0.1:1"}, upgrade...), 403},
		{"a WebSocket from an opaque origin", "GET", "/", append([]string{"Origin", "null"}, upgrade...), 403},
		{"a WebSocket from another site that says no origin", "GET", "/", append([]string{"Sec-Fetch-Site", "cross-site"}, upgrade...), 403},
		{"a foreign Host in a forwarded header", "POST", "/", []string{"Origin", "https://evil.example", "X-Forwarded-Host", "evil.example"}, 403},
		{"where it is allowed", "POST", "/open", []string{"Sec-Fetch-Site", "cross-site"}, 200},
		{"a WebSocket where it is allowed", "GET", "/open", append([]string{"Origin", "https://evil.example"}, upgrade...), 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			got := w.do(tc.method, tc.path, "", append(append([]string{}, cookie...), tc.headers...)...)
			if tc.code == 200 {
				wantStatus(t, got, 200)
				w.received()
				return
			}
			wantRefusal(t, got, tc.code)
			w.nothingReceived()
		})
	}
	t.Run("a token in a header comes from no foreign page by accident", func(t *testing.T) {
		w := w.in(t)
		wantStatus(t, w.do("POST", "/", w.token("00u1ada"), "Sec-Fetch-Site", "cross-site"), 200)
		w.received()
	})
}

// rawGet sends a request line, and header lines as they stand.
func (w *world) rawGet(target string, lines ...string) string {
	w.t.Helper()
	return w.raw("GET " + target + " HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: close\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n")
}

func TestIncomingTokenIsDroppedAndTheRestKeepsItsBytes(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\ntoken_from cookie session\ntoken_from query access_token\ntoken_from header X-Token\ntoken_from header Authorization Bearer\n}\nreverse_proxy " + w.legacy.Addr())
	token := w.token("00u1ada")
	for _, tc := range []struct {
		name, target string
		lines        []string
		line         string
		cookies      []string
	}{
		{"first cookie", "/", []string{"Cookie: session=" + token + "; a=1;b=\"2\";  c"}, "GET / HTTP/1.1", []string{"a=1;b=\"2\";  c"}},
		{"middle cookie", "/", []string{"Cookie: a=1;  session=" + token + ";b= 2 ; c=session"}, "GET / HTTP/1.1", []string{"a=1;b= 2 ; c=session"}},
		{"last cookie", "/", []string{"Cookie: xsession=1; SESSIONS=2; session=" + token}, "GET / HTTP/1.1", []string{"xsession=1; SESSIONS=2"}},
		{"only cookie", "/", []string{"Cookie: session=" + token}, "GET / HTTP/1.1", nil},
		{"cookie on a second line", "/", []string{"Cookie: a=1", "Cookie: session=" + token}, "GET / HTTP/1.1", []string{"a=1"}},
		{"first parameter", "/p?access_token=" + token + "&a=%41&b=+", nil, "GET /p?a=%41&b=+ HTTP/1.1", nil},
		{"middle parameter", "/p?a=1&&access_token=" + token + "&b;c=2", nil, "GET /p?a=1&&b;c=2 HTTP/1.1", nil},
		{"last parameter", "/%70?x=%zz&access_token=" + token, nil, "GET /%70?x=%zz HTTP/1.1", nil},
		{"encoded parameter", "/?access%5Ftoken=" + token + "&a", nil, "GET /?a HTTP/1.1", nil},
		{"header of its own", "/?a=1", []string{"X-Token: " + token, "Cookie: a=1"}, "GET /?a=1 HTTP/1.1", []string{"a=1"}},
		{"Authorization", "/", []string{"Authorization: Bearer " + token, "Cookie: a=1"}, "GET / HTTP/1.1", []string{"a=1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := w.in(t)
			if got := answered(t, w.rawGet(tc.target, tc.lines...)); got != "200" {
				t.Fatalf("status %s", got)
			}
			seen := w.received()
			if strings.Contains(string(seen.Raw), token) {
				t.Error("the incoming token reached the application")
			}
			if seen.Line != tc.line {
				t.Errorf("the application received %q, want %q", seen.Line, tc.line)
			}
			if got := seen.Values("Cookie"); strings.Join(got, "\n") != strings.Join(tc.cookies, "\n") {
				t.Errorf("cookies %q, want %q", got, tc.cookies)
			}
		})
	}
	t.Run("unless it is to be kept", func(t *testing.T) {
		w := prepare(t)
		w.load("token_enrich {\nupstream_token keep\n}\nreverse_proxy " + w.legacy.Addr())
		token := w.token("00u1ada")
		w.rawGet("/", "Authorization: Bearer "+token)
		wantHeader(t, w.received(), "Authorization", "Bearer "+token)
	})
}

// signed waits until the gateway has a key to sign with.
func (w *world) signed() {
	w.t.Helper()
	eventually(w.t, "a key to sign with", func() bool { return w.get("/.well-known/jwks.json", "").StatusCode == 200 })
	w.legacy.Forget()
}

// minted reads the token that the application received and checks that it is
// ours.
func (w *world) minted(token string) enrichtest.Claims {
	w.t.Helper()
	claims, err := enrichtest.Payload(token)
	if err != nil {
		w.t.Fatalf("the application received %q: %v", token, err)
	}
	if claims["iss"] != "https://gateway.example.com" {
		w.t.Errorf("the token is of %v", claims["iss"])
	}
	return claims
}

func TestSignedTokenIsOursAndShortLived(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich {
		claim login user.login
		token {
			audience payroll
			ttl 1m
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), signing)
	w.signed()
	incoming := w.token("00u1ada", enrichtest.Claims{"cnf": nil, "nonce": nil})
	wantStatus(t, w.get("/", incoming), 200)
	seen := w.received()
	value := strings.TrimPrefix(seen.Values("Authorization")[0], "Bearer ")
	claims := w.minted(value)
	in, err := enrichtest.Payload(incoming)
	if err != nil {
		t.Fatal(err)
	}
	if claims["aud"] != "payroll" || claims["sub"] != "00u1ada" || claims["login"] != "ada@example.com" {
		t.Errorf("the token says %v", claims)
	}
	if exp, limit := claims["exp"].(float64), in["exp"].(float64); exp > limit || exp-claims["iat"].(float64) > 60 {
		t.Errorf("exp %v with iat %v and the incoming exp %v", exp, claims["iat"], limit)
	}
	if claims["jti"] == in["jti"] {
		t.Error("the token has the incoming jti")
	}
	if strings.Contains(string(seen.Raw), incoming) {
		t.Error("the incoming token reached the application")
	}
	short := w.token("00u1ada", enrichtest.Claims{"exp": int64(in["iat"].(float64)) + 10})
	wantStatus(t, w.get("/", short), 200)
	claims = w.minted(strings.TrimPrefix(w.received().Values("Authorization")[0], "Bearer "))
	if claims["exp"].(float64) > in["iat"].(float64)+10 {
		t.Errorf("exp %v outlives the incoming token", claims["exp"])
	}
}

// Where a policy writes its token to Authorization, no client's own
// Authorization reaches an application.
func TestAuthorizationOfTheClientNeverPassesForOurs(t *testing.T) {
	const minting = `
	token_enrich_jwks
	token_enrich %m {
		%o
		token {
			audience payroll
		}
	}
	reverse_proxy %a
	handle_errors {
		reverse_proxy %a
	}`
	const basic = "Authorization: Basic cm9vdDpyb290"
	for _, tc := range []struct {
		name, matcher, options string
		lines                  func(w *world) []string
		ours                   bool
	}{
		{"a good token", "", "", func(w *world) []string { return []string{"Authorization: Bearer " + w.token("00u1ada")} }, true},
		{"a good token from elsewhere, and Basic", "", "token_from header X-Token", func(w *world) []string { return []string{"X-Token: " + w.token("00u1ada"), basic} }, true},
		{"a good token from a cookie, and two lines", "", "token_from cookie session", func(w *world) []string {
			return []string{"Cookie: session=" + w.token("00u1ada"), basic, "authorization: Bearer x"}
		}, true},
		{"anonymous without", "", "anonymous", func(*world) []string { return nil }, false},
		{"anonymous with Basic", "", "anonymous", func(*world) []string { return []string{basic} }, false},
		{"anonymous with Digest", "", "anonymous", func(*world) []string { return []string{"Authorization: Digest username=root"} }, false},
		{"left out by the matcher", "/in/*", "", func(*world) []string { return []string{basic} }, false},
		{"left out by the matcher, with a good token", "/in/*", "", func(w *world) []string { return []string{"Authorization: Bearer " + w.token("00u1ada")} }, false},
		{"refused without a token", "", "", func(*world) []string { return []string{basic} }, false},
		{"refused with a bad token", "", "", func(w *world) []string {
			return []string{"Authorization: Bearer " + enrichtest.FlipSignature(w.token("00u1ada"))}
		}, false},
		{"refused with two", "", "", func(*world) []string { return []string{basic, basic} }, false},
		{"denied", "", "require `1 == 2`", func(w *world) []string { return []string{"Authorization: Bearer " + w.token("00u1ada")} }, false},
		{"an alias beside a good token", "", "", func(w *world) []string {
			return []string{"Authorization: Bearer " + w.token("00u1ada"), "authorization_: x", "AUTHORIZATION.: x", "Authorization~: x"}
		}, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load(strings.NewReplacer("%m", tc.matcher, "%o", tc.options, "%a", w.legacy.Addr()).Replace(minting), w.standard(), signing)
			w.signed()
			for range 2 {
				w.rawGet("/", tc.lines(w)...)
				seen := w.received()
				values := seen.Values("Authorization")
				switch {
				case tc.ours && len(values) != 1:
					t.Errorf("the application received %q", values)
				case tc.ours:
					w.minted(strings.TrimPrefix(values[0], "Bearer "))
				case len(values) > 0:
					t.Errorf("the client's own Authorization reached the application: %q", values)
				}
			}
		})
	}
}

func TestPolicyBesideOneThatWritesAuthorizationPassesNoneOn(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich /minted/* {
		token {
			audience payroll
		}
	}
	token_enrich {
		token_from cookie session
		token_from header Authorization Bearer
		header X-User sub
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), signing)
	w.rawGet("/", "Cookie: session="+w.token("00u1ada"), "Authorization: Basic cm9vdDpyb290")
	seen := w.received()
	wantHeader(t, seen, "Authorization", "")
	wantHeader(t, seen, "X-User", "00u1ada")
}

func TestAuthorizationStaysWhereNoPolicyWritesIt(t *testing.T) {
	const basic = "Basic cm9vdDpyb290"
	w := prepare(t)
	w.load("token_enrich /in/* {\nheader X-User sub\n}\nreverse_proxy " + w.legacy.Addr())
	w.rawGet("/out", "Authorization: "+basic)
	wantHeader(t, w.received(), "Authorization", basic)
}

func TestCookieThatWeWriteDisplacesWhatFoldsToIt(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich /in/* {
		token_from header Authorization Bearer
		token {
			header cookie app_token
			audience payroll
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), signing)
	w.signed()
	forged := []string{
		"app_token=root", "APP_TOKEN=root", "app.token=root", "app token=root", "app-token=root", "App+Token=root", " app_token =root", `"app_token"=root`,
		"app_token", "app%5Ftoken=root", "app[token=root", "app_token[]=root", "app_token[x]=root",
	}
	for _, path := range []string{"/in/", "/out"} {
		for _, cookie := range forged {
			lines := []string{"Cookie: first=1; " + cookie + "; last=2", "Cookie: " + cookie}
			if path == "/in/" {
				lines = append(lines, "Authorization: Bearer "+w.token("00u1ada"))
			}
			if got := answered(t, w.rawGet(path, lines...)); got != "200" {
				t.Fatalf("%s: status %s", cookie, got)
			}
			all := strings.Join(w.received().Values("Cookie"), "; ")
			if strings.Contains(all, "root") {
				t.Errorf("%s: the application received %q", cookie, all)
			}
			if !strings.Contains(all, "first=1") || !strings.Contains(all, "last=2") {
				t.Errorf("%s: other cookies are gone: %q", cookie, all)
			}
			if ours := strings.Contains(all, "app_token=ey"); ours != (path == "/in/") {
				t.Errorf("%s: our cookie at %s: %v", cookie, path, ours)
			}
		}
	}
}

func TestCookieThatIsReadAndWrittenIsReplaced(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich /in/* {
		token_from cookie session
		anonymous
		token {
			header cookie session
			audience payroll
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), signing)
	w.signed()
	token := w.token("00u1ada")
	for path, want := range map[string]string{"/in/": "session=ey", "/out": ""} {
		w.rawGet(path, "Cookie: a=1; session="+token+"; SESSION=root; b=2")
		all := strings.Join(w.received().Values("Cookie"), "; ")
		if strings.Contains(all, token) || strings.Contains(all, "root") || !strings.Contains(all, want) || !strings.Contains(all, "a=1; b=2") {
			t.Errorf("%s: the application received %q", path, all)
		}
	}
	w.rawGet("/in/", "Cookie: SESSION=root; a=1")
	if all := strings.Join(w.received().Values("Cookie"), "; "); all != "a=1" {
		t.Errorf("anonymous: the application received %q", all)
	}
}
