package issuer

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

const (
	testAsk    = "https://idp.example.com/introspect"
	testOpaque = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO"
)

// introspecting gives a config that asks about opaque tokens.
func introspecting(change ...func(*Introspection)) func(*Config, *Options) {
	return func(c *Config, _ *Options) {
		c.Introspect = &Introspection{URL: testAsk, ClientID: "gateway", ClientSecret: "s3cret/+"}
		for _, f := range change {
			f(c.Introspect)
		}
	}
}

// activeAnswer is an answer about a good token.
func activeAnswer(change ...any) string {
	return string(must(json.Marshal(goodClaims(append([]any{"active", true, "token_type", "Bearer", "jti", nil}, change...)...))))
}

func TestOpaqueTokenIsIntrospected(t *testing.T) {
	s := newStage(t, introspecting())
	var asked *http.Request
	var form url.Values
	s.server.on(testAsk, func(r *http.Request) (*http.Response, error) {
		asked = r
		form = must(url.ParseQuery(string(must(io.ReadAll(r.Body)))))
		return response(http.StatusOK, activeAnswer("groups", []string{"IT"})), nil
	})
	v, err := s.verify(testOpaque)
	if err != nil {
		t.Fatal(err)
	}
	p := v.Principal
	if p.Subject != "00u1ada" || p.Issuer != testIssuer || p.Client != "0oa1payroll" || !p.GroupsKnown || v.KeySet != 0 {
		t.Errorf("got %+v", p)
	}
	if !v.Until.Equal(testNow.Add(time.Minute)) || !p.Expiry.Equal(testNow.Add(time.Hour)) {
		t.Errorf("until %v, exp %v", v.Until, p.Expiry)
	}
	if !s.issuer.Current(v.KeySet, testNow) {
		t.Error("a verdict without keys does not hold")
	}
	if asked.Method != http.MethodPost || form.Get("token") != testOpaque || form.Get("token_type_hint") != "access_token" || asked.URL.RawQuery != "" {
		t.Errorf("asked %s %s with %v", asked.Method, asked.URL, form)
	}
	if s.server.count(testKeysURL) != 0 {
		t.Error("keys were fetched for an opaque token")
	}
}

func TestAnswersAreKeptForTheirTime(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer string
		want   error
		life   time.Duration
	}{
		{"active, for ttl", activeAnswer(), nil, time.Minute},
		{"active, not past exp", activeAnswer("exp", testNow.Unix()+20), nil, 20 * time.Second},
		{"active without exp", activeAnswer("exp", nil), nil, time.Minute},
		{"inactive, for a short time", `{"active":false}`, errInactive, inactiveTTL},
		{"inactive with exp", `{"active":false,"exp":` + fmt.Sprint(testNow.Unix()+3600) + `}`, errInactive, inactiveTTL},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, introspecting())
			s.server.say(testAsk, c.answer)
			for range 5 {
				if _, err := s.verify(testOpaque); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
					t.Errorf("got %v, want %v", err, c.want)
				}
			}
			s.clock.Advance(c.life - 1)
			_, _ = s.verify(testOpaque)
			if n := s.server.count(testAsk); n != 1 {
				t.Errorf("%d questions within the life, want 1", n)
			}
			s.clock.Advance(1)
			_, _ = s.verify(testOpaque)
			if n := s.server.count(testAsk); n != 2 {
				t.Errorf("%d questions after the life, want 2", n)
			}
		})
	}
}

