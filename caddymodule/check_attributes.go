package caddymodule

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// ownAttributes are what every user has besides the profile, and what
// expressions call on one.
var ownAttributes = []string{
	"id", "login", "status", "created", "lastUpdated", "passwordChanged", "lastLogin", "profile", "email",
}

// attributeFindings names attributes that expressions read and that no
// directory can give: it is known which there are where every directory says
// which it keeps, or is a file.
func (a *App) attributeFindings() []finding {
	kept := slices.Clone(ownAttributes)
	for _, names := range a.kept {
		if len(names) == 0 {
			return nil // this one may have any
		}
		kept = append(kept, names...)
	}
	if len(a.kept) == 0 {
		return nil
	}
	var list []finding
	for _, p := range a.policies {
		look := func(where string, read []string) {
			for _, name := range read {
				if !slices.Contains(kept, name) {
					list = append(list, finding{Policy: p.name, Where: where, Text: fmt.Sprintf(
						"user.%s is always null: no directory has an attribute of that name%s", name, nearest.Hint(name, kept))})
				}
			}
		}
		read := p.compiled.Rules().UserAttributes()
		for _, claim := range p.compiled.Rules().Names() {
			look("claim "+claim, read[claim])
		}
		look("require", p.compiled.RequirementAttributes())
	}
	return list
}
