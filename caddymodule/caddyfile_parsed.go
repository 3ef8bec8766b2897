package caddymodule

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// written is what the sites' directives of one Caddyfile are judged against:
// the global option, which Caddy reads before them, and each other. What it
// finds wrong would not load either, but loading knows no lines.
type parsedCaddyfile struct {
	app     *App             // nil: there is no global option
	issuers []*issuer.Config // with their names; none where those wait for placeholders
	roster  roster
	unnamed map[string]string // names that were given, by place and settings of the policy
	compile func(enrich.PolicyDefinition) (*enrich.Policy, error)
}

// writtenKey is the name under which the state of an adaptation holds it.
const parsedKey = "token_enrich"

// writtenIn gives what belongs to the Caddyfile that is being read.
func parsedIn(h httpcaddyfile.Helper) (*parsedCaddyfile, error) {
	if w, ok := h.State[parsedKey].(*parsedCaddyfile); ok {
		return w, nil
	}
	w := &parsedCaddyfile{unnamed: map[string]string{}, compile: enrich.CompilePolicy}
	if option, ok := h.Option("token_enrich").(httpcaddyfile.App); ok {
		w.app = new(App)
		if err := json.Unmarshal(option.Value, w.app); err != nil {
			return nil, fmt.Errorf("reading the global option token_enrich: %w", err)
		}
		var err error
		if w.issuers, err = parsedIssuers(w.app.Issuers); err != nil {
			return nil, err
		}
	}
	h.State[parsedKey] = w
	return w, nil
}

// known reports whether the issuers and their names are known.
func (w *parsedCaddyfile) known() bool {
	return w.app != nil && len(w.issuers) == len(w.app.Issuers)
}

// policy compiles a policy, checks it, and remembers it for those that follow.
// One without a name is given one, unless it is in a named route: those are read
// before the sites, and know nothing of them.
func (w *parsedCaddyfile) policy(h *Handler, inNamedRoute bool) error {
	if h.Name == "" && !inNamedRoute {
		if err := w.assignName(h); err != nil {
			return err
		}
	}
	compiled, err := w.compile(h.parsed())
	if err != nil {
		return h.at.LocateEach(err)
	}
	if w.known() {
		if err := h.checkGlobals(w.issuers, w.app.Signing != nil); err != nil {
			return h.at.Locate(err)
		}
	}
	if err := h.writeText(); err != nil {
		return err
	}
	if _, err := w.roster.add(&policy{name: h.Name, compiled: compiled, handler: h}); err != nil {
		return h.at.Locate(err)
	}
	return nil
}

// parsed returns what of a policy's definition is known while a Caddyfile is
// read and can be wrong in more than one option together; what can be wrong in
// one option alone has been checked with it. Of the claim rules it is those
// before the first file of rules, which is read when the configuration loads.
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

// giveName names a policy by its place in the Caddyfile. A snippet that is
// imported twice without a difference is one policy.
func (w *parsedCaddyfile) assignName(h *Handler) error {
	if err := h.writeText(); err != nil {
		return err
	}
	head := h.at.Head()
	key := fmt.Sprintf("%s:%d %s", head.File, head.Line, h.text)
	if w.unnamed[key] == "" {
		w.unnamed[key] = defaultName(len(w.unnamed) + 1)
	}
	h.Name = w.unnamed[key]
	return nil
}

// hook judges a hook.
func (w *parsedCaddyfile) hook(h *Hook) error {
	if !w.known() {
		return nil
	}
	_, err := h.sendingIssuer(w.issuers)
	return err
}
