package selftest

import (
	"regexp"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
)

// This file chooses the hosts and paths that are tested. The configuration has
// patterns, while a request needs one host and one path: each asterisk becomes a
// word, and a path that no matcher names shows what all others get.

// site is a host with the paths that are tested there.
type site struct {
	pattern string // the host as configured
	host    string // one that it matches
	paths   []string
}

// Bounds of what is tested of one configuration. Options choose within larger ones.
const (
	maxSites = 32 // of a server
	maxPaths = 24 // of a site
)

// Names that no configuration has.
const (
	exampleWord = "selftest"
	examplePath = "/token-enrich-selftest"
	exampleHost = "localhost"

	// anyHost is the pattern of routes that name no host.
	anyHost = "*"
)

// sitesOf returns the hosts that a server's routes name, each with paths of its
// matchers and with one that no matcher names. Routes without hosts are a site of
// their own. It notes what is left out.
func sitesOf(server map[string]any, note func(string, ...any)) []site {
	var list []site
	add := func(pattern string, paths []string) {
		i := slices.IndexFunc(list, func(s site) bool { return s.pattern == pattern })
		if i < 0 {
			list = append(list, site{pattern: pattern, host: strings.ReplaceAll(pattern, "*", exampleWord)})
			if pattern == anyHost {
				list[len(list)-1].host = exampleHost
			}
			i = len(list) - 1
		}
		list[i].paths = append(list[i].paths, paths...)
	}
	for _, route := range jsontree.Objects(server["routes"]) {
		paths := pathsBelow(route, nil)
		hosts := routes.HostsOf(route)
		if len(hosts) == 0 {
			hosts = []string{anyHost}
		}
		for _, host := range hosts {
			if !strings.Contains(host, "{") { // a placeholder names no host
				add(host, paths)
			}
		}
	}
	if len(list) == 0 {
		add(anyHost, nil)
	}
	// Each site is tested at its root, at a path that no matcher names, and at those
	// that matchers and requirements name.
	for i := range list {
		all := append([]string{"/", examplePath}, list[i].paths...)
		var distinct []string
		for _, p := range all {
			if !slices.Contains(distinct, p) {
				distinct = append(distinct, p)
			}
		}
		if len(distinct) > maxPaths {
			note("site %s: %d paths were not tested: narrow the test with --site and --path", list[i].pattern, len(distinct)-maxPaths)
			distinct = distinct[:maxPaths]
		}
		list[i].paths = distinct
	}
	if len(list) > maxSites {
		note("%d sites were not tested: narrow the test with --site", len(list)-maxSites)
		list = list[:maxSites]
	}
	return list
}

// selects reports whether Options include a site, and narrows it to the host and path
// that were chosen.
func (c *privateConfig) selects(s *site) bool {
	if c.path != "" {
		s.paths = []string{c.path, examplePath}
	}
	if c.host == "" {
		return true
	}
	if s.pattern != anyHost && !hostMatches(s.pattern, c.host) {
		return false
	}
	s.host = c.host // in the place of one made from the pattern
	return true
}

// hostMatches reports whether a host matches a pattern, in which an asterisk is
// one label.
func hostMatches(pattern, host string) bool {
	want, have := strings.Split(pattern, "."), strings.Split(host, ".")
	return slices.EqualFunc(want, have, func(w, h string) bool { return w == "*" || strings.EqualFold(w, h) })
}

// pathLiterals returns the paths that requirements on request.path name.
func pathLiterals(require []string) []string {
	var list []string
	for _, expression := range require {
		if !strings.Contains(expression, "request.path") {
			continue
		}
		for _, found := range pathLiteral.FindAllStringSubmatch(expression, -1) {
			literal := found[1]
			if strings.HasSuffix(literal, "/") { // as in String.startsWith
				literal += "*"
			}
			list = append(list, literal)
		}
	}
	return list
}

// pathLiteral matches a string literal of an expression that begins with a slash.
var pathLiteral = regexp.MustCompile(`["'](/[^"']*)["']`)

// pathsBelow appends a path for each path pattern in v and each path that a
// requirement in it names.
func pathsBelow(v any, paths []string) []string {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			paths = pathsBelow(e, paths)
		}
	case map[string]any:
		for name, e := range jsontree.Ordered(x) {
			// A policy's matcher, those of routes and requirements are found alike, at
			// whatever depth.
			var patterns []string
			switch name {
			case "path", "token_enrich_path":
				patterns = jsontree.Strings(e)
			case "require":
				patterns = pathLiterals(jsontree.Strings(e))
			}
			for _, pattern := range patterns {
				if p, ok := pathFor(pattern); ok {
					paths = append(paths, p)
				}
			}
			paths = pathsBelow(e, paths)
		}
	}
	return paths
}

// coveredMatchers are the kinds of matchers that the attempts take into account, or
// whose result no attempt changes.
var coveredMatchers = [...]string{"host", "path", "token_enrich_path", "protocol", "not", "file"}

// uncoveredMatchers returns the kinds of matchers for which a route may be missed. A
// policy's own matcher is none of them: requests that it does not match are
// scrubbed all the same.
func uncoveredMatchers(server map[string]any) []string {
	var kinds []string
	var look func(v any, matchers bool)
	look = func(v any, matchers bool) {
		switch x := v.(type) {
		case []any:
			for _, e := range x {
				look(e, matchers)
			}
		case map[string]any:
			for name, e := range jsontree.Ordered(x) {
				_, sets := e.([]any) // a matcher of responses is an object
				switch {
				case !matchers && name == "match" && sets && x["handler"] == nil, matchers && name == "not":
					look(e, true)
				case !matchers:
					look(e, false)
				case !slices.Contains(coveredMatchers[:], name) && !slices.Contains(kinds, name):
					kinds = append(kinds, name)
				}
			}
		}
	}
	look(server["routes"], false)
	look(jsontree.Object(server, "errors")["routes"], false)
	slices.Sort(kinds)
	return kinds
}

// pathFor returns a path that a pattern matches, for a request: a word replaces each asterisk. It is
// false for a pattern with escapes or placeholders.
func pathFor(pattern string) (string, bool) {
	if strings.ContainsAny(pattern, "{}?# %\\") {
		return "", false
	}
	p := strings.ReplaceAll(pattern, "*", exampleWord)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return p, true
}
