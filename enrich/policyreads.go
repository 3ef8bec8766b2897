package enrich

// This file finds what a policy reads. It refuses one whose rules read what no
// directory can say (C35), and lists what a login's session has to hold for it.

import (
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// factRoots are the facts that an expression reads by a root of their own, so
// that a policy which reads them is known when the configuration loads. Other
// facts are checked when a rule reads them.
var factRoots = [...]struct {
	fact identity.Facts
	root oktael.Inputs
}{
	{identity.FactApp, oktael.InputApp},
	{identity.FactAppUser, oktael.InputAppUser},
	{identity.FactLinked, oktael.InputLinked},
	{identity.FactAppUsers, oktael.InputAppUsers},
}

// CheckReads returns an error where claim rules or requirements read any of the
// facts, which no directory can say about any principal of the policy.
func (p *Policy) CheckReads(unavailable identity.Facts) error {
	for _, f := range factRoots {
		if unavailable&f.fact == 0 || p.reads&f.root == 0 {
			continue
		}
		return fmt.Errorf("%s reads %s, which no directory of the policy's issuers provides; add a directory that does, or remove it",
			p.reader(f.root), strings.Join(f.fact.Names(), ", "))
	}
	for _, root := range [...]oktael.Inputs{oktael.InputOrg, oktael.InputSession} {
		if p.reads&root != 0 {
			return fmt.Errorf("%s reads %s, which a gateway never has: it would always be null", p.reader(root), root)
		}
	}
	return nil
}

// reader returns the name of a rule that reads the root.
func (p *Policy) reader(root oktael.Inputs) string {
	if rules := p.rules.Reading(root); len(rules) > 0 {
		return "claim " + rules[0]
	}
	return "a requirement"
}

// TokenClaims returns, sorted, the names of the token's claims on which the policy's
// decisions rest, so that a session need hold no others: those that rules,
// requirements and require_acr read, and those that headers and signed tokens show
// as the token brings them. What the principal itself is read from is not among
// them; see issuer.PrincipalClaims.
//
// groups says that the user's groups are read, which are the token's where no
// directory knows them; the claim's name is the issuer's. all says that any claim
// may be read: an expression reads the token as a whole, or a header or token shows
// every claim.
func (p *Policy) TokenClaims() (names []string, groups, all bool) {
	read, all := p.rules.TokenClaims()
	for _, r := range p.requirements.all() {
		read, all = append(read, r.Members("token")...), all || r.ReadsWhole("token")
	}
	if len(p.definition.RequireACR) > 0 {
		read = append(read, "acr")
	}
	if p.definition.MaxAge > 0 {
		read = append(read, "auth_time")
	}
	shown, every := p.headerPlan.Claims()
	for _, t := range p.tokens {
		carried, whole := t.template.Claims()
		shown, every = append(shown, carried...), every || whole
	}
	for _, name := range shown {
		if !slices.Contains(p.rules.Names(), name) { // else the rule's value is shown, or none
			read = append(read, name)
		}
	}
	slices.Sort(read)
	return slices.Compact(read), p.reads&oktael.InputGroups != 0, all || every
}
