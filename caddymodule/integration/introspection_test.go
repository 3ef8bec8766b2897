package integration

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// Who the gateway is at the issuer.
const (
	introspectClient = "gateway"
	introspectSecret = "s3cret of the gateway: +&="
)

// introspects runs a gateway that asks the issuer about tokens; options are
// further ones of introspect.
func introspects(t *testing.T, options string, issuerOptions ...string) *world {
	t.Helper()
	w := prepare(t)
	// In Basic, secrets are encoded as in a form (RFC 6749, section 2.3.1).
	w.issuer.RequireClient(introspectClient, url.QueryEscape(introspectSecret))
	w.loadIntrospecting(options, issuerOptions...)
	return w
}

func (w *world) loadIntrospecting(options string, issuerOptions ...string) {
	w.t.Helper()
	w.t.Setenv("INTROSPECT_SECRET", introspectSecret)
	block := fmt.Sprintf("introspect %s {\nclient_id %s\nclient_secret {env.INTROSPECT_SECRET}\n%s\n}\n%s",
		w.issuer.URL(enrichtest.Introspection), introspectClient, options, strings.Join(issuerOptions, "\n"))
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock(block), script(w.t, knows("somebody")))
}

// opaque makes an opaque token that introspection knows.
func (w *world) opaque(claims enrichtest.Claims) string {
	w.t.Helper()
	all := enrichtest.Claims{"sub": "ada", "aud": audience}
	maps.Copy(all, claims)
	return w.issuer.Opaque(all)
}

func TestOpaqueTokenIsAskedAboutOnce(t *testing.T) {
	w := introspects(t, "")
	token := w.opaque(nil)
	for range 3 {
		wantStatus(t, w.get("/", token), 200)
		wantHeader(t, w.received(), "X-User", "somebody")
	}
	if n := w.issuer.Hits(enrichtest.Introspection); n != 1 {
		t.Errorf("introspection was asked %d times", n)
	}
	asked := w.issuer.Requests(enrichtest.Introspection)[0]
	if asked.Method != http.MethodPost || asked.Form.Get("token") != token || asked.Form.Get("token_type_hint") != "access_token" || asked.Form.Has("client_secret") {
		t.Errorf("the question is %s %v", asked.Method, asked.Form)
	}
	for _, secret := range []string{token, introspectSecret, asked.Header.Get("Authorization")} {
		if strings.Contains(w.logged(), secret) {
			t.Error("the log holds a secret or a token")
		}
	}
}

func TestManyAtOnceAskOnce(t *testing.T) {
	w := introspects(t, "")
	token := w.opaque(nil)
	gate := make(chan struct{})
	w.issuer.Break(enrichtest.Introspection, enrichtest.Hold(gate))
	var all sync.WaitGroup
	codes := make([]int, 20)
	for i := range codes {
		all.Go(func() { codes[i] = w.get("/", token).StatusCode })
	}
	eventually(t, "the question", func() bool { return w.issuer.Hits(enrichtest.Introspection) > 0 })
	close(gate)
	all.Wait()
	for _, code := range codes {
		if code != 200 {
			t.Errorf("status %d", code)
		}
	}
	if n := w.issuer.Hits(enrichtest.Introspection); n != 1 {
		t.Errorf("introspection was asked %d times", n)
	}
}

