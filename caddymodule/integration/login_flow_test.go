package integration

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// TestAPersonLogsInAndIsWhoTheirTokenSays goes the whole way: from a page through the
// provider's form and back, to what the application receives. It is what a bearer
// request with the ID token of the same person comes to, byte for byte (L14).
func TestAPersonLogsInAndIsWhoTheirTokenSays(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, nil)
	site := fmt.Sprintf(`token_enrich_jwks
	token_enrich {
		name web
		login corp
		app 0oa1payroll
		claim login user.login
		claim role app.profile.maxLimit
		claim team token.tenant
		claim operator `+"`isMemberOfGroupName(\"Ops\")`"+`
		header X-User login
		header X-Name name
		header X-Role role
		header X-Team team
		header X-Operator operator
		header X-Client client_id
		header X-Groups groups {
			list json
		}
		token {
			header X-Gateway-Token
			audience payroll
			claims email groups team login
		}
		log_decision all
		test ada {
			issuer corp
			subject 00u1ada
			client %s
			expect header X-User ada@example.com
			expect header X-Operator true
		}
	}
	reverse_proxy %s`, loginClient, w.legacy.Addr())
	issuer := loginIssuer("corp", o.Issuer, "audience "+loginClient+"\ntokens id", allScopes)
	w.load(site, issuer, "directory file "+w.directory, w.signer(), "explain values")
	w.signed()
	ada := w.person(o, "00u1ada")
	const page = "/orders/7?id=7&x=%2F%20&y"
	ada.logsIn(page)

	wantStatus(t, ada.opens(page), 200)
	bySession := w.received()
	if bySession.Line != "GET "+page+" HTTP/1.1" {
		t.Errorf("the application was asked for %s, want %s", bySession.Line, page)
	}
	bearer := w.person(o, "00u1ada").idToken()
	wantStatus(t, w.get(page, bearer, navigation...), 200)
	byToken := w.received()
	const own = "x-gateway-token"
	others := func(seen enrichtest.RawRequest) []enrichtest.Field {
		return slices.DeleteFunc(fieldsLike(seen, "x-"), func(f enrichtest.Field) bool { return strings.EqualFold(f.Name, own) })
	}
	if a, b := others(bySession), others(byToken); !slices.Equal(a, b) || len(a) < 7 {
		t.Errorf("by the session %q, by the token %q", a, b)
	}
	wantHeader(t, bySession, "X-User", "ada@example.com")
	wantHeader(t, bySession, "X-Name", "Ada Ampère")
	signed := func(seen enrichtest.RawRequest) string {
		claims := w.verified(asReceived(seen, own), "payroll")
		for _, name := range []string{"iat", "exp", "nbf", "jti"} {
			if claims[name] == nil && name != "nbf" {
				t.Errorf("the signed token has no %s", name)
			}
			delete(claims, name)
		}
		return asJSON(t, claims)
	}
	// The ID token itself says neither what was granted nor to whom.
	granted := strings.NewReplacer(`"client_id":"`+loginClient+`",`, "", `"scope":"openid profile email groups",`, "")
	if a, b := signed(bySession), signed(byToken); granted.Replace(a) != b || a == b || !strings.Contains(a, `"groups":["admins","dev"]`) {
		t.Errorf("signed by the session %s, by the token %s", a, b)
	}

	t.Run("the second request uses the decision of the first", func(t *testing.T) {
		p := ada.in(t)
		hits := func() float64 { return w.metric("decision_seconds_count", "policy", "web", "path", "hit") }
		before := hits()
		wantStatus(t, p.opens("/other"), 200)
		if after := hits(); after != before+1 {
			t.Errorf("%v requests used a decision, want one", after-before)
		}
	})
	t.Run("the metrics count the login", func(t *testing.T) {
		w := w.in(t)
		if n := w.metric("logins_total", "issuer", "corp", "outcome", "ok"); n != 1 {
			t.Errorf("%v logins, want one", n)
		}
	})
	t.Run("what is explained of the person is what happens", func(t *testing.T) {
		for _, body := range []string{`{"token":"` + bearer + `"}`, `{"issuer":"corp","subject":"00u1ada","client":"` + loginClient + `"}`} {
			got := w.in(t).adminDo(http.MethodPost, "/token_enrich/explain", body)
			wantStatus(t, got, 200)
			var explained struct {
				Headers []struct {
					Name   string
					Values []string
				}
			}
			readJSON(t, got, &explained)
			values := map[string]string{}
			for _, h := range explained.Headers {
				values[h.Name] = strings.Join(h.Values, ", ")
			}
			for _, name := range []string{"X-User", "X-Role", "X-Operator"} {
				wantHeader(t, bySession, name, values[name])
			}
		}
	})
	t.Run("check tries the tests of a policy with a login", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "Caddyfile")
		w.in(t).write(file, w.caddyfile(site, issuer, "directory file "+w.directory, w.signer(), "explain values"))
		if o := caddyCommand(t, "check", "--config", file); o.code != 0 {
			t.Errorf("exit status %d: %s%s", o.code, o.stdout, o.stderr)
		}
	})
}

