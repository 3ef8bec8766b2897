package oktael

import (
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// Which members of the inputs an expression reads: a caller asks a directory for
// these attributes only, and caches by them.

// member is a member of an input that is read by name.
type member struct {
	input Inputs
	name  string
}

// memberReads is what an expression reads of the inputs, as the compiler finds
// it, also inside of group expressions.
type memberReads struct {
	// whole are the inputs that are read as such, or by a name that is
	// computed.
	whole Inputs

	// named are the members that are read by name.
	named map[member]bool
}

// add notes that a member is read by name.
func (m *memberReads) add(input Inputs, name string) {
	if m.named == nil {
		m.named = make(map[member]bool)
	}
	m.named[member{input, name}] = true
}

// compileBase compiles what a member is read of. Where that is an input and the
// member's name is known, only the member counts as read.
func (c *compiler) compileBase(base *syntax.Node, name string, known bool) (typed, error) {
	whole := c.members.whole
	t, err := c.compile(base)
	if err != nil || !known {
		return t, err
	}
	switch n := t.node.(type) {
	case *inputNode:
		c.members.whole = whole
		c.members.add(n.input, name)
	case *propertyNode:
		of, ok := n.base.(*inputNode)
		switch {
		case !ok || n.name != "profile":
		case of.input == input.User, of.input == input.AppUser:
			// An attribute goes by user.email and by user.profile.email.
			c.members.add(of.input, name)
		case of.input == input.App:
			c.members.add(input.App, "profile."+name)
		}
	}
	return t, nil
}
