package enrich

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

const sessionCookie = "__Host-token_enrich"

// fakeSession is a SessionSource that a test sets.
type fakeSession struct {
	key                string
	who                *issuer.Verified
	openErr, verifyErr error
	cookie             string // that was opened last
	verifies           int
}

func (s *fakeSession) Open(cookie string, _ time.Time) (string, error) {
	s.cookie = cookie
	return s.key, s.openErr
}

func (s *fakeSession) Verify(context.Context) (*issuer.Verified, error) {
	s.verifies++
	return s.who, s.verifyErr
}

// sessionOf returns a session that holds the claims of a token and begins and ends
// with it.
func (r *rig) sessionOf(text string) *fakeSession {
	r.t.Helper()
	v, err := r.Issuers.Verify(r.t.Context(), text, nil, issuer.CallerOf(bearer(text), text, "Bearer"))
	if err != nil {
		r.t.Fatal(err)
	}
	p := v.Principal
	s := &fakeSession{key: "session 1, claims 1"}
	s.who, err = r.issuer.VerifySession(issuer.SessionClaims{Claims: p.Claims, Client: p.Client, Scopes: p.Scopes, Began: p.IssuedAt, End: p.Expiry})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

// session is that of Ada, which lives for an hour.
func (r *rig) session(over ...enrichtest.Claims) *fakeSession {
	r.t.Helper()
	return r.sessionOf(r.token(over...))
}

// loginPolicy is the usual policy with a login at corp.
func (r *rig) loginPolicy(change ...func(*PolicyDefinition)) *Policy {
	r.t.Helper()
	def := PolicyDefinition{Claims: fromDirectory(), SessionCookie: sessionCookie, Logins: []string{"corp"}}
	for _, c := range change {
		c(&def)
	}
	return r.policy(def)
}

// browsing is a GET with a session's cookie between two others.
func browsing() *http.Request {
	req := bearer("")
	req.Header.Set("Cookie", "a=1; "+sessionCookie+"=sealed; b=2")
	return req
}

// browse sends the request of a browser with this session, whose cookie may never
// be left.
func (r *rig) browse(p *Policy, req *http.Request, s *fakeSession) answer {
	r.t.Helper()
	a := r.sendWith(p, req, RequestInfo{Session: s})
	if got := a.header("Cookie"); strings.Contains(got, sessionCookie) {
		r.t.Errorf("the session's cookie stays on the request: %q", got)
	}
	return a
}

func (a answer) mustPass(t testing.TB) answer {
	t.Helper()
	if a.err != nil {
		t.Fatalf("refused as %s (%v)", a.kind(), errors.Unwrap(a.err))
	}
	return a
}

// TestASessionIsForwardedAsATokenIs: the application cannot tell how a person came
// (L14).
func TestASessionIsForwardedAsATokenIs(t *testing.T) {
	for name, change := range map[string]func(*PolicyDefinition){
		"from the directory": func(*PolicyDefinition) {},
		"from the token":     func(d *PolicyDefinition) { d.Claims = nil },
		"every claim": func(d *PolicyDefinition) {
			d.Forward = forward.Definition{HeadersFrom: []forward.HeadersFrom{{Prefix: "X-Claim-"}}}
		},
		"requirements": func(d *PolicyDefinition) {
			d.RequireScope, d.RequireACR, d.MaxAge = []string{"pay"}, []string{"phr"}, time.Hour
			d.Require = []string{`token.email == "ada@corp.example"`, `access.scope.contains("openid")`, `request.client_ip == "192.0.2.7"`}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			p := r.loginPolicy(change)
			text := r.token(enrichtest.Claims{
				"email": "ada@corp.example", "groups": []string{"a", "b"}, "acr": "phr", "auth_time": r.Clock().Unix(), "sid": "s-1",
			})
			want := r.allowed(p, text)
			s := r.sessionOf(text)
			for _, hit := range []bool{false, true} {
				a := r.browse(p, browsing(), s).mustPass(t)
				a.mustHit(t, hit)
				if got := a.header("Cookie"); got != "a=1; b=2" {
					t.Errorf("the other cookies became %q", got)
				}
				a.request.Header.Del("Cookie")
				if !reflect.DeepEqual(a.request.Header, want.request.Header) {
					t.Errorf("%v\nwant as for the token %v", a.request.Header, want.request.Header)
				}
				if a.decision.Principal.Client != "0oa1payroll" || a.decision.Status() != want.decision.Status() {
					t.Errorf("client %q, status %s", a.decision.Principal.Client, a.decision.Status())
				}
			}
			if s.cookie != "sealed" || s.verifies != 1 {
				t.Errorf("opened %q, verified %d times", s.cookie, s.verifies)
			}
		})
	}
}

