package oktael

import "slices"

// MemberLiterals returns the literal texts that a member of a root, such as
// path of request, is compared with or handed to functions with, and reports
// whether it meets nothing but literals. Where that cannot be told, because the
// whole root is read or the name is computed, it reports false.
func (p *Program) MemberLiterals(root, name string) (literals []string, only bool) {
	tree, err := parse(p.source, isFamily)
	if err != nil {
		return nil, false
	}
	m := &memberLiterals{path: root + "." + name, only: true}
	m.visit(tree)
	return m.literals, m.only && m.found
}

// memberLiterals collects what one member meets.
type memberLiterals struct {
	path     string
	literals []string
	found    bool
	only     bool
}

// visit goes through conditions to the operations that they join.
func (m *memberLiterals) visit(s *syntaxNode) {
	switch {
	case !m.reads(s):
	case s.op == opAnd || s.op == opOr || s.op == opNot:
		for _, kid := range s.kids {
			m.visit(kid)
		}
	default:
		m.found = true
		m.operand(s)
	}
}

// reads reports whether a part reads the member by its name.
func (m *memberLiterals) reads(s *syntaxNode) bool {
	return s.path() == m.path || slices.ContainsFunc(s.kids, m.reads)
}

// operand looks at all that stands in one operation with the member.
func (m *memberLiterals) operand(s *syntaxNode) {
	switch {
	case s.path() == m.path:
	case s.isText():
		m.literals = append(m.literals, s.value.(string))
	case len(s.kids) == 0 && s.op != opLiteral && s.op != opCall:
		m.only = false
	default:
		for _, kid := range s.kids {
			m.operand(kid)
		}
	}
}
