package block

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// This file makes the routes of directives.

// NewRoute returns the route of a directive. It has no matcher, so that each
// request takes it. Where no route within a named route has a matcher, Caddy keeps
// the first handler and drops the others, which may be a policy; a matcher of all
// paths makes it keep them.
func NewRoute(h httpcaddyfile.Helper, handler caddyhttp.MiddlewareHandler) []httpcaddyfile.ConfigValue {
	if h.IsNamedRoute() {
		return h.NewRoute(caddy.ModuleMap{"path": h.JSON([]string{"*"})}, handler)
	}
	return h.NewRoute(nil, handler)
}

// ParseBare reads a directive without matcher, arguments and options, and returns the
// route of its handler.
func ParseBare(h httpcaddyfile.Helper, handler caddyhttp.MiddlewareHandler) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	name := h.Val()
	if h.NextArg() {
		return nil, h.ArgErr()
	}
	if h.NextBlock(0) {
		return nil, h.Errf("%s takes no options", name)
	}
	return NewRoute(h, handler), nil
}
