package enrich

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// errOutage is a failure of a directory that says nothing of the subject.
var errOutage = errors.New("the test's outage")

func TestAFailureIsNeverTakenForAnUnknownUser(t *testing.T) {
	for name, failure := range map[string]error{
		"any":             errOutage,
		"timeout":         directory.ErrTimeout,
		"malformed":       directory.ErrMalformed,
		"foreign":         directory.ErrForeign,
		"two users":       directory.ErrAmbiguous,
		"a member failed": errors.Join(directory.ErrNotFound, directory.ErrUnavailable),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			// on_missing_user must not open what an outage closes.
			p := r.policy(PolicyDefinition{Claims: fromDirectory(), ContinueMissingUser: true})
			r.people.fail(failure)
			token := r.token()
			a := r.refused(p, token, KindUnavailable)
			if !errors.Is(a.err, errDirectory) || !errors.Is(a.err, failure) {
				t.Errorf("cause %v", errors.Unwrap(a.err))
			}
			var refusal *Refusal
			if !errors.As(a.err, &refusal) || refusal.RetryAfter != defaultRetryAfter {
				t.Errorf("refusal %+v has no Retry-After", refusal)
			}
			r.people.fail(nil)
			r.allowed(p, token) // at once: failures are not kept
		})
	}
}

func TestAUserCreatedAfterANoIsSeenWithinTheNegativeLife(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	token := r.token(enrichtest.Claims{"sub": "00u9new"})
	for range 3 {
		r.refused(p, token, KindMissingUser)
	}
	if n := r.people.Persons.Load(); n != 1 {
		t.Errorf("the directory was asked %d times", n)
	}
	r.people.put("00u9new", ada("Staff"))
	r.clock.Advance(r.ttls.Negative - 1)
	r.refused(p, token, KindMissingUser)
	r.clock.Advance(1)
	r.allowed(p, token)
}

func TestABarredUserIsRefusedWhateverThePolicySays(t *testing.T) {
	for status, cause := range map[string]string{
		identity.StatusSuspended:     "the account is suspended",
		identity.StatusDeprovisioned: "the account is deprovisioned",
		identity.StatusLockedOut:     "the account is locked out",
	} {
		t.Run(status, func(t *testing.T) {
			r := newRig(t, options{})
			r.people.put("00u1ada", barred(status))
			token := r.token()
			for _, p := range []*Policy{r.policy(PolicyDefinition{}), r.policy(continued())} {
				for range 2 {
					a := r.refused(p, token, KindDenied)
					if got := errors.Unwrap(a.err); !errors.Is(got, errAccountDisabled) || got.Error() != cause {
						t.Errorf("cause %v, want %q", got, cause)
					}
				}
			}
			// While the directory is down, a barred user stays out.
			r.people.fail(errOutage)
			r.clock.Advance(r.ttls.Fresh)
			r.refused(r.policy(continued()), token, KindDenied)
		})
	}
}

func TestAClientOnItsOwnBehalfIsNotLookedUpAndIsInNoGroup(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{
		Claims:  []claim.Definition{{Name: "groups", Groups: &claim.GroupFilter{Match: claim.MatchStartsWith}}},
		Require: []string{"user == null", "groups.size() == 0"},
	})
	// A person of the same name as the client must not lend it anything.
	r.people.put("0oa1batch", ada("Domain Admins"))
	token := r.token(enrichtest.Claims{"sub": "0oa1batch", "client_id": "0oa1batch"})
	a := r.warm(p, token)
	if a.header("X-Groups") != "" || a.header("X-User") != "0oa1batch" {
		t.Errorf("X-Groups %q, X-User %q", a.header("X-Groups"), a.header("X-User"))
	}
	if n := r.people.Persons.Load() + r.people.AppUsers.Load(); n != 0 {
		t.Errorf("the directory was asked %d times", n)
	}
	t.Run("except for the groups of its token", func(t *testing.T) {
		a := r.allowed(r.policy(PolicyDefinition{Claims: p.definition.Claims}),
			r.token(enrichtest.Claims{"sub": "0oa1batch", "client_id": "0oa1batch", "groups": []string{"Batch"}}))
		if a.header("X-Groups") != "Batch" {
			t.Errorf("X-Groups %q", a.header("X-Groups"))
		}
	})
}

