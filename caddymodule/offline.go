package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"go.uber.org/zap"
)

// This file loads a configuration and decides by it without serving it.

// LoadOffline provisions a configuration in JSON as caddy validate does:
// nothing is started and no network is touched. Caddy logs errors alone
// meanwhile. It is an error that the configuration has no token_enrich app.
func LoadOffline(text []byte) (*App, error) {
	var config caddy.Config
	if err := caddy.StrictUnmarshalJSON(text, &config); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	if _, ok := config.AppsRaw["token_enrich"]; !ok {
		return nil, errors.New("the configuration has no global option token_enrich")
	}
	// What Caddy logs while it loads is for the operator of a server.
	if config.Logging == nil {
		config.Logging = &caddy.Logging{}
	}
	if config.Logging.Logs == nil {
		config.Logging.Logs = map[string]*caddy.CustomLog{}
	}
	if config.Logging.Logs["default"] == nil {
		config.Logging.Logs["default"] = &caddy.CustomLog{BaseLog: caddy.BaseLog{Level: zap.ErrorLevel.CapitalString()}}
	}
	config.Admin = &caddy.AdminConfig{Disabled: true}
	ctx, err := caddy.ProvisionContext(&config)
	if err != nil {
		return nil, err
	}
	v, err := ctx.AppIfConfigured("token_enrich")
	if err != nil {
		return nil, err
	}
	app, _ := v.(*App)
	return app, nil
}

// provision loads a configuration file offline. It returns the app and the
// configuration as JSON.
func provision(file, adapter string) (*App, []byte, error) {
	text, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, nil, err
	}
	app, err := LoadOffline(text)
	if err != nil {
		return nil, nil, err
	}
	return app, text, nil
}
