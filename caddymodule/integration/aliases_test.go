package integration

import (
	"strings"
	"testing"
)

// What an application takes for the cookie, the parameter or the header that a
// token is read from is an identity that nobody has verified (A15, A16).

// cookieAliases are spellings of access_token that one or another application
// reads as the cookie itself.
var cookieAliases = []string{
	"access.token", "access token", "ACCESS_TOKEN", "access-token", "access_token[]", "access_token[x]", "access[token", "access%5Ftoken", "%61ccess_token", "+access_token",
	"access_token%20", "access_token\t", "\xa0access_token", "access_token\xa0", "\x85access_token", "\u2003access_token", "access_token\u3000", "\ufeffaccess_token",
	"=access_token", " = access_token", `"access_token"`, "(access_token", "a/access_token", `a\access_token`, "a,access_token", "a=1,access_token", "a=1 access_token", "a=1\xa0access_token",
	`a="1"access_token`, "$Version=1,access_token",
}

func TestAliasOfTheTokensCookieReachesNoApplication(t *testing.T) {
	for _, option := range []string{"keep", "drop"} {
		w := prepare(t)
		w.load("token_enrich /in/* {\ntoken_from cookie access_token\ntoken_from header Authorization Bearer\nanonymous\nupstream_token " + option + "\nheader X-User sub\n}\nreverse_proxy " + w.legacy.Addr())
		good := w.token("00u1ada")
		kept := "; access_token=" + good
		if option == "drop" {
			kept = ""
		}
		for _, alias := range append(cookieAliases, "access_token") {
			itself := alias == "access_token" // a second one is malformed (B33)
			for _, tc := range []struct {
				name, path string
				lines      []string
				want       string
				user       string
			}{
				{"in front of the token", "/in/", []string{"Cookie: first=1; " + alias + "=FORGED; access_token=" + good}, "first=1" + kept, "00u1ada"},
				{"behind the token", "/in/", []string{"Cookie: first=1; access_token=" + good + "; " + alias + "=FORGED"}, "first=1" + kept, "00u1ada"},
				{"on a line of its own", "/in/", []string{"Cookie: first=1; access_token=" + good, "Cookie: " + alias + "=FORGED"}, "first=1" + kept, "00u1ada"},
				{"beside a token from elsewhere", "/in/", []string{"Authorization: Bearer " + good, "Cookie: first=1; access_token; access_token=\"\"; prefs[theme]=dark"}, "first=1; prefs[theme]=dark", "00u1ada"},
				{"without a token", "/in/", []string{"Cookie: first=1; " + alias + "=FORGED; last=2"}, "first=1; last=2", ""},
				{"where no policy decides", "/out", []string{"Cookie: first=1; " + alias + "=FORGED; last=2"}, "first=1; last=2", ""},
			} {
				if itself && tc.path == "/in/" && tc.user != "" && !strings.Contains(tc.name, "elsewhere") || itself && tc.name == "without a token" {
					if code := answered(t, w.rawGet(tc.path, tc.lines...)); code != "400" && code != "401" {
						t.Errorf("%s, %s %q: status %s", option, tc.name, alias, code)
					}
					w.nothingReceived()
					continue
				}
				if code := answered(t, w.rawGet(tc.path, tc.lines...)); code != "200" {
					t.Fatalf("%s, %s %q: status %s", option, tc.name, alias, code)
				}
				seen := w.received()
				if got := strings.Join(seen.Values("Cookie"), "; "); got != tc.want {
					t.Errorf("%s, %s %q: the application received %q, want %q", option, tc.name, alias, got, tc.want)
				}
				wantHeader(t, seen, "X-User", tc.user)
			}
		}
	}
}

