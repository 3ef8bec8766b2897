package enrich

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// placesOfAll lists a place of each kind.
func placesOfAll() []token.Place {
	return []token.Place{
		{Kind: token.Header, Name: "Authorization", Scheme: "Bearer"},
		{Kind: token.Cookie, Name: "session"},
		{Kind: token.Query, Name: "access_token"},
	}
}

func TestATokenStandsInExactlyOnePlace(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{TokenFrom: placesOfAll()})
	good := r.token()
	for name, c := range map[string]struct {
		edit func(req *http.Request)
		want Kind // zero: let through
	}{
		"none":                     {func(*http.Request) {}, KindNoToken},
		"another scheme":           {func(req *http.Request) { req.Header.Set("Authorization", "Basic YTpi") }, KindNoToken},
		"a scheme without a token": {func(req *http.Request) { req.Header.Set("Authorization", "Bearer ") }, KindMalformedRequest},
		"two headers":              {func(req *http.Request) { req.Header["Authorization"] = []string{"Bearer " + good, "Bearer " + good} }, KindMalformedRequest},
		"header and cookie": {func(req *http.Request) {
			req.Header.Set("Authorization", "Bearer "+good)
			req.Header.Set("Cookie", "session="+good)
		}, KindMalformedRequest},
		"cookie and query": {func(req *http.Request) {
			req.Header.Set("Cookie", "session="+good)
			req.URL.RawQuery = "access_token=" + good
		}, KindMalformedRequest},
		"query twice":                  {func(req *http.Request) { req.URL.RawQuery = "access_token=" + good + "&access_token=" + good }, KindMalformedRequest},
		"longer than any token may be": {func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+strings.Repeat("a", 17<<10)) }, KindInvalidToken},
		"a header":                     {func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+good) }, KindInternal},
		"a cookie":                     {func(req *http.Request) { req.Header.Set("Cookie", "a=b; session="+good+"; c=d") }, KindInternal},
		"a query parameter":            {func(req *http.Request) { req.URL.RawQuery = "q=1&access_token=" + good + "&r=2" }, KindInternal},
	} {
		t.Run(name, func(t *testing.T) {
			req := bearer("")
			c.edit(req)
			a := r.send(p, req)
			left := strings.Join(req.Header["Authorization"], "") + req.Header.Get("Cookie") + req.URL.RawQuery
			if c.want != KindNoToken {
				mustNotHold(t, "what is passed on", left, good)
			}
			if c.want != KindInternal {
				if a.kind() != c.want.String() {
					t.Errorf("%s, want %s", a.kind(), c.want)
				}
				return
			}
			if a.err != nil {
				t.Fatal(errors.Unwrap(a.err))
			}
			if want := map[string]string{"a cookie": "a=b; c=d", "a query parameter": "q=1&r=2"}[name]; want != "" && !strings.Contains(left, want) {
				t.Errorf("what was beside the token became %q", left)
			}
		})
	}
}

func TestKeepTokenKeepsItAlsoOnRefusals(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{KeepToken: true})
	for _, text := range []string{r.token(), enrichtest.FlipSignature(r.token())} {
		if got := r.ask(p, text).header("Authorization"); got != "Bearer "+text {
			t.Error("the incoming token is gone")
		}
	}
}

