// Package standard imports every module of the gateway, for the ordinary
// build. A slim build imports caddymodule and the kinds of directory that it
// needs.
package standard

import (
	// The gateway itself: app, handlers, commands, admin endpoints.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule"
	// The command line.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/command"
	// The kinds of directory.
	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/directories"
)
