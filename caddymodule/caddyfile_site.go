package caddymodule

import (
	"encoding/json"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// written is what the sites' directives of one Caddyfile are judged against:
// the global option, which Caddy reads before them, and each other. What it
// finds wrong would not load either, but loading knows no lines.
type written struct {
	app     *App             // nil: there is no global option
	issuers []*issuer.Config // with their names; none where those wait for placeholders
	roster  roster
	unnamed map[string]string // names that were given, by place and settings of the policy
}

// writtenKey is the name under which the state of an adaptation holds it.
const writtenKey = "token_enrich"

// writtenIn gives what belongs to the Caddyfile that is being read.
func writtenIn(h httpcaddyfile.Helper) (*written, error) {
	if w, ok := h.State[writtenKey].(*written); ok {
		return w, nil
	}
	w := &written{unnamed: map[string]string{}}
	if option, ok := h.Option("token_enrich").(httpcaddyfile.App); ok {
		w.app = new(App)
		if err := json.Unmarshal(option.Value, w.app); err != nil {
			return nil, fmt.Errorf("reading the global option token_enrich: %w", err)
		}
		var err error
		if w.issuers, err = writtenIssuers(w.app.Issuers); err != nil {
			return nil, err
		}
	}
	h.State[writtenKey] = w
	return w, nil
}

// known reports whether the issuers and their names are known.
func (w *written) known() bool {
	return w.app != nil && len(w.issuers) == len(w.app.Issuers)
}

// policy judges a policy, and remembers it for those that follow. One without a
// name is given one, unless it is in a named route: those are read before the
// sites, and know nothing of them.
func (w *written) policy(h *Handler, inNamedRoute bool) error {
	if w.known() {
		if err := h.checkBeside(w.issuers, w.app.Signing != nil); err != nil {
			return err
		}
	}
	if h.Name == "" && !inNamedRoute {
		if err := w.giveName(h); err != nil {
			return err
		}
	}
	// Only what concerns others: the rest was judged line by line, and files
	// are read when the configuration loads.
	compiled, err := enrich.CompilePolicy(enrich.PolicyDefinition{Name: h.Name, TokenFrom: h.TokenFrom, Forward: h.Definition, Tokens: h.Tokens})
	if err != nil {
		return err
	}
	if err := h.writeText(); err != nil {
		return err
	}
	_, err = w.roster.add(&policy{name: h.Name, compiled: compiled, handler: h})
	return err
}

// giveName names a policy by its place in the Caddyfile. A snippet that is
// imported twice without a difference is one policy.
func (w *written) giveName(h *Handler) error {
	if err := h.writeText(); err != nil {
		return err
	}
	head := h.at[""][0]
	key := fmt.Sprintf("%s:%d %s", head.File, head.Line, h.text)
	if w.unnamed[key] == "" {
		w.unnamed[key] = routes.DefaultName(len(w.unnamed) + 1)
	}
	h.Name = w.unnamed[key]
	return nil
}

// hook judges a hook.
func (w *written) hook(h *Hook) error {
	if !w.known() {
		return nil
	}
	_, err := h.sender(w.issuers)
	return err
}
