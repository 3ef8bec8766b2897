package caddymodule

import (
	"net"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// developmentSealKey is the seal key in examples/dev. It is public and protects
// nothing; it is for a gateway that only its own machine can reach.
const developmentSealKey = "only for development, no secret."

// warnOfDevelopmentSecrets logs a warning where a server of a configuration that
// uses a public seal key can be reached from other machines.
func warnOfDevelopmentSecrets(ctx caddy.Context, logger *zap.Logger) {
	v, err := ctx.AppIfConfigured("http")
	if err != nil {
		return
	}
	app, ok := v.(*caddyhttp.App)
	if !ok {
		return
	}
	for name, server := range app.Servers {
		for _, address := range server.Listen {
			if !onLoopback(address) {
				logger.Warn("the public seal key of examples/dev is in use and the server is reachable from other machines: create your own with openssl rand -base64 32",
					zap.String("server", name), zap.String("listen", address))
				return
			}
		}
	}
}

// onLoopback reports whether a listen address, in Caddy's syntax, can be reached
// from this machine only.
func onLoopback(address string) bool {
	a, err := caddy.ParseNetworkAddress(address)
	if err != nil {
		return false
	}
	if a.IsUnixNetwork() || a.Host == "localhost" {
		return true
	}
	ip := net.ParseIP(a.Host)
	return ip != nil && ip.IsLoopback()
}
