package enrich

import (
	"errors"
	"fmt"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// withheld are tokens that say that they leave groups out, or may have cut
// them.
func withheld() map[string]enrichtest.Claims {
	names := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprintf("g%d", i)
		}
		return list
	}
	return map[string]enrichtest.Claims{
		"named elsewhere":        {"_claim_names": map[string]any{"groups": "src1"}},
		"named elsewhere, a few": {"groups": []string{"Staff"}, "_claim_names": map[string]any{"groups": "src1"}},
		"said to be had":         {"hasgroups": true},
		"cut at a hundred":       {"groups": names(100)},
		"cut at two hundred":     {"groups": names(200)},
	}
}

// What the token tells of groups is not whole, and nobody may take it for the
// whole: neither the few that stand there, nor none.
func TestWithheldGroupsAreNotHandedOn(t *testing.T) {
	r := newRig(t, options{nobody: true})
	signing(t, r, enrichtest.KeyFile(t))
	token := func(d mint.TokenDefinition) PolicyDefinition {
		d.Audience = []string{"payroll"}
		return PolicyDefinition{Forward: forward.Definition{Headers: []forward.HeaderDefinition{}}, Tokens: []mint.TokenDefinition{d}}
	}
	policies := map[string]PolicyDefinition{
		"header":             {Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-Groups", Claim: "groups"}}}},
		"number of groups":   {Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-Groups", Claim: "groups", Count: true}}}},
		"headers_from":       {Forward: forward.Definition{Headers: []forward.HeaderDefinition{}, HeadersFrom: []forward.HeadersFrom{{Prefix: "X-Claim-"}}}},
		"headers_from named": {Forward: forward.Definition{Headers: []forward.HeaderDefinition{}, HeadersFrom: []forward.HeadersFrom{{Prefix: "X-Claim-", Claims: []string{"groups"}}}}},
		"signed token, all":  token(mint.TokenDefinition{Claims: []string{"*"}}),
		"signed token":       token(mint.TokenDefinition{Claims: []string{"groups"}}),
		"rule":               {Claims: []claim.Definition{{Name: "g", Expression: "token.groups"}}},
		"rule by key":        {Claims: []claim.Definition{{Name: "g", Expression: `token["groups"]`}}},
		"rule, whole token":  {Claims: []claim.Definition{{Name: "g", Expression: "token"}}},
	}
	for how, claims := range withheld() {
		for what, def := range policies {
			t.Run(what+", "+how, func(t *testing.T) {
				def.Name = "p"
				p := r.policy(def)
				a := r.refused(p, r.token(claims), KindClaim)
				if !errors.Is(a.err, oktael.ErrGroupsUnknown) {
					t.Errorf("the cause is %v", errors.Unwrap(a.err))
				}
				// A list that is whole goes on.
				r.allowed(p, r.token(enrichtest.Claims{"groups": []string{"Staff"}}))
			})
		}
	}
}

// A requirement on what the token withholds fails, whichever way it asks.
func TestWithheldGroupsFailRequirements(t *testing.T) {
	r := newRig(t, options{nobody: true})
	for how, claims := range withheld() {
		for _, require := range []string{`!Arrays.contains(token.groups, "Contractors")`, `token.groups == null || true`, `token["groups"] != "x"`} {
			t.Run(require+", "+how, func(t *testing.T) {
				p := r.policy(PolicyDefinition{Require: []string{require}, Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-User", Claim: "sub"}}}})
				r.refused(p, r.token(claims), KindDenied)
			})
		}
	}
}

// Nobody else's business is disturbed: other claims, and a rule of that name.
func TestWithheldGroupsAreReplacedByARule(t *testing.T) {
	r := newRig(t, options{})
	r.people.put("00u1ada", ada("Staff", "Payroll"))
	p := r.usual() // which has a rule "groups"
	other := r.policy(PolicyDefinition{
		Name: "other", Claims: []claim.Definition{{Name: "who", Expression: "token.sub"}},
		Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-User", Claim: "who"}}},
	})
	for how, claims := range withheld() {
		t.Run(how, func(t *testing.T) {
			tok := r.token(claims)
			if got := r.warm(p, tok).header("X-Groups"); got != "Staff,Payroll" {
				t.Errorf("X-Groups: %q", got)
			}
			a := r.warm(other, tok)
			if got := a.header("X-User"); got != "00u1ada" {
				t.Errorf("X-User: %q", got)
			}
			if v, ok := a.decision.Claims["groups"]; ok {
				t.Errorf("a placeholder would show %v", v)
			}
		})
	}
}

// A client on its own behalf is in no group; one whose token withholds them is
// in nobody knows which.
func TestWithheldGroupsOfAClient(t *testing.T) {
	r := newRig(t, options{nobody: true})
	p := r.policy(PolicyDefinition{
		Require: []string{`!isMemberOfGroupName("Contractors")`},
		Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-User", Claim: "sub"}}},
	})
	client := enrichtest.Claims{"sub": "0oa1payroll"}
	r.allowed(p, r.token(client))
	for how, claims := range withheld() {
		t.Run(how, func(t *testing.T) { r.refused(p, r.token(client, claims), KindDenied) })
	}
	t.Run("of no form", func(t *testing.T) {
		r.refused(p, r.token(client, enrichtest.Claims{"groups": []any{map[string]any{"name": "Contractors"}}}), KindDenied)
	})
}