func TestACookieTokenIsTakenFromTheSitesOwnPagesOnly(t *testing.T) {
	r := newRig(t, options{})
	def := PolicyDefinition{TokenFrom: placesOfAll()}
	strict := r.policy(def)
	def.AllowCrossOrigin = true
	lax := r.policy(def)
	good := r.token()
	for name, c := range map[string]struct {
		method string
		header map[string]string
		ok     bool
	}{
		"a page's GET":                      {"GET", nil, true},
		"a foreign page's GET":              {"GET", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		"a foreign page's HEAD":             {"HEAD", map[string]string{"Sec-Fetch-Site": "cross-site"}, true},
		"the site's POST":                   {"POST", map[string]string{"Sec-Fetch-Site": "same-origin", "Origin": "https://payroll.example.com"}, true},
		"a POST that the user typed":        {"POST", map[string]string{"Sec-Fetch-Site": "none"}, true},
		"an old browser's POST":             {"POST", map[string]string{"Origin": "https://payroll.example.com"}, true},
		"a program's POST":                  {"POST", nil, true},
		"a sibling's POST":                  {"POST", map[string]string{"Sec-Fetch-Site": "same-site", "Origin": "https://wiki.example.com"}, false},
		"a foreign POST":                    {"POST", map[string]string{"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example.net"}, false},
		"a foreign DELETE":                  {"DELETE", map[string]string{"Sec-Fetch-Site": "cross-site"}, false},
		"an old browser's foreign POST":     {"POST", map[string]string{"Origin": "https://evil.example.net"}, false},
		"a sandboxed page's POST":           {"POST", map[string]string{"Origin": "null"}, false},
		"the site's WebSocket":              {"GET", map[string]string{"Upgrade": "websocket", "Origin": "https://payroll.example.com"}, true},
		"a program's WebSocket":             {"GET", map[string]string{"Upgrade": "websocket"}, true},
		"a foreign WebSocket":               {"GET", map[string]string{"Upgrade": "websocket", "Origin": "https://evil.example.net"}, false},
		"a foreign WebSocket, fetch site":   {"GET", map[string]string{"Upgrade": "websocket", "Sec-Fetch-Site": "cross-site"}, false},
		"a WebSocket that claims both":      {"GET", map[string]string{"Upgrade": "websocket", "Sec-Fetch-Site": "same-origin", "Origin": "https://evil.example.net"}, false},
		"a sandboxed page's WebSocket":      {"GET", map[string]string{"Upgrade": "websocket", "Origin": "null"}, false},
		"a WebSocket over HTTP/2":           {"CONNECT", map[string]string{"Origin": "https://evil.example.net"}, false},
		"a WebSocket from a host like ours": {"GET", map[string]string{"Upgrade": "websocket", "Origin": "https://payroll.example.com.evil.example.net"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(p *Policy, where func(req *http.Request)) answer {
				req := bearer("")
				req.Method = c.method
				for k, v := range c.header {
					req.Header.Set(k, v)
				}
				where(req)
				return r.send(p, req)
			}
			inCookie := func(req *http.Request) { req.Header.Set("Cookie", "session="+good) }
			a := send(strict, inCookie)
			if (a.err == nil) != c.ok {
				t.Errorf("with a cookie: %v, want let through: %t", a.err, c.ok)
			}
			if !c.ok && a.kind() != KindCrossOrigin.String() {
				t.Errorf("refused as %s", a.kind())
			}
			if a := send(lax, inCookie); a.err != nil {
				t.Errorf("where cross-origin is allowed: %v", a.err)
			}
			// No page can make a browser send the other places.
			if a := send(strict, func(req *http.Request) { req.Header.Set("Authorization", "Bearer "+good) }); a.err != nil {
				t.Errorf("with a header: %v", a.err)
			}
		})
	}
}

func TestARequirementOnTheRequestIsAskedEachTime(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{Claims: fromDirectory(), Require: []string{`request.method == "GET"`}})
	good := r.token()
	for i, method := range []string{"GET", "POST", "GET", "POST", "GET"} {
		req := bearer(good)
		req.Method = method
		a := r.send(p, req)
		a.mustHit(t, i > 0)
		if (a.err == nil) != (method == "GET") {
			t.Fatalf("request %d, %s: %v", i+1, method, a.err)
		}
		if a.err != nil {
			a.mustBe(t, KindDenied)
			if got := a.header("X-Groups"); got != "" {
				t.Errorf("a refused request carries X-Groups %q", got)
			}
		}
	}
}

