package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// unmarshalToken reads a signed token that a policy forwards. Syntax:
//
//	token {
//		header   <name> [<scheme>] | cookie <name>
//		audience <audience>...
//		ttl      <duration>
//		subject  <claim>
//		claims   <claim>...
//		type     at+jwt|JWT
//		mint     cached|per_request
//	}
func (h *Handler) unmarshalToken(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	var t mint.TokenDefinition
	err := block.Parse(d, "token", []block.Option{
		{Name: "header", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			switch {
			case len(args) == 2 && args[0] == "cookie":
				t.Cookie = args[1]
			case len(args) == 2:
				t.Header, t.Scheme = args[0], args[1]
			case len(args) == 1 && args[0] != "cookie":
				t.Header = args[0]
			default:
				return d.Err("header takes a header name with or without a scheme, or cookie and its name")
			}
			return nil
		}},
		block.Texts("audience", &t.Audience),
		block.Duration("ttl", &t.TTL),
		block.Text("subject", &t.Subject),
		block.Texts("claims", &t.Claims),
		block.Enum("type", &t.Type, mint.TypeAccess, mint.TypePlain),
		block.Enum("mint", &t.Mint, mint.MintCached, mint.MintPerRequest),
	})
	if err != nil {
		return err
	}
	h.Tokens = append(h.Tokens, t)
	return nil
}
