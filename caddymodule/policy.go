package caddymodule

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/internal/document"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file compiles a policy when a configuration loads, from a Caddyfile or
// from JSON, and checks what only a Caddyfile's reader has checked before.

// compile compiles the handler's configuration, every part of it once. It reads
// files of claims and touches no network.
func (h *Handler) compile(ctx caddy.Context) (*policy, error) {
	if err := h.check(); err != nil {
		return nil, err
	}
	p := &policy{name: h.Name, text: h.text, at: h.at, mints: len(h.Tokens) > 0}
	if err := h.checkGlobals(h.app.known, h.app.signer != nil); err != nil {
		return nil, err
	}
	var err error
	if p.site, err = h.openSite(ctx); err != nil {
		return nil, err
	}
	accepted := h.accepted(h.app.known)
	for i := range h.Tests {
		if h.Tests[i].Issuer == "" {
			h.Tests[i].Issuer = accepted[0]
		}
	}
	dpop := slices.ContainsFunc(h.issuers(), func(i *issuer.Config) bool { return i.DPoP == "accept" || i.DPoP == "require" })
	claims, files, err := h.claims(p)
	if err != nil {
		return nil, err
	}
	def := enrich.PolicyDefinition{
		Name: h.Name, Issuers: h.Issuers, App: h.App, TokenFrom: h.TokenFrom, PathReadings: h.PathReadings,
		AllowCrossOrigin: h.CrossOrigin == "allow", Anonymous: h.Anonymous,
		ContinueMissingUser: h.OnMissingUser == "continue", ContinueDirectoryError: h.OnDirectoryError == "continue",
		Claims: claims, Require: h.Require, RequireScope: h.RequireScope,
		Forward: h.Definition, Tokens: h.Tokens, KeepToken: h.UpstreamToken == "keep", Realm: h.Realm, DPoP: dpop,
	}
	if p.site != nil {
		def.SessionCookie, def.Logins = p.site.Origin().SessionCookie(), h.Login
		if !p.site.Origin().Secure() {
			p.warnings = append(p.warnings, Warning{Policy: h.Name, Where: "external_url", Text: plainHTTP})
			h.logger.Warn(plainHTTP, zap.String("policy", h.Name))
		}
	}
	if h.RequireACR != nil {
		def.RequireACR, def.MaxAge = h.RequireACR.Values, time.Duration(h.RequireACR.MaxAge)
	}
	if len(def.Tokens) > 0 && len(accepted) > 1 && slices.ContainsFunc(h.Tokens, func(t mint.TokenDefinition) bool { return t.Subject == "" }) {
		p.warnings = append(p.warnings, Warning{Policy: h.Name, Where: "token", Text: "the policy accepts several issuers, whose subjects may collide, and signs them all as one issuer: set subject to a claim that is unique across them"})
	}
	places := h.TokenFrom
	if len(places) == 0 {
		places = token.DefaultPlaces()
	}
	if p.resource, err = h.newResource(places); err != nil {
		return nil, err
	}
	if p.resource != nil {
		def.ResourceMetadata = p.resource.URL()
	}
	if p.compiled, err = enrich.CompilePolicy(def); err != nil {
		return nil, inFiles(err, files)
	}
	if missing := p.compiled.Readings().Missing(); len(missing) > 0 {
		p.warnings = append(p.warnings, Warning{Policy: h.Name, Where: "path_readings", Text: fmt.Sprintf(
			"paths are not matched by the readings %s: if the application uses them, requests can bypass the policy", strings.Join(missing, ", "))})
	}
	return p, nil
}

