package login_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

func TestAPersonLogsInAndArrivesWhereTheyBegan(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	r := b.login("/reports?year=2026&q=a%2Fb")
	if !strings.Contains(r.body, "page /reports?year=2026&q=a%2Fb for "+testPerson+" of corp scopes [openid]") {
		t.Errorf("got %s", r.body)
	}
	if got := s.counts(); !slices.Equal(got, []string{"corp ok"}) {
		t.Errorf("counted %q", got)
	}
	p := s.providers[0]
	if n := p.Hits(enrichtest.Token); n != 1 {
		t.Errorf("the code was sent %d times", n)
	}
	if n := p.Hits(enrichtest.Userinfo); n != 0 {
		t.Errorf("userinfo was asked %d times, and nothing is missing", n)
	}
	b.login("/other")
	if n := p.Hits(enrichtest.Authorize); n != 1 {
		t.Errorf("asked the provider %d times", n)
	}
}

// The authorization request has exactly these parameters (L1).
func TestAuthorizationRequest(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	seen := map[string]string{}
	for range 3 {
		at := b.begin("/")
		query := at.Query()
		for name, want := range map[string]string{
			"response_type": "code", "client_id": testClient, "scope": "openid", "code_challenge_method": "S256",
			"redirect_uri": s.server.URL + "/.token-enrich/callback",
		} {
			if got := query[name]; len(got) != 1 || got[0] != want {
				t.Errorf("%s: got %q, want %q", name, got, want)
			}
		}
		for _, name := range []string{"state", "nonce", "code_challenge"} {
			value := query.Get(name)
			if len(value) < 43 || seen[value] != "" {
				t.Errorf("%s is %q, seen before as %q", name, value, seen[value])
			}
			seen[value] = name
		}
		if len(query) != 8 {
			t.Errorf("got %d parameters: %v", len(query), query)
		}
	}
}

// What a request says of its host changes no redirect URI (L1).
func TestTheRedirectURIIsThatOfTheConfiguration(t *testing.T) {
	s := newStage(t)
	forwarded := http.Header{
		"X-Forwarded-Host": {"evil.example"}, "X-Forwarded-Proto": {"https"}, "X-Forwarded-Port": {"1"}, "X-Forwarded-Prefix": {"/evil"},
		"Forwarded": {`host="evil.example";proto=https`}, "X-Original-Url": {"/evil"}, "X-Host": {"evil.example"}, "Origin": {"https://evil.example"},
	}
	at := s.browser().do(http.MethodGet, "/", forwarded).location(t)
	if got := at.Query().Get("redirect_uri"); got != s.server.URL+"/.token-enrich/callback" || !s.ofProvider(at.String()) {
		t.Errorf("got redirect_uri %q at %s", got, at)
	}
	// Another host is sent to the site's own first.
	for _, path := range []string{"/reports?a=1", "/.token-enrich/login?return=/reports", "/.token-enrich/logout"} {
		b := s.browser()
		b.before = func(r *http.Request) { r.Host = "evil.example" }
		if got := b.step(path).header.Get("Location"); got != s.server.URL+path {
			t.Errorf("%s: redirected to %q", path, got)
		}
	}
}

// A proxy that replaces the host is no loop, and the log says once what is wrong.
func TestAProxyThatReplacesTheHost(t *testing.T) {
	for _, path := range []string{"/x", "/.token-enrich/login?return=/x"} {
		s := newStage(t)
		b := s.browser()
		b.before = func(r *http.Request) { r.Host = "gateway.internal:8080" }
		if r := b.login(path); !strings.HasPrefix(r.body, "page /x ") {
			t.Errorf("arrived at %s", r.body)
		}
		b.setCookie(sessionCookie, "")
		b.login("/x")
		wantPage(t, "logout", b.open("/.token-enrich/logout"), http.StatusOK, "signed-out-here")
		if n := strings.Count(s.log.String(), "a proxy in front of the gateway may replace it"); n != 1 {
			t.Errorf("the log says so %d times", n)
		}
	}
}

