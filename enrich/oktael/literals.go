package oktael

import (
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// What an expression compares a member with. A caller for which one path has
// several readings learns here which of them can change the result.

// MemberLiterals returns the literal texts that a member of an input, such as
// path of request, is compared with or handed to functions with, and reports
// whether it meets nothing but literals. Where that cannot be known, because the
// whole input is read or the name is computed, it reports false.
func (p *Program) MemberLiterals(of, name string) (literals []string, only bool) {
	tree, err := syntax.Parse(p.source, library.IsFamily)
	if err != nil {
		return nil, false
	}
	m := &memberLiterals{path: of + "." + name, only: true}
	m.visit(tree)
	return m.literals, m.only && m.found
}

// memberLiterals collects what one member meets.
type memberLiterals struct {
	// path is the member as syntax.Node.Path spells it.
	path string

	// literals are the texts it meets, in the order of the source.
	literals []string

	// found says that it is read at all, only that it meets nothing but literals.
	found, only bool
}

// visit goes through conditions to the operations that they join.
func (m *memberLiterals) visit(s *syntax.Node) {
	switch {
	case !m.reads(s):
	case s.Op == syntax.OpAnd || s.Op == syntax.OpOr || s.Op == syntax.OpNot:
		for _, kid := range s.Kids {
			m.visit(kid)
		}
	default:
		m.found = true
		m.operand(s)
	}
}

// reads reports whether a part reads the member by its name.
func (m *memberLiterals) reads(s *syntax.Node) bool {
	return s.Path() == m.path || slices.ContainsFunc(s.Kids, m.reads)
}

// operand looks at all that is in one operation with the member.
func (m *memberLiterals) operand(s *syntax.Node) {
	switch {
	case s.Path() == m.path:
	case s.IsText():
		m.literals = append(m.literals, s.Value.(string))
	case len(s.Kids) == 0 && s.Op != syntax.OpLiteral && s.Op != syntax.OpCall:
		m.only = false
	default:
		for _, kid := range s.Kids {
			m.operand(kid)
		}
	}
}
