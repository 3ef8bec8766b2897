package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// This file reads the options of a policy that say what it forwards: headers
// and signed tokens. They are compiled together when the block is complete.

// unmarshalHeader reads one header. Syntax:
//
//	header <Name> <claim> {
//		list        json|repeat|first|delimiter <text>
//		count
//		escape      backslash|percent|refuse
//		encode      ascii|utf8|latin1|percent|base64|base64url|rfc2047|rfc8187
//		on_empty    omit|empty|deny|default <text>
//		max_bytes   <number>
//		on_overflow deny|omit|truncate_list|split
//		exact
//		value       cn
//	}
func (h *Handler) unmarshalHeader(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Err("header takes a header name and a claim")
	}
	def := forward.HeaderDefinition{Name: args[0], Claim: args[1]}
	err := block.Parse(d, "header "+def.Name, []block.Option{
		{Name: "list", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.ArgErr()
			}
			def.List = args[0]
			if args[0] == "delimiter" {
				if len(args) != 2 || args[1] == "" {
					return d.Err("list delimiter takes the text that separates the elements")
				}
				def.Delimiter = args[1]
				return nil
			}
			return oneArgument(d, args, "list", "json", "repeat", "first", "delimiter")
		}},
		block.Flag("count", &def.Count),
		block.Enum("escape", &def.Escape, "backslash", "percent", "refuse"),
		block.Enum("encode", &def.Encode, "ascii", "utf8", "latin1", "percent", "base64", "base64url", "rfc2047", "rfc8187"),
		{Name: "on_empty", Parse: func(d *caddyfile.Dispenser) error {
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.ArgErr()
			}
			def.OnEmpty = args[0]
			if args[0] == "default" {
				if len(args) != 2 {
					return d.Err("on_empty default takes the text to write")
				}
				def.Default = args[1]
				return nil
			}
			return oneArgument(d, args, "on_empty", "omit", "empty", "deny", "default")
		}},
		block.Count("max_bytes", &def.MaxBytes),
		block.Enum("on_overflow", &def.OnOverflow, "deny", "omit", "truncate_list", "split"),
		block.Flag("exact", &def.Exact),
		block.Enum("value", &def.Value, "cn"),
	})
	if err != nil {
		return err
	}
	h.Headers = append(h.Headers, def)
	return nil
}

// oneArgument checks that args holds exactly one value, which is one of words.
func oneArgument(d *caddyfile.Dispenser, args []string, name string, words ...string) error {
	if err := block.CheckEnum(name, args[0], words); err != nil {
		return d.Err(err.Error())
	}
	if len(args) > 1 {
		return d.ArgErr()
	}
	return nil
}

// unmarshalHeadersFrom reads a prefix and the claims whose names follow it; no
// claims means all. Syntax:
//
//	headers_from <prefix> [<claim>...]
func (h *Handler) unmarshalHeadersFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	h.HeadersFrom = append(h.HeadersFrom, forward.HeadersFrom{Prefix: args[0], Claims: args[1:]})
	return nil
}

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