// TestATokenNeverHitsASessionsDecision, nor the reverse, whatever text a client
// sends.
func TestATokenNeverHitsASessionsDecision(t *testing.T) {
	r := newRig(t, options{})
	p := r.loginPolicy()
	s := r.session()
	r.browse(p, browsing(), s).mustPass(t)
	r.browse(p, browsing(), s).mustPass(t).mustHit(t, true)
	r.refused(p, s.key, KindInvalidToken).mustHit(t, false)

	text := r.token()
	r.warm(p, text)
	s = r.session()
	s.key, s.verifyErr = text, errors.New("no such session")
	a := r.browse(p, browsing(), s)
	a.mustBe(t, KindSessionEnded)
	a.mustHit(t, false)
}

// TestASessionIsOpenedOnEveryRequest: a decision about a session is used only while
// the session is one.
func TestASessionIsOpenedOnEveryRequest(t *testing.T) {
	r := newRig(t, options{})
	p := r.loginPolicy()
	s := r.session()
	r.browse(p, browsing(), s).mustPass(t)
	s.openErr = errors.New("the session has ended")
	r.browse(p, browsing(), s).mustBe(t, KindSessionEnded)
	s.openErr = issuer.ErrUnavailable
	r.browse(p, browsing(), s).mustBe(t, KindUnavailable)
	s.openErr = nil
	r.browse(p, browsing(), s).mustPass(t).mustHit(t, true)
	s.key = "session 1, claims 2"
	r.browse(p, browsing(), s).mustPass(t).mustHit(t, false)
	if s.verifies != 2 {
		t.Errorf("verified %d times, want once for each version of the claims", s.verifies)
	}
}

func TestASessionIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		policy  func(*PolicyDefinition)
		session func(*fakeSession)
		want    Kind
	}{
		"it cannot be opened":           {session: func(s *fakeSession) { s.openErr = errors.New("seal") }, want: KindSessionEnded},
		"no store to open it":           {session: func(s *fakeSession) { s.openErr = fmt.Errorf("redis: %w", issuer.ErrUnavailable) }, want: KindUnavailable},
		"its claims are not accepted":   {session: func(s *fakeSession) { s.verifyErr = issuer.ErrInvalidToken }, want: KindSessionEnded},
		"no store to read its claims":   {session: func(s *fakeSession) { s.verifyErr = fmt.Errorf("redis: %w", issuer.ErrUnavailable) }, want: KindUnavailable},
		"the client has gone":           {session: func(s *fakeSession) { s.verifyErr = fmt.Errorf("redis: %w", context.Canceled) }, want: KindUnavailable},
		"the server waits no more":      {session: func(s *fakeSession) { s.openErr = context.DeadlineExceeded }, want: KindUnavailable},
		"of another login":              {policy: func(d *PolicyDefinition) { d.Logins = []string{"partner"} }, want: KindOtherLogin},
		"no login at all":               {policy: func(d *PolicyDefinition) { d.Logins = nil }, want: KindOtherLogin},
		"issuers of tokens do not help": {policy: func(d *PolicyDefinition) { d.Logins, d.Issuers = []string{"partner"}, []string{"corp"} }, want: KindOtherLogin},
		"a requirement is not met":      {policy: func(d *PolicyDefinition) { d.Require = []string{"1 == 2"} }, want: KindDenied},
		"a scope is missing":            {policy: func(d *PolicyDefinition) { d.RequireScope = []string{"audit"} }, want: KindInsufficientScope},
		"a stronger login is required":  {policy: func(d *PolicyDefinition) { d.RequireACR = []string{"phr"} }, want: KindInsufficientAuthentication},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			for _, keep := range []bool{false, true} {
				p := r.loginPolicy(func(d *PolicyDefinition) {
					d.KeepToken = keep
					if c.policy != nil {
						c.policy(d)
					}
				})
				s := r.session()
				if c.session != nil {
					c.session(s)
				}
				a := r.browse(p, browsing(), s)
				a.mustBe(t, c.want)
				var refusal *Refusal
				if errors.As(a.err, &refusal) && (refusal.RetryAfter > 0) != (c.want == KindUnavailable) {
					t.Errorf("Retry-After %s", refusal.RetryAfter)
				}
			}
		})
	}
}

