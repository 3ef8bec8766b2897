package claim

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// This file finds what rules read: the roots on which a rule rests through other
// claims, and the attributes that its expressions name.

// claimsWord is the root claims, with the name behind it where that is written
// out.
var claimsWord = regexp.MustCompile(`\bclaims\b(\s*\??\.\s*[A-Za-z_$]|\s*\[\s*(?:'[^']*'|"[^"]*")\s*\])?`)

// readsThrough returns the roots on which the claims that an expression reads
// rest. It never leaves one out and may return too many: a rule is then omitted
// that could have been evaluated, which matters only while a directory is down
// and is safe.
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

// Reading returns the names of the active rules that read any of the roots, in order.
func (r *Rules) Reading(roots oktael.Inputs) []string {
	var names []string
	for i := range r.rules {
		if r.rules[i].active && r.rules[i].reads&roots != 0 {
			names = append(names, r.rules[i].name)
		}
	}
	return names
}

// Attributes returns, by claim, the attributes of a root ("user", "app" or
// "appuser") that its expressions read by name, in order: check compares them with
// those that the directories have.
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

// TokenClaims returns the names of the token's claims that the active rules read,
// unsorted; all says that they may read any. A rule for one kind of token reads
// the claims that tell the kinds apart.
func (r *Rules) TokenClaims() (names []string, all bool) {
	const token = "token"
	for i := range r.rules {
		rule := &r.rules[i]
		if !rule.active {
			continue
		}
		if rule.token != "" {
			names = append(append(names, idTokenClaims[:]...), tokenUse)
		}
		programs := []*oktael.Program{rule.program}
		if a := rule.allow; a != nil {
			programs = append(programs, a.dynamic)
			if a.value != nil {
				names, all = append(names, a.value.Members(token)...), all || a.value.ReadsWhole(token)
			}
		}
		for _, p := range programs {
			if p != nil {
				names, all = append(names, p.Members(token)...), all || p.ReadsWhole(token)
			}
		}
	}
	return names, all
}
