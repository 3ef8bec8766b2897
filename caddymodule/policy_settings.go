package caddymodule

import (
	"encoding/json"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// This file compares policies by their settings as JSON, for the check of the routes,
// and names the policies without a name.

// settingsKey returns a text that is the same for policies with equal settings,
// however these are spelled as JSON.
func settingsKey(settings any) string {
	h := new(Handler)
	text, err := json.Marshal(settings)
	if err != nil || json.Unmarshal(text, h) != nil {
		return string(text)
	}
	return jsontree.Text(jsontree.Of(h))
}

// stricter reports whether a policy may refuse what another one lets through. It
// takes their settings as JSON.
func stricter(policy, other map[string]any) bool {
	own, theirs := decodedPolicy(policy), decodedPolicy(other)
	narrower := func(own, theirs string) bool { return own != theirs && theirs != "" && theirs != "deny" }
	return len(own.Require) > 0 || len(own.RequireScope) > 0 || own.RequireACR != nil ||
		theirs.Anonymous && !own.Anonymous ||
		narrower(own.CrossOrigin, theirs.CrossOrigin) ||
		narrower(own.OnMissingUser, theirs.OnMissingUser) ||
		narrower(own.OnDirectoryError, theirs.OnDirectoryError) ||
		own.MaxConnection > 0 && (theirs.MaxConnection == 0 || own.MaxConnection < theirs.MaxConnection) ||
		slices.ContainsFunc(theirs.Login, func(name string) bool { return !slices.Contains(own.Login, name) }) ||
		len(own.Issuers) > 0 && (len(theirs.Issuers) == 0 || slices.ContainsFunc(theirs.Issuers, func(name string) bool { return !slices.Contains(own.Issuers, name) }))
}

// endpointsOf returns the paths of the site at which people log in for a policy, none
// where nobody does. It takes its settings as JSON.
func endpointsOf(policy map[string]any) []string {
	h := decodedPolicy(policy)
	e, err := h.Endpoints.WithDefaults()
	if err != nil || len(h.Login) == 0 {
		return nil // a policy with such endpoints does not load
	}
	paths := []string{e.Callback, login.LoginPath, e.Logout, e.SessionInfo}
	if len(h.Login) > 1 {
		for _, name := range h.Login {
			paths = append(paths, e.Callback+"/"+name)
		}
	}
	return paths
}

// decodedPolicy returns a policy's settings. What cannot be decoded is left at
// its default: it does not load anyway.
func decodedPolicy(settings map[string]any) *Handler {
	h := new(Handler)
	if text, err := json.Marshal(settings); err == nil {
		_ = json.Unmarshal(text, h)
	}
	return h
}

// defaultNameOf returns the name of a policy that has none, by its settings.
// Policies in routes were all named when the first of them was loaded, in the
// order of the servers' names, because Caddy loads servers in no order. Policies
// in no route of the HTTP app are counted in the order in which they load.
func (a *App) defaultNameOf(settings string) string {
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
		if a.named[name] == nil {
			return name
		}
	}
}
