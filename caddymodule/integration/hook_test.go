package integration

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// rawRedis asks a Redis past everything of ours.
func rawRedis(t *testing.T, server *cachetest.Redis) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: server.Addr})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// logoutSite is a site whose issuer sends logout tokens.
const logoutSite = `
	token_enrich_hook /logout backchannel_logout {
		issuer corp
		audience client other-client
	}` + editions

// hooked runs a gateway that takes logout tokens.
func hooked(t *testing.T, options ...string) *world {
	t.Helper()
	w := prepare(t)
	w.load(strings.ReplaceAll(logoutSite, "%a", w.legacy.Addr()), append([]string{w.issuerBlock(""), script(t, &newEdition().Fake)}, options...)...)
	return w
}

// logoutEvents are the events of a logout token.
func logoutEvents() map[string]any {
	return map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}
}

// logoutToken mints a good logout token, with claims on top.
func (w *world) logoutToken(claims enrichtest.Claims, options ...enrichtest.MintOption) string {
	w.t.Helper()
	all := enrichtest.Claims{"sub": nil, "client_id": nil, "aud": "client", "events": logoutEvents(), "exp": time.Now().Add(2 * time.Minute).Unix()}
	maps.Copy(all, claims)
	return w.issuer.Mint(all, append([]enrichtest.MintOption{enrichtest.WithType("logout+jwt")}, options...)...)
}

const formType = "application/x-www-form-urlencoded"

// logOut posts a logout token as a provider does.
func (w *world) logOut(token string) answer {
	w.t.Helper()
	return w.postForm("/logout", formType, url.Values{"logout_token": {token}}.Encode())
}

func (w *world) postForm(path, contentType, body string, headers ...string) answer {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, "http://"+w.addr+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return w.send(r)
}

func wantLoggedOut(t *testing.T, got answer) {
	t.Helper()
	wantStatus(t, got, 200)
	if c := got.Header.Get("Cache-Control"); c != "no-store" || got.body != "" {
		t.Errorf("Cache-Control is %q, the body %q", c, got.body)
	}
}

func wantNoLogout(t *testing.T, got answer) {
	t.Helper()
	if got.StatusCode != 400 {
		t.Fatalf("status %d, want 400: %q", got.StatusCode, got.body)
	}
	const notOne, notValid = `{"error":"invalid_request","error_description":"The request contains no logout token."}` + "\n",
		`{"error":"invalid_request","error_description":"The logout token is not valid."}` + "\n"
	if got.body != notOne && got.body != notValid || got.Header.Get("Content-Type") != "application/json" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the answer is %q with %v", got.body, got.Header)
	}
}

func TestLogoutEndsASessionsTokensAtOnce(t *testing.T) {
	w := hooked(t)
	token := w.token("ada", enrichtest.Claims{"sid": "s-1"})
	elsewhere := w.token("ada", enrichtest.Claims{"sid": "s-2"})
	for range 2 {
		wantStatus(t, w.get("/", token), 200)
	}
	w.legacy.Forget()
	// A session of a subject is that session, not the subject.
	wantLoggedOut(t, w.logOut(w.logoutToken(enrichtest.Claims{"sid": "s-1", "sub": "ada"})))
	w.nothingReceived()
	w.wantInvalidToken(t, w.get("/", token))
	w.wantInvalidToken(t, w.get("/", w.token("ada", enrichtest.Claims{"sid": "s-1"})))
	wantStatus(t, w.get("/", elsewhere), 200)
	if log := w.logged(); !strings.Contains(log, "logged out") || strings.Contains(log, "s-1") || strings.Contains(log, `"ada"`) {
		t.Error("the log does not say that somebody was logged out, or says whom")
	}
}

