package routes

import (
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// This file finds the route that Caddy is provisioning. A handler does not know
// the site that it is in, but the HTTP app among its ancestors does: Caddy
// provisions routes in order, and the matchers of each before its handlers.

// HostIsFixed reports whether the site that is being provisioned accepts requests
// for the hosts that its own address names, and for no others. Where several
// routes may be the one that is being provisioned, all must have fixed hosts.
func HostIsFixed(ctx caddy.Context) bool {
	found := false
	for _, list := range Lists(HTTPApp(ctx)) {
		route := InProvision(list)
		if route == nil {
			continue
		}
		if !fixedHost(route.MatcherSets) {
			return false
		}
		found = true
	}
	return found
}

// Lists returns the lists of routes of a module, those of its error routes
// included, where it is the HTTP app or a subroute.
func Lists(module caddy.Module) []caddyhttp.RouteList {
	var lists []caddyhttp.RouteList
	add := func(routes caddyhttp.RouteList, errors *caddyhttp.HTTPErrorConfig) {
		lists = append(lists, routes)
		if errors != nil {
			lists = append(lists, errors.Routes)
		}
	}
	switch m := module.(type) {
	case *caddyhttp.App:
		if m == nil {
			return nil
		}
		for _, server := range m.Servers {
			add(server.Routes, server.Errors)
		}
	case *caddyhttp.Subroute:
		add(m.Routes, m.Errors)
	}
	return lists
}

// InProvision returns the route of a list that is being provisioned: the first one
// whose handlers are still raw, if its matchers are not. It is nil where Caddy has
// finished the list or not begun it.
func InProvision(routes caddyhttp.RouteList) *caddyhttp.Route {
	for i := range routes {
		r := &routes[i]
		if len(r.HandlersRaw) == 0 || len(r.Handlers) > 0 {
			continue
		}
		if len(r.MatcherSetsRaw) > 0 {
			return nil
		}
		return r
	}
	return nil
}

// fixedHost reports whether each matcher set names hosts, without wildcards and
// placeholders. A set without hosts accepts any, so that one such set is enough for
// the host to be the client's choice.
func fixedHost(sets caddyhttp.MatcherSets) bool {
	for _, set := range sets {
		fixed := false
		for _, m := range set {
			hosts := hostsOf(m)
			plain := len(hosts) > 0
			for _, host := range hosts {
				plain = plain && !strings.ContainsAny(host, "*{")
			}
			fixed = fixed || plain
		}
		if !fixed {
			return false
		}
	}
	return len(sets) > 0
}

// hostsOf returns the hosts of a matcher, none where it matches by something else.
func hostsOf(matcher any) []string {
	switch h := matcher.(type) {
	case *caddyhttp.MatchHost:
		return *h
	case caddyhttp.MatchHost:
		return h
	}
	return nil
}

// SiteOf returns a value that identifies, by comparison, the site that is being
// provisioned: the outermost route of its server. It is nil where that is not known.
func SiteOf(ctx caddy.Context) any {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return nil
	}
	for _, list := range serverLists(server) {
		if route := InProvision(list); route != nil {
			return route
		}
	}
	return nil
}

// serverLists returns the routes of a server and those for its errors, in the order
// in which Caddy provisions them.
func serverLists(server *caddyhttp.Server) []caddyhttp.RouteList {
	lists := []caddyhttp.RouteList{server.Routes}
	if server.Errors != nil {
		lists = append(lists, server.Errors.Routes)
	}
	return lists
}