// TestTheTokensGroupsCountWhereNoDirectoryAnswers: and where the token leaves
// them out, they are unknown and not none.
func TestTheTokensGroupsCountWhereNoDirectoryAnswers(t *testing.T) {
	many := make([]string, 200)
	for i := range many {
		many[i] = "g" + strings.Repeat("x", i%7)
	}
	noDirectory := options{directory: directorytest.Failing(directory.ErrNoDirectory)}
	for where, o := range map[string]options{"no directory for the issuer": noDirectory, "no directory": {nobody: true}} {
		for name, c := range map[string]struct {
			claims enrichtest.Claims
			known  bool
			want   string
		}{
			"known":         {enrichtest.Claims{"groups": []string{"Staff", "Ops"}}, true, "Staff,Ops"},
			"one as text":   {enrichtest.Claims{"groups": "Staff"}, true, "Staff"},
			"known, none":   {enrichtest.Claims{"groups": []string{}}, true, ""},
			"not said":      {nil, false, ""},
			"overage":       {enrichtest.Claims{"_claim_names": map[string]any{"groups": "src1"}, "groups": []string{"Staff"}}, false, ""},
			"hasgroups":     {enrichtest.Claims{"hasgroups": true}, false, ""},
			"at a cap":      {enrichtest.Claims{"groups": many}, false, ""},
			"not all texts": {enrichtest.Claims{"groups": []any{"Staff", 7}}, false, ""},
		} {
			t.Run(where+"/"+name, func(t *testing.T) {
				r := newRig(t, o)
				rules := []claim.Definition{{Name: "groups", Groups: &claim.GroupFilter{Match: claim.MatchStartsWith}, OnError: claim.OnErrorOmit}}
				a := r.allowed(r.policy(PolicyDefinition{Claims: rules}), r.token(c.claims))
				if a.header("X-Groups") != c.want {
					t.Errorf("X-Groups = %q, want %q", a.header("X-Groups"), c.want)
				}
				for _, requirement := range []string{`groups.size() >= 0`, `!isMemberOfGroupName("Barred")`, `claims.groups == null || claims.groups != null`} {
					a := r.ask(r.policy(PolicyDefinition{Claims: rules, Require: []string{requirement}}), r.token(c.claims))
					if allowed := a.err == nil; allowed != c.known {
						t.Errorf("require %s: allowed %t, groups known %t (%v)", requirement, allowed, c.known, a.err)
					}
				}
			})
		}
	}
}

func TestTheDirectorysGroupsReplaceTheTokens(t *testing.T) {
	r := newRig(t, options{})
	a := r.allowed(r.usual(), r.token(enrichtest.Claims{"groups": []string{"Domain Admins"}}))
	if a.header("X-Groups") != "Staff,Payroll" {
		t.Errorf("X-Groups = %q", a.header("X-Groups"))
	}
	t.Run("also where it does not know them", func(t *testing.T) {
		unknown := ada()
		unknown.GroupsKnown = false
		r.people.put("00u1ada", unknown)
		r.purge(cache.ID{Kind: cache.UserID, Value: "00u1ada"})
		r.refused(r.usual(), r.token(enrichtest.Claims{"groups": []string{"Domain Admins"}}), KindClaim)
	})
}

// TestTheAppIsThePolicysOrElseTheTokensClient and is asked only where a rule
// reads it.
func TestTheAppIsThePolicysOrElseTheTokensClient(t *testing.T) {
	rules := []claim.Definition{
		{Name: "groups", AllowList: &claim.AllowList{Expression: "app.profile.groupallowlist"}},
		{Name: "role", Expression: "appuser.role"},
	}
	r := newRig(t, options{})
	a := r.warm(r.policy(PolicyDefinition{Claims: rules}), r.token())
	if a.header("X-Groups") != "Staff" || a.decision.Claims["role"] != "admin" {
		t.Errorf("X-Groups %q, role %v", a.header("X-Groups"), a.decision.Claims["role"])
	}
	if n, m := r.people.Apps.Load(), r.people.AppUsers.Load(); n != 1 || m != 1 {
		t.Errorf("apps asked %d times, assignments %d times", n, m)
	}
	r.people.change(func(p *people) {
		p.apps["0oa2wiki"] = &identity.App{ID: "0oa2wiki", Profile: map[string]any{"groupallowlist": []any{"00gPayroll"}}}
		p.users["00u1ada/0oa2wiki"] = &identity.AppUser{ID: "00u1ada", App: "0oa2wiki", Profile: map[string]any{"role": "reader"}}
	})
	a = r.allowed(r.policy(PolicyDefinition{App: "0oa2wiki", Claims: rules}), r.token())
	if a.header("X-Groups") != "Payroll" || a.decision.Claims["role"] != "reader" {
		t.Errorf("X-Groups %q, role %v", a.header("X-Groups"), a.decision.Claims["role"])
	}
	if n := r.people.Persons.Load(); n != 1 {
		t.Errorf("a person of two apps was fetched %d times", n)
	}
	t.Run("nobody asks for what no rule reads", func(t *testing.T) {
		r := newRig(t, options{})
		r.allowed(r.policy(PolicyDefinition{}), r.token())
		if n := r.people.Apps.Load() + r.people.AppUsers.Load(); n != 0 {
			t.Errorf("asked %d times", n)
		}
	})
}

