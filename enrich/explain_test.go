package enrich

import (
	"errors"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// What is explained is what is decided, whatever there is to say about a token,
// and of two reasons to refuse it the same one.
func TestAnExplanationEndsAsTheRequestDoes(t *testing.T) {
	down := errors.New("connection refused")
	rules := fromDirectory()
	scoped := PolicyDefinition{Claims: rules, RequireScope: []string{"admin"}}
	strong := PolicyDefinition{Claims: rules, RequireScope: []string{"admin"}, RequireACR: []string{"phr"}}
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	bound := enrichtest.Claims{"cnf": key.Confirmation()}
	proofs := func(mode string) func(*issuer.Config) { return func(c *issuer.Config) { c.DPoP = mode } }
	deny := func(r *rig) { r.deny(DenyTokenID, "j-1", time.Time{}) }
	id := enrichtest.Claims{"jti": "j-1"}
	nobody := enrichtest.Claims{"jti": "j-1", "sub": "00u9nobody"}
	for name, c := range map[string]struct {
		policy  PolicyDefinition
		options options
		claims  enrichtest.Claims
		before  func(r *rig)
		want    string
		status  string
	}{
		"all is well":                     {policy: PolicyDefinition{Claims: rules}, want: "allowed", status: "fresh"},
		"unknown user":                    {policy: PolicyDefinition{Claims: rules}, claims: nobody, want: "unknown_user"},
		"unknown user, continue":          {policy: PolicyDefinition{Claims: rules, ContinueMissingUser: true}, claims: nobody, want: "allowed", status: "degraded"},
		"directory down":                  {policy: PolicyDefinition{Claims: rules}, before: func(r *rig) { r.people.fail(down) }, want: "unavailable"},
		"directory down, continue":        {policy: PolicyDefinition{Claims: rules, ContinueDirectoryError: true}, before: func(r *rig) { r.people.fail(down) }, want: "allowed", status: "degraded"},
		"two users of that name":          {policy: PolicyDefinition{Claims: rules, ContinueDirectoryError: true}, before: func(r *rig) { r.people.fail(directory.ErrAmbiguous) }, want: "unavailable"},
		"app not to be had":               {policy: PolicyDefinition{Claims: []claim.Definition{{Name: "email", Expression: "app.profile.x"}}}, before: func(r *rig) { r.people.failApps(down) }, want: "unavailable"},
		"suspended":                       {policy: PolicyDefinition{Claims: rules}, before: func(r *rig) { r.people.put("00u1ada", barred(identity.StatusSuspended)) }, want: "denied"},
		"scope missing":                   {policy: scoped, want: "insufficient_scope"},
		"login too weak":                  {policy: PolicyDefinition{Claims: rules, RequireACR: []string{"phr"}}, want: "insufficient_user_authentication"},
		"login too old":                   {policy: PolicyDefinition{Claims: rules, MaxAge: time.Hour}, claims: enrichtest.Claims{"auth_time": 1}, want: "insufficient_user_authentication"},
		"login too weak, scope missing":   {policy: strong, want: "insufficient_user_authentication"},
		"denied":                          {policy: PolicyDefinition{Claims: rules}, claims: id, before: deny, want: "invalid_token"},
		"denied, of an unknown user":      {policy: PolicyDefinition{Claims: rules}, claims: nobody, before: deny, want: "invalid_token"},
		"denied, scope missing":           {policy: strong, claims: id, before: deny, want: "invalid_token"},
		"requirement false":               {policy: PolicyDefinition{Claims: rules, Require: []string{`user.department == "Sales"`}}, want: "denied"},
		"requirement that errs":           {policy: PolicyDefinition{Claims: rules, Require: []string{`String.substring(user.email, 0, 99) == ""`}}, want: "denied"},
		"requirement on what is unknown":  {policy: PolicyDefinition{Claims: rules, ContinueMissingUser: true, Require: []string{`claims.email != "x"`}}, claims: nobody, want: "denied"},
		"rule that errs":                  {policy: PolicyDefinition{Claims: []claim.Definition{{Name: "email", Expression: "String.substring(user.email, 0, 99)"}}}, want: "claim_error"},
		"header too large":                {policy: PolicyDefinition{Claims: rules, Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-Groups", Claim: "groups", MaxBytes: 2}}}}, want: "header_error"},
		"expired":                         {policy: PolicyDefinition{Claims: rules}, claims: enrichtest.Claims{"exp": 1}, want: "invalid_token"},
		"for somebody else":               {policy: PolicyDefinition{Claims: rules}, claims: enrichtest.Claims{"aud": "other"}, want: "invalid_token"},
		"a client":                        {policy: PolicyDefinition{Claims: []claim.Definition{{Name: "email", Expression: "token.sub"}}}, claims: enrichtest.Claims{"sub": "0oa1payroll"}, want: "allowed", status: "fresh"},
		"to be signed":                    {policy: minting(mint.TokenDefinition{}), want: "allowed", status: "fresh"},
		"to be signed, without a subject": {policy: minting(mint.TokenDefinition{Subject: "employee"}), want: "invalid_token"},
		"bound to a key":                  {policy: PolicyDefinition{Claims: rules, DPoP: true}, options: options{issuer: proofs("accept")}, claims: bound, want: "allowed", status: "fresh"},
		"bound, where DPoP is off":        {policy: PolicyDefinition{Claims: rules}, claims: bound, want: "invalid_token"},
		"not bound, where it must be":     {policy: PolicyDefinition{Claims: rules, DPoP: true}, options: options{issuer: proofs("require")}, want: "invalid_token"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, c.options)
			if len(c.policy.Tokens) > 0 {
				signing(t, r, enrichtest.KeyFile(t))
			}
			p, token := r.policy(c.policy), r.token(c.claims)
			if c.before != nil {
				c.before(r)
			}
			request := func() answer {
				req := bearer(token)
				if c.claims["cnf"] != nil && p.definition.DPoP {
					req.Header.Set("Authorization", "DPoP "+token)
					req.Header.Set("DPoP", key.Proof("GET", req.URL.String(), token, enrichtest.Claims{"iat": r.Clock().Unix()}))
				}
				return r.send(p, req)
			}
			for _, when := range []string{"first", "later"} {
				e, err := r.Explain(t.Context(), p, ExplainRequest{Token: token})
				if err != nil {
					t.Fatal(err)
				}
				a := request()
				if got := a.kind(); e.Outcome != got || got != c.want || e.Allowed != (a.err == nil) {
					t.Errorf("%s: explained as %s (%s), decided as %s (%v), want %s", when, e.Outcome, e.Cause, got, errors.Unwrap(a.err), c.want)
				}
				if a.err == nil && (e.Status != a.decision.Status() || e.Status != c.status) {
					t.Errorf("%s: explained as %s, decided as %s, want %s", when, e.Status, a.decision.Status(), c.status)
				}
				if e.Principal != nil && e.Principal.Bound != (c.claims["cnf"] != nil) {
					t.Errorf("%s: bound %t", when, e.Principal.Bound)
				}
				if r.seen.minted > 1 || when == "first" && e.Allowed && len(e.Tokens) != len(c.policy.Tokens) {
					t.Errorf("%s: %d tokens were signed, explained are %q", when, r.seen.minted, e.Tokens)
				}
			}
		})
	}
}
