// Command caddy is stock Caddy with the token enrichment gateway built in.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/standard"
)

func main() {
	caddycmd.Main()
}
