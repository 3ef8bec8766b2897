package integration

import (
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func TestOwnEndpointsPassNothingOn(t *testing.T) {
	const resource = "\nresource http://127.0.0.1/\n"
	endpoints := "token_enrich_jwks\ntoken_enrich_ready /ready\n"
	for _, path := range []string{"/.well-known/jwks.json", "/.well-known/openid-configuration", "/ready", "/.well-known/oauth-protected-resource"} {
		t.Run(path, func(t *testing.T) {
			w := prepare(t)
			w.load(endpoints+site(resource)+w.legacy.Addr(), w.standard(), signing)
			eventually(t, "200", func() bool {
				return answered(t, w.attack("GET", path, "", []string{"X-User"})) == "200"
			})
			w.nothingReceived()
		})
	}
	t.Run("a method that they do not answer, with a proxy in the error route", func(t *testing.T) {
		w := prepare(t)
		w.load(endpoints+site(resource)+w.legacy.Addr()+"\nhandle_errors {\nreverse_proxy "+w.legacy.Addr()+"\n}", w.standard(), signing)
		w.attack("POST", "/.well-known/jwks.json", "", keys(spoofedNames))
		w.wantHeaders(nothing(spoofedNames))
	})
	for name, more := range map[string][]string{
		"a hook that refuses a bad token": {"Content-Type: application/x-www-form-urlencoded", "Content-Length: 14"},
		"a hook that refuses no token":    {"Content-Type: application/x-www-form-urlencoded", "Content-Length: 0"},
		"a hook that refuses a form":      {"Content-Type: text/plain", "Content-Length: 0"},
	} {
		t.Run(name+", with a proxy in the error route", func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich_hook /logout backchannel_logout {\nissuer corp\naudience gateway\n}\n" + site("") + w.legacy.Addr() + "\nhandle_errors {\nreverse_proxy " + w.legacy.Addr() + "\n}")
			lines := append([]string{"POST /logout HTTP/1.1", "Host: " + w.addr, "Connection: close"}, append(more, forged(keys(spoofedNames)...)...)...)
			body := ""
			if strings.HasSuffix(more[1], "14") {
				body = "logout_token=x"
			}
			w.raw(strings.Join(lines, "\r\n") + "\r\n\r\n" + body)
			for _, seen := range w.legacy.Requests() {
				for name := range spoofedNames {
					wantHeader(t, seen, name, "")
				}
			}
		})
	}
}

func TestErrorRouteWithAProxyReceivesNoForgedHeader(t *testing.T) {
	for _, tc := range []struct{ name, site, subject, path string }{
		{"after a refusal without a token", site(""), "", "/"},
		{"after a refusal of a bad token", site(""), "bad", "/"},
		{"after a denial", site("require `1 == 2`"), "00u1ada", "/"},
		{"after a rule's error", site("claim wrong user.nosuch.deep"), "00u1ada", "/"},
		{"after a header's error", site("header X-Large huge {\nmax_bytes 1\n}\nclaim huge user.login"), "00u1ada", "/"},
		{"after an error behind us", "error /fails 404\n" + site(""), "00u1ada", "/fails"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load(tc.site + w.legacy.Addr() + "\nhandle_errors {\nreverse_proxy " + w.legacy.Addr() + "\n}")
			token := ""
			switch tc.subject {
			case "":
			case "bad":
				token = enrichtest.FlipSignature(w.token("00u1ada"))
			default:
				token = w.token(tc.subject)
			}
			w.attack("GET", tc.path, token, append(keys(spoofedNames), "X-Large"))
			seen := w.received()
			for name := range spoofedNames {
				for _, f := range seen.Like(name) {
					if strings.Contains(f.Value, "root") {
						t.Errorf("the error route's application received %v", f)
					}
				}
			}
		})
	}
}

func TestErrorRouteReceivesNoForgedTrailer(t *testing.T) {
	for name, token := range map[string]string{"without a token": "", "with a bad token": "Authorization: Bearer garbage\r\n"} {
		t.Run(name, func(t *testing.T) {
			w := prepare(t)
			w.load(site("") + w.legacy.Addr() + "\nhandle_errors {\ntoken_enrich_scrub\nreverse_proxy " + w.legacy.Addr() + "\n}")
			w.raw("POST / HTTP/1.1\r\nHost: " + w.addr + "\r\nConnection: close\r\nTE: trailers\r\n" + token +
				"Trailer: X-User\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nX-User: root\r\nX-Null: root\r\nx_user: root\r\n\r\n")
			if seen := w.received(); strings.Contains(string(seen.Raw), "root") {
				t.Errorf("the error route's application received %q", seen.Raw)
			}
		})
	}
}

