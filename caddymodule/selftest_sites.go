package caddymodule

import (
	"slices"
	"strings"
)

// site is a host and the paths that are tried there.
type site struct {
	host  string
	paths []string
}

// Bounds of what is tried of one configuration; --site and --path choose
// within larger ones.
const (
	maxSites = 32
	maxPaths = 24
)

// made-up names that no configuration has.
const (
	madeUpWord = "selftest"
	madeUpPath = "/token-enrich-selftest"
	madeUpHost = "localhost"
)

// sitesOf lists the hosts that a server's routes name, each with paths of its
// matchers, and with one that no matcher has. Routes without hosts are tried
// as a host of their own.
func sitesOf(server map[string]any) []site {
	var list []site
	add := func(host string, paths []string) {
		i := slices.IndexFunc(list, func(s site) bool { return s.host == host })
		if i < 0 {
			list = append(list, site{host: host})
			i = len(list) - 1
		}
		list[i].paths = append(list[i].paths, paths...)
	}
	for _, route := range routesOf(server["routes"]) {
		paths := concretePaths(route, nil)
		hosts := hostsOf(route)
		if len(hosts) == 0 {
			hosts = []string{madeUpHost}
		}
		for _, host := range hosts {
			if !strings.Contains(host, "{") {
				add(strings.ReplaceAll(host, "*", madeUpWord), paths)
			}
		}
	}
	if len(list) == 0 {
		add(madeUpHost, nil)
	}
	for i := range list {
		all := append([]string{"/", madeUpPath}, list[i].paths...)
		var distinct []string
		for _, p := range all {
			if !slices.Contains(distinct, p) && len(distinct) < maxPaths {
				distinct = append(distinct, p)
			}
		}
		list[i].paths = distinct
	}
	if len(list) > maxSites {
		list = list[:maxSites]
	}
	return list
}

// concretePaths gives a path for each path pattern below a route.
func concretePaths(v any, paths []string) []string {
	switch x := v.(type) {
	case []any:
		for _, e := range x {
			paths = concretePaths(e, paths)
		}
	case map[string]any:
		for name, e := range ordered(x) {
			if name == "path" {
				for _, pattern := range asStrings(e) {
					if p, ok := concrete(pattern); ok {
						paths = append(paths, p)
					}
				}
			}
			paths = concretePaths(e, paths)
		}
	}
	return paths
}

// concrete puts a word where a pattern has an asterisk.
func concrete(pattern string) (string, bool) {
	if strings.ContainsAny(pattern, "{}?# %\\") {
		return "", false
	}
	p := strings.ReplaceAll(pattern, "*", madeUpWord)
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return p, true
}