func TestLogoutOfASubjectEndsWhatItWasIssuedBefore(t *testing.T) {
	w := hooked(t)
	now := time.Now()
	issued := func(subject string, ago time.Duration) string {
		return w.token(subject, enrichtest.Claims{"iat": now.Add(-ago).Unix()})
	}
	before, same, after := issued("ada", time.Minute), issued("ada", 30*time.Second), issued("ada", 10*time.Second)
	undated, other := w.token("ada", enrichtest.Claims{"iat": nil}), issued("grace", time.Minute)
	for _, token := range []string{before, same, after, undated, other} {
		wantStatus(t, w.get("/", token), 200)
	}
	w.legacy.Forget()
	wantLoggedOut(t, w.logOut(w.logoutToken(enrichtest.Claims{"sub": "ada", "iat": now.Add(-30 * time.Second).Unix()})))
	for _, token := range []string{before, same, undated} {
		w.wantInvalidToken(t, w.get("/", token))
	}
	for _, token := range []string{after, other} { // a login after the logout, somebody else
		wantStatus(t, w.get("/", token), 200)
	}
}

// An issuer whose clock is ahead of ours dates both kinds of token alike.
func TestLogoutOfASubjectDoesNotRestOnOurClock(t *testing.T) {
	w := hooked(t)
	ahead := time.Now().Add(time.Minute)
	before := w.token("ada", enrichtest.Claims{"iat": ahead.Add(-time.Second).Unix()})
	wantStatus(t, w.get("/", before), 200)
	w.legacy.Forget()
	wantLoggedOut(t, w.logOut(w.logoutToken(enrichtest.Claims{"sub": "ada", "iat": ahead.Unix()})))
	w.wantInvalidToken(t, w.get("/", before))
}

func TestLogoutNamesTheSubjectAlsoWhereAnotherClaimNamesTheUser(t *testing.T) {
	w := prepare(t)
	w.load(strings.ReplaceAll(logoutSite, "%a", w.legacy.Addr()), w.issuerBlock("subject_claim mail"), script(t, &newEdition().Fake))
	token := w.token("ada", enrichtest.Claims{"mail": "ada@example.com"})
	wantStatus(t, w.get("/", token), 200)
	w.legacy.Forget()
	wantLoggedOut(t, w.logOut(w.logoutToken(enrichtest.Claims{"sub": "ada"})))
	w.wantInvalidToken(t, w.get("/", token))
}