func TestPolicyInAnErrorRouteDecidesForItself(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich /main* {
		name main
		require ` + "`1 == 2`" + `
	}
	reverse_proxy ` + w.legacy.Addr() + `
	handle_errors {
		token_enrich {
			name fallback
			claim login user.login
			header X-User login
		}
		reverse_proxy ` + w.legacy.Addr() + `
	}`)
	for name, token := range map[string]string{"no token": "", "a bad token": "garbage", "a stranger's": enrichtest.FlipSignature(w.token("00u1ada"))} {
		if got := w.get("/main", token, "X-User", "root"); got.StatusCode < 400 {
			t.Errorf("%s: status %d", name, got.StatusCode)
		}
		w.nothingReceived()
	}
	// A token that the first policy denies may be good enough for the second,
	// with the headers that say whose it is, or not; but never without them.
	w.get("/main", w.token("00u1ada"), "X-User", "root")
	for _, seen := range w.legacy.Requests() {
		wantHeader(t, seen, "X-User", "ada@example.com")
	}
}

func TestEarlyScrubProtectsWhatStandsBeforeThePolicy(t *testing.T) {
	named := keys(spoofedNames)
	t.Run("a directive that answers", func(t *testing.T) {
		w := prepare(t)
		w.load("token_enrich_scrub\nheader X-Back [{http.request.header.X-User}]\nredir /early /to/{http.request.header.X-User}\n" + site("") + w.legacy.Addr())
		got := w.attack("GET", "/early", "", named)
		if answered(t, got) != "302" || strings.Contains(got, "root") {
			t.Errorf("the early answer is %q", got)
		}
	})
	t.Run("basic_auth that fails, with a proxy in the error route", func(t *testing.T) {
		w := prepare(t)
		w.load("token_enrich_scrub\nbasic_auth {\nbob $2a$04$2gH2Jp6kmPm2d0cLpJz9JOJIXQXGsYzFrGJVYKeI4Bo7T2lC6q6wi\n}\n" + site("") + w.legacy.Addr() + "\nhandle_errors {\nreverse_proxy " + w.legacy.Addr() + "\n}")
		if got := answered(t, w.attack("GET", "/", "", named)); got != "200" {
			t.Fatalf("status %s from the error route", got)
		}
		w.wantHeaders(nothing(spoofedNames))
	})
	t.Run("forward_auth", func(t *testing.T) {
		w := prepare(t)
		authority := enrichtest.NewLegacy(t)
		w.load("token_enrich_scrub\nforward_auth " + authority.Addr() + " {\nuri /auth\n}\n" + site("") + w.legacy.Addr())
		if got := answered(t, w.attack("GET", "/", w.token("00u1ada"), named)); got != "200" {
			t.Fatalf("status %s", got)
		}
		w.wantHeaders(spoofedNames)
		seen := authority.Requests()
		if len(seen) != 1 {
			t.Fatalf("the authority was asked %d times", len(seen))
		}
		for _, name := range named {
			wantHeader(t, seen[0], name, "")
		}
	})
	t.Run("an error route of its own", func(t *testing.T) {
		w := prepare(t)
		w.load("error /fails 500\nroute {\nerror /fails 500\n}\n" + site("") + w.legacy.Addr() + "\nhandle_errors {\ntoken_enrich_scrub\nreverse_proxy " + w.legacy.Addr() + "\n}")
		w.attack("GET", "/fails", "", named)
		w.wantHeaders(nothing(spoofedNames))
	})
	t.Run("what forward_auth copies under an owned name does not pass for ours", func(t *testing.T) {
		w := prepare(t)
		authority := enrichtest.NewLegacy(t)
		authority.Respond(func(enrichtest.RawRequest) []byte {
			return []byte("HTTP/1.1 200 OK\r\nX-User: authority\r\nX-Null: authority\r\nContent-Length: 0\r\n\r\n")
		})
		w.load("token_enrich_scrub\nforward_auth " + authority.Addr() + " {\nuri /auth\ncopy_headers X-User X-Null\n}\n" + site("") + w.legacy.Addr())
		if got := answered(t, w.attack("GET", "/", w.token("00u1ada"), named)); got != "200" {
			t.Fatalf("status %s", got)
		}
		w.wantHeaders(spoofedNames)
	})
}
