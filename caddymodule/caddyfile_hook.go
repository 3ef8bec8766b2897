package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
)

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
	w, err := parsedIn(h)
	if err != nil {
		return nil, err
	}
	if err := w.hook(hook); err != nil {
		return nil, at.Locate(fmt.Errorf("token_enrich_hook %s: %w", hook.Path, err))
	}
	return newRoute(h, hook), nil
}
