package routes

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file finds sites at which people log in and whose endpoints for that, such as
// the callback, reach no policy that answers them. Any policy with a login answers for
// all of its site.

// placedLogin is a policy with a login, and the policies that requests meet before it.
type placedLogin struct {
	*placedPolicy
	before []*placedPolicy
}

// logins adds the endpoints of a site that no policy with a login can answer. endpoints
// returns the paths of a policy's endpoints.
func (c *checker) logins(w *Site, endpoints func(policy map[string]any) []string) {
	for _, l := range w.logins {
		for _, p := range endpoints(l.settings) {
			var reason string
			if slices.ContainsFunc(w.logins, func(other placedLogin) bool {
				why := other.missed(p)
				if reason == "" {
					reason = why
				}
				return why == ""
			}) {
				continue
			}
			c.add(Problem{Policy: l.name, Site: w.Name, Fatal: true, Login: true, Text: fmt.Sprintf(
				"%s does not reach the policy, %s", p, reason)})
			return // one is enough to act on
		}
	}
}

// outside is the advice for a policy in a route that keeps requests away.
const outside = ": put the policy outside of it, with a matcher of its own, as in token_enrich /app/* { … }"

// missed returns why a request for a path provably does not reach the policy, empty
// where that cannot be proven.
func (l placedLogin) missed(p string) string {
	for _, level := range l.levels {
		if level.path == 0 && level.never(p) {
			if paths := pathsOf(level.sets); len(paths) > 0 {
				return "because it is in the route for " + firstFew(paths) + outside
			}
			return "because of the matcher of the route around it" + outside
		}
	}
	for _, first := range l.before {
		if first.settings["anonymous"] != true && len(jsontree.List(first.settings["login"])) == 0 && first.decides(p, l.placedPolicy) {
			return fmt.Sprintf("because policy %q, which has no login, decides it first: put the policy with the login before it, or exclude the path from its matcher", first.name)
		}
	}
	return ""
}

// decides reports whether the policy provably decides each request for a path, of those
// that come to the other policy too.
func (p *placedPolicy) decides(path string, other *placedPolicy) bool {
	around := p.around(other)
	if p.excludes(other, around) {
		return false
	}
	for _, l := range p.levels[around:] {
		if l.unclear || l.group != "" || !l.holds(path) {
			return false
		}
	}
	return p.own.holds(path)
}

// holds reports whether the condition provably holds for each request for a path.
func (c condition) holds(p string) bool {
	return c.always() || c.path == 0 && slices.ContainsFunc(c.sets, func(set any) bool { return setHolds(set, p) })
}

// never reports whether the condition provably holds for no page that is asked for at
// a path.
func (c condition) never(p string) bool {
	for _, set := range c.sets {
		if !setNever(set, p) {
			return false
		}
	}
	return len(c.sets) > 0
}

// setHolds reports whether a matcher set provably matches each request for a path.
func setHolds(set any, p string) bool {
	for kind, m := range jsontree.Ordered(jsontree.Object(set)) {
		switch kind {
		case "path", "token_enrich_path":
			if !slices.ContainsFunc(jsontree.Strings(m), func(pattern string) bool { return patternMatches(pattern, p) == matchesYes }) {
				return false
			}
		case "not":
			if slices.ContainsFunc(jsontree.List(m), func(set any) bool { return !setNever(set, p) }) {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// setNever reports whether a matcher set provably matches no page that is asked for at
// a path.
func setNever(set any, p string) bool {
	for kind, m := range jsontree.Ordered(jsontree.Object(set)) {
		switch kind {
		case "path", "token_enrich_path":
			if !slices.ContainsFunc(jsontree.Strings(m), func(pattern string) bool { return patternMatches(pattern, p) != matchesNo }) {
				return true
			}
		case "method":
			if methods := jsontree.Strings(m); !slices.ContainsFunc(methods, func(method string) bool { return strings.EqualFold(method, "GET") || strings.Contains(method, "{") }) {
				return true
			}
		case "not":
			if slices.ContainsFunc(jsontree.List(m), func(set any) bool { return setHolds(set, p) }) {
				return true
			}
		}
	}
	return false
}

// What is known of a pattern and a path.
const (
	matchesNo = iota
	matchesYes
	matchesUnclear
)

// patternMatches returns whether Caddy's path pattern matches a path without escapes,
// empty segments and dot segments.
func patternMatches(pattern, p string) int {
	known := func(yes bool) int {
		if yes {
			return matchesYes
		}
		return matchesNo
	}
	pattern, p = strings.ToLower(pattern), strings.ToLower(p)
	first, last, stars := strings.HasPrefix(pattern, "*"), strings.HasSuffix(pattern, "*"), strings.Count(pattern, "*")
	switch {
	case unclearPattern(pattern):
		return matchesUnclear
	case pattern == "*":
		return matchesYes
	case first && last && stars == 2:
		return known(strings.Contains(p, pattern[1:len(pattern)-1]))
	case first && stars == 1:
		return known(strings.HasSuffix(p, pattern[1:]))
	case last && stars == 1:
		return known(strings.HasPrefix(p, pattern[:len(pattern)-1]))
	}
	ok, err := path.Match(pattern, p)
	return known(err == nil && ok)
}
