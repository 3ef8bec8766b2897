package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// policy is a handler's configuration, compiled.
type policy struct {
	name           string
	compiled       *enrich.Policy
	handler        *Handler
	resource       *metadata    // nil where the policy names none
	warnings       []Warning    // what the policy's own settings make likely to be a mistake
	importWarnings []claim.Note // what okta_claims left out, for check
}

// compile turns the handler's configuration into a policy.
func (h *Handler) compile() (*policy, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	p := &policy{name: h.Name, handler: h}
	if err := h.checkBeside(h.app.known, h.app.signer != nil); err != nil {
		return nil, err
	}
	accepted := h.accepted(h.app.known)
	for i := range h.Tests {
		if h.Tests[i].Issuer == "" {
			h.Tests[i].Issuer = accepted[0]
		}
	}
	dpop := slices.ContainsFunc(h.issuers(), func(i *Issuer) bool { return i.DPoP == "accept" || i.DPoP == "require" })
	claims, files, err := h.claims(p)
	if err != nil {
		return nil, err
	}
	if _, err := claim.Compile(claims); err != nil {
		return nil, inFiles(err, files)
	}
	def := enrich.PolicyDefinition{
		Name: h.Name, Issuers: h.Issuers, App: h.App, TokenFrom: h.TokenFrom, PathReadings: h.PathReadings,
		AllowCrossOrigin: h.CrossOrigin == "allow", Anonymous: h.Anonymous,
		ContinueMissingUser: h.OnMissingUser == "continue", ContinueDirectoryError: h.OnDirectoryError == "continue",
		Claims: claims, Require: h.Require, RequireScope: h.RequireScope,
		Forward: h.Definition, Tokens: h.Tokens, KeepToken: h.UpstreamToken == "keep", Realm: h.Realm, DPoP: dpop,
	}
	if h.RequireACR != nil {
		def.RequireACR, def.MaxAge = h.RequireACR.Values, time.Duration(h.RequireACR.MaxAge)
	}
	if len(def.Tokens) > 0 && len(h.issuers()) > 1 && slices.ContainsFunc(h.Tokens, func(t mint.TokenDefinition) bool { return t.Subject == "" }) {
		p.warnings = append(p.warnings, Warning{Policy: h.Name, Where: "token", Text: "it accepts several issuers, whose subjects may be alike, and signs them all as one issuer: name a claim with subject that is unique over all of them"})
	}
	places := h.TokenFrom
	if len(places) == 0 {
		places = token.DefaultPlaces()
	}
	if p.resource, err = h.newResource(places); err != nil {
		return nil, err
	}
	if p.resource != nil {
		def.ResourceMetadata = p.resource.url
	}
	if p.compiled, err = enrich.CompilePolicy(def); err != nil {
		return nil, err
	}
	if missing := p.compiled.Readings().Missing(); len(missing) > 0 {
		p.warnings = append(p.warnings, Warning{Policy: h.Name, Where: "path_readings", Text: fmt.Sprintf(
			"paths are not judged by %s: an application that reads them so can be led past the policy", strings.Join(missing, ", "))})
	}
	return p, nil
}

// claims gives the claim rules, those of files among them, and by the rules'
// order the files. It leaves with the policy what a file held beside them.
func (h *Handler) claims(p *policy) (claims []claim.Definition, files []string, err error) {
	for i, rule := range h.Claims {
		switch {
		case rule.OktaClaims == nil && rule.Definition == nil:
			return nil, nil, fmt.Errorf("claim rule %d is empty", i+1)
		case rule.OktaClaims == nil:
			claims, files = append(claims, *rule.Definition), append(files, "")
			continue
		case rule.Definition != nil:
			return nil, nil, fmt.Errorf("claim rule %d: okta_claims stands by itself", i+1)
		}
		defs, notes, err := rule.OktaClaims.load()
		if err != nil {
			return nil, nil, err
		}
		for _, def := range defs {
			claims, files = append(claims, def), append(files, rule.OktaClaims.File)
		}
		p.importWarnings = append(p.importWarnings, notes...)
	}
	return claims, files, nil
}

// inFiles puts before the errors of rules that stand in files which file it is.
func inFiles(err error, files []string) error {
	list := slices.Clone(unjoined(err))
	for i, e := range list {
		if def, ok := errors.AsType[*claim.DefinitionError](e); ok && files[def.Index] != "" {
			list[i] = fmt.Errorf("okta_claims %s: %w", files[def.Index], e)
		}
	}
	return errors.Join(list...)
}

