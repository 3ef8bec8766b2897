package check

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file warns of attributes that no directory has. Such an attribute is null in
// each request, so that a misspelt name would silently empty a claim or deny every
// user.

// builtinAttributes are the attributes that each object has besides its profile, and
// the functions that expressions call on one, by root.
var builtinAttributes = map[string][]string{
	"user":    {"id", "login", "status", "created", "lastUpdated", "passwordChanged", "lastLogin", "profile", "email"},
	"app":     {"id", "clientId", "name", "label", "status", "profile"},
	"appuser": {"id", "app", "userName", "username", "status", "profile"},
}

// attributes warns of attributes that claims and requirements read and that no
// directory has.
func (c *checker) attributes() {
	// Without a directory each attribute is null, which is worth another text.
	directories := c.app.DirectoryAttributes()
	for _, p := range c.app.Policies() {
		// A root is skipped if one directory may have any attribute of it.
		for _, root := range []string{"user", "app", "appuser"} {
			kept, known := attributesOf(root, directories)
			if !known {
				continue
			}
			warn := func(where string, read []string) {
				for _, name := range read {
					var text string
					switch {
					case len(directories) == 0:
						text = fmt.Sprintf("%s.%s is always null: no directory is configured", root, name)
					case !slices.Contains(kept, name):
						text = fmt.Sprintf("%s.%s is always null: no directory has an attribute of that name%s", root, name, suggest.DidYouMean(name, kept))
					default:
						continue
					}
					c.list = append(c.list, caddymodule.Warning{Policy: p.Name, Where: where, Text: text})
				}
			}
			// Known since the expressions were compiled: none is evaluated here.
			read := p.Policy().Rules().Attributes(root)
			for _, claim := range p.Policy().Rules().Names() {
				warn("claim "+claim, read[claim])
			}
			warn("require", p.Policy().RequirementAttributes(root))
		}
	}
}

// attributesOf returns the attributes of a root in all directories, those that each
// object has included. known is false if a directory may have any attribute: then
// no name can be said to be wrong.
func attributesOf(root string, directories []directory.Attributes) (names []string, known bool) {
	// A copy: the names of the directories are appended.
	names = slices.Clone(builtinAttributes[root])
	for _, kept := range directories {
		of := map[string][]string{"user": kept.User, "app": kept.App, "appuser": kept.AppUser}[root]
		if len(of) == 0 {
			return nil, false
		}
		names = append(names, of...)
	}
	return names, true
}