// TestTwoIdentitiesAreMalformed: two filled places, or one that is filled twice, are
// no identity (L3), and none of them reaches the application (L5).
func TestTwoIdentitiesAreMalformed(t *testing.T) {
	r := newRig(t, options{})
	for name, cookie := range map[string][]string{
		"a token beside it":     {sessionCookie + "=sealed"},
		"twice":                 {sessionCookie + "=sealed; " + sessionCookie + "=other"},
		"twice, on two lines":   {sessionCookie + "=sealed", "a=1; " + sessionCookie + "=sealed"},
		"twice, one is cleared": {sessionCookie + "=; " + sessionCookie + "=sealed"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, keep := range []bool{false, true} {
				p := r.loginPolicy(func(d *PolicyDefinition) { d.KeepToken, d.Anonymous = keep, true })
				req := bearer("")
				if name == "a token beside it" {
					req = bearer(r.token())
				}
				req.Header["Cookie"] = cookie
				a := r.browse(p, req, r.session())
				if a.kind() != KindMalformedRequest.String() {
					t.Errorf("%s, want 400", a.kind())
				}
			}
		})
	}
}

// TestASessionNeverReachesTheApplication, also not where incoming tokens are kept
// (L5).
func TestASessionNeverReachesTheApplication(t *testing.T) {
	r := newRig(t, options{})
	ticket := token.Place{Kind: token.Cookie, Name: "ticket"}
	p := r.loginPolicy(func(d *PolicyDefinition) {
		d.KeepToken, d.TokenFrom = true, append(token.DefaultPlaces(), ticket)
	})
	reserved, err := forward.NewReservedNames(p.HeaderPlan()).Except(forward.Sources{
		Headers: []string{"Authorization"}, Cookies: []string{"ticket", sessionCookie},
	})
	if err != nil {
		t.Fatal(err)
	}
	text := r.token()
	for name, c := range map[string]struct {
		sent   http.Header
		kept   string // the cookies
		bearer bool
	}{
		"a session":             {sent: http.Header{"Cookie": {"a=1; " + sessionCookie + "=sealed"}}, kept: "a=1"},
		"an alias beside it":    {sent: http.Header{"Cookie": {"a=1; " + sessionCookie + "=sealed; __host_token.enrich=x"}}, kept: "a=1"},
		"a token":               {sent: http.Header{"Authorization": {"Bearer " + text}, "Cookie": {"a=1"}}, kept: "a=1", bearer: true},
		"a token in a cookie":   {sent: http.Header{"Cookie": {"a=1; ticket=" + text}}, kept: "a=1; ticket=" + text},
		"a session was cleared": {sent: http.Header{"Cookie": {sessionCookie + "=; ticket=" + text}}, kept: "ticket=" + text},
	} {
		for _, detached := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, detached %t", name, detached), func(t *testing.T) {
				req := bearer("")
				maps.Copy(req.Header, c.sent)
				info := RequestInfo{Session: r.session(), Reserved: reserved}
				reserved.Scrub(req)
				if detached {
					info.Credentials = http.Header{}
					for _, name := range reserved.CredentialHeaders() {
						if values := req.Header[name]; values != nil {
							info.Credentials[name] = values
						}
					}
					reserved.ScrubCredentials(req)
				}
				a := r.sendWith(p, req, info).mustPass(t)
				if got := a.header("Cookie"); strings.TrimLeft(got, " ") != c.kept {
					t.Errorf("cookies %q, want %q", got, c.kept)
				}
				if got := a.header("Authorization"); (got == "Bearer "+text) != c.bearer {
					t.Errorf("Authorization %q", got)
				}
			})
		}
	}
}