func TestWhatARequirementSeesOfTheRequest(t *testing.T) {
	r := newRig(t, options{})
	for expression, want := range map[string]bool{
		`request.method == "GET"`:                                      true,
		`request.path == "/slips"`:                                     true,
		`request.client_ip == "192.0.2.7"`:                             true,
		`request.host == "payroll.example.com"`:                        true,
		`request.path == "/slips" && user.department == "Engineering"`: true,
		`request.path == "/other"`:                                     false,
		`request.path == claims.email`:                                 false,
	} {
		t.Run(expression, func(t *testing.T) {
			a := r.ask(r.policy(PolicyDefinition{Claims: fromDirectory(), Require: []string{expression}}), r.token())
			if (a.err == nil) != want {
				t.Errorf("let through: %t, want %t (%v)", a.err == nil, want, errors.Unwrap(a.err))
			}
		})
	}
	t.Run("the path in each of its readings (P55)", func(t *testing.T) {
		p := r.policy(PolicyDefinition{Require: []string{`request.path == "/admin"`}})
		for path, want := range map[string]bool{"/admin": true, "//admin": false, "/x/../admin": false, "/admin/": false, "/Admin": false} {
			req := bearer(r.token())
			req.URL = &url.URL{Path: path}
			if a := r.send(p, req); (a.err == nil) != want {
				t.Errorf("%s: let through %t, want %t", path, a.err == nil, want)
			}
		}
	})
}

func TestTheAuthenticationContextIsAskedEachTime(t *testing.T) {
	r := newRig(t, options{})
	now := r.Clock()
	for name, c := range map[string]struct {
		acr    []string
		maxAge time.Duration
		claims enrichtest.Claims
		ok     bool
	}{
		"one of the values":        {[]string{"phr", "mfa"}, 0, enrichtest.Claims{"acr": "mfa"}, true},
		"another value":            {[]string{"phr", "mfa"}, 0, enrichtest.Claims{"acr": "pwd"}, false},
		"no value":                 {[]string{"mfa"}, 0, nil, false},
		"a list of values":         {[]string{"mfa"}, 0, enrichtest.Claims{"acr": []string{"mfa"}}, false},
		"young enough":             {nil, time.Hour, enrichtest.Claims{"auth_time": now.Add(-time.Hour).Unix()}, true},
		"young enough by leeway":   {nil, time.Hour, enrichtest.Claims{"auth_time": now.Add(-time.Hour - 30*time.Second).Unix()}, true},
		"too old":                  {nil, time.Hour, enrichtest.Claims{"auth_time": now.Add(-time.Hour - 31*time.Second).Unix()}, false},
		"no time":                  {nil, time.Hour, nil, false},
		"a time with a fraction":   {nil, time.Hour, enrichtest.Claims{"auth_time": float64(now.Unix()) + 0.5}, true},
		"a time as text":           {nil, time.Hour, enrichtest.Claims{"auth_time": "2026-03-01T12:00:00Z"}, false},
		"a time out of all range":  {nil, time.Hour, enrichtest.Claims{"auth_time": 1e300}, false},
		"a time below all range":   {nil, time.Hour, enrichtest.Claims{"auth_time": -1e300}, false},
		"a time far ahead":         {nil, time.Hour, enrichtest.Claims{"auth_time": now.Add(24 * time.Hour).Unix()}, false},
		"both, and one is not met": {[]string{"mfa"}, time.Hour, enrichtest.Claims{"acr": "mfa", "auth_time": 1}, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.policy(PolicyDefinition{RequireACR: c.acr, MaxAge: c.maxAge})
			good := r.token(c.claims)
			for range 2 {
				a := r.ask(p, good)
				if (a.err == nil) != c.ok {
					t.Fatalf("let through %t, want %t: %v", a.err == nil, c.ok, a.err)
				}
				if c.ok {
					continue
				}
				a.mustBe(t, KindInsufficientAuthentication)
				var refusal *Refusal
				if !errors.As(a.err, &refusal) || refusal.MaxAge != c.maxAge || len(refusal.ACRValues) != len(c.acr) {
					t.Errorf("refusal %+v does not tell what is wanted", refusal)
				}
			}
		})
	}
	t.Run("also of a cached decision", func(t *testing.T) {
		r := newRig(t, options{})
		p := r.policy(PolicyDefinition{MaxAge: 2 * time.Minute})
		good := r.token(enrichtest.Claims{"auth_time": r.Clock().Unix()})
		r.warm(p, good)
		r.clock.Advance(2*time.Minute + 31*time.Second)
		a := r.refused(p, good, KindInsufficientAuthentication)
		a.mustHit(t, true)
	})
}

