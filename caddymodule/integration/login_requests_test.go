package integration

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// loginAliases are names that one or another application reads as that cookie.
func loginAliases(name string) []string {
	all := []string{name, strings.ToUpper(name), name + "[]", name + "[0]", fmt.Sprintf("%%%02x", name[0]) + name[1:], `"` + name + `"`, "$Version=1," + name, name + "%20", "\u2003" + name}
	for _, separator := range []string{".", " ", "-", "[", "%5F", "%5f"} {
		all = append(all, strings.ReplaceAll(name, "_", separator))
	}
	return all
}

// TestNoCookieOfALoginReachesTheApplication is about both cookies and whatever an
// application reads as them, wherever the request goes (L5).
func TestNoCookieOfALoginReachesTheApplication(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	for name, scrub := range map[string]string{"with policies alone": "", "behind token_enrich_scrub": "token_enrich_scrub"} {
		w.load(strings.ReplaceAll(scrub+`
		token_enrich /app* {
			name app
			login corp
			upstream_token keep
			header X-User sub
		}
		token_enrich /denied* {
			name denied
			login corp
			require false
			upstream_token keep
		}
		reverse_proxy %a
		handle_errors {
			reverse_proxy %a
		}`, "%a", w.legacy.Addr()), atCorp(o))
		ada := w.person(o, "00u1ada")
		ada.logsIn("/app")
		session, transaction := ada.session(), transactionCookie+"="+ada.cookie(transactionCookie)
		if len(transaction) < 40 {
			t.Fatal("the browser keeps no transaction")
		}
		t.Run(name, func(t *testing.T) {
			w := w.in(t)
			for _, tc := range []struct {
				name, target string
				lines        []string
				once         bool // a session is there already, and is to be used
				user         string
			}{
				{"with a session", "/app", []string{"Cookie: first=1; " + session + "; " + transaction + "; %=FORGED; last=2"}, true, "00u1ada"},
				{"with a session, on lines of their own", "/app", []string{"Cookie: first=1", "Cookie: %=FORGED", "Cookie: " + transaction, "Cookie: " + session, "Cookie: last=2"}, true, "00u1ada"},
				{"refused", "/denied", []string{"Cookie: first=1; %=FORGED; " + session + "; last=2; " + transaction}, true, ""},
				{"refused for two tokens", "/app", []string{"Authorization: Bearer x", "Cookie: first=1; " + session + "; last=2; " + transaction + "; %=FORGED"}, false, ""},
				{"refused for two sessions", "/app", []string{"Cookie: first=1; " + session + "; last=2; " + session + "; %=FORGED"}, false, ""},
				{"refused for a token", "/app", []string{"Authorization: Bearer x", "Cookie: first=1; last=2; " + transaction + "; %=FORGED"}, false, ""},
				{"where no policy decides", "/open", []string{"Cookie: first=1; " + session + "; %=FORGED; " + transaction + "; last=2"}, false, ""},
			} {
				for _, alias := range append(loginAliases(sessionCookie), loginAliases(transactionCookie)...) {
					if alias == sessionCookie && tc.once {
						continue
					}
					w.legacy.Forget()
					var lines []string
					for _, line := range tc.lines {
						lines = append(lines, strings.Replace(line, "%=", alias+"=", 1))
					}
					w.rawGet(tc.target, append(lines, "X-User: root")...)
					seen := w.received()
					if got := strings.Join(seen.Values("Cookie"), "; "); got != "first=1; last=2" {
						t.Errorf("%s, %q: the application received the cookies %q", tc.name, alias, got)
					}
					wantHeader(t, seen, "X-User", tc.user)
					for _, secret := range []string{"FORGED", session[20:60], transaction[20:50]} {
						if strings.Contains(string(seen.Raw), secret) {
							t.Errorf("%s, %q: the application received %q", tc.name, alias, seen.Raw)
						}
					}
				}
			}
		})
	}
}