func TestOpaqueTokensThatAreRefused(t *testing.T) {
	w := introspects(t, "")
	now := time.Now()
	known := map[string]enrichtest.Claims{
		"expired":                        {"exp": now.Add(-time.Hour).Unix()},
		"not valid yet":                  {"nbf": now.Add(time.Hour).Unix()},
		"an exp that is a text":          {"exp": "never"},
		"another audience":               {"aud": "api://other"},
		"no audience":                    {"aud": nil},
		"another issuer":                 {"iss": "https://other.example"},
		"no subject":                     {"sub": nil, "client_id": nil},
		"a type that is neither":         {"token_type": "mac"},
		"an ID token":                    {"nonce": "n"},
		"a logout token":                 {"events": map[string]any{}},
		"bound to a key":                 {"cnf": map[string]any{"jkt": "AAAA"}},
		"bound to a certificate":         {"cnf": map[string]any{"x5t#S256": "AAAA"}},
		"bound in a way that is strange": {"cnf": map[string]any{"kid": "k"}},
	}
	for name, claims := range known {
		t.Run(name, func(t *testing.T) {
			token := w.opaque(claims)
			// What the provider says beside token_type is overlaid by it.
			if claims["token_type"] != nil {
				w.issuer.OnIntrospect(func(string, *http.Request) (int, any) {
					return 200, enrichtest.Claims{"active": true, "sub": "ada", "aud": audience, "token_type": "mac", "exp": now.Add(time.Hour).Unix()}
				})
				defer w.issuer.OnIntrospect(nil)
			}
			for range 2 {
				w.wantInvalidToken(t, w.get("/", token))
			}
		})
	}
	t.Run("inactive", func(t *testing.T) {
		before := w.issuer.Hits(enrichtest.Introspection)
		for range 3 {
			w.wantInvalidToken(t, w.get("/", "opaque.unknown"))
		}
		if n := w.issuer.Hits(enrichtest.Introspection) - before; n != 1 {
			t.Errorf("a client that insists made %d questions", n)
		}
	})
	t.Run("inactive with all that an active one has", func(t *testing.T) {
		w.issuer.OnIntrospect(func(string, *http.Request) (int, any) {
			return 200, enrichtest.Claims{"active": false, "sub": "ada", "aud": audience, "exp": now.Add(time.Hour).Unix()}
		})
		defer w.issuer.OnIntrospect(nil)
		w.wantInvalidToken(t, w.get("/", "opaque.inactive"))
	})
	t.Run("what no bearer token looks like is not asked about", func(t *testing.T) {
		before := w.issuer.Hits(enrichtest.Introspection)
		for _, token := range []string{"a b", "tö", `a"b`, "====", "a,b", strings.Repeat("a", 17<<10)} {
			w.wantInvalidToken(t, w.get("/", token))
		}
		if n := w.issuer.Hits(enrichtest.Introspection) - before; n != 0 {
			t.Errorf("%d questions", n)
		}
	})
	wantStatus(t, w.get("/", w.opaque(nil)), 200)
}

// An endpoint in trouble says nothing about a token, and nothing of it is kept.
func TestAnswersThatAreNoneAre503(t *testing.T) {
	w := introspects(t, "")
	active := enrichtest.Claims{"active": "true", "sub": "ada", "aud": audience}
	for name, fault := range map[string]enrichtest.Fault{
		"HTML":                    enrichtest.ContentType("text/html"),
		"no content type":         enrichtest.ContentType(""),
		"an HTML page":            enrichtest.Status(200, "<html>sign in</html>"),
		"an error":                enrichtest.Status(500, "oops"),
		"unavailable":             enrichtest.Status(503, ""),
		"our credentials refused": enrichtest.Status(401, `{"error":"invalid_client"}`),
		"forbidden":               enrichtest.Status(403, ""),
		"not found":               enrichtest.Status(404, ""),
		"throttled":               enrichtest.Status(429, ""),
		"no content":              enrichtest.Status(204, ""),
		"a redirect":              enrichtest.Redirect("http://127.0.0.1:1/"),
		"a cut connection":        enrichtest.Cut(),
		"half an answer":          enrichtest.Truncated(),
		"an answer without end":   enrichtest.Huge(8 << 20),
		"a kind that it does not": enrichtest.Status(400, `{"error":"unsupported_token_type"}`),
		"active is a text":        says(200, active),
		"active is missing":       says(200, enrichtest.Claims{"sub": "ada"}),
		"active is null":          says(200, `{"active":null}`),
		"active is a number":      says(200, `{"active":1}`),
		"active twice":            says(200, `{"active":false,"active":true,"sub":"ada","aud":"api://legacy"}`),
		"Active in capitals":      says(200, `{"Active":true,"sub":"ada","aud":"api://legacy"}`),
		"a list":                  says(200, `[{"active":true}]`),
		"a text":                  says(200, `"active"`),
		"two values":              says(200, `{"active":true}{"active":true}`),
		"nothing":                 says(200, ``),
		"unsupported_token_type":  says(400, enrichtest.Claims{"error": "unsupported_token_type"}),
		"the same, with a 200":    says(200, enrichtest.Claims{"error": "unsupported_token_type"}),
	} {
		t.Run(name, func(t *testing.T) {
			token := w.opaque(nil)
			w.issuer.Break(enrichtest.Introspection, fault)
			for range 2 {
				got := w.get("/", token)
				if got.StatusCode != 503 || got.Header.Get("Retry-After") == "" || got.Header.Get("WWW-Authenticate") != "" {
					t.Errorf("status %d, %v", got.StatusCode, got.Header)
				}
			}
			w.nothingReceived()
			w.issuer.Mend(enrichtest.Introspection)
			wantStatus(t, w.get("/", token), 200)
			w.legacy.Forget()
		})
	}
	log := w.logged()
	if !strings.Contains(log, "does not introspect tokens of this kind") || strings.Contains(log, introspectSecret) {
		t.Error("the log does not say what is wrong with the configuration, or says the secret")
	}
}

