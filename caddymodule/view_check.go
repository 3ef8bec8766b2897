package caddymodule

import (
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// This file is the view of a provisioned app that the check and selftest
// packages read. It adds no state: each method returns what the app holds.

// OwnedNames returns the names of headers, cookies and prefixes that the
// policies of the configuration write, and that are deleted from each request.
func (a *App) OwnedNames() *forward.ReservedNames { return a.owned.Load() }

// DirectoryAttributes returns the attributes that each directory has, in the
// order of the configuration. A directory that may have any lists none.
func (a *App) DirectoryAttributes() []directory.Attributes { return slices.Clone(a.attributes) }

// DirectoryWarnings returns what is suspicious in the directories' own data,
// such as a login that two users share.
func (a *App) DirectoryWarnings() []Warning { return slices.Clone(a.warnings) }

// RouteWarnings returns what is suspicious about the routes around the policies,
// as it was logged when the configuration was loaded.
func (a *App) RouteWarnings() []Warning {
	if a.routes == nil {
		return nil
	}
	return slices.Clone(a.routes.warnings)
}

// Warnings returns what is suspicious in the policy's own settings, with what
// okta_claims left out of its file. It is empty before Provision.
func (h *Handler) Warnings() []Warning {
	if h.policy == nil {
		return nil
	}
	list := slices.Clone(h.policy.warnings)
	for _, n := range h.policy.importWarnings {
		list = append(list, Warning{Policy: h.policy.name, Where: strings.TrimSpace("okta_claims " + n.Claim), Text: n.Text})
	}
	return list
}