// checkWords refuses scopes and values of acr that no token can have: both are
// told in lists that spaces part (RFC 6749, section 3.3; RFC 9470, section 4).
func checkWords(option string, words []string) error {
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("%s: %q is not one word: each stands by itself", option, w)
		}
	}
	return nil
}

// checkRealm refuses what cannot stand in a header.
func checkRealm(realm string) error {
	if strings.ContainsFunc(realm, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("realm: %q holds a control character", realm)
	}
	return nil
}

// check checks what only a Caddyfile's reader has seen, for what came by JSON.
func (h *Handler) check() error {
	if err := checkChoices(h.choices()); err != nil {
		return err
	}
	if err := checkPeriods(period{"max_connection", h.MaxConnection}); err != nil {
		return err
	}
	if err := unplaced("app", h.App); err != nil {
		return err
	}
	for _, name := range h.PathReadings {
		if err := oneOf("path_readings", name, pathreading.Names()); err != nil {
			return err
		}
	}
	if err := errors.Join(checkRealm(h.Realm), checkWords("require_scope", h.RequireScope)); err != nil {
		return err
	}
	if a := h.RequireACR; a != nil {
		if len(a.Values) == 0 && a.MaxAge == 0 {
			return errors.New("require_acr demands nothing: it takes values, max_age, or both")
		}
		if err := checkWords("require_acr", a.Values); err != nil {
			return err
		}
		if err := checkPeriods(period{"require_acr: max_age", a.MaxAge}); err != nil {
			return err
		}
	}
	return checkTests(h.Tests)
}

// checkBeside checks the policy against what the global option configures. Its
// error is an *optionError.
func (h *Handler) checkBeside(issuers []*issuer.Config, signs bool) error {
	if len(issuers) == 0 {
		return &optionError{err: errors.New("no issuer is configured: the global option token_enrich { issuer … } says whose tokens are accepted")}
	}
	if err := issuer.CheckAllowed(issuers, h.Issuers); err != nil {
		return &optionError{option: "issuers", err: err}
	}
	accepted := h.accepted(issuers)
	for i, t := range h.Tests {
		switch {
		case t.Issuer == "" && len(accepted) > 1:
			return &optionError{option: "test", index: i, err: fmt.Errorf("test %q: say issuer, since the policy accepts %s", t.Name, list(accepted))}
		case t.Issuer != "" && !slices.Contains(accepted, t.Issuer):
			return &optionError{option: "test", index: i, err: fmt.Errorf("test %q: the policy accepts no issuer %q%s", t.Name, t.Issuer, nearest.Hint(t.Issuer, accepted))}
		}
	}
	if len(h.Tokens) > 0 && !signs {
		return &optionError{option: "token", err: errors.New("token: the global option token_enrich has no signing { issuer … }")}
	}
	return nil
}

// accepted are the names of the issuers that the policy accepts.
func (h *Handler) accepted(issuers []*issuer.Config) []string {
	if len(h.Issuers) > 0 {
		return h.Issuers
	}
	names := make([]string, len(issuers))
	for i, c := range issuers {
		names[i] = c.Name
	}
	return names
}

// issuers are the configurations of the issuers that the policy accepts.
func (h *Handler) issuers() []*Issuer {
	var list []*Issuer
	for i, is := range h.app.issuers.Issuers() {
		if len(h.Issuers) == 0 || slices.Contains(h.Issuers, is.Name()) {
			list = append(list, h.app.Issuers[i])
		}
	}
	return list
}

// load reads the file of an okta_claims option.
func (o *OktaClaims) load() ([]claim.Definition, []claim.Note, error) {
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
	if err := oneOf("okta_claims: token", kind, []string{claim.TokenAccess, claim.TokenID}); err != nil {
		return nil, nil, err
	}
	defs, notes, err := claim.Import(text, kind)
	if err != nil {
		return nil, nil, fmt.Errorf("okta_claims %s: %w", o.File, err)
	}
	return defs, notes, nil
}

// nameOf returns the name of a policy that has none, by its settings. Policies that
// stand in no route of the HTTP app are counted in the order in which they are
// loaded.
func (a *App) nameOf(settings string) string {
	if a.routes != nil {
		if name := a.routes.names[settingsKey(json.RawMessage(settings))]; name != "" {
			return name
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for {
		a.unnamed++
		name := routes.DefaultName(a.unnamed)
		if !slices.ContainsFunc(a.policies, func(p *policy) bool { return p.name == name }) {
			return name
		}
	}
}
