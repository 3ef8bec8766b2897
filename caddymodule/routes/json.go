package routes

import (
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/intercept"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"github.com/caddyserver/caddy/v2/modules/caddytls"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
)

// This file returns the HTTP app, while Caddy provisions it, as the JSON that it was
// decoded from. Caddy drops the JSON of what it has provisioned. When the first
// policy of a configuration asks, that is never a route with a policy or around
// one; of other routes it is enough to know the hosts, the kinds of the handlers
// and where they forward to.

// HTTPApp returns the HTTP app that a module is provisioned in, nil where it is in
// none.
func HTTPApp(ctx caddy.Context) *caddyhttp.App {
	for _, m := range ctx.Modules() {
		if app, ok := m.(*caddyhttp.App); ok {
			return app
		}
	}
	return nil
}

// Servers returns the servers of an HTTP app as JSON, by their names. It has what
// Check and NamePolicies read: routes, error routes, named routes, and
// strict_sni_host with its default resolved.
func Servers(app *caddyhttp.App) map[string]any {
	servers := make(map[string]any, len(app.Servers))
	for name, s := range app.Servers {
		named := make(map[string]any, len(s.NamedRoutes))
		for name, route := range s.NamedRoutes {
			named[name] = routeJSON(*route)
		}
		server := map[string]any{"routes": routesJSON(s.Routes), "named_routes": named}
		if s.Errors != nil {
			server["errors"] = map[string]any{"routes": routesJSON(s.Errors.Routes)}
		}
		// Caddy turns strict_sni_host on where clients need certificates.
		strict := slices.ContainsFunc(s.TLSConnPolicies, func(p *caddytls.ConnectionPolicy) bool {
			return p.ClientAuthentication != nil && p.ClientAuthentication.Active()
		})
		if s.StrictSNIHost != nil {
			strict = *s.StrictSNIHost
		}
		server["strict_sni_host"] = strict
		servers[name] = server
	}
	return servers
}

// routesJSON returns a list of routes.
func routesJSON(routes caddyhttp.RouteList) []any {
	list := make([]any, len(routes))
	for i, r := range routes {
		list[i] = routeJSON(r)
	}
	return list
}

// routeJSON returns a route, whether it is provisioned or not.
func routeJSON(r caddyhttp.Route) map[string]any {
	route := make(map[string]any, 4)
	if r.Group != "" {
		route["group"] = r.Group
	}
	if r.Terminal {
		route["terminal"] = true
	}
	// Caddy provisions matchers before handlers: either may still be raw.
	if len(r.MatcherSetsRaw) > 0 {
		route["match"] = jsontree.Of(r.MatcherSetsRaw)
	} else if len(r.MatcherSets) > 0 {
		sets := make([]any, len(r.MatcherSets))
		for i, set := range r.MatcherSets {
			matchers := make(map[string]any, len(set))
			for _, m := range set {
				if m, ok := m.(caddy.Module); ok {
					matchers[m.CaddyModule().ID.Name()] = jsontree.Of(m)
				}
			}
			sets[i] = matchers
		}
		route["match"] = sets
	}
	if len(r.HandlersRaw) > 0 {
		route["handle"] = jsontree.Of(r.HandlersRaw)
		return route
	}
	handlers := make([]any, len(r.Handlers))
	for i, h := range r.Handlers {
		handlers[i] = handlerJSON(h)
	}
	route["handle"] = handlers
	return route
}

// handlerJSON returns a handler that is provisioned as JSON, with the routes inside
// of it.
func handlerJSON(h caddyhttp.MiddlewareHandler) map[string]any {
	handler := make(map[string]any, 4)
	switch h := h.(type) {
	case *caddyhttp.Subroute:
		handler["routes"] = routesJSON(h.Routes)
		if h.Errors != nil {
			handler["errors"] = map[string]any{"routes": routesJSON(h.Errors.Routes)}
		}
	case *reverseproxy.Handler:
		maps.Copy(handler, jsontree.Object(jsontree.Of(h)))
		handler["handle_response"] = responsesJSON(h.HandleResponse)
		// Only the kind of the transport is left.
		if transport, ok := h.Transport.(caddy.Module); ok {
			handler["transport"] = map[string]any{"protocol": transport.CaddyModule().ID.Name()}
		}
	case *intercept.Intercept:
		handler["handle_response"] = responsesJSON(h.HandleResponse)
	default:
		maps.Copy(handler, jsontree.Object(jsontree.Of(h)))
	}
	if m, ok := h.(caddy.Module); ok {
		handler["handler"] = m.CaddyModule().ID.Name()
	}
	return handler
}

// responsesJSON returns the routes for answers of reverse_proxy and intercept, without
// their matchers, which read the answer and not the request.
func responsesJSON(responses []caddyhttp.ResponseHandler) []any {
	list := make([]any, len(responses))
	for i, r := range responses {
		list[i] = map[string]any{"routes": routesJSON(r.Routes)}
	}
	return list
}

// strictSNI reports whether a server refuses requests whose host is not that of the
// TLS handshake. It does so before any route.
func strictSNI(server map[string]any) bool {
	if strict, ok := server["strict_sni_host"].(bool); ok {
		return strict
	}
	for _, p := range jsontree.List(server["tls_connection_policies"]) {
		if len(jsontree.Object(p, "client_authentication")) > 0 {
			return true
		}
	}
	return false
}