func TestLogoutTokensThatAreTaken(t *testing.T) {
	w := hooked(t)
	for name, token := range map[string]string{
		"typ JWT":                      w.logoutToken(enrichtest.Claims{"sid": "a"}, enrichtest.WithType("JWT")),
		"no typ":                       w.logoutToken(enrichtest.Claims{"sid": "a"}, enrichtest.WithType("")),
		"an audience among others":     w.logoutToken(enrichtest.Claims{"sid": "a", "aud": []string{"x", "client"}}),
		"the second audience":          w.logoutToken(enrichtest.Claims{"sid": "a", "aud": "other-client"}),
		"no exp":                       w.logoutToken(enrichtest.Claims{"sid": "a", "exp": nil}),
		"exp inside the leeway":        w.logoutToken(enrichtest.Claims{"sid": "a", "exp": time.Now().Add(-time.Second).Unix()}),
		"iat a little ahead":           w.logoutToken(enrichtest.Claims{"sid": "a", "iat": time.Now().Add(time.Minute).Unix()}),
		"a session that nobody knows":  w.logoutToken(enrichtest.Claims{"sid": "unheard-of"}),
		"claims that we do not know":   w.logoutToken(enrichtest.Claims{"sid": "a", "trace_id": "x"}),
		"members in the event's value": w.logoutToken(enrichtest.Claims{"sid": "a", "events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{"x": 1}}}),
	} {
		t.Run(name, func(t *testing.T) { wantLoggedOut(t, w.logOut(token)) })
	}
	t.Run("beside other values of the form", func(t *testing.T) {
		form := url.Values{"logout_token": {w.logoutToken(enrichtest.Claims{"sid": "a"})}, "state": {"x"}}
		wantLoggedOut(t, w.postForm("/logout", formType+"; charset=utf-8", form.Encode()))
	})
}

func TestLogoutTokensThatAreRefused(t *testing.T) {
	w := hooked(t)
	stranger := enrichtest.NewProvider(t)
	bystander := w.token("ada", enrichtest.Claims{"sid": "s-1", "iat": time.Now().Add(-time.Hour).Unix()})
	wantStatus(t, w.get("/", bystander), 200)
	now := time.Now()
	sid := func(claims ...any) enrichtest.Claims {
		c := enrichtest.Claims{"sid": "s-1", "sub": "ada"}
		for i := 0; i+1 < len(claims); i += 2 {
			c[claims[i].(string)] = claims[i+1]
		}
		return c
	}
	const event = "http://schemas.openid.net/event/backchannel-logout"
	for name, token := range map[string]string{
		"alg none":                        w.logoutToken(sid(), enrichtest.Unsigned("none")),
		"alg NONE":                        w.logoutToken(sid(), enrichtest.Unsigned("NONE")),
		"no alg":                          w.logoutToken(sid(), enrichtest.WithHeader("alg", nil)),
		"an HMAC with the public key":     w.logoutToken(sid(), enrichtest.WithSecret("HS256", []byte(fmt.Sprint(w.issuer.Key().JWK()["n"])))),
		"another algorithm in the header": w.logoutToken(sid(), enrichtest.WithAlgorithm("PS256")),
		"an algorithm that is none":       w.logoutToken(sid(), enrichtest.WithAlgorithm("RS1")),
		"a key that is not published":     w.logoutToken(sid(), enrichtest.WithKey(w.issuer.UnpublishedKey("RS256"))),
		"a broken signature":              enrichtest.FlipSignature(w.logoutToken(sid())),
		"a critical extension":            w.logoutToken(sid(), enrichtest.WithHeader("crit", []string{"x"})),
		"another issuer":                  stranger.Mint(enrichtest.Claims{"aud": "client", "sid": "s-1", "events": logoutEvents()}, enrichtest.WithType("logout+jwt")),
		"another issuer in the claims":    w.logoutToken(sid("iss", stranger.Issuer())),
		"the issuer with a slash":         w.logoutToken(sid("iss", w.issuer.Issuer()+"/")),
		"no issuer":                       w.logoutToken(sid("iss", nil)),
		"another audience":                w.logoutToken(sid("aud", "somebody")),
		"the gateway's own audience":      w.logoutToken(sid("aud", audience)),
		"no audience":                     w.logoutToken(sid("aud", nil)),
		"no events":                       w.logoutToken(sid("events", nil)),
		"no event":                        w.logoutToken(sid("events", map[string]any{})),
		"another event":                   w.logoutToken(sid("events", map[string]any{"https://schemas.openid.net/secevent/caep/event-type/session-revoked": map[string]any{}})),
		"an extra event":                  w.logoutToken(sid("events", map[string]any{event: map[string]any{}, "https://schemas.openid.net/secevent/caep/event-type/session-revoked": map[string]any{}})),
		"an event that is a text":         w.logoutToken(sid("events", map[string]any{event: "yes"})),
		"an event that is true":           w.logoutToken(sid("events", map[string]any{event: true})),
		"events in a list":                w.logoutToken(sid("events", []string{event})),
		"a nonce":                         w.logoutToken(sid("nonce", "n")),
		"an empty nonce":                  w.logoutToken(sid("nonce", "")),
		"neither sub nor sid":             w.logoutToken(nil),
		"an empty sub and sid":            w.logoutToken(enrichtest.Claims{"sub": "", "sid": ""}),
		"a sid that is a number":          w.logoutToken(sid("sid", 7)),
		"a sub that is a list":            w.logoutToken(sid("sub", []string{"ada"})),
		"a very long sid":                 w.logoutToken(sid("sid", strings.Repeat("s", 5000))),
		"no jti":                          w.logoutToken(sid("jti", nil)),
		"an empty jti":                    w.logoutToken(sid("jti", "")),
		"typ at+jwt":                      w.logoutToken(sid(), enrichtest.WithType("at+jwt")),
		"typ secevent+jwt":                w.logoutToken(sid(), enrichtest.WithType("secevent+jwt")),
		"typ id":                          w.logoutToken(sid(), enrichtest.WithType("id_token")),
		"no iat":                          w.logoutToken(sid("iat", nil)),
		"an iat that is a text":           w.logoutToken(sid("iat", "now")),
		"an old iat":                      w.logoutToken(sid("iat", now.Add(-time.Hour).Unix())),
		"an old iat without exp":          w.logoutToken(sid("iat", now.Add(-time.Hour).Unix(), "exp", nil)),
		"an iat far ahead":                w.logoutToken(sid("iat", now.Add(time.Hour).Unix(), "exp", now.Add(2*time.Hour).Unix())),
		"expired":                         w.logoutToken(sid("exp", now.Add(-time.Minute).Unix())),
		"an exp that is a text":           w.logoutToken(sid("exp", "never")),
		"not valid yet":                   w.logoutToken(sid("nbf", now.Add(time.Hour).Unix())),
		"an access token":                 w.token("ada", enrichtest.Claims{"sid": "s-1", "aud": "client"}),
		"an ID token":                     w.issuer.Mint(enrichtest.Claims{"sub": "ada", "aud": "client", "nonce": "n", "sid": "s-1"}, enrichtest.WithType("JWT")),
		"a member that stands twice":      w.logoutToken(nil, enrichtest.WithRawPayload(fmt.Sprintf(`{"iss":%q,"aud":"client","iat":%d,"jti":"j","sid":"x","sid":"s-1","events":{%q:{}}}`, w.issuer.Issuer(), now.Unix(), event))),
		"no token":                        "x",
		"two dots":                        "..",
		"very long":                       strings.Repeat("a", 20<<10),
	} {
		t.Run(name, func(t *testing.T) { wantNoLogout(t, w.logOut(token)) })
	}
	t.Run("and nobody was logged out", func(t *testing.T) { wantStatus(t, w.get("/", bystander), 200) })
}

func TestRequestsThatAreNoLogout(t *testing.T) {
	w := hooked(t)
	bystander := w.token("ada", enrichtest.Claims{"sid": "s-1"})
	good := func() string { return w.logoutToken(enrichtest.Claims{"sid": "s-1"}) }
	form := func(values url.Values) string { return values.Encode() }
	for name, send := range map[string]func() answer{
		"a token in the query":     func() answer { return w.postForm("/logout?logout_token="+good(), formType, "") },
		"a token in the query too": func() answer { return w.postForm("/logout?logout_token="+good(), formType, "logout_token=") },
		"no content type":          func() answer { return w.postForm("/logout", "", "logout_token="+good()) },
		"a text":                   func() answer { return w.postForm("/logout", "text/plain", "logout_token="+good()) },
		"JSON":                     func() answer { return w.postForm("/logout", "application/json", `{"logout_token":"`+good()+`"}`) },
		"a form of several parts": func() answer {
			return w.postForm("/logout", "multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"logout_token\"\r\n\r\n"+good()+"\r\n--b--\r\n")
		},
		"a token in Authorization": func() answer { return w.postForm("/logout", formType, "", "Authorization", "Bearer "+good()) },
		"an empty form":            func() answer { return w.postForm("/logout", formType, "") },
		"two tokens": func() answer {
			return w.postForm("/logout", formType, form(url.Values{"logout_token": {good(), good()}}))
		},
		"a broken form": func() answer { return w.postForm("/logout", formType, "logout_token=%zz&logout_token="+good()) },
		"a body without end": func() answer {
			return w.postForm("/logout", formType, "x="+strings.Repeat("a", 1<<20)+"&logout_token="+good())
		},
	} {
		t.Run(name, func(t *testing.T) { wantNoLogout(t, send()) })
	}
	for _, method := range []string{"GET", "PUT", "DELETE", "HEAD", "OPTIONS"} {
		got := w.do(method, "/logout?logout_token="+good(), "")
		if got.StatusCode != 405 || got.Header.Get("Allow") != "POST" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, %v", method, got.StatusCode, got.Header)
		}
	}
	w.nothingReceived()
	wantStatus(t, w.get("/", bystander), 200)
}

func TestLogoutTokenIsTakenOnce(t *testing.T) {
	server := cachetest.StartRedis(t)
	for name, options := range map[string][]string{"in memory": nil, "with Redis": {shared(server, "")}} {
		t.Run(name, func(t *testing.T) {
			w := hooked(t, options...)
			token := w.logoutToken(enrichtest.Claims{"sid": "s-1"})
			wantLoggedOut(t, w.logOut(token))
			wantNoLogout(t, w.logOut(token))
			// The text of a token is malleable, and its jti is not.
			wantNoLogout(t, w.logOut(w.logoutToken(enrichtest.Claims{"sid": "s-2", "jti": claimOf(t, token, "jti")})))
			wantStatus(t, w.get("/", w.token("ada", enrichtest.Claims{"sid": "s-2"})), 200)
			w.load(strings.ReplaceAll(logoutSite, "%a", w.legacy.Addr()), append([]string{w.issuerBlock(""), script(t, &newEdition().Fake), "explain values"}, options...)...)
			wantNoLogout(t, w.logOut(token))

			// The same one many times at once.
			token = w.logoutToken(enrichtest.Claims{"sid": "s-3"})
			var mu sync.Mutex
			codes := map[int]int{}
			var all sync.WaitGroup
			for range 16 {
				all.Go(func() {
					got := w.logOut(token)
					mu.Lock()
					defer mu.Unlock()
					codes[got.StatusCode]++
				})
			}
			all.Wait()
			if codes[200] != 1 || codes[400] != 15 {
				t.Errorf("the same token at once was answered %v", codes)
			}
		})
	}
}

func claimOf(t *testing.T, token, name string) any {
	t.Helper()
	claims, err := enrichtest.Payload(token)
	if err != nil {
		t.Fatal(err)
	}
	return claims[name]
}

func TestLogoutReachesTheOtherNodes(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := hooked(t, shared(server, ""))
	other := another(t, server)
	eventually(t, "our purge log", func() bool { return w.logAge() < time.Minute })
	token := w.logoutToken(enrichtest.Claims{"sid": "s-1"})
	wantLoggedOut(t, w.logOut(token))
	denied := other.KeyDeriver().DenialHash(w.issuer.Issuer(), "sid", "s-1")
	eventually(t, "the denial", func() bool { return other.Denials().Denied(time.Now(), time.Now(), denied) })

	// This process forgets everything and reads the log anew, as another node
	// does that gets the same logout token.
	w.load("respond ok", w.issuerBlock(""))
	w.load(strings.ReplaceAll(logoutSite, "%a", w.legacy.Addr()), w.issuerBlock(""), script(t, &newEdition().Fake), shared(server, ""))
	eventually(t, "our purge log", func() bool { return w.logAge() < time.Minute })
	wantNoLogout(t, w.logOut(token))
	w.legacy.Forget()
	w.wantInvalidToken(t, w.get("/", w.token("ada", enrichtest.Claims{"sid": "s-1"})))
}

func TestLogoutIsCarriedOutWhileRedisIsDown(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := hooked(t, shared(server, "unconfirmed_max 1h"), "deny_max_age 1h")
	eventually(t, "our purge log", func() bool { return w.logAge() < time.Minute })
	token := w.token("ada", enrichtest.Claims{"sid": "s-1"})
	wantStatus(t, w.get("/", token), 200)
	w.legacy.Forget()
	server.Kill()
	wantLoggedOut(t, w.logOut(w.logoutToken(enrichtest.Claims{"sid": "s-1"})))
	w.wantInvalidToken(t, w.get("/", token))
}

func TestLogoutThatCannotBeJudgedNowIs503(t *testing.T) {
	w := prepare(t)
	for _, e := range []enrichtest.Endpoint{enrichtest.Discovery, enrichtest.OAuthMetadata} {
		w.issuer.Break(e, enrichtest.Status(500, ""))
	}
	w.load(strings.ReplaceAll(logoutSite, "%a", w.legacy.Addr()), w.issuerBlock(""), script(t, &newEdition().Fake))
	token := w.logoutToken(enrichtest.Claims{"sid": "s-1"})
	got := w.logOut(token)
	wantStatus(t, got, 503)
	if got.Header.Get("Retry-After") == "" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the answer says %v", got.Header)
	}
	for _, e := range []enrichtest.Endpoint{enrichtest.Discovery, enrichtest.OAuthMetadata} {
		w.issuer.Mend(e)
	}
	eventually(t, "the keys", func() bool { return w.get("/", w.token("ada")).StatusCode == 200 })
	wantLoggedOut(t, w.logOut(token)) // it was not used up
}

