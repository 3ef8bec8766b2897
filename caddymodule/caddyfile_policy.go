package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// UnmarshalCaddyfile reads the directive of a site. Syntax:
//
//	token_enrich [<matcher>] {
//		name               <name>
//		issuers            <name>...
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
// Expressions are compiled here already, so that an error names the line.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // consume directive name
	h.at = newPlaces(d.Token())
	if d.NextArg() {
		return d.ArgErr()
	}
	err := parseBlock(d, "token_enrich", h.at.noting(chosen(h.choices(), []option{
		text("name", &h.Name),
		texts("issuers", &h.Issuers),
		{name: "app", parse: func(d *caddyfile.Dispenser) error {
			if err := text("app", &h.App).parse(d); err != nil {
				return err
			}
			return wrapped(d, unplaced("app", h.App))
		}},
		{name: "token_from", repeatable: true, parse: h.unmarshalTokenFrom},
		{name: "path_readings", parse: func(d *caddyfile.Dispenser) error {
			if err := words("path_readings", &h.PathReadings, pathreading.Names()...).parse(d); err != nil {
				return err
			}
			_, err := pathreading.Parse(h.PathReadings)
			return wrapped(d, prefixed("path_readings", err))
		}},
		flag("anonymous", &h.Anonymous),
		{name: "claim", repeatable: true, parse: h.unmarshalClaim},
		{name: "okta_claims", repeatable: true, parse: h.unmarshalOktaClaims},
		{name: "require", repeatable: true, parse: h.unmarshalRequire},
		{name: "require_scope", repeatable: true, parse: h.unmarshalScope},
		{name: "require_acr", parse: h.unmarshalACR},
		{name: "preset", parse: h.unmarshalPreset},
		{name: "header", repeatable: true, parse: h.unmarshalHeader},
		{name: "headers_from", repeatable: true, parse: h.unmarshalHeadersFrom},
		{name: "header_budget", parse: h.unmarshalBudget},
		{name: "token", repeatable: true, parse: h.unmarshalToken},
		{name: "realm", parse: func(d *caddyfile.Dispenser) error {
			if err := text("realm", &h.Realm).parse(d); err != nil {
				return err
			}
			return wrapped(d, checkRealm(h.Realm))
		}},
		{name: "resource", parse: func(d *caddyfile.Dispenser) error {
			if err := text("resource", &h.Resource).parse(d); err != nil || Unexpanded(h.Resource) {
				return err
			}
			_, err := parseResource(h.Resource)
			return wrapped(d, err)
		}},
		duration("max_connection", &h.MaxConnection),
		{name: "test", repeatable: true, parse: h.unmarshalTest},
	}...)))
	if err != nil {
		return err
	}
	return h.checkRules()
}

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
			hint = nearest.Hint(args[0], kinds)
		}
		return d.Errf("token_from: %v%s", err, hint)
	}
	for _, other := range h.TokenFrom {
		if other.Same(p) {
			return d.Errf("token_from: %s stands twice", p)
		}
	}
	h.TokenFrom = append(h.TokenFrom, p)
	return nil
}

func (h *Handler) unmarshalClaim(d *caddyfile.Dispenser) error {
	h.claimsAt = append(h.claimsAt, d.Token())
	def, err := parseClaim(d)
	if err != nil {
		return err
	}
	h.Claims = append(h.Claims, ClaimRule{Definition: &def})
	if err := rewritten(def); err != nil {
		return errorAt(h.claimsAt[len(h.claimsAt)-1], err)
	}
	return nil
}

// rewritten refuses a rule whose text Caddy has changed while it read the
// Caddyfile: in a site it turns shorthands such as {path} and {host} into
// placeholders, also between backticks. Such a text is not what was written.
func rewritten(def claim.Definition) error {
	texts := []string{def.Expression}
	if l := def.AllowList; l != nil {
		texts = append(texts, l.Expression, l.Value)
		texts = append(texts, l.IDs...)
	}
	if g := def.Groups; g != nil {
		texts = append(texts, g.Pattern)
	}
	for _, t := range texts {
		if err := notRewritten(t); err != nil {
			return fmt.Errorf("claim %q: %w", def.Name, err)
		}
	}
	return nil
}