func TestAliasOfTheTokensParameterIsASecondToken(t *testing.T) {
	aliases := []string{
		"access.token", "access+token", "access%20token", "access-token", "ACCESS_TOKEN", "access_token[]", "access_token[0]", "access_token%5B%5D", "access[token", "[access_token]", "access%2Etoken",
		"+access_token", "%20access_token", "access_token%00x", "%C2%A0access_token", "access_token%E3%80%80", "a=1;access_token", "a;access.token", "access%u005ftoken",
	}
	for _, option := range []string{"keep", "drop"} {
		w := prepare(t)
		app := newCGI(t)
		w.load("token_enrich /in/* {\ntoken_from query access_token\ntoken_from header Authorization Bearer\nanonymous\nupstream_token " + option + "\n}\n" +
			"token_enrich {\nanonymous\n}\nhandle /in/php/* {\n" + cgiSite(t, "", app.addr) + "\n}\nreverse_proxy " + w.legacy.Addr() + "\nhandle_errors {\nrequest_header X-Error {err.status_code}\nreverse_proxy " + w.legacy.Addr() + "\n}")
		good := w.token("00u1ada")
		for _, alias := range aliases {
			for _, tc := range []struct {
				query string
				lines []string
			}{
				{"a=1&" + alias + "=FORGED&access_token=" + good + "&b=2", nil},
				{"a=1&access_token=" + good + "&" + alias + "=FORGED&b=2", nil},
				{"a=1&" + alias + "=FORGED&b=2", []string{"Authorization: Bearer " + good}},
				{"a=1&" + alias + "=FORGED&b=2", nil},
			} {
				w.rawGet("/in/?"+tc.query, tc.lines...)
				seen := w.received() // an error route may be an application
				wantHeader(t, seen, "X-Error", "400")
				if seen.Line != "GET /in/?a=1&b=2 HTTP/1.1" {
					t.Errorf("%s, %q: the error page received %q", option, tc.query, seen.Line)
				}
			}
			// B33: where no policy lists it, a parameter is none of ours.
			if code := answered(t, w.rawGet("/out?"+alias+"=1&access_token=2")); code != "200" {
				t.Errorf("%q elsewhere: status %s", alias, code)
			}
			if got := w.received().Line; got != "GET /out?"+alias+"=1&access_token=2 HTTP/1.1" {
				t.Errorf("%q elsewhere: the application received %q", alias, got)
			}
		}
		for _, query := range []string{"access_tokens=1", "token=1", "x[access_token]=1", "xaccess_token=1", "access__token=1", "a=access.token", "a=%3Baccess.token=1"} {
			if code := answered(t, w.rawGet("/in/?"+query+"&access%5Ftoken="+good)); code != "200" {
				t.Errorf("%q: status %s", query, code)
			}
			want := query
			if option == "keep" {
				want += "&access%5Ftoken=" + good
			}
			if got := w.received().Line; got != "GET /in/?"+want+" HTTP/1.1" {
				t.Errorf("%s, %q: the application received %q", option, query, got)
			}
		}
	}
}

// What a rewrite takes out of the query stands in REQUEST_URI.
func TestAliasInTheURLAsItCameReachesNoFastCGIApplication(t *testing.T) {
	for _, option := range []string{"keep", "drop"} {
		w := prepare(t)
		app := newCGI(t)
		w.load("uri query -access.token\n" + cgiSite(t, "token_enrich {\ntoken_from query access_token\ntoken_from header Authorization Bearer\nupstream_token "+option+"\n}", app.addr))
		if code := answered(t, w.rawGet("/?a=1&access.token=FORGED", "Authorization: Bearer "+w.token("00u1ada"))); code != "200" {
			t.Fatalf("status %s", code)
		}
		_, vars := app.last(t)
		for name, value := range vars {
			if strings.Contains(value, "FORGED") {
				t.Errorf("%s: %s is %q", option, name, value)
			}
		}
	}
}

