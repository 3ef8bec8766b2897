package enrich

// This file refuses a policy whose rules read what no directory can say (C35).

import (
	"fmt"
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
