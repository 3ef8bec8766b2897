package endpoints

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
)

// This file reads the directives of the handlers.

// init registers the directives. What answers paths of its own comes before
// authentication.
func init() {
	httpcaddyfile.RegisterDirective("token_enrich_jwks", parseJWKS)
	httpcaddyfile.RegisterDirectiveOrder("token_enrich_jwks", httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterDirective("token_enrich_hook", parseHook)
	httpcaddyfile.RegisterDirectiveOrder("token_enrich_hook", httpcaddyfile.Before, "basic_auth")
	httpcaddyfile.RegisterDirective("token_enrich_ready", parseReady)
	httpcaddyfile.RegisterDirectiveOrder("token_enrich_ready", httpcaddyfile.Before, "basic_auth")
}

// parseJWKS reads the token_enrich_jwks directive, which takes nothing.
func parseJWKS(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	routes, err := block.ParseBare(h, new(JWKS))
	if err != nil {
		return nil, err
	}
	app, err := caddymodule.ParsedApp(h)
	if err != nil {
		return nil, err
	}
	if app != nil && app.Signing == nil {
		return nil, h.WrapErr(errNothingToPublish)
	}
	return routes, nil
}

// parseHook reads the token_enrich_hook directive. Syntax:
//
//	token_enrich_hook <path> backchannel_logout {
//		issuer   <name>
//		audience <client id>...
//	}
func parseHook(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	hook := new(Hook)
	if !h.Args(&hook.Path, &hook.Kind) || h.NextArg() {
		return nil, h.Err("token_enrich_hook takes a path and a hook kind: " + block.JoinOr(hookKinds))
	}
	if err := hook.checkPath(); err != nil {
		return nil, h.WrapErr(err)
	}
	if hook.Kind != hookBackchannelLogout {
		return nil, h.WrapErr(unknownHook(hook.Kind))
	}
	at := block.NewPositions(h.Token())
	err := block.Parse(h.Dispenser, "token_enrich_hook", at.Record([]block.Option{
		block.Text("issuer", &hook.Issuer),
		block.Texts("audience", &hook.Audience),
	}))
	if err != nil {
		return nil, err
	}
	if hook.Issuer == "" {
		return nil, h.Err("token_enrich_hook: issuer is missing: the configured name of the issuer that sends logout tokens")
	}
	issuers, known, err := caddymodule.ParsedIssuers(h)
	if err != nil {
		return nil, err
	}
	if known {
		if _, err := hook.sendingIssuer(issuers); err != nil {
			return nil, at.Locate(fmt.Errorf("token_enrich_hook %s: %w", hook.Path, err))
		}
	}
	return block.NewRoute(h, hook), nil
}

// parseReady parses the directive. Syntax:
//
//	token_enrich_ready <path>
func parseReady(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	h.Next() // consume directive name
	if !h.NextArg() {
		return nil, h.ArgErr()
	}
	ready := &Ready{Path: h.Val()}
	if h.NextArg() {
		return nil, h.Err("token_enrich_ready takes one path")
	}
	if err := ready.Validate(); err != nil {
		return nil, h.WrapErr(err)
	}
	if h.NextBlock(0) {
		return nil, h.Err("token_enrich_ready takes no options")
	}
	return block.NewRoute(h, ready), nil
}