// says answers with a status and a document, which is JSON whatever it holds.
func says(status int, document any) enrichtest.Fault {
	return saysAs(status, "application/json", document)
}

func saysAs(status int, mediaType string, document any) enrichtest.Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.HandlerFunc) {
		w.Header().Set("Content-Type", mediaType)
		w.WriteHeader(status)
		_, _ = w.Write(documentText(document))
	}
}

func documentText(document any) []byte {
	if text, ok := document.(string); ok {
		return []byte(text)
	}
	text, err := json.Marshal(document)
	if err != nil {
		panic(err)
	}
	return text
}

func TestSlowIntrospectionEndsWithTheTimeout(t *testing.T) {
	w := introspects(t, "", "timeout 500ms")
	// The time-out is the key server's too, which a busy machine may exceed.
	eventually(t, "keys", func() bool { return w.get("/", w.token("ada")).StatusCode == 200 })
	w.legacy.Forget()
	w.issuer.Break(enrichtest.Introspection, enrichtest.Hang())
	token := w.opaque(nil)
	wantStatus(t, w.get("/", token), 503)
	w.nothingReceived()
	// Tokens that need no question are let in meanwhile.
	wantStatus(t, w.get("/", w.token("ada")), 200)
	w.issuer.Mend(enrichtest.Introspection)
	eventually(t, "the endpoint's return", func() bool { return w.get("/", token).StatusCode == 200 })
}

func TestRevokedTokenServesForTheTTLAndNoLonger(t *testing.T) {
	t.Run("inside", func(t *testing.T) {
		w := introspects(t, "ttl 1h")
		token := w.opaque(nil)
		wantStatus(t, w.get("/", token), 200)
		w.issuer.Revoke(token)
		wantStatus(t, w.get("/", token), 200)
		// Whom that is too long for: a denial ends it at once.
		w.legacy.Forget()
		w.ordered("deny", `{"user":"ada","issuer":"corp"}`)
		w.wantInvalidToken(t, w.get("/", token))
	})
	t.Run("after", func(t *testing.T) {
		w := introspects(t, "ttl 1ms")
		token := w.opaque(nil)
		wantStatus(t, w.get("/", token), 200)
		w.issuer.Revoke(token)
		eventually(t, "the end of what was kept", func() bool { return w.get("/", token).StatusCode == 401 })
		w.legacy.Forget()
		w.wantInvalidToken(t, w.get("/", token))
	})
	t.Run("never past exp", func(t *testing.T) {
		w := introspects(t, "ttl 1h", "leeway 0s")
		// A machine that is busy for three seconds gets another token.
		token := ""
		eventually(t, "a question in time", func() bool {
			token = w.opaque(enrichtest.Claims{"exp": time.Now().Add(3 * time.Second).Unix()})
			return w.get("/", token).StatusCode == 200
		})
		eventually(t, "the token's end", func() bool { return w.get("/", token).StatusCode == 401 })
	})
}

func TestWhenAlwaysAsksAboutJWTsToo(t *testing.T) {
	w := introspects(t, "when always\nttl 1h")
	revoked := map[string]bool{}
	var mu sync.Mutex
	w.issuer.OnIntrospect(func(token string, _ *http.Request) (int, any) {
		claims, err := enrichtest.Payload(token)
		mu.Lock()
		defer mu.Unlock()
		if err != nil || revoked[token] {
			return 200, enrichtest.Claims{"active": false}
		}
		claims["active"] = true
		return 200, claims
	})
	good, bad := w.token("ada"), w.token("ada")
	mu.Lock()
	revoked[bad] = true
	mu.Unlock()
	wantStatus(t, w.get("/", good), 200)
	w.legacy.Forget()
	w.wantInvalidToken(t, w.get("/", bad))

	t.Run("but not about forged ones", func(t *testing.T) {
		before := w.issuer.Hits(enrichtest.Introspection)
		w.wantInvalidToken(t, w.get("/", enrichtest.FlipSignature(w.token("ada"))))
		w.wantInvalidToken(t, w.get("/", w.token("ada", enrichtest.Claims{"exp": 1})))
		if n := w.issuer.Hits(enrichtest.Introspection) - before; n != 0 {
			t.Errorf("%d questions", n)
		}
	})
	t.Run("and believes none that speaks of somebody else", func(t *testing.T) {
		for name, claims := range map[string]enrichtest.Claims{
			"another subject": {"sub": "grace"}, "another issuer": {"iss": "https://other.example"}, "another audience": {"aud": "api://other"},
			"another key": {"cnf": map[string]any{"jkt": "AAAA"}}, "expired": {"exp": 1},
		} {
			w.issuer.OnIntrospect(func(string, *http.Request) (int, any) {
				all := enrichtest.Claims{"active": true, "sub": "ada", "aud": audience}
				maps.Copy(all, claims)
				return 200, all
			})
			if got := w.get("/", w.token("ada")); got.StatusCode != 401 {
				t.Errorf("%s: status %d", name, got.StatusCode)
			}
		}
		w.nothingReceived()
	})
	t.Run("and is 503 while it cannot ask", func(t *testing.T) {
		w.issuer.OnIntrospect(nil)
		w.issuer.Break(enrichtest.Introspection, enrichtest.Status(500, ""))
		wantStatus(t, w.get("/", w.token("ada")), 503)
		wantStatus(t, w.get("/", good), 200) // asked about before
	})
}

