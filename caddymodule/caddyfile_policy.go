package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/document"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// UnmarshalCaddyfile reads the token_enrich directive of a site. Syntax:
//
//	token_enrich [<matcher>] {
//		name               <name>
//		issuers            <name>...
//		login              <issuer>...
//		external_url       <url>
//		callback           <path>
//		logout             <path> [<path or url>]
//		session_info       <path>
//		app                <id>
//		token_from         header <name> [<scheme>] | cookie <name> | query <name>
//		path_readings      all | <name>...
//		cross_origin       deny|allow
//		anonymous
//		on_missing_user    deny|continue
//		on_directory_error deny|continue
//		claim              <name> ...
//		okta_claims        <file> [access|id]
//		require            <expression>
//		require_scope      <scope>...
//		require_acr        <value>... [max_age <duration>]
//		preset             <name>
//		header             <Name> <claim> { ... }
//		headers_from       <prefix> [<claim>...]
//		header_budget      <size>
//		token              { ... }
//		upstream_token     drop|keep
//		realm              <text>
//		resource           <url>
//		max_connection     <duration>
//		log_decision       off|denied|all
//		log_subject        off|hash|plain
//		user_placeholder   on|off
//		test               "<name>" { ... }
//	}
//
// Each option is checked by itself here. What is forwarded and the expressions
// are compiled together, once, when the block is complete: see
// parsedCaddyfile.policy.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	h.at = block.NewPositions(d.Token())
	if d.NextArg() {
		return d.ArgErr()
	}
	return block.Parse(d, "token_enrich", h.at.Record(append([]block.Option{
		block.Text("name", &h.Name),
		block.Texts("issuers", &h.Issuers),
		{Name: "app", Parse: func(d *caddyfile.Dispenser) error {
			if err := block.Text("app", &h.App).Parse(d); err != nil {
				return err
			}
			return block.WrapErr(d, block.RejectPlaceholders("app", h.App))
		}},
		{Name: "token_from", List: "token_from", Parse: h.unmarshalTokenFrom},
		{Name: "path_readings", Parse: func(d *caddyfile.Dispenser) error {
			if err := block.Enums("path_readings", &h.PathReadings, pathreading.Names()...).Parse(d); err != nil {
				return err
			}
			if _, err := pathreading.Parse(h.PathReadings); err != nil {
				return d.WrapErr(fmt.Errorf("path_readings: %w", err))
			}
			return nil
		}},
		block.Flag("anonymous", &h.Anonymous),
		{Name: "claim", List: "claims", Parse: h.unmarshalClaim},
		{Name: "okta_claims", List: "claims", Parse: h.unmarshalOktaClaims},
		{Name: "require", List: "require", Parse: h.unmarshalRequire},
		{Name: "require_scope", List: "require_scope", Parse: h.unmarshalScope},
		{Name: "require_acr", Parse: h.unmarshalACR},
		block.Text("preset", &h.Preset),
		{Name: "header", List: "headers", Parse: h.unmarshalHeader},
		{Name: "headers_from", List: "headers_from", Parse: h.unmarshalHeadersFrom},
		block.ByteSize("header_budget", &h.Budget),
		{Name: "token", List: "tokens", Parse: h.unmarshalToken},
		{Name: "realm", Parse: func(d *caddyfile.Dispenser) error {
			if err := block.Text("realm", &h.Realm).Parse(d); err != nil {
				return err
			}
			return block.WrapErr(d, checkRealm(h.Realm))
		}},
		{Name: "resource", Parse: func(d *caddyfile.Dispenser) error {
			if err := block.Text("resource", &h.Resource).Parse(d); err != nil || block.HasPlaceholder(h.Resource) {
				return err
			}
			_, err := document.ParseResource(h.Resource)
			return block.WrapErr(d, err)
		}},
		block.Duration("max_connection", &h.MaxConnection),
		{Name: "test", List: "tests", Parse: func(d *caddyfile.Dispenser) error { return unmarshalTest(d, &h.Tests) }},
	}, append(h.loginOptions(), h.enums()...)...)))
}