// TestAnswersThatAreNone holds that whatever is not a JSON boolean is no
// answer: 503, not kept, and never "inactive".
func TestAnswersThatAreNone(t *testing.T) {
	say := func(status int, media, body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			r := response(status, body)
			r.Header.Set("Content-Type", media)
			return r, nil
		}
	}
	const jsonType = "application/json"
	for _, c := range []struct {
		name   string
		answer func(*http.Request) (*http.Response, error)
		want   error
	}{
		{"active a string", say(200, jsonType, `{"active":"true"}`), errIntrospection},
		{"active a number", say(200, jsonType, `{"active":1}`), errIntrospection},
		{"active null", say(200, jsonType, `{"active":null}`), errIntrospection},
		{"active missing", say(200, jsonType, `{"sub":"00u1ada"}`), errIntrospection},
		{"active twice", say(200, jsonType, `{"active":false,"active":true}`), errIntrospection},
		{"active in capitals", say(200, jsonType, `{"Active":true}`), errIntrospection},
		{"a list", say(200, jsonType, `[{"active":true}]`), errIntrospection},
		{"HTML", say(200, "text/html", `<html>Sign in</html>`), errIntrospection},
		{"HTML that says it is JSON", say(200, jsonType, `<html>Sign in</html>`), errIntrospection},
		{"JSON that says it is HTML", say(200, "text/html", activeAnswer()), errIntrospection},
		{"JSON that says nothing", say(200, "", activeAnswer()), errIntrospection},
		{"a JWT that nobody asked for, of no worth", say(200, mediaSigned, "a.b.c"), errIntrospection},
		{"truncated", say(200, jsonType, activeAnswer()[:50]), errIntrospection},
		{"too large", say(200, jsonType, `{"active":true,"x":"`+strings.Repeat("x", maxAnswer)+`"}`), errIntrospection},
		{"201", say(201, jsonType, activeAnswer()), errIntrospection},
		{"400", say(400, jsonType, `{"error":"invalid_request"}`), errIntrospection},
		{"500", say(500, jsonType, activeAnswer()), errIntrospection},
		{"no answer", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, errIntrospection},
		{"a panic", func(*http.Request) (*http.Response, error) { panic("boom") }, errIntrospection},
		{"a redirect elsewhere", func(*http.Request) (*http.Response, error) {
			r := response(http.StatusTemporaryRedirect, "")
			r.Header.Set("Location", "https://evil.example/")
			return r, nil
		}, errIntrospection},
		{"unsupported_token_type", say(400, jsonType, `{"error":"unsupported_token_type"}`), errIntrospectionRefused},
		{"unsupported_token_type with 200", say(200, jsonType, `{"error":"unsupported_token_type"}`), errIntrospectionRefused},
		{"invalid_client", say(400, jsonType, `{"error":"invalid_client"}`), errIntrospectionRefused},
		{"401", say(401, "text/plain", ``), errIntrospectionRefused},
		{"403", say(403, "text/plain", ``), errIntrospectionRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log bytes.Buffer
			s := newStage(t, introspecting(), func(_ *Config, o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
			s.server.on(testAsk, c.answer)
			for range 2 {
				v, err := s.verify(testOpaque)
				if v != nil || !errors.Is(err, c.want) || !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalidToken) {
					t.Errorf("got %v, %v; want %v", v, err, c.want)
				}
			}
			if n := s.server.count(testAsk); n != 2 {
				t.Errorf("%d questions, want 2: a failure is not kept", n)
			}
			if s.server.count("https://evil.example/") != 0 {
				t.Error("the redirect was followed")
			}
			s.issuer.Stop() // the log is written behind the request
			if n := strings.Count(log.String(), "introspection fails"); n != 1 {
				t.Errorf("%d lines in the log:\n%s", n, &log)
			}
			for _, secret := range []string{testOpaque, "s3cret", "00u1ada"} {
				if strings.Contains(log.String(), secret) {
					t.Errorf("the log holds %q:\n%s", secret, &log)
				}
			}
		})
	}
}

