package oktael

import (
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// memberReads is what an expression reads of the roots, as the compiler finds
// it, also inside of group expressions.
type memberReads struct {
	// whole are the roots that are read as such, or by a name that is
	// computed.
	whole input.Set

	// named are the members that are read by name, of each root.
	named map[input.Set]map[string]bool
}

func (m *memberReads) add(root input.Set, name string) {
	if m.named == nil {
		m.named = make(map[input.Set]map[string]bool)
	}
	if m.named[root] == nil {
		m.named[root] = make(map[string]bool)
	}
	m.named[root][name] = true
}

// compileBase compiles what a member is read of. Where that is a root and the
// member's name is known, only the member counts as read.
func (c *compiler) compileBase(base *syntax.Node, name string, known bool) (typed, error) {
	whole := c.members.whole
	t, err := c.compile(base)
	if err != nil || !known {
		return t, err
	}
	switch n := t.node.(type) {
	case *rootNode:
		c.members.whole = whole
		c.members.add(n.root, name)
	case *propertyNode:
		root, ok := n.base.(*rootNode)
		switch {
		case !ok || n.name != "profile":
		case root.root == input.User, root.root == input.AppUser:
			// An attribute goes by user.email and by user.profile.email.
			c.members.add(root.root, name)
		case root.root == input.App:
			c.members.add(input.App, "profile."+name)
		}
	}
	return t, nil
}