func TestAliasOfTheTokensHeaderIsASecondToken(t *testing.T) {
	aliases := []string{"X!Auth!Token", "X~Auth-Token", "x+auth+token", "X'AUTH'Token", "X-Auth!Token"}
	for _, option := range []string{"keep", "drop"} {
		w := prepare(t)
		w.load("token_enrich_scrub\nvars early {http.request.header.X!Auth!Token}\ntoken_enrich /in/* {\nname in\ntoken_from header X-Auth-Token\ntoken_from header Authorization Bearer\nanonymous\nupstream_token " + option +
			"\n}\ntoken_enrich /other/* {\nname other\n}\nrequest_header X-Early {vars.early}\nreverse_proxy " + w.legacy.Addr() + "\nhandle_errors {\nrequest_header X-Error {err.status_code}\nreverse_proxy " + w.legacy.Addr() + "\n}")
		good := w.token("00u1ada")
		check := func(name, path, code string, lines ...string) {
			t.Helper()
			w.rawGet(path, lines...)
			seen := w.received() // of a refused request, the error page
			if got := strings.Join(seen.Values("X-Error"), ""); got != code {
				t.Errorf("%s, %s: refused with %q, want %q", option, name, got, code)
			}
			if raw := string(seen.Raw); strings.Contains(raw, "FORGED") {
				t.Errorf("%s, %s: the application received %q", option, name, raw)
			}
		}
		for _, alias := range aliases {
			forged := alias + ": FORGED"
			check(alias+" behind the token", "/in/", "400", "X-Auth-Token: "+good, forged)
			check(alias+" in front of the token", "/in/", "400", forged, "X-Auth-Token: "+good)
			check(alias+" beside a token from elsewhere", "/in/", "400", forged, "Authorization: Bearer "+good)
			check(alias+" alone", "/in/", "400", forged)
			check(alias+" under another policy", "/other/", "", forged, "Authorization: Bearer "+good)
			check(alias+" where no policy decides", "/out", "", forged)
		}
		check("another policy's header", "/other/", "", "X-Auth-Token: FORGED", "Authorization: Bearer "+good)
		check("the header where no policy decides", "/out", "", "X-Auth-Token: FORGED")
		check("a header that is no token", "/out", "", "X-Auth-Tokens: 1")
		if got := answered(t, w.rawGet("/in/", "X-Auth-Token: "+good)); got != "200" {
			t.Errorf("%s: the token alone: status %s", option, got)
		}
		want := good
		if option == "drop" {
			want = ""
		}
		wantHeader(t, w.received(), "X-Auth-Token", want)
	}
}

// A place that is listed and holds no token is the gateway's all the same, when
// the token came from elsewhere (A16).
func TestListedPlaceWithoutATokenReachesNoApplication(t *testing.T) {
	for _, option := range []string{"keep", "drop"} {
		w := prepare(t)
		w.load("token_enrich {\ntoken_from header X-Auth-Token Bearer\ntoken_from cookie access_token\ntoken_from header Authorization Bearer\nupstream_token " + option + "\n}\nreverse_proxy " + w.legacy.Addr())
		good := w.token("00u1ada")
		if code := answered(t, w.rawGet("/", "Authorization: Bearer "+good, "X-Auth-Token: Basic FORGED", "Cookie: a=1; access_token=")); code != "200" {
			t.Fatalf("status %s", code)
		}
		seen := w.received()
		wantHeader(t, seen, "X-Auth-Token", "")
		wantHeader(t, seen, "Cookie", "a=1")
		if code := answered(t, w.rawGet("/", "Authorization: Basic YTpi", "Cookie: a=1; access_token="+good)); code != "200" {
			t.Fatalf("status %s", code)
		}
		wantHeader(t, w.received(), "Authorization", "Basic YTpi")
	}
}