// TestAnEndedSessionIsAStranger where strangers are let in, for requests that change
// nothing. One that cannot be read is not.
func TestAnEndedSessionIsAStranger(t *testing.T) {
	ended := func(_ *rig, s *fakeSession) { s.openErr = errors.New("ended") }
	for name, c := range map[string]struct {
		method  string
		require string
		session func(r *rig, s *fakeSession)
		want    string
	}{
		"GET":                         {http.MethodGet, "", ended, OutcomeAnonymous},
		"HEAD":                        {http.MethodHead, "", ended, OutcomeAnonymous},
		"POST":                        {http.MethodPost, "", ended, "session_ended"},
		"OPTIONS":                     {http.MethodOptions, "", ended, "session_ended"},
		"its claims are not accepted": {http.MethodGet, "", func(_ *rig, s *fakeSession) { s.verifyErr = issuer.ErrInvalidToken }, OutcomeAnonymous},
		"revoked":                     {http.MethodGet, "", func(r *rig, _ *fakeSession) { r.deny(DenySession, "s-1", time.Time{}) }, OutcomeAnonymous},
		"revoked, POST":               {http.MethodPost, "", func(r *rig, _ *fakeSession) { r.deny(DenySession, "s-1", time.Time{}) }, "session_ended"},
		"strangers are refused":       {http.MethodGet, `user.login != null`, ended, "no_token"},
		"the store is down":           {http.MethodGet, "", func(_ *rig, s *fakeSession) { s.openErr = issuer.ErrUnavailable }, "unavailable"},
		"the store goes down":         {http.MethodGet, "", func(_ *rig, s *fakeSession) { s.verifyErr = issuer.ErrUnavailable }, "unavailable"},
		"it is one":                   {http.MethodPost, "", func(*rig, *fakeSession) {}, OutcomeAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			p := r.loginPolicy(func(d *PolicyDefinition) {
				d.Anonymous, d.KeepToken = true, true
				if c.require != "" {
					d.Require = []string{c.require}
				}
			})
			s := r.session(enrichtest.Claims{"sid": "s-1"})
			c.session(r, s)
			req := browsing()
			req.Method = c.method
			a := r.browse(p, req, s)
			if a.kind() != c.want {
				t.Errorf("%s, want %s", a.kind(), c.want)
			}
			if got := a.header("X-User"); (got != "") != (c.want == OutcomeAllowed) {
				t.Errorf("X-User %q", got)
			}
		})
	}
}

// TestASessionIsTakenFromTheSitesOwnPagesOnly: a foreign page can neither change
// anything with a person's session nor open a WebSocket (L17).
func TestASessionIsTakenFromTheSitesOwnPagesOnly(t *testing.T) {
	r := newRig(t, options{})
	strict := r.loginPolicy(func(d *PolicyDefinition) { d.Anonymous = true })
	lax := r.loginPolicy(func(d *PolicyDefinition) { d.AllowCrossOrigin = true })
	for name, c := range map[string]struct {
		method string
		header http.Header
		ok     bool
	}{
		"a foreign page's GET": {"GET", http.Header{"Sec-Fetch-Site": {"cross-site"}}, true},
		"the site's POST":      {"POST", http.Header{"Sec-Fetch-Site": {"same-origin"}}, true},
		"a foreign POST":       {"POST", http.Header{"Sec-Fetch-Site": {"cross-site"}}, false},
		"a sibling's DELETE":   {"DELETE", http.Header{"Sec-Fetch-Site": {"same-site"}, "Origin": {"https://wiki.example.com"}}, false},
		"the site's WebSocket": {"GET", http.Header{"Upgrade": {"websocket"}, "Origin": {"https://payroll.example.com"}}, true},
		"a foreign WebSocket":  {"GET", http.Header{"Upgrade": {"websocket"}, "Origin": {"https://evil.example.net"}}, false},
	} {
		t.Run(name, func(t *testing.T) {
			send := func(p *Policy) answer {
				req := browsing()
				req.Method = c.method
				maps.Copy(req.Header, c.header)
				return r.browse(p, req, r.session())
			}
			send(lax).mustPass(t)
			if a := send(strict); c.ok {
				a.mustPass(t)
			} else {
				a.mustBe(t, KindCrossOrigin)
			}
		})
	}
}

// TestADenialEndsSessions by the session at the issuer and by the user, the latter
// up to the time at which the session began.
func TestADenialEndsSessions(t *testing.T) {
	for name, c := range map[string]struct {
		claim, value string
		before       time.Duration // after the session began; 0: all
		denied       bool
	}{
		"its session":                    {DenySession, "s-1", 0, true},
		"another session":                {DenySession, "s-2", 0, false},
		"its user":                       {DenyUser, "00u1ada", 0, true},
		"its user, until it began":       {DenyUser, "00u1ada", -time.Second, false},
		"its user, until after it began": {DenyUser, "00u1ada", time.Second, true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			p := r.loginPolicy()
			s := r.session(enrichtest.Claims{"sid": "s-1"})
			r.browse(p, browsing(), s).mustPass(t)
			if err := r.CheckDenied(s.who); err != nil {
				t.Fatal(err)
			}
			var before time.Time
			if c.before != 0 {
				before = s.who.Principal.IssuedAt.Add(c.before)
			}
			r.deny(c.claim, c.value, before)
			a, err := r.browse(p, browsing(), s), r.CheckDenied(s.who)
			if !c.denied {
				a.mustPass(t).mustHit(t, true)
				if err != nil {
					t.Error(err)
				}
				return
			}
			a.mustBe(t, KindSessionEnded)
			var refusal *Refusal
			if !errors.As(err, &refusal) || refusal.Kind != KindSessionEnded || !errors.Is(err, errRevoked) || !errors.Is(a.err, errRevoked) {
				t.Errorf("before the session %v, then %v", err, a.err)
			}
		})
	}
}