// unmarshalTokenFrom reads a place where a token may be: a header with or without
// a scheme, a cookie, or a parameter of the query.
func (h *Handler) unmarshalTokenFrom(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 || len(args) == 3 && args[0] != token.Header {
		return d.Err("token_from takes header <name> [<scheme>], cookie <name> or query <name>")
	}
	p := token.Place{Kind: args[0], Name: args[1]}
	if len(args) == 3 {
		p.Scheme = args[2]
	}
	p, err := p.Normalize()
	if err != nil {
		hint := ""
		if kinds := []string{token.Header, token.Cookie, token.Query}; !slices.Contains(kinds, args[0]) {
			hint = suggest.DidYouMean(args[0], kinds)
		}
		return d.Errf("token_from: %v%s", err, hint)
	}
	for _, other := range h.TokenFrom {
		if other.Same(p) {
			return d.Errf("token_from: duplicate source %s", p)
		}
	}
	h.TokenFrom = append(h.TokenFrom, p)
	return nil
}

// unmarshalClaim reads a claim rule; parseClaim has the syntax.
func (h *Handler) unmarshalClaim(d *caddyfile.Dispenser) error {
	at := d.Token()
	def, err := parseClaim(d)
	if err != nil {
		return err
	}
	h.Claims = append(h.Claims, ClaimRule{Definition: &def})
	if err := checkRewritten(def); err != nil {
		return block.ErrorAt(at, err)
	}
	return nil
}

// checkRewritten returns an error where Caddy has changed a text of the rule while
// it read the Caddyfile: in a site it turns shorthands such as {path} and {host}
// into placeholders, also between backticks. Such a text is not what its author
// wrote.
func checkRewritten(def claim.Definition) error {
	texts := []string{def.Expression}
	if l := def.AllowList; l != nil {
		texts = append(texts, l.Expression, l.Value)
		texts = append(texts, l.IDs...)
	}
	if g := def.Groups; g != nil {
		texts = append(texts, g.Pattern)
	}
	for _, t := range texts {
		if err := rejectRewritten(t); err != nil {
			return fmt.Errorf("claim %q: %w", def.Name, err)
		}
	}
	return nil
}

// rejectRewritten returns an error where text holds such a placeholder.
func rejectRewritten(text string) error {
	if !strings.Contains(text, "{http.") {
		return nil
	}
	return errors.New("it contains {http.…}: Caddy replaces its shorthands ({path}, {host}, …) in a Caddyfile, even between backticks; put a space after the brace")
}

// unmarshalOktaClaims reads the name of a file of claims, and for which kind of
// token they are: access (default) or id. The file itself is read at load.
func (h *Handler) unmarshalOktaClaims(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.ArgErr()
	}
	c := &OktaClaims{File: args[0]}
	if len(args) == 2 {
		if err := block.CheckEnum("okta_claims", args[1], []string{claim.TokenAccess, claim.TokenID}); err != nil {
			return d.Err(err.Error())
		}
		c.Token = args[1]
	}
	h.Claims = append(h.Claims, ClaimRule{OktaClaims: c})
	return nil
}

// unmarshalRequire reads an expression that must be true.
func (h *Handler) unmarshalRequire(d *caddyfile.Dispenser) error {
	at := d.Token()
	if !d.NextArg() {
		return d.ArgErr()
	}
	source := d.Val()
	if d.NextArg() {
		return d.Err("require takes one expression; put backticks around one with spaces")
	}
	if err := rejectRewritten(source); err != nil {
		return block.ErrorAt(at, fmt.Errorf("require: %w", err))
	}
	h.Require = append(h.Require, source)
	return nil
}

// unmarshalACR reads the accepted values of acr, the largest age of the login, or
// both (RFC 9470).
func (h *Handler) unmarshalACR(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	h.RequireACR = new(RequireACR)
	for i := range args {
		if args[i] != "max_age" {
			h.RequireACR.Values = append(h.RequireACR.Values, args[i])
			continue
		}
		if i+2 != len(args) {
			return d.Err("require_acr: max_age takes one duration and must come last")
		}
		v, err := caddy.ParseDuration(args[i+1])
		if err != nil || v <= 0 {
			return d.Errf("require_acr: max_age: %q is not a duration", args[i+1])
		}
		h.RequireACR.MaxAge = caddy.Duration(v)
		break
	}
	return block.WrapErr(d, checkWords("require_acr", h.RequireACR.Values))
}

// unmarshalScope reads scopes that must all have been granted. The option may be
// repeated.
func (h *Handler) unmarshalScope(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	h.RequireScope = append(h.RequireScope, args...)
	return block.WrapErr(d, checkWords("require_scope", args))
}
