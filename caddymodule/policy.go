package caddymodule

import (
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// policy is a handler's configuration, compiled.
type policy struct {
	name     string
	compiled *enrich.Policy
	handler  *Handler
	notes    []claim.Note // what okta_claims left out, for check
}

// compile turns the handler's configuration into a policy.
func (h *Handler) compile() (*policy, error) {
	if h.Name == "" {
		h.Name = h.app.nextName()
	}
	p := &policy{name: h.Name, handler: h}
	names := make([]string, 0, len(h.app.issuers.Issuers()))
	dpop := false
	for i, is := range h.app.issuers.Issuers() {
		names = append(names, is.Name())
		if len(h.Issuers) == 0 || slices.Contains(h.Issuers, is.Name()) {
			mode := h.app.Issuers[i].DPoP
			dpop = dpop || mode == "accept" || mode == "require"
		}
	}
	for _, name := range h.Issuers {
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("no issuer is named %q%s", name, nearest.Hint(name, names))
		}
	}
	if err := h.app.issuers.Check(h.Issuers); err != nil {
		return nil, err
	}
	claims := slices.Clone(h.Claims)
	for _, o := range h.OktaClaims {
		defs, notes, err := o.load()
		if err != nil {
			return nil, err
		}
		claims = append(claims, defs...)
		p.notes = append(p.notes, notes...)
	}
	def := enrich.PolicyDefinition{
		Name: h.Name, Issuers: h.Issuers, App: h.App, TokenFrom: h.TokenFrom,
		AllowCrossOrigin: h.CrossOrigin == "allow", Anonymous: h.Anonymous,
		ContinueMissingUser: h.OnMissingUser == "continue", ContinueDirectoryError: h.OnDirectoryError == "continue",
		Claims: claims, Require: h.Require, RequireScope: h.RequireScope,
		Forward: h.Definition, KeepToken: h.UpstreamToken == "keep", Realm: h.Realm, DPoP: dpop,
	}
	if h.RequireACR != nil {
		def.RequireACR, def.MaxAge = h.RequireACR.Values, time.Duration(h.RequireACR.MaxAge)
	}
	for _, t := range h.Tokens {
		def.Tokens = append(def.Tokens, t.definition())
	}
	if len(def.Tokens) > 0 && h.app.signer == nil {
		return nil, fmt.Errorf("it forwards a token, but the global option token_enrich has no signing { issuer … }")
	}
	var err error
	p.compiled, err = enrich.CompilePolicy(def)
	return p, err
}

// load reads the file of an okta_claims option.
func (o OktaClaims) load() ([]claim.Definition, []claim.Note, error) {
	if err := Expand(&o.File); err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(o.File)
	if err != nil {
		return nil, nil, fmt.Errorf("okta_claims: %w", err)
	}
	kind := o.Token
	if kind == "" {
		kind = claim.TokenAccess
	}
	defs, notes, err := claim.Import(text, kind)
	if err != nil {
		return nil, nil, fmt.Errorf("okta_claims %s: %w", o.File, err)
	}
	return defs, notes, nil
}

// compileRequirement checks a require expression while the Caddyfile is read,
// where its line is known. Which claims there are is checked when the policy
// is compiled.
func compileRequirement(source string) error {
	_, err := enrich.CompileRequirement(source, nil)
	return err
}

// errorAt gives an error the place in the Caddyfile that it is about.
func errorAt(at caddyfile.Token, err error) error {
	return fmt.Errorf("%s:%d: %w", at.File, at.Line, err)
}

// nextName gives the name of a policy that has none. It counts policies in
// the order in which they are loaded.
func (a *App) nextName() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unnamed++
	return fmt.Sprintf("policy-%d", a.unnamed)
}
