package routes

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file finds policies that stand in each other's way. Of one list of
// routes, the first policy that matches a request decides it. A request that
// was decided in one list and meets another policy in another is refused, since
// nobody can tell which of the two was meant.

// placed is a policy where it stands.
type placed struct {
	name     string
	settings map[string]any
	list     string  // the list of routes that it stands in
	levels   []level // the routes around
	own      condition
	answers  int    // what may have answered a request before
	where    string // which requests or which route it is for, for people
}

// conflict is what was found about two policies.
type conflict struct {
	policy, first *placed
	site, text    string

	// certain means that it is a mistake whatever the policies ask for; else
	// it is one where the policy is stricter than the first one.
	certain bool
}

// policy notes a policy, and compares it with those that requests met before.
func (w *Site) policy(list string, h map[string]any) {
	f := w.flow
	name, _ := h["name"].(string)
	p := &placed{
		name: name, settings: h, list: list, levels: slices.Clone(f.levels), where: w.where(),
		own: condition{sets: jsontree.List(h["match"]), path: f.path}, answers: f.answers,
	}
	if paths := pathsOf(p.own.sets); len(paths) > 0 {
		p.where = " for " + few(paths)
	}
	again := func(q *placed) bool { return q.name == p.name && q.list == p.list } // by invoke: it has had its turn
	if slices.ContainsFunc(f.policies, again) {
		f.policies = append(f.policies, p)
		return
	}
	for _, before := range f.policies {
		if text, certain := p.behind(before); text != "" {
			w.server.conflicts = append(w.server.conflicts, conflict{policy: p, first: before, site: w.Name, text: text, certain: certain})
			break
		}
	}
	f.policies = append(f.policies, p)
}

// behind tells what is wrong with a policy that stands behind another one, and
// whether that is certainly a mistake; nothing where it is in order, or nothing
// can be proven. One policy in two places, as from a snippet, is.
func (p *placed) behind(first *placed) (text string, certain bool) {
	if p.name == first.name {
		return "", false
	}
	around := first.around(p)
	if first.excludes(p, around) {
		if !first.levels[around].impliedBy(p.conditions()) {
			return "", false
		}
		return fmt.Sprintf("unreachable%s: the route of policy %q comes first and takes every such request%s; put the narrower route first", p.where, first.name, first.widePaths(p)), false
	}
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

// around counts the routes that stand around both policies.
func (p *placed) around(other *placed) int {
	n := 0
	for n < len(p.levels) && n < len(other.levels) && p.levels[n].list == other.levels[n].list && p.levels[n].index == other.levels[n].index {
		n++
	}
	return n
}

// excludes reports whether a request takes the route of one policy only,
// because both are of one group.
func (p *placed) excludes(other *placed, around int) bool {
	if around == len(p.levels) || around == len(other.levels) {
		return false
	}
	a, b := p.levels[around], other.levels[around]
	return a.list == b.list && a.group != "" && a.group == b.group
}

// conditions are all that hold for the requests that a policy would decide.
func (p *placed) conditions() []condition {
	list := make([]condition, 0, len(p.levels)+1)
	for _, l := range p.levels {
		if !l.unclear {
			list = append(list, l.condition)
		}
	}
	return append(list, p.own)
}

// covers reports whether the policy provably decides each request that the
// other one would decide; that many routes stand around both.
func (p *placed) covers(other *placed, around int) bool {
	theirs := other.conditions()
	for _, l := range p.levels[around:] {
		if l.unclear || l.group != "" || !l.impliedBy(theirs) {
			return false
		}
	}
	return p.own.impliedBy(theirs)
}

// reaches reports whether what the policy decides provably comes to the other
// one: each request does, and nothing between them answers.
func (p *placed) reaches(other *placed, around int) bool {
	unclear := func(l level) bool { return l.unclear }
	for _, l := range other.levels[around:] {
		if l.unclear || l.group != "" || !l.always() {
			return false
		}
	}
	return p.answers == other.answers && !slices.ContainsFunc(p.levels[around:], unclear)
}

// why tells by what the policy covers the other one.
func (p *placed) why(other *placed) string {
	if paths := p.widePaths(other); paths != "" {
		return "takes its requests too" + paths
	}
	if p.own.always() {
		return "has no matcher"
	}
	return "has the same matcher"
}

// widePaths names the path patterns of both policies.
func (p *placed) widePaths(other *placed) string {
	wide, narrow := p.paths(), other.paths()
	if len(wide) == 0 || len(narrow) == 0 || slices.Equal(wide, narrow) {
		return ""
	}
	return fmt.Sprintf(" (%s covers %s)", few(wide), few(narrow))
}

// paths are the patterns of the innermost matcher with any.
func (p *placed) paths() []string {
	for _, c := range slices.Backward(p.conditions()) {
		if paths := pathsOf(c.sets); len(paths) > 0 && !c.always() {
			return paths
		}
	}
	return nil
}
