package integration

import (
	"bytes"
	_ "embed" // brings the JavaScript example's lock file along
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func TestSignedTokenSaysWhatThePolicySays(t *testing.T) {
	nested := enrichtest.Claims{
		"address": map[string]any{"city": "Łódź", "geo": map[string]any{"lat": 51.75, "lon": []any{19, 45.5}}, "none": nil},
		"tier":    "gold", "large": json.Number("9007199254740993"), "nonce": nil, "cnf": nil, "uid": 4711,
		"act": map[string]any{"sub": "service"}, "groups": []any{"from the token"}, "email": "ada@corp.example",
	}
	always := []string{"iss", "sub", "aud", "exp", "iat", "nbf", "jti", "client_id", "scope"}
	for _, tc := range []struct {
		name, options string
		want          map[string]any // beside what every token has; nil: just not looked at
		only          bool
	}{
		{"the computed ones by default", "", map[string]any{"groups": []any{"Everyone", "IT", "Ops"}, "login": "ada@example.com"}, true},
		{"named ones", "claims login email tier sub", map[string]any{"login": "ada@example.com", "email": "ada@corp.example"}, true},
		{"names that are there anyway", "claims iss sub", map[string]any{}, true},
		{"all, with the computed ones on top", "claims *", map[string]any{
			"groups": []any{"Everyone", "IT", "Ops"}, "login": "ada@example.com", "email": "ada@corp.example",
			"address": nested["address"], "act": nested["act"], "large": json.Number("9007199254740993"), "uid": json.Number("4711"),
		}, false},
		{"a computed subject", "subject login", map[string]any{"sub": "ada@example.com"}, false},
		{"a subject of the token", "subject email", map[string]any{"sub": "ada@corp.example"}, false},
		{"a number as subject", "subject uid", map[string]any{"sub": "4711"}, false},
		{"two audiences", "audience payroll archive", map[string]any{"aud": []any{"payroll", "archive"}}, false},
		{"one audience is a string", "", map[string]any{"aud": "payroll", "sub": "00u1ada", "client_id": "0oa1payroll", "scope": "openid groups"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			if !strings.Contains(tc.options, "audience") {
				tc.options += "\naudience payroll"
			}
			w.load(`token_enrich_jwks
	token_enrich {
		claim groups groups regex .*
		claim login user.login
		claim tier user.tier
		token {
			`+tc.options+`
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), w.signer())
			w.signed()
			incoming := w.token("00u1ada", nested)
			in, err := enrichtest.Payload(incoming)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // the second comes from the decision cache
				wantStatus(t, w.get("/", incoming), 200)
				token := asReceived(w.received(), "Authorization")
				w.verified(token, "payroll")
				got := exactly(t, token)
				for name, want := range tc.want {
					if a, b := asJSON(t, got[name]), asJSON(t, want); a != b {
						t.Errorf("%s is %s, want %s", name, a, b)
					}
				}
				for _, name := range always {
					if got[name] == nil {
						t.Errorf("%s is missing", name)
					}
				}
				if _, there := got["tier"]; there {
					t.Error("a claim whose rule gave nothing is taken from the incoming token")
				}
				if got["jti"] == in["jti"] || got["iss"] == in["iss"] {
					t.Errorf("jti %v and iss %v are of the incoming token", got["jti"], got["iss"])
				}
				for name := range got {
					if _, wanted := tc.want[name]; tc.only && !wanted && !slices.Contains(always, name) {
						t.Errorf("it has a claim %s besides", name)
					}
				}
			}
		})
	}
}

// exactly reads a token's claims with numbers as they stand.
func exactly(t *testing.T, token string) map[string]any {
	t.Helper()
	_, payload, _ := segments(token)
	text, err := base64.RawURLEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var claims map[string]any
	if err := d.Decode(&claims); err != nil {
		t.Fatal(err)
	}
	return claims
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestBoundAndForeignClaimsDoNotPassIntoTheSignedToken(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich {
		token {
			audience payroll
			claims *
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), w.signer())
	w.signed()
	wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"s_hash": "x", "sid": "s1"})), 200)
	claims := w.verified(asReceived(w.received(), "Authorization"), "payroll")
	if claims["s_hash"] != nil || claims["sid"] != "s1" {
		t.Errorf("the token says %v", claims)
	}
}

func TestSubjectThatIsNoneRefusesTheRequest(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich {
		token {
			audience payroll
			subject employee
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), w.signer())
	w.signed()
	for name, value := range map[string]any{"absent": nil, "empty": "", "a list": []string{"a"}, "an object": map[string]any{"a": 1}, "a truth": true} {
		t.Run(name, func(t *testing.T) {
			wantRefusal(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"employee": value})), 401)
			w.nothingReceived()
		})
	}
	wantStatus(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"employee": "e1"})), 200)
	if claims := w.verified(asReceived(w.received(), "Authorization"), "payroll"); claims["sub"] != "e1" {
		t.Errorf("sub is %v", claims["sub"])
	}
}

// tokenOf is what a header of the next request to the application holds.
func (w *world) tokenOf(name, incoming string) string {
	w.t.Helper()
	wantStatus(w.t, w.get("/", incoming), 200)
	return asReceived(w.received(), name)
}

func TestMintedTokenServesHalfItsLifeOrOneRequest(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich {
		token {
			audience payroll
			ttl 1h
		}
		token {
			header X-Once
			audience payroll
			mint per_request
		}
		token {
			header X-Short
			audience payroll
			ttl 2s
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.standard(), w.signer())
	w.signed()
	incoming := w.token("00u1ada")
	cached, once := map[string]bool{}, map[string]bool{}
	var first string
	for range 4 {
		wantStatus(t, w.get("/", incoming), 200)
		seen := w.received()
		cached[asReceived(seen, "Authorization")] = true
		jti, _ := w.verified(asReceived(seen, "X-Once"), "payroll")["jti"].(string)
		once[jti] = true
		if first == "" {
			first = asReceived(seen, "X-Short")
		}
	}
	if len(cached) != 1 {
		t.Errorf("%d tokens served four requests, want one", len(cached))
	}
	if len(once) != 4 {
		t.Errorf("%d token ids for four requests, want four", len(once))
	}
	// Another token of the same user is another decision, with a token of its own.
	if cached[w.tokenOf("Authorization", w.token("00u1ada"))] {
		t.Error("two incoming tokens share one signed token")
	}
	eventually(t, "a new token after half the life of the old one", func() bool { return w.tokenOf("X-Short", incoming) != first })
}

func TestIncomingTokenReachesTheApplicationOnlyWhereItIsKept(t *testing.T) {
	for _, tc := range []struct {
		name, options string
		kept          bool
	}{
		{"dropped", "token {\nheader X-Token\naudience payroll\n}", false},
		{"dropped in so many words", "upstream_token drop\ntoken {\nheader X-Token\naudience payroll\n}", false},
		{"kept beside ours", "upstream_token keep\ntoken {\nheader X-Token\naudience payroll\n}", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := prepare(t)
			w.load("token_enrich_jwks\ntoken_enrich {\n"+tc.options+"\n}\nreverse_proxy "+w.legacy.Addr(), w.standard(), w.signer())
			w.signed()
			incoming := w.token("00u1ada")
			wantStatus(t, w.get("/", incoming), 200)
			seen := w.received()
			w.verified(asReceived(seen, "X-Token"), "payroll")
			if got := strings.Contains(string(seen.Raw), incoming); got != tc.kept {
				t.Errorf("the application received the incoming token: %v, want %v", got, tc.kept)
			}
		})
	}
}

func TestSignedTokenNeverOutlivesTheIncomingOne(t *testing.T) {
	w := prepare(t)
	w.load(`token_enrich_jwks
	token_enrich {
		token {
			audience payroll
			ttl 1h
		}
	}
	reverse_proxy `+w.legacy.Addr(), w.issuerBlock("leeway 2m")+"\ndirectory file "+w.directory, w.signer())
	w.signed()
	now := time.Now().Unix()
	for name, tc := range map[string]struct{ incoming, latest any }{
		"a short one":            {now + 120, now + 120},
		"with a fraction":        {float64(now) + 120.75, now + 120},
		"a long one":             {now + 86400, now + 3600 + 60},
		"past it, in the leeway": {now - 30, now - 30 + 120},
	} {
		t.Run(name, func(t *testing.T) {
			claims := exactly(t, w.tokenOf("Authorization", w.token("00u1ada", enrichtest.Claims{"exp": tc.incoming, "iat": now - 300, "nbf": nil})))
			exp, err := claims["exp"].(json.Number).Int64()
			if err != nil {
				t.Fatalf("exp is not whole: %v", err)
			}
			latest, _ := tc.latest.(int64)
			if exp > latest || exp <= now {
				t.Errorf("exp is %d, want after %d and at most %d", exp, now, latest)
			}
		})
	}
	wantRefusal(t, w.get("/", w.token("00u1ada", enrichtest.Claims{"exp": now - 130, "iat": now - 300, "nbf": nil})), 401)
}