func TestARequiredScopeIsInTheRefusal(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{RequireScope: []string{"pay", "audit"}})
	for range 2 { // decided, and from the cache
		a := r.refused(p, r.token(), KindInsufficientScope)
		var refusal *Refusal
		if !errors.As(a.err, &refusal) || strings.Join(refusal.Scopes, " ") != "pay audit" {
			t.Errorf("refusal %+v", refusal)
		}
	}
	r.allowed(p, r.token(enrichtest.Claims{"scope": "audit openid pay"}))
}

func TestAnonymousGoesOnWithoutIdentity(t *testing.T) {
	r := newRig(t, options{})
	def := PolicyDefinition{
		Anonymous: true, Claims: append(fromDirectory(), claim.Definition{Name: "hello", Expression: `"everybody"`}),
		Forward: forward.Definition{Headers: []forward.HeaderDefinition{
			{Name: "X-User", Claim: "sub", OnEmpty: "default", Default: "guest"}, {Name: "X-Hello", Claim: "hello"},
		}},
		Tokens: []mint.TokenDefinition{{Header: "X-Token", Audience: []string{"payroll"}}},
	}
	p := r.policy(def)
	a := r.send(p, bearer(""))
	if a.err != nil {
		t.Fatal(a.err)
	}
	if len(a.request.Header) != 0 || a.decision.Principal != nil || a.decision.Status() != statusAnonymous || a.kind() != OutcomeAnonymous {
		t.Errorf("headers %v, status %q", a.request.Header, a.decision.Status())
	}
	if n := r.people.Persons.Load() + r.people.Apps.Load(); n != 0 {
		t.Errorf("the directory was asked %d times", n)
	}
	t.Run("a bad token is refused all the same", func(t *testing.T) {
		r.refused(p, enrichtest.FlipSignature(r.token()), KindInvalidToken)
		req := bearer("")
		req.Header["Authorization"] = []string{"Bearer a", "Bearer b"}
		r.send(p, req).mustBe(t, KindMalformedRequest)
	})
	for name, c := range map[string]struct {
		edit func(*PolicyDefinition)
		ok   bool
	}{
		"a scope is required":               {func(d *PolicyDefinition) { d.RequireScope = []string{"pay"} }, false},
		"a class of login is required":      {func(d *PolicyDefinition) { d.RequireACR = []string{"mfa"} }, false},
		"an age of login is required":       {func(d *PolicyDefinition) { d.MaxAge = time.Hour }, false},
		"nobody is required":                {func(d *PolicyDefinition) { d.Require = []string{"user == null"} }, true},
		"no token is required":              {func(d *PolicyDefinition) { d.Require = []string{"token == null"} }, true},
		"somebody is required":              {func(d *PolicyDefinition) { d.Require = []string{"user != null"} }, false},
		"a department is required":          {func(d *PolicyDefinition) { d.Require = []string{`user.department == "Engineering"`} }, false},
		"a requirement on groups":           {func(d *PolicyDefinition) { d.Require = []string{`isMemberOfGroup("00gStaff")`} }, false},
		"reading is for everybody":          {func(d *PolicyDefinition) { d.Require = []string{`request.method == "GET"`} }, true},
		"writing is not":                    {func(d *PolicyDefinition) { d.Require = []string{`request.method == "POST"`} }, false},
		"nobody, and a path that is closed": {func(d *PolicyDefinition) { d.Require = []string{`user == null && request.path == "/open"`} }, false},
	} {
		t.Run(name, func(t *testing.T) {
			d := def
			c.edit(&d)
			a := r.send(r.policy(d), bearer(""))
			if (a.err == nil) != c.ok {
				t.Fatalf("let through %t, want %t: %v", a.err == nil, c.ok, errors.Unwrap(a.err))
			}
			if !c.ok {
				a.mustBe(t, KindNoToken)
			}
		})
	}
}