// State, code, nonce and PKCE verifier are those of one browser (L1).
func TestALoginIsThatOfItsBrowser(t *testing.T) {
	t.Run("another browser's callback", func(t *testing.T) {
		s := newStage(t)
		theirs := s.browser().callback("/theirs")
		mine := s.browser()
		mine.callback("/mine")
		r := mine.step(theirs.String())
		if at := r.location(t); !s.ofProvider(at.String()) || at.Query().Get("state") == theirs.Query().Get("state") {
			t.Errorf("redirected to %s, want a fresh login", at)
		}
		if mine.cookie(sessionCookie) != "" || s.providers[0].Hits(enrichtest.Token) != 0 {
			t.Error("the other's code was used")
		}
	})
	t.Run("swapped cookies", func(t *testing.T) {
		s := newStage(t)
		one, two := s.browser(), s.browser()
		first, second := one.callback("/1"), two.callback("/2")
		a, b := one.cookie(transactionCookie), two.cookie(transactionCookie)
		one.setCookie(transactionCookie, b)
		two.setCookie(transactionCookie, a)
		for i, r := range []result{one.step(first.String()), two.step(second.String())} {
			if at := r.location(t); !s.ofProvider(at.String()) {
				t.Errorf("%d: redirected to %s", i, at)
			}
		}
		if s.providers[0].Hits(enrichtest.Token) != 0 {
			t.Error("a code was used")
		}
	})
	t.Run("another login's code", func(t *testing.T) {
		s := newStage(t)
		b := s.browser()
		first, second := b.callback("/1"), b.callback("/2")
		query := first.Query()
		query.Set("code", second.Query().Get("code"))
		first.RawQuery = query.Encode()
		line := b.wantFailure("swapped codes", b.step(first.String()), http.StatusBadGateway, "sign-in-failed", "code_refused", "refuses the code")
		if line["provider_error"] != "invalid_grant" {
			t.Errorf("got provider_error %v", line["provider_error"])
		}
	})
	t.Run("another nonce", func(t *testing.T) {
		s := newStage(t)
		s.providers[0].OnIDToken(func(claims enrichtest.Claims) []enrichtest.MintOption { claims["nonce"] = "another"; return nil })
		b := s.browser()
		b.wantFailure("nonce", b.open("/"), http.StatusBadGateway, "sign-in-failed", "invalid_id_token", "nonce")
	})
	t.Run("a cookie of another form", func(t *testing.T) {
		for _, value := range []string{"x", strings.Repeat("A", 42), strings.Repeat("A", 44), strings.Repeat("=", 43), strings.Repeat("A", 9000)} {
			s := newStage(t)
			b := s.browser()
			b.setCookie(transactionCookie, value)
			b.login("/")
		}
	})
}

// Whose answer it is says its iss (RFC 9207), and the path of the callback (L1).
func TestAnswersOfAnotherIssuer(t *testing.T) {
	promised := withMetadata(func(m map[string]any) { m["authorization_response_iss_parameter_supported"] = true })
	plain := withMetadata(func(map[string]any) {})
	for _, c := range []struct {
		name     string
		metadata option
		edit     func(response url.Values)
		cause    string // empty for a login
	}{
		{"the right one, promised", promised, func(url.Values) {}, ""},
		{"missing and not promised", plain, func(v url.Values) { v.Del("iss") }, ""},
		{"missing and promised", promised, func(v url.Values) { v.Del("iss") }, "iss is missing"},
		{"empty and promised", promised, func(v url.Values) { v.Set("iss", "") }, "iss is missing"},
		{"another", plain, func(v url.Values) { v.Set("iss", "https://evil.example") }, "iss names another issuer"},
		{"with a slash", plain, func(v url.Values) { v.Set("iss", v.Get("iss")+"/") }, "iss names another issuer"},
		{"another, in an error", plain, func(v url.Values) {
			v.Del("code")
			v.Set("error", "access_denied")
			v.Set("iss", "https://evil.example")
		}, "iss names another issuer"},
		{"missing and promised, in an error", promised, func(v url.Values) { v.Del("code"); v.Del("iss"); v.Set("error", "access_denied") }, "iss is missing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, c.metadata)
			s.providers[0].OnAuthorize(func(_, response url.Values) { c.edit(response) })
			b := s.browser()
			if c.cause == "" {
				b.login("/")
				return
			}
			b.wantFailure(c.name, b.open("/"), http.StatusBadRequest, "malformed", "issuer_mismatch", c.cause)
			if n := s.providers[0].Hits(enrichtest.Token); n != 0 {
				t.Errorf("the code was sent %d times", n)
			}
		})
	}
}

