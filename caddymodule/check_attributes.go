package caddymodule

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// ownAttributes are what every object has besides its profile, and what
// expressions call on one.
var ownAttributes = map[string][]string{
	"user":    {"id", "login", "status", "created", "lastUpdated", "passwordChanged", "lastLogin", "profile", "email"},
	"app":     {"id", "clientId", "name", "label", "status", "profile"},
	"appuser": {"id", "app", "userName", "username", "status", "profile"},
}

// attributeFindings names attributes that expressions read and that no
// directory can give.
func (a *App) attributeFindings() []finding {
	var list []finding
	for _, p := range a.policies {
		for _, root := range []string{"user", "app", "appuser"} {
			kept, known := a.attributes(root)
			if !known {
				continue
			}
			look := func(where string, read []string) {
				for _, name := range read {
					var text string
					switch {
					case len(a.kept) == 0:
						text = fmt.Sprintf("%s.%s cannot be read: no directory is configured, so that %[1]s is null", root, name)
					case !slices.Contains(kept, name):
						text = fmt.Sprintf("%s.%s is always null: no directory has an attribute of that name%s", root, name, nearest.Hint(name, kept))
					default:
						continue
					}
					list = append(list, finding{Policy: p.name, Where: where, Text: text})
				}
			}
			read := p.compiled.Rules().Attributes(root)
			for _, claim := range p.compiled.Rules().Names() {
				look("claim "+claim, read[claim])
			}
			look("require", p.compiled.RequirementAttributes(root))
		}
	}
	return list
}

// attributes gives the attributes of a root. They are known where every
// directory says which it keeps, or is a file, or where there is none.
func (a *App) attributes(root string) (names []string, known bool) {
	names = slices.Clone(ownAttributes[root])
	for _, kept := range a.kept {
		of := map[string][]string{"user": kept.User, "app": kept.App, "appuser": kept.AppUser}[root]
		if len(of) == 0 {
			return nil, false // this one may have any
		}
		names = append(names, of...)
	}
	return names, true
}
