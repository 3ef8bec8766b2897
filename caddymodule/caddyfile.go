package caddymodule

import (
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("token_enrich", parseApp)

	// The scrub comes before everything that could read a header, the policy after
	// authentication.
	httpcaddyfile.RegisterDirective("token_enrich_scrub", parseScrub)
	httpcaddyfile.RegisterDirectiveOrder("token_enrich_scrub", httpcaddyfile.Before, "tracing")
	httpcaddyfile.RegisterDirective("token_enrich", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("token_enrich", httpcaddyfile.After, "forward_auth")
}

// parseApp reads the global option. Syntax:
//
//	token_enrich {
//		issuer <url> { ... }
//		directory <kind> [<argument>] { ... }
//		cache { ... }
//		signing { ... }
//		session { ... }
//		deny_max_age <duration>
//		on_denylist_error deny|continue
//		explain shapes|values
//	}
func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	d.Next() // consume option name
	if existing != nil {
		return nil, d.Err("duplicate global option token_enrich")
	}
	app := new(App)
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	var directories parsedDirectories
	at := block.NewPositions(d.Token())
	err := block.Parse(d, "token_enrich", at.Record(append([]block.Option{
		{Name: "issuer", List: "issuers", Parse: func(d *caddyfile.Dispenser) error {
			at, i := d.Token(), new(Issuer)
			app.Issuers = append(app.Issuers, i)
			if err := i.UnmarshalCaddyfile(d); err != nil {
				return err
			}
			if _, err := parsedIssuers(app.Issuers); err != nil {
				return block.ErrorAt(at, err)
			}
			return nil
		}},
		{Name: "directory", List: "directories", Parse: func(d *caddyfile.Dispenser) error {
			return directories.unmarshal(d)
		}},
		{Name: "cache", Parse: func(d *caddyfile.Dispenser) error {
			app.Cache = new(Cache)
			return app.Cache.UnmarshalCaddyfile(d)
		}},
		{Name: "signing", Parse: func(d *caddyfile.Dispenser) error {
			app.Signing = new(Signing)
			return app.Signing.UnmarshalCaddyfile(d)
		}},
		{Name: "session", Parse: app.unmarshalSession},
		block.Duration("deny_max_age", &app.DenyMaxAge),
	}, app.enums()...)))
	if err != nil {
		return nil, err
	}
	if err := app.checkDenyMaxAge(); err != nil {
		return nil, at.Locate(setting.Wrap(err, "deny_max_age"))
	}
	app.DirectoriesRaw = directories.raw()
	if err := directories.check(app.Issuers); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "token_enrich", Value: caddyconfig.JSON(app, nil)}, nil
}

// parseHandler reads the token_enrich directive of a site. The matcher goes
// becomes part of the handler: the route itself has none, so that a request that
// does not match is scrubbed all the same.
func parseHandler(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	matchers, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, h.WrapErr(err)
	}
	handler := new(Handler)
	if matchers != nil {
		handler.MatcherSetsRaw = caddyhttp.RawMatcherSets{matchers}
	}
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	w, err := parsedIn(h)
	if err != nil {
		return nil, err
	}
	if err := w.policy(handler, h.IsNamedRoute()); err != nil {
		return nil, err
	}
	return block.NewRoute(h, handler), nil
}

// parseScrub reads the token_enrich_scrub directive, which takes nothing.
func parseScrub(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	return block.ParseBare(h, new(Scrub))
}