// TestAPanicInAStageRefusesAndSaysNothing: the next handler must not be
// reached, and neither token nor person may be in the log.
func TestAPanicInAStageRefusesAndSaysNothing(t *testing.T) {
	r := newRig(t, options{})
	signing(t, r, enrichtest.KeyFile(t))
	p := r.policy(PolicyDefinition{
		Claims: fromDirectory(),
		Tokens: []mint.TokenDefinition{{Header: "X-Token", Audience: []string{"payroll"}}},
	})
	good := r.token()
	r.seen.onMinted = func() { panic("ada@example.com " + good) }
	a := r.refused(p, good, KindInternal)
	if !errors.Is(a.err, ErrPanic) || a.decision != nil {
		t.Errorf("cause %v, decision %v", errors.Unwrap(a.err), a.decision)
	}
	if a.err.Error() != "internal error" {
		t.Errorf("text %q", a.err.Error())
	}
	log := r.logs.String()
	if !strings.Contains(log, "a stage panicked") {
		t.Error("the log does not tell of it")
	}
	mustNotHold(t, "the log", log, good, "ada@example.com", "00u1ada")
	r.seen.onMinted = nil
	r.allowed(p, good) // nothing is wedged
}

func TestIssuersThatThePolicyDoesNotNameAreNotAccepted(t *testing.T) {
	r := newRig(t, options{})
	r.allowed(r.policy(PolicyDefinition{Issuers: []string{"corp"}}), r.token())
	a := r.refused(r.policy(PolicyDefinition{Issuers: []string{"partner"}}), r.token(), KindInvalidToken)
	if !errors.Is(a.err, issuer.ErrUnknownIssuer) {
		t.Errorf("got %v", a.err)
	}
}

func TestAnIssuerWhoseKeysCannotBeHadIsUnavailableAndNotARefusal(t *testing.T) {
	r := newRig(t, options{})
	r.provider.Break(enrichtest.KeySet, enrichtest.Cut())
	p := r.usual()
	a := r.refused(p, r.token(), KindUnavailable)
	if !errors.Is(a.err, issuer.ErrUnavailable) {
		t.Errorf("cause %v", errors.Unwrap(a.err))
	}
	r.provider.Mend(enrichtest.KeySet)
	r.clock.Advance(time.Minute)
	r.allowed(p, r.token())
}

func TestAClaimRuleThatFailsIsTheGatewaysFaultAndNotKept(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{Claims: []claim.Definition{{Name: "login", Expression: `String.substring(user.email, 0, 99)`}}})
	a := r.refused(p, r.token(), KindClaim)
	if a.err.Error() != "internal error" {
		t.Errorf("text %q", a.err.Error())
	}
	var rule *claim.RuleError
	if !errors.As(a.err, &rule) || rule.Rule != "login" {
		t.Errorf("cause %v names no rule", errors.Unwrap(a.err))
	}
	mustNotHold(t, "the cause", errors.Unwrap(a.err).Error(), "ada@example.com")
}

func TestAHeaderThatDoesNotFitFailsTheRequestAndIsCounted(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{
		Claims:  fromDirectory(),
		Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-Groups", Claim: "groups", MaxBytes: 4}}},
	})
	a := r.refused(p, r.token(), KindHeader)
	if got := a.header("X-Groups"); got != "" {
		t.Errorf("X-Groups = %q", got)
	}
	if len(r.seen.overflowed) != 1 || r.seen.overflowed[0] != "X-Groups" {
		t.Errorf("counted %q", r.seen.overflowed)
	}
	// Who asks why counts nothing.
	if e, err := r.Explain(t.Context(), p, ExplainRequest{Token: r.token()}); err != nil || e.Allowed || len(r.seen.overflowed) != 1 {
		t.Errorf("explained: %+v, %v; counted %q", e, err, r.seen.overflowed)
	}
	mustNotHold(t, "the cause", errors.Unwrap(a.err).Error(), "Staff")
}