// What a policy that left a request out has set aside does not come back over
// what a handler wrote or deleted since.
func TestWhatWasSetAsideReplacesNothingThatAHandlerWrote(t *testing.T) {
	w := prepare(t)
	good := w.token("00u1ada")
	policy := func(matcher, name string) string {
		return "token_enrich " + matcher + " {\nname " + name + "\ntoken_from header X-Auth-Token\ntoken_from cookie access_token\nanonymous\nupstream_token keep\nheader X-User sub\n}\n"
	}
	w.load("route {\n" + policy("/in/*", "in") + "request_header /header X-Auth-Token " + good + "\nrequest_header /cookie -Cookie\n" + policy("", "rest") + "reverse_proxy " + w.legacy.Addr() + "\n}")
	for _, tc := range []struct{ path, line, user, cookie string }{
		{"/header", "X-Auth-Token: FORGED", "00u1ada", ""},
		{"/cookie", "Cookie: a=1; access_token=FORGED", "", ""},
		{"/other", "Cookie: a=1; access_token=" + good, "00u1ada", "a=1; access_token=" + good},
	} {
		if code := answered(t, w.rawGet(tc.path, tc.line)); code != "200" {
			t.Errorf("%s: status %s", tc.path, code)
			continue
		}
		seen := w.received()
		wantHeader(t, seen, "X-User", tc.user)
		wantHeader(t, seen, "Cookie", tc.cookie)
	}
}

// A15: names that no cookie may have are dropped where a cookie is ours, and
// nothing else is.
func TestCookiesThatAreNotOursKeepTheirBytes(t *testing.T) {
	w := prepare(t)
	w.load("token_enrich {\ntoken_from cookie access_token\ntoken_from header Authorization Bearer\n}\nreverse_proxy " + w.legacy.Addr())
	good := w.token("00u1ada")
	const plain = "prefs[theme]=dark; access_tokens=1;a=\"x y\";  b = 2 ; c; =d; e=f=g; token=é\xff; _ga=GA1.2.3; %E4=1; x{y}=1; cart=[{\"id\":1}]"
	for _, tc := range []struct{ in, want string }{
		{plain, plain},
		{"a=1; \xe9=1; b=2", "a=1; b=2"},
		{"a=1; b c=1; d=2", "a=1; d=2"},
		{"a=1; b\tc=1; d=2", "a=1; d=2"},
		{"\u00a0a=1; b=2", "b=2"},
	} {
		if code := answered(t, w.rawGet("/", "Authorization: Bearer "+good, "Cookie: "+tc.in)); code != "200" {
			t.Fatalf("%q: status %s", tc.in, code)
		}
		if got := w.received().Values("Cookie"); len(got) != 1 || got[0] != tc.want {
			t.Errorf("%q: the application received %q, want %q", tc.in, got, tc.want)
		}
	}
}

// A15, A16, P66: beside a policy, the place that it reads its token from is
// scrubbed like one that it writes. The policy itself finds its token there.
func TestScrubKeepsTheTokensPlaceForThePolicy(t *testing.T) {
	w := prepare(t)
	good := w.token("00u1ada")
	for _, tc := range []struct{ name, site string }{
		{"before both routes", "token_enrich_scrub\nhandle /in/* {\n%p}\nhandle {\nreverse_proxy %a\n}"},
		{"in the route beside the policy", "handle /in/* {\n%p}\nhandle {\ntoken_enrich_scrub\nreverse_proxy %a\n}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			policy := "token_enrich {\ntoken_from cookie access_token\ntoken_from header X-Auth-Token\nheader X-User sub\n}\nreverse_proxy %a\n"
			w.load(strings.NewReplacer("%a", w.legacy.Addr()).Replace(strings.ReplaceAll(tc.site, "%p", policy)))
			for _, sent := range []struct{ path, header, user, cookie string }{
				{"/out", "Cookie: a=1; access_token=" + good, "", "a=1"},
				{"/out", "X-Auth-Token: " + good, "", ""},
				{"/in/x", "Cookie: a=1; access_token=" + good, "00u1ada", "a=1"},
				{"/in/x", "X-Auth-Token: " + good, "00u1ada", ""},
			} {
				if code := answered(t, w.rawGet(sent.path, sent.header)); code != "200" {
					t.Errorf("%s: status %s", sent.path, code)
					continue
				}
				seen := w.received()
				wantHeader(t, seen, "X-User", sent.user)
				wantHeader(t, seen, "Cookie", sent.cookie)
				wantHeader(t, seen, "X-Auth-Token", "")
			}
		})
	}
}