func TestEachOfSeveralIssuersHasItsOwnCallback(t *testing.T) {
	s := newStage(t, withIssuers("corp", "partner"))
	b := s.browser()
	r := b.open("/x")
	wantPage(t, "choice", r, http.StatusOK, "choose")
	for _, name := range []string{"corp", "partner"} {
		link := "/.token-enrich/login?issuer=" + name + "&amp;policy=web&amp;return=%2Fx"
		if !strings.Contains(r.body, link) {
			t.Errorf("the choice has no link %s: %s", link, r.body)
		}
	}
	at := b.callback("/.token-enrich/login?issuer=corp&policy=web&return=/x")
	if at.Path != "/.token-enrich/callback/corp" {
		t.Errorf("the callback of corp is %s", at)
	}
	for _, path := range []string{"/.token-enrich/callback/partner", "/.token-enrich/callback", "/.token-enrich/callback/", "/.token-enrich/callback/corp/"} {
		mixed := *at
		mixed.Path = path
		b.wantFailure(path, b.step(mixed.String()), http.StatusBadRequest, "malformed", "issuer_mismatch", "callback is that of another")
	}
	for i, p := range s.providers {
		if n := p.Hits(enrichtest.Token); n != 0 {
			t.Errorf("provider %d was sent a code %d times", i, n)
		}
	}
	if r := b.open(at.String()); !strings.Contains(r.body, "page /x for "+testPerson+" of corp") {
		t.Errorf("got %d %s", r.status, r.body)
	}
	wantPage(t, "an unknown issuer", b.step("/.token-enrich/login?issuer=evil"), http.StatusBadRequest, "malformed")
}

// Twenty tabs that open at once all arrive where they began (L2).
func TestManyTabsAtOnce(t *testing.T) {
	const tabs = 20
	orders := map[string]func(i int) int{
		"in order":         func(i int) int { return i },
		"the last first":   func(i int) int { return tabs - 1 - i },
		"mixed":            func(i int) int { return i * 7 % tabs },
		"the first last":   func(i int) int { return (i + 1) % tabs },
		"the last, then 0": func(i int) int { return (i + tabs - 1) % tabs },
	}
	for name, order := range orders {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			b := s.browser()
			// All tabs ask before the first answer has brought a cookie.
			var begun [tabs]result
			for i := range tabs {
				fresh := s.browser()
				begun[i] = fresh.step("/tab/" + string(rune('a'+i)))
				b.setCookie(transactionCookie, fresh.cookie(transactionCookie))
			}
			s.clock.Advance(3 * time.Minute) // a slow first one
			for i := range tabs {
				n := order(i)
				r := b.follow(begun[n])
				if want := "page /tab/" + string(rune('a'+n)); !strings.HasPrefix(r.body, want+" ") {
					t.Errorf("tab %d arrived at %d %s", n, r.status, r.body)
				}
				if hops := len(b.trail); hops > 6 {
					t.Errorf("tab %d took %d hops", n, hops)
				}
			}
			// One more authorization for each tab at most.
			if n := s.providers[0].Hits(enrichtest.Authorize); n > 2*tabs {
				t.Errorf("%d authorizations for %d tabs", n, tabs)
			}
		})
	}
}

// The page of one tab is on its way while another tab logs in: neither is sent back
// (L2).
func TestALoginOfAnotherTabDoesNotEndTheOneBeside(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	one, two := b.callback("/1"), b.callback("/2")
	b.step(one.String())
	first := b.cookie(sessionCookie)
	b.step(two.String())
	late := s.browser()
	late.setCookie(sessionCookie, first)
	if r := late.step("/1"); r.status != http.StatusOK {
		t.Errorf("the first tab gets %d %s", r.status, r.header)
	}
	if got := s.counts(); !slices.Equal(got, []string{"corp ok", "corp ok"}) {
		t.Errorf("counted %q", got)
	}
}

