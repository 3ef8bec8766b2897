package integration

import (
	"fmt"
	"net/http"
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
		got := w.in(t).adminDo(http.MethodPost, "/token_enrich/explain", `{"token":"`+bearer+`"}`)
		wantStatus(t, got, 200)
		if !strings.Contains(got.body, "ada@example.com") {
			t.Errorf("explained: %s", got.body)
		}
	})
}