// claims returns the claim rules, those of okta_claims files included, and for
// each rule its file, empty for a rule of the configuration itself. What else a
// file held is noted in p.
func (h *Handler) claims(p *policy) (claims []claim.Definition, files []string, err error) {
	for i, rule := range h.Claims {
		switch {
		case rule.OktaClaims == nil && rule.Definition == nil:
			return nil, nil, fmt.Errorf("claim rule %d is empty", i+1)
		case rule.OktaClaims == nil:
			claims, files = append(claims, *rule.Definition), append(files, "")
			continue
		case rule.Definition != nil:
			return nil, nil, fmt.Errorf("claim rule %d: okta_claims cannot be combined with other options", i+1)
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

// inFiles puts before each error of a rule from a file the name of the file.
func inFiles(err error, files []string) error {
	list := block.Split(err)
	for i, e := range list {
		if def, ok := errors.AsType[*claim.DefinitionError](e); ok && files[def.Index] != "" {
			list[i] = fmt.Errorf("okta_claims %s: %w", files[def.Index], e)
		}
	}
	return errors.Join(list...)
}

// checkWords returns an error for a scope or a value of acr that no token can
// have: both are sent in lists separated by spaces (RFC 6749, section 3.3; RFC
// 9470, section 4).
func checkWords(option string, words []string) error {
	for _, w := range words {
		if w == "" || strings.ContainsFunc(w, func(r rune) bool { return r <= ' ' || r == 0x7f }) {
			return fmt.Errorf("%s: %q must be a single value without spaces", option, w)
		}
	}
	return nil
}

// checkRealm returns an error where the realm cannot be sent in a header.
func checkRealm(realm string) error {
	if strings.ContainsFunc(realm, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return fmt.Errorf("realm: %q contains a control character", realm)
	}
	return nil
}

// check checks the options by themselves, for a configuration that came as JSON:
// the reader of a Caddyfile has checked each when it read it.
func (h *Handler) check() error {
	if err := block.CheckValues(append(h.enums(), block.Duration("max_connection", &h.MaxConnection))...); err != nil {
		return err
	}
	if err := block.RejectPlaceholders("app", h.App); err != nil {
		return err
	}
	for _, name := range h.PathReadings {
		if err := block.CheckEnum("path_readings", name, pathreading.Names()); err != nil {
			return err
		}
	}
	if err := errors.Join(checkRealm(h.Realm), checkWords("require_scope", h.RequireScope)); err != nil {
		return err
	}
	if a := h.RequireACR; a != nil {
		if len(a.Values) == 0 && a.MaxAge == 0 {
			return errors.New("require_acr is empty: set values, max_age, or both")
		}
		if err := checkWords("require_acr", a.Values); err != nil {
			return err
		}
		if err := block.CheckValues(block.Duration("require_acr: max_age", &a.MaxAge)); err != nil {
			return err
		}
	}
	return checkTests(h.Tests)
}

// checkGlobals checks the policy against the global option: the configured
// issuers, and whether the gateway signs tokens. Its error says which setting it
// is about.
func (h *Handler) checkGlobals(issuers []*issuer.Config, signs bool) error {
	if len(issuers) == 0 {
		return errors.New("no issuer is configured: add one to the global option token_enrich { issuer … }")
	}
	if err := issuer.CheckAllowed(issuers, h.Issuers); err != nil {
		return setting.Wrap(err, "issuers")
	}
	if err := h.checkLogin(issuers); err != nil {
		return err
	}
	accepted := h.accepted(issuers)
	for i, t := range h.Tests {
		switch {
		case t.Issuer == "" && len(accepted) > 1:
			return setting.Wrap(fmt.Errorf("test %q: issuer is required (want %s)", t.Name, block.JoinOr(accepted)), setting.Index("tests", i))
		case t.Issuer != "" && !slices.Contains(accepted, t.Issuer):
			return setting.Wrap(fmt.Errorf("test %q: the policy does not accept issuer %q%s", t.Name, t.Issuer, suggest.DidYouMean(t.Issuer, accepted)), setting.Index("tests", i))
		}
	}
	if len(h.Tokens) > 0 && !signs {
		return setting.Wrap(errors.New("token: the global option token_enrich has no signing { issuer … }"), "tokens[0]")
	}
	return nil
}

// checkLogin checks the policy's login against the configured issuers.
func (h *Handler) checkLogin(issuers []*issuer.Config) error {
	for i, name := range h.Login {
		switch at := slices.IndexFunc(issuers, func(c *issuer.Config) bool { return c.Name == name }); {
		case at < 0:
			return setting.Wrap(fmt.Errorf("login: no issuer is named %q%s", name, suggest.DidYouMean(name, issuerNames(issuers))), "login")
		case !issuers[at].LoginOnly:
			return setting.Wrap(fmt.Errorf("login: the issuer %q has no login { … }", name), "login")
		case slices.Contains(h.Login[:i], name):
			return setting.Wrap(fmt.Errorf("login: duplicate value %q", name), "login")
		}
	}
	if len(h.Login) > 0 {
		_, err := h.Endpoints.WithDefaults()
		return err
	}
	e := h.Endpoints
	for _, o := range []struct{ name, value string }{{"external_url", e.ExternalURL}, {"callback", e.Callback}, {"logout", e.Logout + e.AfterLogout}, {"session_info", e.SessionInfo}} {
		if o.value != "" {
			return setting.Wrap(fmt.Errorf("%s needs login: nobody logs in at this policy", o.name), o.name)
		}
	}
	return nil
}

// accepted returns the names of the issuers whose users the policy accepts, by
// token or by login.
func (h *Handler) accepted(issuers []*issuer.Config) []string {
	if len(h.Issuers) > 0 {
		names := slices.Clone(h.Issuers)
		for _, name := range h.Login {
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		return names
	}
	return issuerNames(issuers)
}

// issuers returns the configurations of the issuers that the policy accepts.
func (h *Handler) issuers() []*issuer.Config {
	var list []*issuer.Config
	for _, c := range h.app.known {
		if len(h.Issuers) == 0 || slices.Contains(h.Issuers, c.Name) {
			list = append(list, c)
		}
	}
	return list
}

// newResource returns the metadata of the policy's resource, or nil where it names
// none.
func (h *Handler) newResource(places []token.Place) (*document.Resource, error) {
	if h.Resource == "" {
		return nil, nil //nolint:nilnil // a policy need not be one
	}
	if err := block.Expand(&h.Resource); err != nil {
		return nil, fmt.Errorf("resource: %w", err)
	}
	return document.NewResource(document.ResourceDefinition{
		ID: h.Resource, Issuers: h.issuers(), Challenges: h.app.issuers.Challenges(h.Issuers), Places: places, Scopes: h.RequireScope,
	})
}

// load reads the file of an okta_claims option. The notes are on what in the file
// is no claim for this kind of token.
func (o *OktaClaims) load() ([]claim.Definition, []claim.ImportWarning, error) {
	if err := block.Expand(&o.File); err != nil {
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
	if err := block.CheckEnum("okta_claims: token", kind, []string{claim.TokenAccess, claim.TokenID}); err != nil {
		return nil, nil, err
	}
	defs, notes, err := claim.Import(text, kind)
	if err != nil {
		return nil, nil, fmt.Errorf("okta_claims %s: %w", o.File, err)
	}
	return defs, notes, nil
}