// A callback without its cookie, or late, begins one fresh login, and then there is a
// page (L2).
func TestCallbacksThatCannotBeUsedNeverLoop(t *testing.T) {
	t.Run("cookies are not kept", func(t *testing.T) {
		s := newStage(t)
		b := s.browser()
		b.header = http.Header{"Cookie": {}}
		b.before = func(r *http.Request) { r.Header.Del("Cookie") }
		r := b.open("/x")
		b.setCookie(sessionCookie, "")
		b.wantFailure("without cookies", r, http.StatusBadRequest, "expired", "expired", "second time")
		if n := s.providers[0].Hits(enrichtest.Authorize); n != 2 {
			t.Errorf("%d authorizations, want 2", n)
		}
		if !strings.Contains(r.body, `href="/.token-enrich/login?policy=web&amp;return=%2Fx"`) {
			t.Errorf("the page leads nowhere: %s", r.body)
		}
	})
	t.Run("the cookie is lost once", func(t *testing.T) {
		s := newStage(t)
		b := s.browser()
		at := b.callback("/x")
		b.setCookie(transactionCookie, "")
		if r := b.open(at.String()); !strings.HasPrefix(r.body, "page /x ") {
			t.Errorf("got %d %s", r.status, r.body)
		}
	})
	for _, c := range []struct {
		name   string
		first  time.Duration
		second time.Duration
		fresh  int // authorizations in all
		ok     bool
	}{
		{"in time", 10 * time.Minute, 0, 1, true},
		{"late once", 10*time.Minute + time.Second, 0, 2, true},
		{"very late once", 100 * time.Hour, 10 * time.Minute, 2, true},
		{"late twice", 11 * time.Minute, 11 * time.Minute, 2, false},
		{"a clock a little behind", -time.Minute, 0, 1, true},
		{"a clock stepped back", -time.Hour, 0, 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			b := s.browser()
			at := b.callback("/x")
			s.clock.Advance(c.first)
			r := b.step(at.String())
			if next := r.header.Get("Location"); s.ofProvider(next) {
				r = b.step(next)
				s.clock.Advance(c.second)
				r = b.step(r.location(t).String())
			}
			if n := s.providers[0].Hits(enrichtest.Authorize); n != c.fresh {
				t.Errorf("%d authorizations, want %d", n, c.fresh)
			}
			if !c.ok {
				b.wantFailure(c.name, r, http.StatusBadRequest, "expired", "expired", "second time")
				return
			}
			if r = b.follow(r); !strings.HasPrefix(r.body, "page /x ") {
				t.Errorf("got %d %s", r.status, r.body)
			}
		})
	}
	t.Run("reloaded", func(t *testing.T) {
		s := newStage(t)
		b := s.browser()
		at := b.callback("/x")
		b.step(at.String())
		before := b.cookie(sessionCookie)
		wantPage(t, "reload", b.step(at.String()), http.StatusBadGateway, "sign-in-failed")
		if b.cookie(sessionCookie) != before {
			t.Error("a reload changes the session")
		}
	})
}

// What comes twice is refused, whichever of the two is right (L3).
func TestDoubledParametersAndCookies(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	at := b.callback("/x")
	for _, name := range []string{"state", "code", "iss", "error"} {
		for _, value := range []string{at.Query().Get(name), "other", ""} {
			twice := *at
			query := at.Query()
			if !query.Has(name) {
				query.Set(name, "access_denied")
			}
			query.Add(name, value)
			twice.RawQuery = query.Encode()
			b.wantFailure(name+" twice", b.step(twice.String()), http.StatusBadRequest, "malformed", "malformed", "the parameter "+name+" is there twice")
		}
	}
	for _, query := range []string{"a=%zz", "a;b=c", strings.Repeat("a", 16<<10+1)} {
		b.wantFailure("a query", b.step("/.token-enrich/callback?"+query), http.StatusBadRequest, "malformed", "malformed", "query")
	}
	for _, cookie := range []string{sessionCookie, transactionCookie} {
		for _, path := range []string{at.RequestURI(), "/.token-enrich/login", "/.token-enrich/logout", "/.token-enrich/session", "/.token-enrich/logout/done"} {
			for _, lines := range [][]string{{cookie + "=a; " + cookie + "=b"}, {cookie + "=a", "x=y; " + cookie + "=a"}, {cookie + "=;" + cookie + "="}} {
				fresh := s.browser()
				fresh.before = func(r *http.Request) { r.Header["Cookie"] = lines }
				wantPage(t, cookie+" twice at "+path, fresh.step(path), http.StatusBadRequest, "malformed")
			}
		}
	}
	twice := s.browser()
	twice.before = func(r *http.Request) { r.Header["Cookie"] = []string{"token_enrich_login=a; token_enrich_login=b"} }
	wantPage(t, "a navigation with two transaction cookies", twice.step("/"), http.StatusBadRequest, "malformed")
	if n := s.providers[0].Hits(enrichtest.Token); n != 0 {
		t.Errorf("the code was sent %d times", n)
	}
	b.open(at.String())
	if b.cookie(sessionCookie) == "" {
		t.Error("the callback itself is not accepted")
	}
}