func TestAPurgedAppReachesAllItsUsersAtOnce(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{Claims: []claim.Definition{
		{Name: "groups", AllowList: &claim.AllowList{Expression: "app.profile.groupallowlist"}},
	}})
	token := r.token()
	r.warm(p, token)
	r.people.change(func(p *people) {
		p.apps["0oa1payroll"] = &identity.App{ID: "0oa1payroll", Profile: map[string]any{"groupallowlist": []any{"00gPayroll"}}}
	})
	r.purge(cache.ID{Kind: cache.AppID, Value: "0oa1payroll"})
	if got := r.allowed(p, token).header("X-Groups"); got != "Payroll" {
		t.Errorf("X-Groups = %q", got)
	}
}

func TestAnAppThatIsMissingIsNullAndOneThatFailedIsNot(t *testing.T) {
	rules := []claim.Definition{{Name: "known", Expression: `app == null ? "no" : "yes"`}}
	token := func(r *rig) string { return r.token(enrichtest.Claims{"client_id": "0oa9other"}) }
	r := newRig(t, options{})
	if got := r.allowed(r.policy(PolicyDefinition{Claims: rules}), token(r)).decision.Claims["known"]; got != "no" {
		t.Errorf("known = %v", got)
	}
	r = newRig(t, options{})
	r.people.failApps(errOutage)
	r.refused(r.policy(PolicyDefinition{Claims: rules}), token(r), KindUnavailable)
	a := r.allowed(r.policy(PolicyDefinition{Claims: rules, ContinueDirectoryError: true}), token(r))
	if v, ok := a.decision.Claims["known"]; ok || a.decision.Status() != statusDegraded {
		t.Errorf("known = %v, status %q", v, a.decision.Status())
	}
}

func TestARequestThatIsGoneLeavesTheLookUpToTheOthers(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		gate := make(chan struct{})
		answer := r.people.PersonFunc
		r.people.PersonFunc = func(ctx context.Context, q directory.Query) (*identity.Person, error) {
			select {
			case <-gate:
				return answer(ctx, q)
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		p := r.usual()
		token := r.token()
		ctx, cancel := context.WithCancel(t.Context())
		gone, stays := make(chan answerOf, 1), make(chan answerOf, 1)
		ask := func(ctx context.Context, to chan answerOf) {
			req := bearer(token).WithContext(ctx)
			_, err := r.Enrich(req, p, RequestInfo{})
			to <- answerOf{err, req.Header.Get("X-Groups")}
		}
		go ask(ctx, gone)
		synctest.Wait()
		go ask(t.Context(), stays)
		synctest.Wait()
		cancel()
		if a := <-gone; a.err == nil || !errors.Is(a.err, context.Canceled) {
			t.Errorf("the one that is gone: %v", a.err)
		}
		close(gate)
		if a := <-stays; a.err != nil || a.groups != "Staff,Payroll" {
			t.Errorf("the one that stays: %v, %q", a.err, a.groups)
		}
	})
}

type answerOf struct {
	err    error
	groups string
}