func TestAnswersAreCheckedAsTokensAre(t *testing.T) {
	for _, c := range []struct {
		name   string
		change []any
		want   error
	}{
		{"good", nil, nil},
		{"iss missing", []any{"iss", nil}, nil},
		{"iss of somebody else", []any{"iss", "https://evil.example"}, ErrUnknownIssuer},
		{"aud missing", []any{"aud", nil}, errAudience},
		{"aud of somebody else", []any{"aud", "api://other"}, errAudience},
		{"aud a list", []any{"aud", []string{"x", testAudience}}, nil},
		{"exp passed", []any{"exp", testNow.Unix() - 31}, errExpired},
		{"exp a string", []any{"exp", "tomorrow"}, errDates},
		{"nbf ahead", []any{"nbf", testNow.Unix() + 60}, errNotYetValid},
		{"token_type missing", []any{"token_type", nil}, nil},
		{"token_type in another case", []any{"token_type", "bearer"}, nil},
		{"token_type of a refresh token", []any{"token_type", "refresh_token"}, errKind},
		{"token_type of an unknown scheme", []any{"token_type", "mac"}, errKind},
		{"token_type a number", []any{"token_type", 1}, errKind},
		{"token_type DPoP without a key", []any{"token_type", "DPoP"}, errSender},
		{"token_use of a refresh token", []any{"token_use", "refresh_token"}, errKind},
		{"an ID token", []any{"nonce", "n"}, errKind},
		{"sub missing, of somebody", []any{"sub", nil, "username", "ada"}, errSubject},
		{"bound to a key", []any{"cnf", map[string]any{"jkt": "x"}}, errSender},
		{"bound to a certificate", []any{"cnf", map[string]any{"x5t#S256": "x"}}, errSender},
		{"bound in an unknown way", []any{"cnf", map[string]any{"kid": "x"}}, errSender},
	} {
		s := newStage(t, introspecting())
		s.server.say(testAsk, activeAnswer(c.change...))
		for range 2 { // asked, and kept
			if _, err := s.verify(testOpaque); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
		}
		if n := s.server.count(testAsk); n != 1 && c.name != "exp passed" {
			t.Errorf("%s: %d questions", c.name, n)
		}
	}
}

func TestKeptAnswerIsJudgedByTheClock(t *testing.T) {
	s := newStage(t, introspecting(func(in *Introspection) { in.TTL = cache.Duration(time.Hour) }))
	s.server.say(testAsk, activeAnswer("exp", testNow.Unix()+600))
	v, err := s.verify(testOpaque)
	if err != nil || !v.Until.Equal(testNow.Add(600*time.Second)) {
		t.Fatalf("got %+v, %v", v, err)
	}
	s.server.say(testAsk, `{"active":false}`)
	s.clock.Advance(599 * time.Second)
	if _, err := s.verify(testOpaque); err != nil {
		t.Errorf("before exp: %v", err)
	}
	s.clock.Advance(time.Second)
	if _, err := s.verify(testOpaque); !errors.Is(err, errInactive) {
		t.Errorf("at exp the endpoint is asked again: %v", err)
	}
}

func TestOnlyTheShapeOfABearerTokenIsAskedAbout(t *testing.T) {
	s := newStage(t, introspecting())
	s.server.say(testAsk, activeAnswer())
	for _, raw := range []string{"", "=", "a b", "a,b", "a\nb", "a%b", "ä", "a=b", strings.Repeat("a", jose.MaxTokenBytes+1), "a\x00"} {
		if _, err := s.verify(raw); !errors.Is(err, errMalformed) {
			t.Errorf("%.20q: got %v", raw, err)
		}
	}
	if n := s.server.count(testAsk); n != 0 {
		t.Errorf("%d questions", n)
	}
	for _, raw := range []string{"a", "abc==", "a.b", "a.b.c", "a.b.c.d.e", testOpaque} {
		if _, err := s.verify(raw); err != nil {
			t.Errorf("%q: %v", raw, err)
		}
	}
}

