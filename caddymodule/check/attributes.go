package check

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// ownAttributes are what every object has besides its profile, and what
// expressions call on one.
var ownAttributes = map[string][]string{
	"user":    {"id", "login", "status", "created", "lastUpdated", "passwordChanged", "lastLogin", "profile", "email"},
	"app":     {"id", "clientId", "name", "label", "status", "profile"},
	"appuser": {"id", "app", "userName", "username", "status", "profile"},
}

// attributes names attributes that expressions read and that no
// directory can give.
func (c *checker) attributes() {
	for _, p := range c.app.Policies() {
		for _, root := range []string{"user", "app", "appuser"} {
			kept, known := attributesOf(root, c.app.DirectoryAttributes())
			if !known {
				continue
			}
			look := func(where string, read []string) {
				for _, name := range read {
					var text string
					switch {
					case len(c.app.DirectoryAttributes()) == 0:
						text = fmt.Sprintf("%s.%s cannot be read: no directory is configured, so that %[1]s is null", root, name)
					case !slices.Contains(kept, name):
						text = fmt.Sprintf("%s.%s is always null: no directory has an attribute of that name%s", root, name, nearest.Hint(name, kept))
					default:
						continue
					}
					c.list = append(c.list, caddymodule.Warning{Policy: p.Name, Where: where, Text: text})
				}
			}
			read := p.Policy().Rules().Attributes(root)
			for _, claim := range p.Policy().Rules().Names() {
				look("claim "+claim, read[claim])
			}
			look("require", p.Policy().RequirementAttributes(root))
		}
	}
}

// attributesOf returns the attributes of a root. They are known where every
// directory says which it keeps, or is a file, or where there is none.
func attributesOf(root string, directories []directory.Attributes) (names []string, known bool) {
	names = slices.Clone(ownAttributes[root])
	for _, kept := range directories {
		of := map[string][]string{"user": kept.User, "app": kept.App, "appuser": kept.AppUser}[root]
		if len(of) == 0 {
			return nil, false // this one may have any
		}
		names = append(names, of...)
	}
	return names, true
}
