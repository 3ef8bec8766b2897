package caddymodule

import (
	"context"
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/pooled"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
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

// OfflineGateway returns a gateway that decides for a command, by an app of
// LoadOffline. It asks directories and key servers as a server would, but what
// they answer stays in this process: nothing is written to Redis or to Caddy's
// storage, and Redis's deny list is not read.
func (a *App) OfflineGateway() (*enrich.Gateway, error) {
	a.issuers.Start(context.Background())
	if a.directories != nil {
		if err := a.directories.Start(); err != nil {
			return nil, fmt.Errorf("starting directories: %w", err)
		}
	}
	store, err := pooled.NewMemoryStore(a.logs.Logger(), a.metrics)
	if err != nil {
		return nil, err
	}
	store.Start()
	return a.newGateway(store), nil
}
