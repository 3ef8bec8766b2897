package routes

import (
	"encoding/json"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file identifies the list of routes that a handler is provisioned in.

// errorRoutes identifies the list of the error routes of a server or subroute, of,
// whose other routes are another list.
type errorRoutes struct{ of any }

// ListOf returns a value that identifies, by comparison, the list of routes that a
// handler is provisioned in. Caddy provisions routes in order, error routes after
// the others, and drops their JSON with that. It provisions named routes in no
// order; of these, the list is found by the handler's settings as JSON. key returns
// a text that is the same for equal settings.
func ListOf(ctx caddy.Context, settings string, key func(settings any) string) any {
	// The last module is the handler itself, the one before it has its routes.
	modules := ctx.Modules()
	if len(modules) < 2 {
		return modules[0]
	}
	parent := modules[len(modules)-2]
	var routes caddyhttp.RouteList
	var failed *caddyhttp.HTTPErrorConfig
	var named map[string]*caddyhttp.Route
	list := any(parent)
	switch p := parent.(type) {
	case *caddyhttp.Subroute:
		routes, failed = p.Routes, p.Errors
	case *caddyhttp.App:
		server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
		if !ok {
			return modules[len(modules)-1]
		}
		list, routes, failed, named = server, server.Routes, server.Errors, server.NamedRoutes
	default:
		return parent
	}
	// The first list with a raw route is the one that Caddy is at.
	switch {
	case unprovisioned(routes):
		return list
	case failed != nil && unprovisioned(failed.Routes):
		return errorRoutes{list}
	}
	if route := routeWith(named, settings, key); route != nil {
		return route
	}
	return modules[len(modules)-1]
}

// routeWith returns the one route that is not provisioned yet and has a policy with
// these settings. It is nil where that is none or several.
func routeWith(named map[string]*caddyhttp.Route, settings string, key func(settings any) string) (found *caddyhttp.Route) {
	wanted := key(json.RawMessage(settings))
	for _, route := range named {
		if !slices.ContainsFunc(jsontree.List(jsontree.Of(route.HandlersRaw)), func(h any) bool {
			return jsontree.Object(h)["handler"] == "token_enrich" && key(h) == wanted
		}) {
			continue
		}
		if found != nil {
			return nil
		}
		found = route
	}
	return found
}

// unprovisioned reports whether a route of the list is not provisioned yet: Caddy
// drops the JSON of the handlers with that.
func unprovisioned(routes caddyhttp.RouteList) bool {
	for i := range routes {
		if len(routes[i].HandlersRaw) > 0 {
			return true
		}
	}
	return false
}
