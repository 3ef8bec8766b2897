package claim

import (
	"regexp"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// claimsWord is the root claims, with the name behind it where that is written
// out.
var claimsWord = regexp.MustCompile(`\bclaims\b(\s*\??\.\s*[A-Za-z_$]|\s*\[\s*(?:'[^']*'|"[^"]*")\s*\])?`)

// readsThrough gives the roots on which the claims that an expression reads
// rest. It never leaves one out, and may give too many: a rule is then omitted
// that could have been tried, which matters only while a directory is down
// and is the safe side.
func (r *Rules) readsThrough(source string) oktael.Inputs {
	everything := false // the whole map, or a name that is computed
	for _, m := range claimsWord.FindAllStringSubmatch(source, -1) {
		everything = everything || m[1] == ""
	}
	var roots oktael.Inputs
	for i := range r.rules {
		name := r.rules[i].name
		// A quote may be written in more than one way.
		if everything || strings.Contains(source, name) || strings.ContainsAny(name, `'"`) {
			roots |= r.rules[i].reads
		}
	}
	return roots
}

// Reading lists the active rules that read any of the roots, in order.
func (r *Rules) Reading(roots oktael.Inputs) []string {
	var names []string
	for i := range r.rules {
		if r.rules[i].active && r.rules[i].reads&roots != 0 {
			names = append(names, r.rules[i].name)
		}
	}
	return names
}
