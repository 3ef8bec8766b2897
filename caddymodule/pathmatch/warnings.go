package pathmatch

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
)

// This file warns of matchers that leave out paths which an application treats as
// those that they name. They are warnings, because only the application decides
// whether it does.

// Warnings returns what is likely to be a mistake in the matchers of a policy that is
// being provisioned, and in the routes around it.
func Warnings(ctx caddy.Context, raw caddyhttp.RawMatcherSets) []string {
	list := patternWarnings(raw)
	if slices.ContainsFunc(ctx.Modules(), chosenByPath) {
		list = append(list, "the policy is in a route chosen by Caddy's path matcher, which matches only one reading of a path: "+
			"use the policy's own matcher, or token_enrich_path")
	}
	return list
}

// patternWarnings returns warnings of path patterns that match a path without the
// one that most routers treat alike: /admin/* without /admin, /admin without /admin/.
func patternWarnings(raw caddyhttp.RawMatcherSets) []string {
	var patterns, list []string
	for _, set := range raw {
		for _, name := range []string{"path", moduleName} {
			var some []string
			if text, ok := set[name]; ok && json.Unmarshal(text, &some) == nil {
				patterns = append(patterns, some...)
			}
		}
	}
	for _, pattern := range patterns {
		other, found := counterpart(pattern)
		if found && !anyCovers(other, patterns) {
			list = append(list, fmt.Sprintf("the pattern %s does not cover %s, which most applications treat as the same path: list both", pattern, other))
		}
	}
	return list
}

// counterpart returns the path that differs from a pattern in its last slash. A
// pattern that ends in another wildcard has none.
func counterpart(pattern string) (string, bool) {
	base, below := strings.CutSuffix(pattern, "/*")
	switch {
	case pattern == "" || pattern == "/" || strings.HasPrefix(pattern, "*"):
		return "", false
	case below:
		return base, base != ""
	case strings.HasSuffix(pattern, "*") || strings.HasSuffix(pattern, "}"):
		return "", false
	case strings.HasSuffix(pattern, "/"):
		return strings.TrimSuffix(pattern, "/"), true
	}
	return pattern + "/", true
}

// anyCovers reports whether one of the patterns matches a path, without regard to case.
func anyCovers(path string, patterns []string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		begin, prefix := strings.CutSuffix(strings.ToLower(pattern), "*")
		return strings.EqualFold(pattern, path) || prefix && strings.HasPrefix(strings.ToLower(path), begin)
	})
}

// chosenByPath reports whether Caddy's path matcher chooses the route that is being
// provisioned in a module, or an earlier route of its group, whose rest it takes.
func chosenByPath(m caddy.Module) bool {
	for _, list := range routes.Lists(m) {
		route := routes.InProvision(list)
		if route == nil {
			continue
		}
		for i := range list {
			if &list[i] != route && (route.Group == "" || list[i].Group != route.Group) {
				continue
			}
			if slices.ContainsFunc(list[i].MatcherSets, matchesPath) {
				return true
			}
			if &list[i] == route {
				break
			}
		}
	}
	return false
}

// matchesPath reports whether a matcher set has one of Caddy's path matchers, also
// inside of not.
func matchesPath(set caddyhttp.MatcherSet) bool {
	return slices.ContainsFunc(set, func(matcher any) bool {
		switch m := matcher.(type) {
		case *caddyhttp.MatchPath, caddyhttp.MatchPath, *caddyhttp.MatchPathRE, caddyhttp.MatchPathRE:
			return true
		case *caddyhttp.MatchNot:
			return slices.ContainsFunc(m.MatcherSets, matchesPath)
		}
		return false
	})
}
