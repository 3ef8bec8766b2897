package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
)

// This file checks the routes around the policies while a configuration is loaded,
// and names the policies without a name.

// errRoutes means that routes lead requests past a policy, or to an application
// unscrubbed. The configuration does not load.
var errRoutes = errors.New("requests can bypass a policy")

// maxRouteErrors bounds how many problems one error lists.
const maxRouteErrors = 10

// routesError returns the texts of fatal problems as one error, nil where there
// are none.
func routesError(fatal []string) error {
	if len(fatal) == 0 {
		return nil
	}
	texts := slices.Clone(fatal[:min(len(fatal), maxRouteErrors)])
	if more := len(fatal) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %s", errRoutes, strings.Join(texts, "; "))
}

// checkedRoutes is what the app keeps of the routes around its policies.
type checkedRoutes struct {
	servers  map[string]any    // nil as soon as they are checked
	names    map[string]string // of the policies without one, by their settings
	warnings []Warning
}

// readRoutes reads the routes of the HTTP app when its first policy is provisioned,
// while Caddy still has their JSON. It does nothing for a policy in another app.
func (a *App) readRoutes(http *caddyhttp.App) {
	if a.routes == nil && http != nil {
		servers := routes.Servers(http)
		a.routes = &checkedRoutes{servers: servers, names: routes.NamePolicies(servers, settingsKey)}
	}
}

// checkRoutes checks the routes, once for a configuration. What leads requests
// past a policy is an error; what is suspicious is logged and kept for the check
// command.
func (a *App) checkRoutes() error {
	c := a.routes
	if c == nil || c.servers == nil {
		return nil
	}
	var fatal []string
	for _, p := range routes.Check(c.servers, stricter) {
		w := Warning{Policy: p.Policy, Where: p.Site, Text: p.Text}
		if p.Fatal {
			fatal = append(fatal, w.String())
			continue
		}
		c.warnings = append(c.warnings, w)
		a.logger.Warn("suspicious routes", zap.String("warning", w.String()))
	}
	c.servers = nil
	return routesError(fatal)
}

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
		len(own.Issuers) > 0 && (len(theirs.Issuers) == 0 || slices.ContainsFunc(theirs.Issuers, func(name string) bool { return !slices.Contains(own.Issuers, name) }))
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
