package caddymodule

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// This file checks the directives of a Caddyfile against the global option and
// against each other, while Caddy adapts it. What is wrong there would not load
// either, but only here is the file and line of a setting known.

// parsedCaddyfile is what has been read of one Caddyfile: the global option,
// which Caddy reads before the sites, and the policies so far.
type parsedCaddyfile struct {
	app      *App             // nil: there is no global option
	issuers  []*issuer.Config // with their names; none where those depend on placeholders
	policies policyRegistry
	unnamed  map[string]string          // assigned names, by source position and settings of the policy
	sites    map[string]login.Endpoints // of the policies so far, by external_url where that is set

	// compile is enrich.CompilePolicy; a test counts its calls.
	compile func(enrich.PolicyDefinition) (*enrich.Policy, error)
}

// parsedKey is the key of the *parsedCaddyfile in the state of an adaptation.
const parsedKey = "token_enrich"

// parsedIn returns what has been read of the Caddyfile that h belongs to.
func parsedIn(h httpcaddyfile.Helper) (*parsedCaddyfile, error) {
	if p, ok := h.State[parsedKey].(*parsedCaddyfile); ok {
		return p, nil
	}
	p := &parsedCaddyfile{unnamed: map[string]string{}, sites: map[string]login.Endpoints{}, compile: enrich.CompilePolicy}
	if option, ok := h.Option("token_enrich").(httpcaddyfile.App); ok {
		p.app = new(App)
		if err := json.Unmarshal(option.Value, p.app); err != nil {
			return nil, fmt.Errorf("reading the global option token_enrich: %w", err)
		}
		var err error
		if p.issuers, err = parsedIssuers(p.app.Issuers); err != nil {
			return nil, err
		}
	}
	h.State[parsedKey] = p
	return p, nil
}

// known reports whether the issuers and their names are known: not without a
// global option, and not where a name depends on a placeholder.
func (p *parsedCaddyfile) known() bool {
	return p.app != nil && len(p.issuers) == len(p.app.Issuers)
}

// policy compiles a policy, once, checks it against the global option and the
// policies before it, and adds it to them. Its errors name file and line. A
// policy without a name is assigned one, unless it is in a named route: Caddy
// reads named routes before the sites, whose policies are counted first.
func (p *parsedCaddyfile) policy(h *Handler, inNamedRoute bool) error {
	if h.Name == "" && !inNamedRoute {
		if err := p.assignName(h); err != nil {
			return err
		}
	}
	compiled, err := p.compile(h.parsed())
	if err != nil {
		return h.at.LocateEach(err)
	}
	if p.known() {
		if err := h.checkGlobals(p.issuers, p.app.Signing != nil); err != nil {
			return h.at.Locate(err)
		}
	}
	if err := p.joinSite(h); err != nil {
		return h.at.Locate(err)
	}
	if err := h.writeText(); err != nil {
		return err
	}
	if _, err := p.policies.add(&policy{name: h.Name, text: h.text, at: h.at, compiled: compiled}); err != nil {
		return h.at.Locate(err)
	}
	return nil
}

// joinSite checks the endpoints of a policy against those of the policies with the same
// external_url. Which policies share a site otherwise is known at load.
func (p *parsedCaddyfile) joinSite(h *Handler) error {
	e, err := h.Endpoints.WithDefaults()
	if err != nil || e.ExternalURL == "" {
		return err
	}
	if other, shared := p.sites[e.ExternalURL]; shared {
		return sameEndpoints(e, other)
	}
	p.sites[e.ExternalURL] = e
	return nil
}

// parsed returns the part of a policy's definition that is compiled while a
// Caddyfile is read: what is forwarded, and the expressions. Every other option
// was checked by itself when it was read. Of the claim rules it holds those
// before the first file of rules, because files are read at load.
func (h *Handler) parsed() enrich.PolicyDefinition {
	def := enrich.PolicyDefinition{Name: h.Name, TokenFrom: h.TokenFrom, Require: h.Require, Forward: h.Definition, Tokens: h.Tokens}
	for _, rule := range h.Claims {
		if def.MoreClaims = rule.OktaClaims != nil; def.MoreClaims {
			break
		}
		def.Claims = append(def.Claims, *rule.Definition)
	}
	return def
}

// assignName names a policy after its position among those without a name. A
// snippet that is imported twice without a difference is one policy.
func (p *parsedCaddyfile) assignName(h *Handler) error {
	if err := h.writeText(); err != nil {
		return err
	}
	head := h.at.Head()
	key := fmt.Sprintf("%s:%d %s", head.File, head.Line, h.text)
	if p.unnamed[key] == "" {
		p.unnamed[key] = routes.DefaultName(len(p.unnamed) + 1)
	}
	h.Name = p.unnamed[key]
	return nil
}

// ParsedApp returns the global option of the Caddyfile that h belongs to, without
// having provisioned it, or nil where there is none.
func ParsedApp(h httpcaddyfile.Helper) (*App, error) {
	p, err := parsedIn(h)
	if err != nil {
		return nil, err
	}
	return p.app, nil
}

// ParsedIssuers returns the settings of the issuers of the Caddyfile that h belongs
// to, with their names. They are not known where there is no global option, or
// where a name depends on a placeholder.
func ParsedIssuers(h httpcaddyfile.Helper) (issuers []*issuer.Config, known bool, err error) {
	p, err := parsedIn(h)
	if err != nil {
		return nil, false, err
	}
	return p.issuers, p.known(), nil
}
