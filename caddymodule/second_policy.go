package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file refuses a request that one policy has decided and that meets
// another one in another list of routes.

// ErrSecondPolicy is met by a request that two policies would decide.
var ErrSecondPolicy = errors.New("the request meets a second policy")

// refuseSecond refuses a request that the policy first has let in. Whether the
// matcher of this policy fits is not asked: the request is not any more what
// the client sent. What first wrote is taken away again, since an error route
// may proxy, and a policy there decides for itself.
func (h *Handler) refuseSecond(w http.ResponseWriter, r *http.Request, first *Handler) error {
	stateOf(r).decided = nil
	h.scrubRefused(r)
	err := &enrich.Refusal{Cause: fmt.Errorf("%w: policy %q of one route list has decided it, and policy %q is in another; put both into one route list, or each into its own handle", ErrSecondPolicy, first.policy.name, h.policy.name)}
	h.setPlaceholders(r, nil, err)
	if repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok && first.UserPlaceholder == "on" {
		repl.Delete(userPlaceholder)
	}
	return h.refuse(w, r, nil, err)
}

// errorRoutes is the list of the error routes of a server or subroute.
type errorRoutes struct{ of any }

// routeListOf returns what tells the list of routes that a handler is provisioned
// in from all others. Routes are provisioned in order, those for errors after
// the others, and lose their JSON with that; named routes in no order. The
// settings are those of the handler.
func routeListOf(ctx caddy.Context, settings string) any {
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
	switch {
	case unprovisioned(routes):
		return list
	case failed != nil && unprovisioned(failed.Routes):
		return errorRoutes{list}
	}
	if route := routeWith(named, settings); route != nil {
		return route
	}
	return modules[len(modules)-1]
}

// routeWith returns the one route that waits for its handlers and has a policy
// with these settings among them, nil where that is none or several.
func routeWith(named map[string]*caddyhttp.Route, settings string) (found *caddyhttp.Route) {
	key := settingsKey(json.RawMessage(settings))
	for _, route := range named {
		if !slices.ContainsFunc(asList(toJSON(route.HandlersRaw)), func(h any) bool {
			return asObject(h)["handler"] == "token_enrich" && settingsKey(h) == key
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

// unprovisioned reports whether a route of the list waits for its handlers.
func unprovisioned(routes caddyhttp.RouteList) bool {
	for i := range routes {
		if len(routes[i].HandlersRaw) > 0 {
			return true
		}
	}
	return false
}
