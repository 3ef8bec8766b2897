package enrich

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

func TestASecondRequestIsAnsweredFromTheDecisionCacheAlike(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	token := r.token()
	first := r.allowed(p, token)
	second := r.allowed(p, token)
	first.mustHit(t, false)
	second.mustHit(t, true)
	for _, name := range []string{"X-User", "X-Email", "X-Groups"} {
		if first.header(name) == "" || first.header(name) != second.header(name) {
			t.Errorf("%s: first %q, second %q", name, first.header(name), second.header(name))
		}
	}
	if n := r.people.Persons.Load(); n != 1 {
		t.Errorf("the directory was asked %d times", n)
	}
	if second.request.Header["Authorization"] != nil {
		t.Error("a hit leaves the incoming token on the request")
	}
}

func TestAHandlerThatEditsHeadersInPlaceDoesNotReachTheNextRequest(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	token := r.token()
	r.warm(p, token)
	a := r.allowed(p, token)
	a.request.Header["X-Groups"][0] = "Domain Admins"
	if got := r.allowed(p, token).header("X-Groups"); got != "Staff,Payroll" {
		t.Errorf("X-Groups = %q after another request's was edited", got)
	}
}

// TestADecisionEnds walks what a cached decision stands on, one at a time.
func TestADecisionEnds(t *testing.T) {
	day := func(c *issuer.Config) { c.KeyMaxStale = cache.Duration(24 * time.Hour) }
	for name, c := range map[string]struct {
		options options
		claims  enrichtest.Claims
		change  func(r *rig)
		want    Kind // zero: let through, by a new decision
		groups  string
	}{
		"when the token is past its expiry and leeway": {
			change: func(r *rig) { r.clock.Advance(time.Hour + 30*time.Second) }, want: KindInvalidToken,
		},
		"when the clock is set back before nbf and leeway": {
			claims: enrichtest.Claims{"nbf": enrichtest.Epoch.Unix()},
			change: func(r *rig) { r.clock.Advance(-time.Minute) }, want: KindInvalidToken,
		},
		"when its key is gone from the key set": {
			change: func(r *rig) { r.provider.Rotate(); r.provider.Retire(); r.newKeys() }, want: KindInvalidToken,
		},
		"when the key set changed and still has its key": {
			change: func(r *rig) { r.provider.Rotate(); r.newKeys() },
		},
		"when the key set is unconfirmed for too long": {
			options: options{issuer: day}, claims: enrichtest.Claims{"exp": enrichtest.Epoch.Add(48 * time.Hour).Unix()},
			change: func(r *rig) {
				r.provider.Break(enrichtest.KeySet, enrichtest.Status(500, "down"))
				r.clock.Advance(24*time.Hour + time.Second)
			},
			want: KindUnavailable,
		},
		"when the person was fetched anew and differs": {
			change: func(r *rig) {
				r.clock.Advance(r.ttls.Fresh)
				r.people.put("00u1ada", ada("Staff"))
				r.allowed(r.usual(), r.token()) // another token of hers fetches it
			},
			groups: "Staff",
		},
		"when the person is no longer fresh": {
			change: func(r *rig) { r.clock.Advance(r.ttls.Fresh); r.people.put("00u1ada", ada("Staff")) },
			groups: "Staff",
		},
		"when its subject is purged": {change: func(r *rig) { r.purge(cache.ID{Kind: cache.UserID, Value: "00u1ada"}) }},
		"when its login is purged":   {change: func(r *rig) { r.purge(cache.ID{Kind: cache.UserID, Value: "ada.login@example.com"}) }},
		"when its e-mail is purged":  {change: func(r *rig) { r.purge(cache.ID{Kind: cache.UserID, Value: "ADA@example.com"}) }},
		"when a group of its is":     {change: func(r *rig) { r.purge(cache.ID{Kind: cache.GroupID, Value: "00gPayroll"}) }},
		"when its app is purged":     {change: func(r *rig) { r.purge(cache.ID{Kind: cache.AppID, Value: "0oa1payroll"}) }},
		"when everything is purged": {change: func(r *rig) {
			if _, err := r.store.PurgeAll(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		"when its token is denied":   {change: func(r *rig) { r.deny(DenyTokenID, "j-1", time.Time{}) }, want: KindInvalidToken},
		"when its session is denied": {change: func(r *rig) { r.deny(DenySession, "s-1", time.Time{}) }, want: KindInvalidToken},
		"when its user is denied":    {change: func(r *rig) { r.deny(DenyUser, "00u1ada", time.Time{}) }, want: KindInvalidToken},
		"when its user's older tokens are": {
			change: func(r *rig) { r.deny(DenyUser, "00u1ada", r.Clock()) }, want: KindInvalidToken,
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.options)
			// The app's profile is read, so that the decision rests on it.
			p := r.policy(PolicyDefinition{Claims: append(fromDirectory(), claim.Definition{
				Name: "allowed", AllowList: &claim.AllowList{Expression: "app.profile.groupallowlist"},
			})})
			token := r.token(enrichtest.Claims{"jti": "j-1", "sid": "s-1"}, c.claims)
			r.warm(p, token)
			c.change(r)
			a := r.ask(p, token)
			if c.want != KindInternal {
				a.mustBe(t, c.want)
				return
			}
			if a.err != nil {
				t.Fatalf("refused: %v", errors.Unwrap(a.err))
			}
			a.mustHit(t, false)
			if c.groups != "" && a.header("X-Groups") != c.groups {
				t.Errorf("X-Groups = %q, want %q", a.header("X-Groups"), c.groups)
			}
		})
	}
}

// newKeys makes the issuer fetch its keys: a token of an unknown key does.
func (r *rig) newKeys() {
	r.t.Helper()
	before := r.issuer.Status().KeySet
	r.clock.Advance(time.Minute)
	r.allowed(r.usual(), r.token())
	if r.issuer.Status().KeySet == before {
		r.t.Fatal("the key set is the one of before")
	}
}

func TestADecisionStands(t *testing.T) {
	for name, change := range map[string]func(r *rig){
		"until the last moment of the leeway":   func(r *rig) { r.clock.Advance(time.Hour + 30*time.Second - 1) },
		"while another user is purged":          func(r *rig) { r.purge(cache.ID{Kind: cache.UserID, Value: "00u2bob"}) },
		"while a group that it lacks is purged": func(r *rig) { r.purge(cache.ID{Kind: cache.GroupID, Value: "00gStaffing"}) },
		"while another app is purged":           func(r *rig) { r.purge(cache.ID{Kind: cache.AppID, Value: "0oa2wiki"}) },
		"while another token is denied":         func(r *rig) { r.deny(DenyTokenID, "j-2", time.Time{}) },
		"while another claim has the value that is denied": func(r *rig) {
			r.deny(DenySession, "j-1", time.Time{})
			r.deny(DenyTokenID, "00u1ada", time.Time{})
		},
		"while tokens issued before it are denied": func(r *rig) { r.deny(DenyUser, "00u1ada", r.Clock().Add(-time.Second)) },
		"when the person was fetched anew and is the same": func(r *rig) {
			r.clock.Advance(r.ttls.Fresh)
			r.people.put("00u1ada", ada("Staff", "Payroll")) // another value, equal content
			r.allowed(r.usual(), r.token())
		},
		"when the keys were fetched anew and are the same": func(r *rig) {
			r.clock.Advance(time.Minute)
			stranger := r.provider.UnpublishedKey("ES256")
			r.refused(r.usual(), r.provider.Mint(nil, enrichtest.WithKey(stranger)), KindInvalidToken)
			if n := r.provider.Hits(enrichtest.KeySet); n < 2 {
				t.Errorf("the keys were fetched %d times", n)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			// Long-lived records leave the token's own times alone to decide.
			long := func(l *cache.TTLs) { l.Fresh = 90 * time.Minute }
			r := newRig(t, options{ttls: long})
			p := r.usual()
			claims := enrichtest.Claims{"jti": "j-1", "sid": "s-1"}
			if strings.Contains(name, "person") {
				claims["exp"] = r.Clock().Add(3 * time.Hour).Unix()
			}
			token := r.token(claims)
			before := r.warm(p, token)
			change(r)
			after := r.allowed(p, token)
			after.mustHit(t, true)
			if before.decision.ID != after.decision.ID {
				t.Error("the decision is another")
			}
		})
	}
}

func TestARefreshBehindTheRequestKeepsADecisionOfEqualContentAndEndsAnother(t *testing.T) {
	ttls := func(l *cache.TTLs) { l.Fresh, l.RefreshAfter = 10*time.Minute, 5*time.Minute }
	for name, c := range map[string]struct {
		person  *identity.Person
		wantHit bool
		groups  string
	}{
		"equal":   {ada("Staff", "Payroll"), true, "Staff,Payroll"},
		"changed": {ada("Staff"), false, "Staff"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, options{ttls: ttls}, func(t *testing.T, r *rig) {
				p := r.usual()
				token := r.token()
				r.warm(p, token)
				r.people.put("00u1ada", c.person)
				time.Sleep(6 * time.Minute) // refresh_after and its jitter
				due := r.allowed(p, token)
				due.mustHit(t, true)
				if got := due.header("X-Groups"); got != "Staff,Payroll" {
					t.Errorf("the request that is due waits for the refresh: X-Groups = %q", got)
				}
				synctest.Wait()
				if n := r.people.Persons.Load(); n != 2 {
					t.Errorf("the directory was asked %d times", n)
				}
				next := r.allowed(p, token)
				next.mustHit(t, c.wantHit)
				if got := next.header("X-Groups"); got != c.groups {
					t.Errorf("X-Groups = %q, want %q", got, c.groups)
				}
			})
		})
	}
}