// A login makes a new id, and the session before it is dead at once (L4).
func TestALoginReplacesTheSession(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	b.login("/x")
	for _, path := range []string{"/.token-enrich/login?return=/x", "/strong"} {
		old := b.cookie(sessionCookie)
		b.login(path)
		current := b.cookie(sessionCookie)
		if old[:22] == current[:22] {
			t.Errorf("%s: the id is the same", path)
		}
		thief := s.browser()
		thief.setCookie(sessionCookie, old)
		r := thief.step("/x")
		if !s.ofProvider(r.header.Get("Location")) || !strings.Contains(strings.Join(r.header["Set-Cookie"], "\n"), sessionCookie+"=;") {
			t.Errorf("%s: the old cookie gets %d %v", path, r.status, r.header)
		}
	}
	if got := s.counts(); !slices.Contains(got, "ended new_login") {
		t.Errorf("counted %q", got)
	}
	// A login that fails changes nothing.
	s.providers[0].Break(enrichtest.Token, enrichtest.Status(500, ""))
	before := b.cookie(sessionCookie)
	wantPage(t, "a failed login", b.open("/.token-enrich/login"), http.StatusServiceUnavailable, "provider-unreachable")
	if r := b.step("/x"); b.cookie(sessionCookie) != before || r.status != http.StatusOK {
		t.Errorf("a login that failed ends the session: %d", r.status)
	}
}

// What the policy requires of the authentication is asked for. A provider that returns
// less gets a page and no loop (L13).
func TestStepUp(t *testing.T) {
	policies := withPolicies(func(p []*login.Provider) []login.PolicyLogin {
		return []login.PolicyLogin{
			{Name: "web", Providers: p},
			{Name: "strong", Providers: p, ACRValues: []string{"phr", "mfa"}},
			{Name: "fresh", Providers: p, MaxAge: 5 * time.Minute},
		}
	})
	for _, c := range []struct {
		name, path string
		edit       func(claims enrichtest.Claims, now int64)
		cause      string
	}{
		{"acr as asked for", "/strong", nil, ""},
		{"another of the list", "/strong", func(c enrichtest.Claims, _ int64) { c["acr"] = "mfa" }, ""},
		{"a weaker acr", "/strong", func(c enrichtest.Claims, _ int64) { c["acr"] = "pwd" }, "acr is not among"},
		{"no acr", "/strong", func(c enrichtest.Claims, _ int64) { delete(c, "acr") }, "acr is not among"},
		{"an acr of another type", "/strong", func(c enrichtest.Claims, _ int64) { c["acr"] = []string{"mfa"} }, "acr is not among"},
		{"a fresh authentication", "/fresh", nil, ""},
		{"at the limit", "/fresh", func(c enrichtest.Claims, now int64) { c["auth_time"] = now - 330 }, ""},
		{"too old", "/fresh", func(c enrichtest.Claims, now int64) { c["auth_time"] = now - 331 }, "auth_time is missing, ahead, or older"},
		{"no auth_time", "/fresh", func(c enrichtest.Claims, _ int64) { delete(c, "auth_time") }, "auth_time is missing, ahead, or older"},
		{"auth_time ahead", "/fresh", func(c enrichtest.Claims, now int64) { c["auth_time"] = now + 31 }, "auth_time is missing, ahead, or older"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, policies)
			if c.edit != nil {
				s.providers[0].OnIDToken(func(claims enrichtest.Claims) []enrichtest.MintOption {
					c.edit(claims, s.clock.Now().Unix())
					return nil
				})
			}
			b := s.browser()
			r := b.open(c.path)
			if c.cause == "" {
				if !strings.HasPrefix(r.body, "page "+c.path+" ") {
					t.Errorf("got %d %s", r.status, r.body)
				}
			} else {
				b.wantFailure(c.name, r, http.StatusForbidden, "not-strong-enough", "insufficient_authentication", c.cause)
			}
			if n := s.providers[0].Hits(enrichtest.Authorize); n != 1 {
				t.Errorf("%d authorizations, want 1", n)
			}
		})
	}
	s := newStage(t, withIssuers("corp", "partner"), policies)
	b := s.browser()
	b.login("/.token-enrich/login?issuer=partner")
	if at := b.begin("/strong"); !strings.HasPrefix(at.String(), s.providers[1].Issuer()) {
		t.Errorf("the person who came from partner is sent to %s", at)
	}
	wantPage(t, "a stranger", s.browser().open("/strong"), http.StatusOK, "choose")

	s = newStage(t, policies)
	b = s.browser()
	b.login("/")
	if at := b.begin("/strong"); at.Query().Get("acr_values") != "phr mfa" || at.Query().Has("max_age") {
		t.Errorf("asked for %v", at.Query())
	}
	s.clock.Advance(6 * time.Minute)
	if at := b.begin("/fresh"); at.Query().Get("max_age") != "300" || at.Query().Has("acr_values") {
		t.Errorf("asked for %v", at.Query())
	}
	b.login("/fresh")
}