// TestOneQuestionForMany: a cold key under many requests is one question.
func TestOneQuestionForMany(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		hold := make(chan struct{})
		answer := r.people.PersonFunc
		r.people.PersonFunc = func(ctx context.Context, q directory.Query) (*identity.Person, error) {
			<-hold
			return answer(ctx, q)
		}
		p := r.usual()
		tokens := []string{r.token(), r.token(), r.token()}
		const many = 300
		out := make(chan error, many)
		for i := range many {
			go func() {
				_, err := r.Enrich(bearer(tokens[i%len(tokens)]), p, RequestInfo{})
				out <- err
			}()
		}
		synctest.Wait()
		close(hold)
		for range many {
			if err := <-out; err != nil {
				t.Error(err)
			}
		}
		if n := r.people.Persons.Load(); n != 1 {
			t.Errorf("%d questions for %d requests", n, many)
		}
	})
}

func TestAForgedTokenReachesNoDirectory(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	for range 50 {
		r.refused(p, enrichtest.FlipSignature(r.token()), KindInvalidToken)
	}
	if n := r.people.Persons.Load(); n != 0 {
		t.Errorf("the directory was asked %d times", n)
	}
	if n, _ := r.Decisions.Status(); n != 0 {
		t.Errorf("%d decisions about forged tokens are held", n)
	}
}

// callers is a directory that only a caller's own token can ask.
type callers struct {
	*people
	tokens []string
}

func (c *callers) CacheScope(p *identity.Principal) directory.CacheScope {
	return directory.CacheScope{Caller: []string{p.Client, strings.Join(p.Scopes, " ")}, Token: true}
}

func (c *callers) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	c.change(func(*people) { c.tokens = append(c.tokens, q.Token) })
	return c.people.Person(ctx, q)
}

func TestAnAnswerForACallersOwnTokenServesItsLikeAndNobodyElse(t *testing.T) {
	people := &callers{people: newPeople()}
	r := newRig(t, options{directory: people, ttls: func(l *cache.TTLs) { l.RefreshAfter = time.Minute }})
	p := r.usual()
	first := r.token()
	r.warm(p, first)
	r.allowed(p, r.token()) // equal rights
	if len(people.tokens) != 1 || people.tokens[0] != first {
		t.Errorf("asked %d times", len(people.tokens))
	}
	r.allowed(p, r.token(enrichtest.Claims{"scope": "openid"}))
	r.allowed(p, r.token(enrichtest.Claims{"client_id": "0oa2wiki"}))
	if len(people.tokens) != 3 {
		t.Errorf("asked %d times for callers of three kinds", len(people.tokens))
	}
	r.clock.Advance(2 * time.Minute) // past refresh_after
	r.allowed(p, first)
	if len(people.tokens) != 3 || slices.Contains(people.tokens, "") {
		t.Errorf("asked behind a request, or without a token: %d times", len(people.tokens))
	}
	// A token that the endpoint no longer takes is not bridged by what it
	// said of it before: that is no outage.
	people.fail(directory.ErrRefused)
	r.clock.Advance(r.ttls.Fresh)
	r.refused(p, first, KindUnavailable)
}

// TestASubjectThatNamesTwoUsersIsNobodyWhateverGoesOn: a policy that goes on
// without its directory must not go on for somebody who is two people.
func TestASubjectThatNamesTwoUsersIsNobodyWhateverGoesOn(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{ContinueDirectoryError: true, ContinueMissingUser: true})
	r.people.fail(directory.ErrAmbiguous)
	r.refused(p, r.token(), KindUnavailable)
	r.people.fail(errOutage)
	r.allowed(p, r.token())
}

// TestAnAnswerIsUsedNoLongerThanItsSourceAllows: also where a decision was made
// of it.
func TestAnAnswerIsUsedNoLongerThanItsSourceAllows(t *testing.T) {
	for keep, asked := range map[time.Duration]int64{0: 4, time.Minute: 2, time.Hour: 1} {
		r := newRig(t, options{})
		p := r.usual()
		bounded := *ada("Staff")
		bounded.Keep = &keep
		r.people.put("00u1ada", &bounded)
		token := r.token(enrichtest.Claims{"exp": r.Clock().Add(time.Hour).Unix()})
		for _, wait := range []time.Duration{0, 0, 0, time.Minute} {
			r.clock.Advance(wait)
			r.allowed(p, token)
		}
		if n := r.people.Persons.Load(); n != asked {
			t.Errorf("%v: the directory was asked %d times, want %d", keep, n, asked)
		}
	}
}
