package routes

import (
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file proves, without a request, that matchers match each request, or each
// one that other matchers match. It answers no where it cannot prove it, so that a
// configuration is never refused for a conflict that does not exist.

// condition holds the matcher sets of a route or policy. One of them must match.
type condition struct {
	sets []any
	// path counts what may have changed the request's path, query or method
	// before. Only conditions with the same count are about the same request.
	path int

	// text is that of sets. It is empty where something between two matchers may
	// change their answer.
	text string
}

// newCondition returns the condition of a route or policy with these matcher sets. path
// is the count of the flow that it is in.
func newCondition(sets []any, path int) condition {
	return condition{sets: sets, path: path, text: stableText(sets)}
}

// stableText returns the text of matcher sets that read only what no handler between
// two routes changes, other than the path, which condition.path counts.
func stableText(sets []any) string {
	for _, set := range sets {
		for kind := range jsontree.Object(set) {
			switch kind {
			case "host", "method", "path", "path_regexp", "token_enrich_path", "protocol", "query", "remote_ip", "client_ip":
			default:
				return ""
			}
		}
	}
	return jsontree.Text(sets)
}

// always reports whether the condition holds for each request.
func (c condition) always() bool {
	return len(c.sets) == 0 || slices.ContainsFunc(c.sets, func(set any) bool {
		patterns := jsontree.Strings(jsontree.Object(set)["path"])
		return len(jsontree.Object(set)) == 0 || len(jsontree.Object(set)) == 1 && slices.Contains(patterns, "*")
	})
}

// impliedBy reports whether the condition holds for each request for which all
// the others hold.
func (c condition) impliedBy(others []condition) bool {
	return c.always() || slices.ContainsFunc(others, func(o condition) bool {
		return c.path == o.path && (c.sameAs(o) || c.coversPaths(o))
	})
}

// sameAs reports whether two conditions are one, of matchers whose answer
// nothing between them changes.
func (c condition) sameAs(o condition) bool { return c.text != "" && c.text == o.text }

// pathMatcherKinds are the kinds of matchers that are lists of path patterns.
var pathMatcherKinds = [...]string{"path", "token_enrich_path"}

// coversPaths reports whether the condition has path matchers alone, and the other
// one matches only paths that they match. Further matchers of the other condition
// only narrow it.
func (c condition) coversPaths(o condition) bool {
	var patterns []string
	for _, set := range c.sets {
		// A set with further matchers does not match each request for its paths.
		if len(jsontree.Object(set)) != 1 {
			continue
		}
		for _, kind := range pathMatcherKinds {
			patterns = append(patterns, jsontree.Strings(jsontree.Object(set)[kind])...)
		}
	}
	covered := func(set any) bool {
		return slices.ContainsFunc(pathMatcherKinds[:], func(kind string) bool {
			list := jsontree.Strings(jsontree.Object(set)[kind])
			for _, q := range list {
				if !slices.ContainsFunc(patterns, func(p string) bool { return patternCovers(p, q) }) {
					return false
				}
			}
			return len(list) > 0
		})
	}
	for _, set := range o.sets {
		if !covered(set) {
			return false
		}
	}
	return len(o.sets) > 0
}

// patternCovers reports whether the path pattern p provably matches each path that
// q matches. Caddy compares paths without regard to case.
func patternCovers(p, q string) bool {
	// Provable is only a plain prefix with an asterisk at its end.
	p, q = strings.ToLower(p), strings.ToLower(q)
	if p == "*" || p == q {
		return true
	}
	prefix, wild := strings.CutSuffix(p, "*")
	if !wild || prefix == "" || unclearPattern(p) || unclearPattern(q) || strings.ContainsAny(prefix, `*?[\`) {
		return false
	}
	if end := strings.IndexAny(q, `*?[\`); end >= 0 {
		q = q[:end]
	}
	return strings.HasPrefix(q, prefix)
}

// unclearPattern reports whether a pattern is matched with more than the cleaned
// path, such as the escaped path or a placeholder.
func unclearPattern(p string) bool {
	return strings.ContainsAny(p, "%{") || strings.Contains(p, "//")
}

// pathsOf returns the path patterns of matcher sets.
func pathsOf(sets []any) []string {
	list := make([]string, 0, len(sets))
	for _, set := range sets {
		for _, kind := range pathMatcherKinds {
			list = append(list, jsontree.Strings(jsontree.Object(set)[kind])...)
		}
	}
	return list
}