// TestNobodyIsLetInByAnUnconfirmedDenyList, so that no session begins which the next
// request refuses.
func TestNobodyIsLetInByAnUnconfirmedDenyList(t *testing.T) {
	r := newRig(t, options{
		node:    cachetest.NewNetwork(time.Now).Node(), // never read
		gateway: func(g *Gateway) { g.DenialsConfigured = true },
	})
	s := r.session()
	err := r.CheckDenied(s.who)
	var refusal *Refusal
	if !errors.As(err, &refusal) || refusal.Kind != KindUnavailable || !errors.Is(err, errDenyListUnconfirmed) {
		t.Errorf("%v, want the refusal of Enrich", err)
	}
	r.browse(r.loginPolicy(), browsing(), s).mustBe(t, KindUnavailable)
}

// TestASessionEndsAtItsEnd, to the nanosecond: no leeway of the issuer prolongs it.
func TestASessionEndsAtItsEnd(t *testing.T) {
	for _, cached := range []bool{true, false} {
		r := newRig(t, options{nobody: true}) // a record would end before
		p := r.loginPolicy(func(d *PolicyDefinition) { d.Claims = nil })
		s := r.session()
		end := s.who.Principal.Expiry
		if cached {
			r.browse(p, browsing(), s).mustPass(t)
		}
		r.clock.Set(end.Add(-1))
		a := r.browse(p, browsing(), s).mustPass(t)
		a.mustHit(t, cached)
		if got := a.decision.until(); !got.Equal(end) {
			t.Errorf("a long request would end at %s, want %s", got, end)
		}
		if got := a.decision.signingRequest(r.Clock()).Leeway; got != 0 {
			t.Errorf("a signed token may outlive the session by %s", got)
		}
		r.clock.Set(end)
		r.browse(p, browsing(), s).mustBe(t, KindSessionEnded)
	}
}

func TestALongRequestEndsWithItsSession(t *testing.T) {
	for name, header := range longs() {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options{}, func(t *testing.T, r *rig) {
				req := browsing()
				maps.Copy(req.Header, header)
				mark := r.PurgeVersion()
				a := r.browse(r.loginPolicy(), req, r.session()).mustPass(t)
				req, done, err := r.Track(req, a.decision, 0, mark)
				if err != nil {
					t.Fatal(err)
				}
				defer done()
				time.Sleep(time.Hour - 1)
				if req.Context().Err() != nil {
					t.Error("ended before its session")
				}
				time.Sleep(time.Nanosecond)
				synctest.Wait()
				if !errors.Is(context.Cause(req.Context()), errRequestEnded) {
					t.Errorf("cause %v", context.Cause(req.Context()))
				}
			})
		})
	}
}

func TestTheSessionsCookieIsAPlaceOfItsOwn(t *testing.T) {
	p := compiled(t, PolicyDefinition{SessionCookie: sessionCookie, DPoP: true})
	places := p.Places()
	if last := places[len(places)-1]; len(places) != 3 || !last.Session || last.Name != sessionCookie || last.Kind != token.Cookie {
		t.Errorf("places %+v", places)
	}
	if p := compiled(t, PolicyDefinition{}); len(p.Places()) != 1 {
		t.Errorf("without a login the places are %+v", p.Places())
	}
	_, err := CompilePolicy(PolicyDefinition{SessionCookie: sessionCookie, TokenFrom: []token.Place{{Kind: token.Cookie, Name: sessionCookie}}})
	if !errors.Is(err, token.ErrPlace) || !strings.Contains(err.Error(), "duplicate source cookie "+sessionCookie) {
		t.Errorf("a token in the session's cookie compiles with %v", err)
	}
	if _, err = CompilePolicy(PolicyDefinition{SessionCookie: "a b"}); !errors.Is(err, token.ErrPlace) {
		t.Errorf("a cookie that cannot be sent compiles with %v", err)
	}
}