// A person who is on the deny list gets a page, and no loop.
func TestADeniedPerson(t *testing.T) {
	s := newStage(t)
	s.deny(errTestDenied)
	b := s.browser()
	b.wantFailure("denied at login", b.open("/"), http.StatusForbidden, "blocked", "revoked", "denied")
	s.deny(nil)
	b.login("/")
	s.deny(errTestDenied)
	wantPage(t, "denied with a young session", b.open("/"), http.StatusForbidden, "blocked")
	if b.cookie(sessionCookie) != "" {
		t.Error("the cookie of a session that was revoked is kept")
	}
	wantPage(t, "denied without a session", b.open("/"), http.StatusForbidden, "blocked")
	s.deny(nil)
	b.login("/")
	s.clock.Advance(2 * time.Minute)
	s.deny(errTestDenied)
	wantPage(t, "denied with an old session", b.open("/"), http.StatusForbidden, "blocked")
	s.deny(http.ErrServerClosed)
	wantPage(t, "a list that cannot be read", b.open("/"), http.StatusServiceUnavailable, "store-unreachable")
}

func TestASessionOfAnotherIssuerIsOfferedTheOther(t *testing.T) {
	s := newStage(t, withIssuers("corp", "partner"), withPolicies(func(p []*login.Provider) []login.PolicyLogin {
		return []login.PolicyLogin{{Name: "web", Providers: p}, {Name: "corp", Providers: p[:1]}}
	}))
	b := s.browser()
	b.login("/.token-enrich/login?issuer=partner")
	r := b.step("/corp/x?a=1")
	wantPage(t, "a page", r, http.StatusForbidden, "other-provider")
	if !strings.Contains(r.body, `href="/.token-enrich/login?issuer=corp&amp;policy=corp&amp;return=%2Fcorp%2Fx%3Fa%3D1"`) || r.header.Get("WWW-Authenticate") != "" {
		t.Errorf("got %v %s", r.header, r.body)
	}
	if r := b.do(http.MethodGet, "/corp/x", http.Header{"Sec-Fetch-Mode": {"cors"}, "Sec-Fetch-Dest": {"empty"}}); r.status != http.StatusForbidden || !strings.Contains(r.body, `{"login_url":`) {
		t.Errorf("a script gets %d %s", r.status, r.body)
	}
	if r := b.step("/x"); r.status != http.StatusOK {
		t.Errorf("the session ended: %d", r.status)
	}
	wantPage(t, "an issuer that the policy has not", b.step("/.token-enrich/login?policy=corp&issuer=partner"), http.StatusBadRequest, "malformed")
}

// The same with twenty requests at a time.
func TestManyTabsInParallel(t *testing.T) {
	s := newStage(t)
	shared := s.browser()
	var tabs [20]*browser
	var begun [20]result
	all := func(do func(i int)) {
		var wg sync.WaitGroup
		for i := range tabs {
			wg.Go(func() { do(i) })
		}
		wg.Wait()
	}
	all(func(i int) {
		tabs[i] = s.browser()
		tabs[i].jar = shared.jar
		begun[i] = tabs[i].step(fmt.Sprintf("/tab/%d", i))
	})
	all(func(i int) {
		if r := tabs[i].follow(begun[i]); !strings.HasPrefix(r.body, fmt.Sprintf("page /tab/%d ", i)) {
			t.Errorf("tab %d arrived at %d %q after %d hops", i, r.status, r.message(), len(tabs[i].trail))
		}
	})
	if n := s.providers[0].Hits(enrichtest.Authorize); n > 2*len(tabs) {
		t.Errorf("%d authorizations", n)
	}
}