// TestACookieOfAnotherNameIsNoSession is about cookies that a sibling domain may have
// tossed, and about two of one name (L3, L5).
func TestACookieOfAnotherNameIsNoSession(t *testing.T) {
	w := prepareLogins(t)
	w.load(w.loginSite(""), w.scriptedCorp())
	ada := w.person(nil, "00u1ada")
	ada.logsIn("/")
	value := ada.cookie(sessionCookie)
	for _, alias := range loginAliases(sessionCookie)[1:] {
		if code := answered(t, w.rawGet("/", "Cookie: "+alias+"="+value)); code != "401" {
			t.Errorf("%q is a session: %s", alias, code)
		}
	}
	w.nothingReceived()
	for _, path := range []string{"/", "/.token-enrich/session", "/.token-enrich/login", "/.token-enrich/logout", "/.token-enrich/callback", "/.token-enrich/logout/done"} {
		for name, lines := range map[string][]string{
			"in one line":   {"Cookie: " + sessionCookie + "=" + value + "; " + sessionCookie + "=" + value},
			"in two lines":  {"Cookie: " + sessionCookie + "=" + value, "Cookie: a=b; " + sessionCookie + "=x"},
			"behind others": {"Cookie: a=b; " + sessionCookie + "=x; c=d;" + sessionCookie + "=" + value},
		} {
			if code := answered(t, w.rawGet(path, append(lines, "Accept: text/html")...)); code != "400" {
				t.Errorf("%s, two sessions %s: status %s, want 400", path, name, code)
			}
		}
	}
	for _, path := range []string{"/.token-enrich/login", "/.token-enrich/callback?state=x&code=y"} {
		if code := answered(t, w.rawGet(path, "Cookie: "+transactionCookie+"=x; "+transactionCookie+"=y", "Accept: text/html")); code != "400" {
			t.Errorf("%s, two transactions: status %s, want 400", path, code)
		}
	}
	w.nothingReceived()
	wantStatus(t, ada.opens("/"), 200)
}

