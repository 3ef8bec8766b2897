package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// loadOffline loads a configuration file without serving it and returns its app.
func loadOffline(file, adapter string) (*caddymodule.App, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, err
	}
	return caddymodule.LoadOffline(text)
}