// Tabs that begin without a cookie overwrite one another's, some again and again (L2).
func TestACookieThatOtherTabsOverwrite(t *testing.T) {
	for _, c := range []struct {
		overwritten int
		arrives     bool
	}{{1, true}, {2, true}, {5, true}, {6, false}} {
		s := newStage(t)
		b := s.browser()
		at := b.callback("/x").String()
		var r result
		for range c.overwritten {
			other := s.browser()
			other.begin("/y")
			b.setCookie(transactionCookie, other.cookie(transactionCookie))
			if r = b.step(at); r.status == http.StatusSeeOther {
				if len(r.header["Set-Cookie"]) != 0 {
					t.Errorf("the cookie is set anew, and so overwrites another's: %q", r.header["Set-Cookie"])
				}
				at = b.step(r.location(t).String()).location(t).String()
			}
		}
		if !c.arrives {
			wantPage(t, "too often", r, http.StatusBadRequest, "expired")
			continue
		}
		if r = b.open(at); !strings.HasPrefix(r.body, "page /x ") {
			t.Errorf("overwritten %d times: arrived at %d %q", c.overwritten, r.status, r.message())
		}
	}
	// Also after another tab has logged in, a fresh login says who has signed in here.
	s := newStage(t)
	b := s.browser()
	first, second := b.callback("/1"), b.callback("/2")
	b.open(second.String())
	b.setCookie(transactionCookie, "")
	before := s.providers[0].Hits(enrichtest.Authorize)
	if r := b.open(first.String()); !strings.HasPrefix(r.body, "page /1 ") || s.providers[0].Hits(enrichtest.Authorize) != before+1 {
		t.Errorf("arrived at %d %q after %q", r.status, r.message(), b.trail)
	}
	// A session that was there when the login began is none of another tab.
	weak := b.callback("/strong")
	b.setCookie(transactionCookie, "")
	if r := b.step(weak.String()); !s.ofProvider(r.header.Get("Location")) {
		t.Errorf("a step-up goes to %q", r.header.Get("Location"))
	}
}

// What a cookie is like where the site is reached over https.
func TestCookiesOverHTTPS(t *testing.T) {
	s := newStage(t, withoutSockets)
	s.rebuild(func(o *login.SiteOptions, _ []login.PolicyLogin) { o.Endpoints.ExternalURL = "https://app.example.com" })
	get := func(path, query string, cookies ...string) *httptest.ResponseRecorder {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "https://app.example.com"+path+"?"+query, nil)
		w := httptest.NewRecorder()
		s.site.ServeHTTP(w, r, cookies)
		return w
	}
	w := get(login.LoginPath, "return=/x")
	name, attributes, _ := strings.Cut(w.Header().Get("Set-Cookie"), "=")
	value, attributes, _ := strings.Cut(attributes, ";")
	if name != "__Host-token_enrich_login" || attributes != " Path=/; HttpOnly; Secure; SameSite=Lax" {
		t.Errorf("got %s with%s", name, attributes)
	}
	at := s.browser().step(w.Header().Get("Location")).location(t)
	for _, wrong := range []string{"token_enrich_login", "__host-token_enrich_login", "__Secure-token_enrich_login"} {
		if w := get(at.Path, at.RawQuery, wrong+"="+value); !s.ofProvider(w.Header().Get("Location")) {
			t.Errorf("%s is taken for ours: %d", wrong, w.Code)
		}
	}
	w = get(at.Path, at.RawQuery, "a=b; "+name+"="+value)
	name, attributes, _ = strings.Cut(w.Header().Get("Set-Cookie"), "=")
	value, attributes, _ = strings.Cut(attributes, ";")
	if name != "__Host-token_enrich" || attributes != " Path=/; HttpOnly; Secure; SameSite=Lax" || w.Header().Get("Location") != "https://app.example.com/x" {
		t.Errorf("got %s with%s to %s", name, attributes, w.Header().Get("Location"))
	}
	s.secret(value)
	w = get("/.token-enrich/session", "", name+"="+value)
	if w.Code != http.StatusOK {
		t.Errorf("no session: %d", w.Code)
	}
}