// TestTheSitesOwnAddressesAreAnsweredWhateverTheMatcher is about a policy for a part of
// the site: its endpoints are answered everywhere, before any token is checked.
func TestTheSitesOwnAddressesAreAnsweredWhateverTheMatcher(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	policy := "token_enrich /admin/* {\nname %s\nlogin corp\nexternal_url " + w.origin() + "\nheader X-User sub\n}\nreverse_proxy " + w.legacy.Addr()
	elsewhere := "127.0.0.1:" + port(w.addr)
	w.load(fmt.Sprintf(policy, "here")+"\n}\nhttp://"+elsewhere+" {\n"+fmt.Sprintf(policy, "there"), atCorp(o))
	ada := w.person(o, "00u1ada")
	ada.logsIn("/admin/x?y=1")
	session := ada.copied()

	const login, callback, logout, done, info = "/.token-enrich/login", "/.token-enrich/callback", "/.token-enrich/logout", "/.token-enrich/logout/done", "/.token-enrich/session"
	crossSite := []string{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site"}
	for _, tc := range []struct {
		method, path string
		headers      []string
		code         int
		allow        string
	}{
		{"GET", login, nil, 303, ""},
		{"HEAD", login, nil, 303, ""},
		{"POST", login, nil, 405, "GET, HEAD"},
		{"OPTIONS", login, nil, 405, "GET, HEAD"},
		{"GET", login + "?return=/admin/x&policy=here", nil, 303, ""},
		{"GET", login + "?return=//evil.example", nil, 400, ""},
		{"GET", login + "?return=/a&return=/b", nil, 400, ""},
		{"GET", callback, nil, 400, ""},
		{"GET", callback + "?code=a&state=b", nil, 400, ""},
		{"HEAD", callback + "?code=a&state=b", nil, 405, "GET"},
		{"POST", callback, nil, 405, "GET"},
		{"OPTIONS", callback, nil, 405, "GET"},
		{"GET", logout, nil, 200, ""},
		{"HEAD", logout, nil, 200, ""},
		{"POST", logout, crossSite, 403, ""},
		{"OPTIONS", logout, crossSite, 405, "GET, HEAD, POST"},
		{"GET", done, nil, 200, ""},
		{"POST", done, nil, 405, "GET, HEAD"},
		{"GET", info, byScript, 200, ""},
		{"HEAD", info, byScript, 200, ""},
		{"POST", info, byScript, 405, "GET, HEAD"},
		{"OPTIONS", info, byScript, 405, "GET, HEAD"},
	} {
		for name, more := range map[string][]string{"": nil, "with a bad token": {"Authorization", "Bearer bad"}, "rewritten by a header": {"X-Forwarded-Host", "evil.example", "X-Original-Url", "/"}} {
			got := session.in(t).sends(tc.method, tc.path, append(slices.Clone(more), tc.headers...)...)
			if got.StatusCode != tc.code || got.Header.Get("Allow") != tc.allow || got.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s %s %s: status %d, Allow %q, Cache-Control %q; want %d and %q", tc.method, tc.path, name, got.StatusCode, got.Header.Get("Allow"), got.Header.Get("Cache-Control"), tc.code, tc.allow)
			}
			if to := got.Header.Get("Location"); tc.code == 303 && (!strings.HasPrefix(to, o.Issuer) || strings.Contains(to, "evil")) {
				t.Errorf("%s %s %s: sent to %s", tc.method, tc.path, name, to)
			}
		}
	}
	w.nothingReceived()
	stranger := w.person(o, "00u2grace")
	wantCall(t, stranger.calls(info), 401)
	for _, path := range []string{"/.token-enrich/", "/.token-enrich/other", "/.token-enrich/login/", "/.token-enrich/LOGIN"} {
		stranger.opens(path) // these are the application's, as any path without a policy
		if seen := w.received(); seen.Line != "GET "+path+" HTTP/1.1" {
			t.Errorf("the application was asked for %s", seen.Line)
		}
	}
	for _, path := range []string{"/admin/x?y=1", login + "?return=%2Fadmin%2Fx", logout} {
		// Once for each browser: a proxy in front may replace the host.
		if to := sentTo(t, w.person(o, "00u2grace").opens("http://"+elsewhere+path)).String(); to != w.origin()+path {
			t.Errorf("http://%s%s leads to %s", elsewhere, path, to)
		}
	}
	w.nothingReceived()
}

