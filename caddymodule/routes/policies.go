package routes

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file finds policies that conflict. In one list of routes, the first policy
// that matches a request decides it, so that a later one may be unreachable. A
// request that a policy of one list has decided is refused if it meets another
// policy in another list, since it is not clear which of the two should decide.

// placedPolicy is a policy with its place in the routes.
type placedPolicy struct {
	name     string
	settings map[string]any
	list     string  // the list of routes that it is in
	levels   []level // the routes around
	own      condition
	answers  int    // what may have answered a request before
	where    string // which requests or which route it is for, for people
}

// conflict is a policy that conflicts with one that requests meet before it.
type conflict struct {
	policy, first *placedPolicy
	site, text    string

	// certain means that it is a mistake whatever the policies require. Else it
	// is one only where the policy is stricter than the first one.
	certain bool
}

// policy records a policy, and compares it with those that requests met before.
func (w *Site) policy(list string, h map[string]any) {
	f := w.flow
	name, _ := h["name"].(string)
	p := &placedPolicy{
		name: name, settings: h, list: list, levels: slices.Clone(f.levels), where: w.where(),
		own: newCondition(jsontree.List(h["match"]), f.path), answers: f.answers,
	}
	if paths := pathsOf(p.own.sets); len(paths) > 0 {
		p.where = " for " + firstFew(paths)
	}
	again := func(q *placedPolicy) bool { return q.name == p.name && q.list == p.list } // by invoke: it has had its turn
	if slices.ContainsFunc(f.policies, again) {
		f.policies = append(f.policies, p)
		return
	}
	if len(jsontree.List(h["login"])) > 0 {
		w.logins = append(w.logins, placedLogin{p, slices.Clone(f.policies)})
	}
	// One conflict a policy is enough to act on.
	for _, before := range f.policies {
		if text, certain := p.conflictWith(before); text != "" {
			w.server.conflicts = append(w.server.conflicts, conflict{policy: p, first: before, site: w.Name, text: text, certain: certain})
			break
		}
	}
	f.policies = append(f.policies, p)
}

// conflictWith returns how the policy conflicts with one that requests meet before
// it, and whether that is a mistake whatever they require. The text is empty where
// no conflict can be proven. One policy in two places, as from a snippet, is none.
func (p *placedPolicy) conflictWith(first *placedPolicy) (text string, certain bool) {
	if p.name == first.name {
		return "", false
	}
	// Of two routes of a group, a request takes the first one that matches. The policy
	// of the second is unreachable where the first matches all its requests.
	around := first.around(p)
	if first.excludes(p, around) {
		if !first.levels[around].impliedBy(p.conditions()) {
			return "", false
		}
		return fmt.Sprintf("unreachable%s: the route of policy %q comes first and takes every such request%s; put the narrower route first", p.where, first.name, first.widePaths(p)), false
	}
	// In one list, the first policy that matches decides. In two lists, a request that
	// both would decide is refused.
	covered := first.covers(p, around)
	switch {
	case p.list == first.list && covered:
		return fmt.Sprintf("unreachable%s: shadowed by policy %q, which %s; the first policy of a route list that matches decides: put %q before %q, or give %q a matcher that excludes these requests",
			p.where, first.name, first.why(p), p.name, first.name, first.name), false
	case p.list != first.list && (covered || first.reaches(p, around)):
		return fmt.Sprintf("requests%s have already been decided by policy %q%s and would all get 500: only one policy may decide a request; put both into one route list, the narrower one first with its own matcher, as in token_enrich @admin { … } before token_enrich { … }, or each into its own handle",
			p.where, first.name, first.where), true
	}
	return "", false
}

// around returns how many routes are around both policies.
func (p *placedPolicy) around(other *placedPolicy) int {
	n := 0
	for n < len(p.levels) && n < len(other.levels) && p.levels[n].list == other.levels[n].list && p.levels[n].index == other.levels[n].index {
		n++
	}
	return n
}

// excludes reports whether a request takes the route of only one of the policies,
// because both routes are of one group. around is the number of routes around both.
func (p *placedPolicy) excludes(other *placedPolicy, around int) bool {
	if around == len(p.levels) || around == len(other.levels) {
		return false
	}
	a, b := p.levels[around], other.levels[around]
	return a.list == b.list && a.group != "" && a.group == b.group
}

// conditions returns the conditions that hold for each request that the policy
// would decide.
func (p *placedPolicy) conditions() []condition {
	list := make([]condition, 0, len(p.levels)+1)
	for _, l := range p.levels {
		if !l.unclear {
			list = append(list, l.condition)
		}
	}
	return append(list, p.own)
}

// covers reports whether the policy provably decides each request that the other
// one would decide. around is the number of routes around both.
func (p *placedPolicy) covers(other *placedPolicy, around int) bool {
	theirs := other.conditions()
	for _, l := range p.levels[around:] {
		if l.unclear || l.group != "" || !l.impliedBy(theirs) {
			return false
		}
	}
	return p.own.impliedBy(theirs)
}

// reaches reports whether each request that the policy decides provably comes to
// the other one too: no condition is between them and nothing answers there.
func (p *placedPolicy) reaches(other *placedPolicy, around int) bool {
	unclear := func(l level) bool { return l.unclear }
	for _, l := range other.levels[around:] {
		if l.unclear || l.group != "" || !l.always() {
			return false
		}
	}
	return p.answers == other.answers && !slices.ContainsFunc(p.levels[around:], unclear)
}

// why returns why the policy covers the other one, as part of a sentence.
func (p *placedPolicy) why(other *placedPolicy) string {
	if paths := p.widePaths(other); paths != "" {
		return "takes its requests too" + paths
	}
	if p.own.always() {
		return "has no matcher"
	}
	return "has the same matcher"
}

// widePaths returns the path patterns of both policies, as part of a sentence.
func (p *placedPolicy) widePaths(other *placedPolicy) string {
	wide, narrow := p.paths(), other.paths()
	if len(wide) == 0 || len(narrow) == 0 || slices.Equal(wide, narrow) {
		return ""
	}
	return fmt.Sprintf(" (%s covers %s)", firstFew(wide), firstFew(narrow))
}

// paths returns the path patterns of the innermost matcher that has some.
func (p *placedPolicy) paths() []string {
	for _, c := range slices.Backward(p.conditions()) {
		if paths := pathsOf(c.sets); len(paths) > 0 && !c.always() {
			return paths
		}
	}
	return nil
}