func TestAPolicyThatReadsTheClockIsDecidedEachTime(t *testing.T) {
	for name, def := range map[string]PolicyDefinition{
		"in a rule":        {Claims: []claim.Definition{{Name: "now", Expression: "Time.now()"}}},
		"in a requirement": {Require: []string{"user.created == null || user.created.withinDays(1)"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			p := r.policy(def)
			token := r.token()
			for range 3 {
				r.allowed(p, token).mustHit(t, false)
			}
			if n, _ := r.Decisions.Status(); n != 0 {
				t.Errorf("%d decisions are cached", n)
			}
		})
	}
}

func TestTwoPoliciesThatDifferNeverShareADecision(t *testing.T) {
	r := newRig(t, options{})
	base := PolicyDefinition{Claims: fromDirectory()}
	r.warm(r.policy(base), r.token(enrichtest.Claims{"jti": "same"}))
	token := r.token()
	r.warm(r.policy(base), token)
	for name, change := range map[string]func(d *PolicyDefinition){
		"name":        func(d *PolicyDefinition) { d.Name = "wiki" },
		"issuers":     func(d *PolicyDefinition) { d.Issuers = []string{"corp"} },
		"app":         func(d *PolicyDefinition) { d.App = "0oa2wiki" },
		"rules":       func(d *PolicyDefinition) { d.Claims = d.Claims[:1] },
		"requirement": func(d *PolicyDefinition) { d.Require = []string{"user != null"} },
		"scopes":      func(d *PolicyDefinition) { d.RequireScope = []string{"pay"} },
		"headers": func(d *PolicyDefinition) {
			d.Forward.Headers = []forward.HeaderDefinition{{Name: "X-User", Claim: "email"}}
		},
		"missing user": func(d *PolicyDefinition) { d.ContinueMissingUser = true },
		"outage":       func(d *PolicyDefinition) { d.ContinueDirectoryError = true },
	} {
		t.Run(name, func(t *testing.T) {
			def := base
			change(&def)
			r.allowed(r.policy(def), token).mustHit(t, false)
		})
	}
	t.Run("but two that are alike do", func(t *testing.T) {
		r.allowed(r.policy(base), token).mustHit(t, true)
	})
	t.Run("other issuers or directories", func(t *testing.T) {
		r.Fingerprint = Fingerprint{}
		r.allowed(r.policy(base), token).mustHit(t, false)
	})
}