// TestWhoeverHasNoSessionGetsAnAnswerOfUse is about what is redirected and what is not
// (L6).
func TestWhoeverHasNoSessionGetsAnAnswerOfUse(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	w.load(w.loginSite(""), loginIssuer("corp", o.Issuer, "audience "+audience, allScopes))
	stranger, ada := w.person(o, "00u2grace"), w.person(o, "00u1ada")
	ada.logsIn("/")
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	plainForm := []string{"Content-Type", formType, "Accept", "text/html"}
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("user:password"))
	with := func(more ...string) []string { return append(slices.Clone(navigation), more...) }
	for _, tc := range []struct {
		name, method string
		headers      []string
		redirect     bool
		page         int
	}{
		{"a page", "GET", navigation, true, 0},
		{"a page, HEAD", "HEAD", navigation, true, 0},
		{"a page of an old browser", "GET", []string{"Accept", "text/html,application/xhtml+xml"}, true, 0},
		{"a page with Basic authorization", "GET", with("Authorization", basic), true, 0},
		{"a page with an empty cookie", "GET", with("Cookie", sessionCookie+"="), true, 0},
		{"a page with a bad cookie", "GET", with("Cookie", sessionCookie+"=bad"), true, 0},
		{"fetch", "GET", byScript, false, 0},
		{"fetch, POST", "POST", byScript, false, 0},
		{"fetch with Basic authorization", "GET", append(slices.Clone(byScript), "Authorization", basic), false, 0},
		{"XMLHttpRequest of an old browser", "GET", []string{"Accept", "text/html", "X-Requested-With", "XMLHttpRequest"}, false, 0},
		{"curl", "GET", []string{"Accept", "*/*"}, false, 0},
		{"an image", "GET", []string{"Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image", "Accept", "image/*"}, false, 0},
		{"a frame", "GET", []string{"Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe", "Accept", "text/html"}, false, 0},
		{"a prefetch", "GET", with("Sec-Purpose", "prefetch;prerender"), false, 0},
		{"a WebSocket", "GET", upgrade, false, 0},
		{"a WebSocket of a page", "GET", append(slices.Clone(upgrade), "Sec-Fetch-Mode", "websocket", "Sec-Fetch-Dest", "websocket"), false, 0},
		{"a form", "POST", with("Content-Type", formType), false, 401},
		{"a form of an old browser", "POST", plainForm, false, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := stranger.in(t)
			got := p.sends(tc.method, "/page?a=1", tc.headers...)
			challenge := got.Header.Get("WWW-Authenticate")
			switch {
			case tc.redirect:
				to := sentTo(t, got)
				if challenge != "" || !strings.HasPrefix(to.String(), o.Issuer+"/auth?") {
					t.Errorf("sent to %s with the challenge %q", to, challenge)
				}
			case tc.page != 0:
				wantPage(t, got, tc.page)
				if all := links(got); len(all) != 1 || !strings.HasPrefix(all[0], "/.token-enrich/login") {
					t.Errorf("the page leads to %q", all)
				}
			default:
				if wantCall(t, got, 401); !strings.HasPrefix(challenge, "Bearer") {
					t.Errorf("the challenge is %q", challenge)
				}
			}
			p.nothingReceived()
		})
	}
	t.Run("a script learns where its page may log in", func(t *testing.T) {
		p := stranger.in(t)
		address := loginURLOf(t, p.calls("/api", "Referer", p.origin()+"/list?page=2"))
		got := p.arrives(address)
		wantStatus(t, got, 200)
		if at := got.Request.URL.RequestURI(); at != "/list?page=2" {
			t.Errorf("the login ends at %s", at)
		}
		w.legacy.Forget()
	})
	for _, tc := range []struct {
		name, token string
		session     bool
		code        int
	}{
		{"a bearer token beside a session", w.token("ada"), true, 400},
		{"an invalid bearer token beside a session", "bad", true, 400},
		{"an invalid bearer token", "bad", false, 401},
		{"a token of somebody else", w.token("ada"), false, 401},
		{"an ID token, which is no access token", ada.idToken(), false, 401},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := w.person(o, "00u1ada").in(t)
			if tc.session {
				p = ada.copied().in(t)
			}
			for _, headers := range [][]string{navigation, byScript} {
				got := p.sends("GET", "/", append(slices.Clone(headers), "Authorization", "Bearer "+tc.token)...)
				wantRefusal(t, got, tc.code)
				if got.Header.Get("Location") != "" || len(got.Header["Set-Cookie"]) > 0 {
					t.Errorf("the answer has %v", got.Header)
				}
			}
			p.nothingReceived()
		})
	}
	wantStatus(t, ada.opens("/"), 200)
}

