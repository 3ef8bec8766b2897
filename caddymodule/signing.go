package caddymodule

import (
	"fmt"
	"net"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// Signing configures how the gateway signs its own tokens. The key set is served
// by token_enrich_jwks.
type Signing struct {
	mint.Config
}

// UnmarshalCaddyfile reads the signing option; d is at the word signing.
// Syntax:
//
//	signing {
//		issuer         <url>
//		algorithm      ES256|ES384|EdDSA|RS256|PS256
//		rotate         <duration>
//		rotate_overlap <duration>
//		key_file       <file>...
//	}
func (s *Signing) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	at := d.Token()
	if err := block.Parse(d, "signing", []block.Option{
		block.Text("issuer", &s.Issuer),
		block.Enum("algorithm", &s.Algorithm, "ES256", "ES384", "EdDSA", "RS256", "PS256"),
		block.Duration("rotate", &s.Rotate),
		block.Duration("rotate_overlap", &s.RotateOverlap),
		block.Texts("key_file", &s.KeyFiles),
	}); err != nil {
		return err
	}
	if s.Issuer == "" {
		return d.Err("signing: issuer is required")
	}
	c := s.Config
	if strings.Contains(c.Issuer, "{") {
		c.Issuer = "https://known.when.loaded" // placeholders are expanded then
	}
	if err := c.Validate(); err != nil {
		return block.ErrorAt(at, fmt.Errorf("signing: %w", err))
	}
	return nil
}

// expand replaces the placeholders of the issuer and the key files.
func (s *Signing) expand() error {
	texts := make([]*string, 0, len(s.KeyFiles)+1)
	texts = append(texts, &s.Issuer)
	for i := range s.KeyFiles {
		texts = append(texts, &s.KeyFiles[i])
	}
	return block.Expand(texts...)
}

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