// TestWhoIsAskedFollowsFromTheConfiguration: a token with a known iss is
// judged here and by its signature, whatever the endpoint would say.
func TestWhoIsAskedFollowsFromTheConfiguration(t *testing.T) {
	s := newStage(t, introspecting())
	s.server.say(testAsk, activeAnswer())
	for name, c := range map[string]struct {
		raw   string
		want  error
		asked bool
	}{
		"a good JWT":              {s.token(goodClaims()), nil, false},
		"a forged JWT":            {sign(t, "RS256", "RS256", otherRSAKey(), nil, goodClaims()), errSignature, false},
		"an expired JWT":          {s.token(goodClaims("exp", testNow.Unix()-60)), errExpired, false},
		"alg none":                {base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + strings.Split(s.token(goodClaims()), ".")[1] + ".AA", errAlgorithm, false},
		"a JWT of an unknown iss": {s.token(goodClaims("iss", "https://evil.example")), ErrUnknownIssuer, false},
		"a header with crit":      {signRaw(t, `{"alg":"RS256","crit":["x"],"x":1}`, `{"iss":"`+testIssuer+`"}`), errCritical, false},
		"a JWT without iss":       {s.token(goodClaims("iss", nil)), nil, true},
		"a JWE":                   {"eyJhbGciOiJkaXIiLCJlbmMiOiJBMTI4R0NNIn0..aaaa.bbbb.cccc", nil, true},
	} {
		before := s.server.count(testAsk)
		if _, err := s.verify(c.raw); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
		if asked := s.server.count(testAsk) > before; asked != c.asked {
			t.Errorf("%s: asked is %v", name, asked)
		}
	}
	if _, err := s.Verify(t.Context(), testOpaque, []string{}, nil); !errors.Is(err, errMalformed) {
		t.Errorf("where the issuer is not allowed: %v", err)
	}
	if _, err := newStage(t).verify("abcdef"); !errors.Is(err, errOpaque) {
		t.Errorf("where nobody introspects: %v", err)
	}
}

func TestAlwaysAsksAboutVerifiedJWTsToo(t *testing.T) {
	s := newStage(t, introspecting(func(in *Introspection) { in.When = "always" }))
	s.server.say(testAsk, activeAnswer())
	raw := s.token(goodClaims())
	v, err := s.verify(raw)
	if err != nil || v.KeySet != 1 || !v.Until.Equal(testNow.Add(time.Minute)) || v.Principal.TokenID != "j-1" {
		t.Errorf("got %+v, %v", v, err)
	}
	forged := sign(t, "RS256", "RS256", otherRSAKey(), nil, goodClaims())
	if _, err := s.verify(forged); !errors.Is(err, errSignature) || s.server.count(testAsk) != 1 {
		t.Errorf("a forged one: %v, %d questions", err, s.server.count(testAsk))
	}
	for n, c := range []struct {
		answer string
		want   error
	}{
		{`{"active":true}`, nil},
		{`{"active":false}`, errInactive},
		{activeAnswer("sub", "00u1eve"), errClaims},
		{activeAnswer("iss", "https://evil.example"), ErrUnknownIssuer},
		{activeAnswer("aud", "api://other"), errAudience},
		{activeAnswer("exp", testNow.Unix()-31), errExpired},
		{activeAnswer("cnf", map[string]any{"jkt": "x"}), errSender},
		{activeAnswer("token_type", "DPoP"), errSender},
		{activeAnswer("token_type", "refresh_token"), errKind},
	} {
		s.server.say(testAsk, c.answer)
		raw := s.token(goodClaims("jti", fmt.Sprint(n)))
		if _, err := s.verify(raw); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.answer, err, c.want)
		}
	}
	s.server.fail(testAsk)
	if _, err := s.verify(s.token(goodClaims("jti", "down"))); !errors.Is(err, errIntrospection) {
		t.Errorf("while the endpoint is down: %v", err)
	}
}

func TestOneQuestionPerTokenAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t, introspecting())
		body := string(must(json.Marshal(goodClaims("active", true, "exp", nil, "iat", nil))))
		s.server.on(testAsk, func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return response(http.StatusOK, body), nil
		})
		leader, cancel := context.WithCancel(t.Context())
		go func() {
			if _, err := s.Verify(leader, testOpaque, nil, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader got %v", err)
			}
		}()
		synctest.Wait()
		var wg sync.WaitGroup
		for range 500 {
			wg.Go(func() {
				if _, err := s.verify(testOpaque); err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if n := s.server.count(testAsk); n != 1 {
			t.Errorf("%d questions for one token, want 1", n)
		}
	})
}

func TestQuestionsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t, introspecting())
		var mu sync.Mutex
		now, most := 0, 0
		s.server.on(testAsk, func(r *http.Request) (*http.Response, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			_, err := hang(r)
			mu.Lock()
			now--
			mu.Unlock()
			return nil, err
		})
		var wg sync.WaitGroup
		var busy, failed int
		for n := range 10 * maxCalls {
			wg.Go(func() {
				_, err := s.verify(fmt.Sprint("forged", n))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, errBusy):
					busy++
				case errors.Is(err, errIntrospection):
					failed++
				default:
					t.Errorf("got %v", err)
				}
			})
		}
		start := time.Now()
		wg.Wait()
		if d := time.Since(start); d > 2*defaultTimeout {
			t.Errorf("took %v", d)
		}
		s.issuer.Stop() // waits for those whose callers gave up
		if most != maxUnknownCalls || busy == 0 || failed == 0 {
			t.Errorf("%d at once, %d busy, %d failed", most, busy, failed)
		}
		i := s.issuer.introspect
		for n := range 10 * maxCalls {
			if i.calls.Current(i.hash(fmt.Sprint("forged", n))) != nil {
				t.Error("a call is left")
			}
		}
		if len(i.slots) > maxCalls {
			t.Error("slots are left")
		}
	})
}

func TestForgedOpaqueTokensCannotDriveOutGoodOnes(t *testing.T) {
	s := newStage(t, introspecting())
	s.server.say(testAsk, activeAnswer())
	if _, err := s.verify(testOpaque); err != nil {
		t.Fatal(err)
	}
	s.server.say(testAsk, `{"active":false}`)
	for n := range maxInactive + 100 {
		if _, err := s.verify(fmt.Sprint("forged", n)); !errors.Is(err, errInactive) {
			t.Fatal(err)
		}
	}
	n := s.issuer.introspect
	if len(n.inactive.byKey) != maxInactive || n.inactive.order.Len() != maxInactive || n.inactive.cost != maxInactive {
		t.Errorf("%d inactive ones are kept", len(n.inactive.byKey))
	}
	before := s.server.count(testAsk)
	if _, err := s.verify(testOpaque); err != nil || s.server.count(testAsk) != before {
		t.Errorf("the good one was asked about again: %v", err)
	}
}

func TestAnswerCacheIsBoundedInBytes(t *testing.T) {
	c := newAnswerCache(1000)
	a := &answer{until: testNow.Add(time.Hour)}
	key := func(n int) tokenHash { return tokenHash{byte(n), byte(n >> 8)} }
	for n := range 100 {
		c.put(key(n), a, 300)
		c.put(key(n), a, 300) // again: not counted twice
		if c.cost > 1000 || c.cost != 300*len(c.byKey) || len(c.byKey) != c.order.Len() {
			t.Fatalf("cost is %d for %d entries", c.cost, len(c.byKey))
		}
		c.get(key(0), testNow) // used, and so kept
	}
	if c.get(key(0), testNow) == nil || c.get(key(50), testNow) != nil || c.get(key(99), testNow) == nil {
		t.Error("the least recently used did not go first")
	}
	c.put(key(200), a, 1001)
	if c.get(key(200), testNow) != nil || c.get(key(99), testNow) == nil {
		t.Error("an entry over the whole bound drove out others")
	}
	if c.get(key(99), testNow.Add(time.Hour)) != nil || c.byKey[key(99)] != nil {
		t.Error("an entry serves past its time")
	}
}

func TestTokensStandNowhereInMemoryButHashed(t *testing.T) {
	zero := func(_ *Config, o *Options) { o.Rand = zeros{} }
	a, b := newStage(t, introspecting(), zero), newStage(t, introspecting())
	if a.issuer.introspect.hash("x") == b.issuer.introspect.hash("x") {
		t.Error("the hash does not depend on the injected randomness")
	}
	if a.issuer.introspect.hash("x") != newStage(t, introspecting(), zero).issuer.introspect.hash("x") {
		t.Error("the hash is not that of the token")
	}
}