func TestSignedIntrospectionAnswers(t *testing.T) {
	w := introspects(t, "")
	now := time.Now()
	body := enrichtest.Claims{"active": true, "sub": "ada", "aud": audience, "exp": now.Add(time.Hour).Unix()}
	answer := func(claims enrichtest.Claims, options ...enrichtest.MintOption) string {
		all := enrichtest.Claims{"sub": nil, "client_id": nil, "exp": nil, "jti": nil, "aud": introspectClient, "token_introspection": body}
		maps.Copy(all, claims)
		return w.issuer.Mint(all, append([]enrichtest.MintOption{enrichtest.WithType("token-introspection+jwt")}, options...)...)
	}
	ask := func(text string) answerCode {
		token := w.opaque(nil)
		w.issuer.Break(enrichtest.Introspection, saysAs(200, "application/token-introspection+jwt", text))
		defer w.issuer.Mend(enrichtest.Introspection)
		return answerCode(w.get("/", token).StatusCode)
	}
	for name, tc := range map[string]struct {
		text string
		want answerCode
	}{
		"good":                         {answer(nil), 200},
		"good, for our audience":       {answer(enrichtest.Claims{"aud": audience}), 200},
		"good, and inactive":           {answer(enrichtest.Claims{"token_introspection": enrichtest.Claims{"active": false}}), 401},
		"good, for another audience":   {answer(enrichtest.Claims{"token_introspection": enrichtest.Claims{"active": true, "sub": "ada", "aud": "api://other"}}), 401},
		"typ JWT":                      {answer(nil, enrichtest.WithType("JWT")), 503},
		"no typ":                       {answer(nil, enrichtest.WithType("")), 503},
		"typ at+jwt":                   {answer(nil, enrichtest.WithType("at+jwt")), 503},
		"another issuer":               {answer(enrichtest.Claims{"iss": "https://other.example"}), 503},
		"for another resource server":  {answer(enrichtest.Claims{"aud": "somebody"}), 503},
		"for nobody":                   {answer(enrichtest.Claims{"aud": nil}), 503},
		"a broken signature":           {enrichtest.FlipSignature(answer(nil)), 503},
		"another key":                  {answer(nil, enrichtest.WithKey(w.issuer.UnpublishedKey("RS256"))), 503},
		"alg none":                     {answer(nil, enrichtest.Unsigned("none")), 503},
		"nothing inside":               {answer(enrichtest.Claims{"token_introspection": nil}), 503},
		"a text inside":                {answer(enrichtest.Claims{"token_introspection": "active"}), 503},
		"active is a text":             {answer(enrichtest.Claims{"token_introspection": enrichtest.Claims{"active": "true"}}), 503},
		"an active at the wrong place": {answer(enrichtest.Claims{"token_introspection": nil, "active": true}), 503},
		"not a JWT":                    {`{"active":true,"sub":"ada","aud":"api://legacy"}`, 503},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ask(tc.text); got != tc.want {
				t.Errorf("status %d, want %d", got, tc.want)
			}
		})
	}
	// And it is no access token.
	w.legacy.Forget()
	w.wantInvalidToken(t, w.get("/", answer(enrichtest.Claims{"sub": "ada", "aud": audience, "exp": now.Add(time.Hour).Unix()})))
}

type answerCode int

func TestOpaqueTokensAreRefusedWhereNobodyIsAsked(t *testing.T) {
	w := prepare(t)
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock(""), script(t, knows("somebody")))
	for range 2 {
		w.wantInvalidToken(t, w.get("/", w.opaque(nil)))
	}
	if n := w.issuer.Hits(enrichtest.Introspection); n != 0 {
		t.Errorf("%d questions to an endpoint that is not configured", n)
	}
}
