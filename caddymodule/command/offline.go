package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// loadOffline loads a configuration file without serving it and returns its app. The
// file is adapted as by caddy run: adapter is the name of the config adapter, empty
// for the default. It is an error that the file does not configure the gateway.
func loadOffline(file, adapter string) (*caddymodule.App, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	return caddymodule.LoadOffline(text)
}
