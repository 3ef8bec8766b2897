package enrich

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// TestAnOutageIsBridgedMarkedAndBounded: stale records serve while the
// directory fails, say so, and no longer than they may.
func TestAnOutageIsBridgedMarkedAndBounded(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	token := r.token(enrichtest.Claims{"exp": r.Clock().Add(3 * time.Hour).Unix()})
	if got := r.warm(p, token).decision.Status(); got != "fresh" {
		t.Errorf("status %q before the outage", got)
	}
	r.people.fail(errOutage)
	r.clock.Advance(r.ttls.Fresh)
	for name, wait := range map[string]time.Duration{"at once": 0, "later": time.Minute} {
		r.clock.Advance(wait)
		a := r.allowed(p, token)
		if a.decision.Status() != "stale" || a.header("X-Groups") != "Staff,Payroll" {
			t.Errorf("%s: status %q, X-Groups %q", name, a.decision.Status(), a.header("X-Groups"))
		}
	}
	asked := r.people.Persons.Load()
	for range 20 {
		r.allowed(p, token)
	}
	if n := r.people.Persons.Load() - asked; n > 1 {
		t.Errorf("a failing directory was asked %d times in one moment", n)
	}
	r.clock.Advance(r.ttls.StaleIfError)
	r.refused(p, token, KindUnavailable)
	r.people.fail(nil)
	a := r.allowed(p, token)
	if a.decision.Status() != "fresh" {
		t.Errorf("status %q after the outage", a.decision.Status())
	}
}

func TestADecisionFromAStaleRecordEndsWithTheOutage(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		p := r.usual()
		token := r.token()
		r.warm(p, token)
		r.people.fail(errOutage)
		time.Sleep(r.ttls.Fresh)
		r.allowed(p, token)
		r.people.fail(nil)
		r.people.put("00u1ada", ada("Staff"))
		time.Sleep(2 * time.Second) // the floor between two questions to a failing directory
		r.allowed(p, token)
		synctest.Wait()
		a := r.allowed(p, token)
		if a.decision.Status() != "fresh" || a.header("X-Groups") != "Staff" {
			t.Errorf("status %q, X-Groups %q", a.decision.Status(), a.header("X-Groups"))
		}
	})
}

func TestAnOutageStretchesNoTokenAndNoDenial(t *testing.T) {
	r := newRig(t, options{})
	p := r.usual()
	short, denied := r.token(enrichtest.Claims{"exp": r.Clock().Add(6 * time.Minute).Unix()}), r.token(enrichtest.Claims{"jti": "j-9"})
	r.warm(p, short)
	r.warm(p, denied)
	r.people.fail(errOutage)
	r.clock.Advance(r.ttls.Fresh)
	r.allowed(p, short)
	r.deny(DenyTokenID, "j-9", time.Time{})
	r.refused(p, denied, KindInvalidToken)
	r.clock.Advance(90 * time.Second)
	r.refused(p, short, KindInvalidToken)
}

// continued is a policy that goes on where it may, with a rule on the token
// and one on the directory.
func continued(requirements ...string) PolicyDefinition {
	return PolicyDefinition{
		ContinueMissingUser: true, ContinueDirectoryError: true, Require: requirements,
		Claims: []claim.Definition{
			{Name: "email", Expression: "user.email"},
			{Name: "tenant", Expression: `"tenant of " + token.sub`},
		},
	}
}

func TestContinueGoesOnWithTheTokensClaimsOnly(t *testing.T) {
	for name, prepare := range map[string]func(r *rig){
		"missing user":    func(r *rig) { r.people.change(func(p *people) { clear(p.persons) }) },
		"directory error": func(r *rig) { r.people.fail(errOutage) },
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{})
			prepare(r)
			token := r.token(enrichtest.Claims{"email": "from-the-token@example.com"})
			a := r.allowed(r.policy(continued()), token)
			if a.decision.Status() != statusDegraded {
				t.Errorf("status %q", a.decision.Status())
			}
			if a.header("X-User") != "00u1ada" || a.decision.Claims["tenant"] != "tenant of 00u1ada" {
				t.Errorf("X-User %q, tenant %v", a.header("X-User"), a.decision.Claims["tenant"])
			}
			// The rule that could not be tried hides the token's claim all the same.
			if got, ok := a.request.Header["X-Email"]; ok {
				t.Errorf("X-Email = %q", got)
			}
			for _, requirement := range []string{
				`user == null`, `user != null`, `groups.size() == 0`, `!isMemberOfGroup("00gBarred")`, `claims.email == null`,
			} {
				if _, err := CompilePolicy(continued(requirement)); err != nil {
					t.Fatalf("%s: %v", requirement, err)
				}
				a := r.ask(r.policy(continued(requirement)), token)
				if a.err == nil {
					t.Errorf("the requirement %s on what is not known holds", requirement)
				}
			}
			r.allowed(r.policy(continued(`token.sub == "00u1ada"`)), token)
		})
	}
}

func TestDenyIsWhatHappensUnlessContinueIsAsked(t *testing.T) {
	r := newRig(t, options{})
	p := r.policy(PolicyDefinition{})
	r.refused(p, r.token(enrichtest.Claims{"sub": "nobody"}), KindMissingUser)
	r.people.fail(errOutage)
	r.refused(p, r.token(), KindUnavailable)
}

func TestADirectoryThatPanicsIsAFailedDirectory(t *testing.T) {
	for name, d := range map[string]*directorytest.Fake{
		"on a person": {PersonFunc: func(context.Context, directory.Query) (*identity.Person, error) { panic("secret-of-the-directory") }},
		"with nothing": {PersonFunc: func(context.Context, directory.Query) (*identity.Person, error) {
			return nil, nil //nolint:nilnil // what a faulty kind might answer
		}},
		"without a user": {PersonFunc: func(context.Context, directory.Query) (*identity.Person, error) { return &identity.Person{}, nil }},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, options{directory: d})
			token := r.token()
			r.refused(r.policy(PolicyDefinition{}), token, KindUnavailable)
			mustNotHold(t, "the log", r.logs.String(), "secret-of-the-directory", token)
			if a := r.ask(r.policy(continued()), token); a.err != nil || a.decision.Status() != statusDegraded {
				t.Errorf("on_directory_error continue: %v", a.err)
			}
		})
	}
	t.Run("on an app", func(t *testing.T) {
		people := newPeople()
		people.AppFunc = func(context.Context, string) (*identity.App, error) { panic("secret-of-the-directory") }
		people.AppUserFunc = func(context.Context, directory.Query, string) (*identity.AppUser, error) {
			return nil, nil //nolint:nilnil // what a faulty kind might answer
		}
		r := newRig(t, options{directory: people})
		rules := []claim.Definition{{Name: "app", Expression: "app.label"}, {Name: "role", Expression: "appuser.role"}}
		r.refused(r.policy(PolicyDefinition{Claims: rules}), r.token(), KindUnavailable)
	})
}