// TestOtherSitesCannotUseASession is about requests that another site has the browser
// send (L17).
func TestOtherSitesCannotUseASession(t *testing.T) {
	w := prepareLogins(t)
	w.load(fmt.Sprintf("token_enrich /open* {\nname open\nlogin corp\ncross_origin allow\nheader X-User sub\n}\n%s", w.loginSite("")), w.scriptedCorp())
	ada := w.person(nil, "00u1ada")
	ada.logsIn("/")
	upgrade := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Version", "13", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="}
	for _, tc := range []struct {
		name, method, path string
		headers            []string
		code               int
	}{
		{"a read of another site", "GET", "/", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 200},
		{"a form of this site", "POST", "/", []string{"Sec-Fetch-Site", "same-origin", "Origin", w.origin()}, 200},
		{"a form of another site", "POST", "/", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 403},
		{"a form of a sibling", "POST", "/", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{"a form of another site, by its origin", "POST", "/", []string{"Origin", "https://evil.example"}, 403},
		{"a form of another site, as a page", "POST", "/", append([]string{"Sec-Fetch-Site", "cross-site", "Content-Type", formType}, navigation[:4]...), 403},
		{"DELETE of another site", "DELETE", "/", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{"a WebSocket of another site", "GET", "/", append([]string{"Origin", "https://evil.example"}, upgrade...), 403},
		{"a form of another site where that is allowed", "POST", "/open", []string{"Sec-Fetch-Site", "cross-site", "Origin", "https://evil.example"}, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := ada.in(t)
			p.legacy.Forget()
			wantStatus(t, p.sends(tc.method, tc.path, tc.headers...), tc.code)
			if tc.code == 200 {
				wantHeader(t, p.received(), "X-User", "00u1ada")
			} else {
				p.nothingReceived()
			}
		})
	}
	wantStatus(t, ada.opens("/"), http.StatusOK)
}

// TestCraftedCookiesDoNoHarm sends what a client may make up (L15).
func TestCraftedCookiesDoNoHarm(t *testing.T) {
	w := prepareLogins(t)
	w.servers = "max_header_size 64KiB"
	w.load(w.loginSite(""), w.scriptedCorp())
	ada := w.person(nil, "00u1ada")
	ada.logsIn("/")
	value := ada.cookie(sessionCookie)
	id, sealed, _ := strings.Cut(value, ".")
	shapes := []func(i int) string{
		func(i int) string { return sessionCookie + "=" + value[:i%len(value)] },
		func(i int) string { return sessionCookie + "=" + value + strings.Repeat("A", i+1) },
		func(i int) string { return sessionCookie + "=" + enrichtest.FlipSignature(value[:len(value)-i%20]) },
		func(i int) string { at := i % len(value); return sessionCookie + "=" + value[:at] + "!" + value[at+1:] },
		func(i int) string {
			return sessionCookie + "=" + strings.Repeat(string(rune('A'+i%26)), 22) + "." + sealed
		},
		func(i int) string { return sessionCookie + "=" + id + strings.Repeat(".", i%50) },
		func(i int) string { return sessionCookie + "=" + id + "." + strings.Repeat("A", i%5000) },
		func(i int) string { return sessionCookie + "=" + strings.Repeat("x", 160*(i%100)) },
		func(i int) string { return sessionCookie + "=2147483648; " + strings.Repeat("; ", i) + "=;" },
		func(i int) string { return strings.Repeat(fmt.Sprintf("c%d=1; ", i), 1000) + sessionCookie + "=" + id },
		func(i int) string {
			return transactionCookie + "=" + strings.Repeat("/", i%100) + "; " + sessionCookie + "=\x80\xff"
		},
		func(i int) string { return fmt.Sprintf("%s=%q; %s%%=%d", sessionCookie, value[:i], sessionCookie, i) },
	}
	paths := []string{"/", "/.token-enrich/session", "/.token-enrich/login", "/.token-enrich/callback?state=a&code=b", "/.token-enrich/logout"}
	for i := range 1000 {
		cookie := shapes[i%len(shapes)](i / len(shapes))
		path := paths[0]
		if i%3 == 0 {
			path = paths[i/3%len(paths)]
		}
		switch code := answered(t, w.rawGet(path, "Cookie: "+cookie, "Accept: text/html")); {
		case strings.HasPrefix(code, "4") || code == "303":
		case path == "/.token-enrich/logout" && code == "200": // asks
		default:
			t.Errorf("%s with %.80q: status %s", path, cookie, code)
		}
	}
	w.nothingReceived()
	wantStatus(t, ada.opens("/"), 200)
	wantHeader(t, w.received(), "X-User", "00u1ada")
}