// TestOnlyWhatADecisionReadsTellsItsHitsApart: an unrelated header must not
// miss, and must not reach the directory.
func TestOnlyWhatADecisionReadsTellsItsHitsApart(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	token := r.token()
	r.warm(p, token)
	req := bearer(token)
	req.Method, req.URL.Path, req.Host = http.MethodPost, "/other", "other.example.com"
	for _, name := range []string{"X-Forwarded-For", "User-Agent", "Referer", "X-Request-Id"} {
		req.Header.Set(name, "anything")
	}
	a := r.send(p, req)
	if a.err != nil {
		t.Fatal(a.err)
	}
	a.mustHit(t, true)
	if n := r.people.Persons.Load(); n != 1 {
		t.Errorf("the directory was asked %d times", n)
	}
}

func TestOneTokenInAnotherPlaceIsTheSameDecisionAndChecksItsPlace(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{TokenFrom: placesOfAll(), Claims: fromDirectory()})
	token := r.token()
	r.warm(p, token)
	req := bearer("")
	req.Method = http.MethodPost
	req.Header.Set("Cookie", "session="+token)
	req.Header.Set("Sec-Fetch-Site", "cross-site")
	r.send(p, req).mustBe(t, KindCrossOrigin)
}

func TestAHitChecksTheProofOfPossessionEachTime(t *testing.T) {
	r := newRig(t, options{issuer: func(c *issuer.Config) { c.DPoP = "accept" }})
	p := r.policy(PolicyDefinition{Claims: fromDirectory(), DPoP: true})
	key := enrichtest.NewDPoPKey(t, "ES256", r.Clock)
	token := r.token(enrichtest.Claims{"cnf": key.Confirmation()})
	const url = "https://payroll.example.com/slips"
	with := func(scheme string, proofs ...string) answer {
		req := bearer("")
		req.TLS = new(tls.ConnectionState)
		req.Header.Set("Authorization", scheme+" "+token)
		req.Header["Dpop"] = proofs
		return r.send(p, req)
	}
	first := key.Proof(http.MethodGet, url, token, nil)
	if a := with("DPoP", first); a.err != nil {
		t.Fatal(errors.Unwrap(a.err))
	}
	a := with("DPoP", key.Proof(http.MethodGet, url, token, nil))
	if a.err != nil {
		t.Fatal(errors.Unwrap(a.err))
	}
	a.mustHit(t, true)
	other := enrichtest.NewDPoPKey(t, "ES256", r.Clock)
	for name, a := range map[string]answer{
		"no proof":              with("DPoP"),
		"a used proof":          with("DPoP", first),
		"two proofs":            with("DPoP", key.Proof(http.MethodGet, url, token, nil), key.Proof(http.MethodGet, url, token, nil)),
		"another method":        with("DPoP", key.Proof(http.MethodPost, url, token, nil)),
		"another's key":         with("DPoP", other.Proof(http.MethodGet, url, token, nil)),
		"as a bearer token":     with("Bearer", key.Proof(http.MethodGet, url, token, nil)),
		"a bearer, no proof":    with("Bearer"),
		"a proof for elsewhere": with("DPoP", key.Proof(http.MethodGet, url+"/more", token, nil)),
	} {
		t.Run(name, func(t *testing.T) {
			a.mustBe(t, KindInvalidToken)
			a.mustHit(t, true) // the decision is there; the sender is not
		})
	}
}