// TestALoginOverEveryProtocol is about a site with a certificate, whose cookies have
// the prefix that no sibling domain can set (L5).
func TestALoginOverEveryProtocol(t *testing.T) {
	w := prepareLogins(t)
	o := w.withProvider(enrichtest.OPConfig{}, func(c *enrichtest.OPLoginClient) {
		c.RedirectURIs = []string{"https://" + w.addr + "/.token-enrich/callback"}
	})
	const name = "__Host-" + sessionCookie
	for _, protocol := range []string{"HTTP/1.1", "HTTP/2", "HTTP/3"} {
		t.Run(protocol, func(t *testing.T) {
			w := w.in(t)
			w.overTLS(protocol, w.loginSite("external_url https://"+w.addr), atCorp(o))
			ada := w.person(o, "00u1ada")
			begun := ada.opens("/x?y=1")
			for _, c := range begun.Cookies() {
				if c.Name != "__Host-"+transactionCookie || !c.Secure || !c.HttpOnly || c.Path != "/" || c.Domain != "" || c.SameSite != http.SameSiteLaxMode || c.MaxAge != 0 {
					t.Errorf("a login sets %s", c)
				}
			}
			back := ada.follows(begun)
			sentTo(t, back)
			if len(back.Cookies()) != 1 {
				t.Fatalf("the callback sets %q", back.Header["Set-Cookie"])
			}
			session := back.Cookies()[0]
			if session.Name != name || !session.Secure || !session.HttpOnly || session.Path != "/" || session.Domain != "" || session.SameSite != http.SameSiteLaxMode || session.MaxAge != 0 || !session.Expires.IsZero() {
				t.Errorf("the callback sets %s", session)
			}
			wantStatus(t, ada.opens("/x?y=1"), 200)
			wantHeader(t, w.received(), "X-User", "00u1ada")
			good := name + "=" + session.Value
			for _, alias := range append(loginAliases(name), sessionCookie, strings.ToLower(name)) {
				if alias == name {
					continue
				}
				w.legacy.Forget()
				wantStatus(t, w.over("/", "Cookie", "first=1; "+alias+"="+session.Value), 401)
				w.nothingReceived()
				if got := w.over("/", "Cookie", "first=1", "Cookie", alias+"=FORGED", "Cookie", good, "Cookie", "last=2"); got.StatusCode != 200 {
					t.Errorf("%q beside the session: status %d", alias, got.StatusCode)
					continue
				}
				seen := w.received()
				wantHeader(t, seen, "X-User", "00u1ada")
				if got := strings.Join(seen.Values("Cookie"), "; "); got != "first=1; last=2" && alias != sessionCookie {
					t.Errorf("%q: the application received the cookies %q", alias, got)
				}
			}
			wantStatus(t, w.over("/", "Cookie", good, "Cookie", name+"=x"), 400)
		})
	}
}
