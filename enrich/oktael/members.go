package oktael

// ReadsMember reports whether an evaluation may read a member of a root, such
// as host of request. Where that cannot be told, because the whole root is
// read or the name is computed, it says yes.
func (p *Program) ReadsMember(root, name string) bool {
	if p.reads&spelled[root] == 0 {
		return false
	}
	tree, err := parse(p.source)
	if err != nil {
		return true
	}
	named, seen := false, false
	var walk func(s *syntaxNode)
	walk = func(s *syntaxNode) {
		if s == nil {
			return
		}
		if s.op == opProperty && len(s.kids) > 0 && s.kids[0] != nil && s.kids[0].op == opName && s.kids[0].text == root {
			seen = true
			named = named || s.text == name
			return
		}
		if s.op == opName && s.text == root {
			named, seen = true, true
			return
		}
		for _, kid := range s.kids {
			walk(kid)
		}
	}
	walk(tree)
	// Not seen at all: it stands in an expression inside of a string.
	return named || !seen
}
