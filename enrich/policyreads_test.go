package enrich

import (
	"slices"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// TestTokenClaimsAreThoseThatAPolicyReads: a session that holds them decides as the
// whole token does.
func TestTokenClaimsAreThoseThatAPolicyReads(t *testing.T) {
	rule := func(name, expression string) claim.Definition {
		return claim.Definition{Name: name, Expression: expression}
	}
	rules := func(list ...claim.Definition) PolicyDefinition { return PolicyDefinition{Claims: list} }
	allow := func(ids, value string) PolicyDefinition {
		return rules(claim.Definition{Name: "groups", AllowList: &claim.AllowList{Expression: ids, Value: value}})
	}
	headers := func(list ...string) PolicyDefinition {
		var def PolicyDefinition
		for _, name := range list {
			def.Forward.Headers = append(def.Forward.Headers, forward.HeaderDefinition{Name: "X-" + name, Claim: name})
		}
		return def
	}
	signed := func(subject string, claims ...string) PolicyDefinition {
		return PolicyDefinition{Tokens: []mint.TokenDefinition{{Audience: []string{"payroll"}, Subject: subject, Claims: claims}}}
	}
	with := func(def PolicyDefinition, change func(*PolicyDefinition)) PolicyDefinition {
		change(&def)
		return def
	}
	for name, c := range map[string]struct {
		def         PolicyDefinition
		names       []string
		groups, all bool
	}{
		"nothing":                        {},
		"a rule":                         {def: rules(rule("a", `token.x + token["y"] + token.z.inner`)), names: []string{"x", "y", "z"}},
		"a rule, twice":                  {def: rules(rule("a", "token.x"), rule("b", "token?.x")), names: []string{"x"}},
		"a rule of the directory":        {def: rules(rule("a", "user.email"))},
		"a rule of another rule":         {def: rules(rule("a", "token.x"), rule("b", "claims.a")), names: []string{"x"}},
		"a rule of the whole token":      {def: rules(rule("a", "token")), all: true},
		"a computed name":                {def: rules(rule("a", `token[user.login]`)), all: true},
		"a rule that is off":             {def: rules(claim.Definition{Name: "a", Expression: "token.x", Status: claim.StatusInactive})},
		"a rule for ID tokens":           {def: rules(claim.Definition{Name: "a", Expression: "token.x", Token: claim.TokenID}), names: []string{"at_hash", "c_hash", "nonce", "token_use", "x"}},
		"groups":                         {def: rules(fromDirectory()...), groups: true},
		"groups of an expression":        {def: rules(rule("a", `isMemberOfGroupName("Staff")`)), groups: true},
		"an expression of each group":    {def: rules(rule("a", `getFilteredGroups({"x"}, "token.y", 10)`)), names: []string{"y"}, groups: true},
		"an allow list":                  {def: allow("token.allowed", "group.name"), names: []string{"allowed"}, groups: true},
		"the values of an allow list":    {def: allow("app.profile.list", "group.name + token.suffix"), names: []string{"suffix"}, groups: true},
		"an allow list, the whole token": {def: allow("app.profile.list", "token[group.name]"), groups: true, all: true},
		"a requirement":                  {def: PolicyDefinition{Require: []string{`token.x == "1"`}}, names: []string{"x"}},
		"a requirement on the request":   {def: PolicyDefinition{Require: []string{`request.host == token.host`}}, names: []string{"host"}},
		"a requirement, groups":          {def: PolicyDefinition{Require: []string{`isMemberOfGroup("00g1")`}}, groups: true},
		"a requirement, the whole token": {def: PolicyDefinition{Require: []string{`token == null`}}, all: true},
		"scopes":                         {def: PolicyDefinition{RequireScope: []string{"pay"}, Require: []string{`access.scope.contains("pay")`}}},
		"acr":                            {def: PolicyDefinition{RequireACR: []string{"phr"}}, names: []string{"acr"}},
		"max_age":                        {def: PolicyDefinition{MaxAge: time.Hour}, names: []string{"auth_time"}},
		"headers":                        {def: headers("sub", "email"), names: []string{"email", "sub"}},
		"headers of rules": {
			def: with(headers("a", "b", "c"), func(d *PolicyDefinition) {
				d.Claims = []claim.Definition{rule("a", `"1"`), {Name: "b", Expression: "token.b", Status: claim.StatusInactive}}
			}),
			names: []string{"c"},
		},
		"headers_from": {
			def:   PolicyDefinition{Forward: forward.Definition{HeadersFrom: []forward.HeadersFrom{{Prefix: "X-Claim-", Claims: []string{"email"}}}}},
			names: []string{"email"},
		},
		"headers_from every claim": {
			def: PolicyDefinition{Forward: forward.Definition{HeadersFrom: []forward.HeadersFrom{{Prefix: "X-Claim-"}}}}, all: true,
		},
		"a signed token":                       {def: signed("")},
		"a signed token's claims":              {def: signed("", "email", "sub"), names: []string{"email"}},
		"a signed token's subject":             {def: signed("oid", "email"), names: []string{"email", "oid"}},
		"a signed token with every claim":      {def: signed("", "*"), all: true},
		"a signed token with a rule's subject": {def: with(signed("a"), func(d *PolicyDefinition) { d.Claims = []claim.Definition{rule("a", `"1"`)} })},
	} {
		t.Run(name, func(t *testing.T) {
			if c.def.Forward.Headers == nil {
				c.def.Forward.Headers = []forward.HeaderDefinition{}
			}
			names, groups, all := compiled(t, c.def).TokenClaims()
			if !slices.Equal(names, c.names) || groups != c.groups || all != c.all {
				t.Errorf("names %v, groups %t, all %t; want %v, %t, %t", names, groups, all, c.names, c.groups, c.all)
			}
		})
	}
}
