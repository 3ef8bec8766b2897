package caddymodule

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/jsontree"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/routes"
)

// This file checks the routes around the policies while a configuration is loaded.

// errRoutes means that routes lead requests past a policy, or to an application
// unscrubbed. The configuration does not load.
var errRoutes = errors.New("requests can bypass a policy")

// errLogins means that routes keep people from logging in. The configuration does not
// load.
var errLogins = errors.New("people cannot log in")

// maxRouteErrors bounds how many problems one error lists.
const maxRouteErrors = 10

// routesError returns the texts of fatal problems of one kind as one error, nil where
// there are none.
func routesError(kind error, fatal []string) error {
	if len(fatal) == 0 {
		return nil
	}
	texts := slices.Clone(fatal[:min(len(fatal), maxRouteErrors)])
	if more := len(fatal) - len(texts); more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return fmt.Errorf("%w: %s", kind, strings.Join(texts, "; "))
}

// checkedRoutes is what the app keeps of the routes around its policies.
type checkedRoutes struct {
	servers  map[string]any    // nil as soon as they are checked
	names    map[string]string // of the policies without one, by their settings
	claims   []string          // that placeholders of the routes show
	warnings []Warning
}

// readRoutes reads the routes of the HTTP app, while Caddy still has their JSON. key
// returns a text that is the same for policies with equal settings.
func readRoutes(http *caddyhttp.App, key func(settings any) string) *checkedRoutes {
	servers := routes.Servers(http)
	return &checkedRoutes{servers: servers, names: routes.NamePolicies(servers, key), claims: placeholderClaims(jsontree.Text(servers))}
}

// claimPlaceholder is a placeholder that shows a claim.
var claimPlaceholder = regexp.MustCompile(`\{token_enrich\.claims\.([^}]+)\}`)

// placeholderClaims returns the names of the claims whose placeholders a configuration
// holds.
func placeholderClaims(text string) []string {
	found := claimPlaceholder.FindAllStringSubmatch(text, -1)
	names := make([]string, len(found))
	for i, m := range found {
		names[i] = m[1]
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// check checks the routes, once for a configuration. What leads requests past a
// policy is an error; what is suspicious is logged and kept for the check
// command. stricter reports whether a policy may refuse what another one lets
// through, and endpoints returns the paths at which people log in for one. It does nothing without routes.
func (c *checkedRoutes) check(stricter func(policy, other map[string]any) bool, endpoints func(policy map[string]any) []string, logger *zap.Logger) error {
	if c == nil || c.servers == nil {
		return nil
	}
	var fatal, logins []string
	for _, p := range routes.Check(c.servers, stricter, endpoints) {
		w := Warning{Policy: p.Policy, Where: p.Site, Text: p.Text}
		switch {
		case p.Fatal && p.Login:
			logins = append(logins, w.String())
			continue
		case p.Fatal:
			fatal = append(fatal, w.String())
			continue
		}
		c.warnings = append(c.warnings, w)
		logger.Warn("suspicious routes", zap.String("warning", w.String()))
	}
	c.servers = nil
	return errors.Join(routesError(errRoutes, fatal), routesError(errLogins, logins))
}