func TestHookKnowsItsPathAndPassesAllElseOn(t *testing.T) {
	w := hooked(t)
	for _, path := range []string{"/logout/", "/logout/x", "/Logout", "/", "/x/logout"} {
		got := w.postForm(path, formType, "logout_token="+w.logoutToken(enrichtest.Claims{"sid": "s-1"}))
		if got.StatusCode != 401 {
			t.Errorf("%s: status %d, want the policy's 401", path, got.StatusCode)
		}
	}
	wantStatus(t, w.get("/", w.token("ada", enrichtest.Claims{"sid": "s-1"})), 200)
}

func TestHooksErrorRouteReceivesNoForgedHeader(t *testing.T) {
	w := prepare(t)
	w.load(`
	token_enrich_hook /logout backchannel_logout {
		issuer corp
	}
	token_enrich {
		header X-User sub
	}
	respond ok
	handle_errors {
		reverse_proxy `+w.legacy.Addr()+`
	}`, w.issuerBlock(""))
	w.do("GET", "/logout", "", "X-User", "root", "X_user", "root", "X.User", "root")
	wantHeader(t, w.received(), "X-User", "")
}

// Denials of other kinds of claim than a token's own are not looked up.
func TestUsedLogoutTokenDeniesNoToken(t *testing.T) {
	w := hooked(t)
	wantLoggedOut(t, w.logOut(w.logoutToken(enrichtest.Claims{"sid": "s-1", "jti": "shared"})))
	wantStatus(t, w.get("/", w.token("ada", enrichtest.Claims{"jti": "shared", "sid": "shared"})), 200)
	wantStatus(t, w.get("/", w.token("shared")), 200)
}

func TestFullDenyListRefusesALogoutWithoutUsingItUp(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := hooked(t, shared(server, ""))
	other := another(t, server)
	const batch = 500
	for n := 0; n < purgelog.MaxDenials; n += batch {
		records := make([]purgelog.Record, batch)
		for i := range records {
			records[i] = purgelog.Record{
				Kind: purgelog.Deny, Name: other.KeyDeriver().DenialHash("https://elsewhere.example", "jti", fmt.Sprint(n+i)), Until: time.Now().Add(time.Hour),
			}
		}
		if n == 0 {
			records = records[1:] // room for one more
		}
		if _, err := other.Log().Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
	}
	last := w.issuer.Issuer()
	token := w.token("ada", enrichtest.Claims{"jti": last})
	w.denies(other, "jti", last)
	eventually(t, "the last denial", func() bool { return w.get("/", token).StatusCode == 401 })
	logout := w.logoutToken(enrichtest.Claims{"sid": "s-1"})
	for range 2 { // the second time it is no replay
		wantStatus(t, w.logOut(logout), 503)
	}
}