func notRewritten(text string) error {
	if !strings.Contains(text, "{http.") {
		return nil
	}
	return errors.New("it holds {http.…}: Caddy replaces its shorthands ({path}, {host}, …) in a Caddyfile, also between backticks; put a space behind the brace")
}

// checkRules checks the claim rules, and what reads the claims: requirements,
// and a headers_from that takes every claim. What rules there are in a file is
// known when the configuration loads; those before it can be judged here.
func (h *Handler) checkRules() error {
	var defs []claim.Definition
	whole := true
	for _, rule := range h.Claims {
		if whole = rule.OktaClaims == nil; !whole {
			break
		}
		defs = append(defs, *rule.Definition)
	}
	rules, err := claim.Compile(defs)
	if err != nil {
		return h.locateRules(err)
	}
	var names []string // nil: any
	if whole {
		names = append([]string{}, rules.Names()...)
	}
	var errs []error
	for i, source := range h.Require {
		if _, err := enrich.CompileRequirement(source, names); err != nil {
			errs = append(errs, h.at.locate(&optionError{option: "require", index: i, err: err}))
		}
	}
	contract, err := h.contract()
	if err != nil {
		return err
	}
	if err := contract.CheckClaims(rules.Names()); err != nil {
		errs = append(errs, h.at.locate(&optionError{option: "headers_from", err: err}))
	}
	return errors.Join(errs...)
}

// locateRules puts before each error of a rule where it stands.
func (h *Handler) locateRules(err error) error {
	lines := slices.Clone(unjoined(err))
	for i, e := range lines {
		var def *claim.DefinitionError
		if errors.As(e, &def) && def.Index < len(h.claimsAt) {
			lines[i] = errorAt(h.claimsAt[def.Index], e)
		}
	}
	return errors.Join(lines...)
}

// unjoined gives the errors that errors.Join put together.
func unjoined(err error) []error {
	var list interface{ Unwrap() []error }
	if errors.As(err, &list) {
		return list.Unwrap()
	}
	return []error{err}
}

func (h *Handler) unmarshalOktaClaims(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 || len(args) > 2 {
		return d.ArgErr()
	}
	c := &OktaClaims{File: args[0]}
	if len(args) == 2 {
		if args[1] != claim.TokenAccess && args[1] != claim.TokenID {
			return d.Errf("okta_claims: %q is neither access nor id%s", args[1], nearest.Hint(args[1], []string{"access", "id"}))
		}
		c.Token = args[1]
	}
	h.claimsAt = append(h.claimsAt, d.Token())
	h.Claims = append(h.Claims, ClaimRule{OktaClaims: c})
	return nil
}

func (h *Handler) unmarshalRequire(d *caddyfile.Dispenser) error {
	at := d.Token()
	if !d.NextArg() {
		return d.ArgErr()
	}
	source := d.Val()
	if d.NextArg() {
		return d.Err("require takes one expression; put backticks around one with spaces")
	}
	if err := notRewritten(source); err != nil {
		return errorAt(at, fmt.Errorf("require: %w", err))
	}
	h.Require = append(h.Require, source)
	return nil
}

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
			return d.Err("require_acr: max_age takes one duration and stands last")
		}
		v, err := caddy.ParseDuration(args[i+1])
		if err != nil || v <= 0 {
			return d.Errf("require_acr: max_age: %q is not a duration", args[i+1])
		}
		h.RequireACR.MaxAge = caddy.Duration(v)
		break
	}
	return wrapped(d, checkWords("require_acr", h.RequireACR.Values))
}

func (h *Handler) unmarshalScope(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) == 0 {
		return d.ArgErr()
	}
	h.RequireScope = append(h.RequireScope, args...)
	return wrapped(d, checkWords("require_scope", args))
}

// wrapped gives an error, where there is one, the line that d stands on.
func wrapped(d *caddyfile.Dispenser, err error) error {
	if err == nil {
		return nil
	}
	return d.WrapErr(err)
}

// errorAt gives an error the place in the Caddyfile that it is about.
func errorAt(at caddyfile.Token, err error) error {
	return fmt.Errorf("%s:%d: %w", at.File, at.Line, err)
}
