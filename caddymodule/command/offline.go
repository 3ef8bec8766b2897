package command

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
)

// loadOffline loads a configuration file without starting it. It returns the
// app and the configuration as JSON.
func loadOffline(file, adapter string) (*caddymodule.App, []byte, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, nil, err
	}
	app, err := caddymodule.LoadOffline(text)
	return app, text, err
}
