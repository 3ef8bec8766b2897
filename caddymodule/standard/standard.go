// Package standard imports every module of the gateway, for the ordinary
// build. A slim build imports caddymodule, the packages below it that it needs
// and the kinds of directory of its own.
package standard

import (
	// The gateway itself: app and handlers.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule"
	// The admin endpoints.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/admin"
	// The command line.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/command"
	// The kinds of directory.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/directories"
	// Hooks, published keys and the probe of a load balancer.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/endpoints"
	// The transport that keeps the spelling of header names.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/transport"
)
