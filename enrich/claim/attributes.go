package claim

import (
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// Attributes lists, by claim, the attributes of a root ("user", "app" or
// "appuser") that its expressions read by name, for those who know which there
// are.
func (r *Rules) Attributes(root string) map[string][]string {
	read := make(map[string][]string)
	for i := range r.rules {
		rule := &r.rules[i]
		programs := []*oktael.Program{rule.program}
		if rule.allow != nil {
			programs = append(programs, rule.allow.dynamic)
		}
		for _, p := range programs {
			if p != nil {
				read[rule.name] = append(read[rule.name], p.Members(root)...)
			}
		}
		slices.Sort(read[rule.name])
	}
	return read
}