func TestAHitChecksTheClientsCertificateEachTime(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	own, other := &x509.Certificate{Raw: []byte("own")}, &x509.Certificate{Raw: []byte("other")}
	sum := sha256.Sum256(own.Raw)
	token := r.token(enrichtest.Claims{"cnf": map[string]any{"x5t#S256": base64.RawURLEncoding.EncodeToString(sum[:])}})
	with := func(verified, shown *x509.Certificate) answer {
		req := bearer(token)
		req.TLS = new(tls.ConnectionState)
		if verified != nil {
			req.TLS.VerifiedChains = [][]*x509.Certificate{{verified}}
		}
		if shown != nil {
			req.TLS.PeerCertificates = []*x509.Certificate{shown}
		}
		return r.send(p, req)
	}
	for range 2 {
		if a := with(own, own); a.err != nil {
			t.Fatal(errors.Unwrap(a.err))
		}
	}
	for name, a := range map[string]answer{
		"another's": with(other, other), "none": with(nil, nil), "its own, not verified": with(nil, own),
	} {
		t.Run(name, func(t *testing.T) {
			a.mustBe(t, KindInvalidToken)
			a.mustHit(t, true)
		})
	}
}

func TestADegradedDecisionIsNotKept(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{Claims: fromDirectory(), ContinueDirectoryError: true})
	token := r.token()
	r.people.fail(errOutage)
	for range 2 {
		a := r.allowed(p, token)
		a.mustHit(t, false)
		if a.decision.Status() != statusDegraded {
			t.Errorf("status %q", a.decision.Status())
		}
	}
	r.people.fail(nil)
	a := r.allowed(p, token)
	if a.decision.Status() != "fresh" || a.header("X-Groups") != "Staff,Payroll" {
		t.Errorf("after the outage: status %q, X-Groups %q", a.decision.Status(), a.header("X-Groups"))
	}
}

func TestDecisionsStayWithinTheirBytes(t *testing.T) {
	r := newRig(t, options{nobody: true})
	const limit = 256 << 10
	var err error
	if r.Decisions, err = NewDecisionCache(limit, zeros{}); err != nil {
		t.Fatal(err)
	}
	p := r.policy(PolicyDefinition{})
	for range 400 {
		r.allowed(p, r.token())
	}
	n, bytes := r.Decisions.Status()
	if bytes > limit || n == 0 || n == 400 {
		t.Errorf("%d decisions of %d bytes are held under a bound of %d", n, bytes, limit)
	}
}

// zeros is randomness for a test that needs none.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestADecisionCacheWithoutRandomnessIsNotMade(t *testing.T) {
	if _, err := NewDecisionCache(0, noRandomness{}); !errors.Is(err, errOutage) {
		t.Errorf("error %v", err)
	}
}

type noRandomness struct{}

func (noRandomness) Read([]byte) (int, error) { return 0, errOutage }
