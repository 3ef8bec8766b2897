package oktael

// op says what a part of the syntax tree does.
type op uint8

const (
	opLiteral    op = iota // value
	opName                 // text: a root, a variable or a member of the element
	opProperty             // kids[0].text; safe: ?.
	opIndex                // kids[0][kids[1]]
	opCall                 // text(kids…): text holds the family, as in String.len
	opMethod               // kids[0].text(kids[1:]…); safe: ?.
	opList                 // {kids…}
	opMap                  // {k: v, …}: kids are keys and values in turn
	opTernary              // kids[0] ? kids[1] : kids[2]
	opElvis                // kids[0] ?: kids[1]
	opOr                   // kids[0] || kids[1]
	opAnd                  // kids[0] && kids[1]
	opNot                  // !kids[0]
	opNegate               // -kids[0]
	opPlus                 // +kids[0]
	opCompare              // kids[0] text kids[1]: == != < > <= >=
	opMatches              // kids[0] matches kids[1]
	opArithmetic           // kids[0] text kids[1]: + - * / % ^
	opProject              // kids[0].![kids[1]]; safe: ?.
	opSelect               // kids[0].?[kids[1]], with text ? ^ or $; safe: ?.
	opElement              // the element of a projection; the compiler makes it
)

// syntaxNode is one part of the tree that the parser makes.
type syntaxNode struct {
	op    op
	text  string
	value any
	kids  []*syntaxNode
	safe  bool

	// offset is the byte of the source that an error about this part names:
	// the operator, the name of a property or function, the literal.
	offset int

	// inside is, for a literal text, the byte of the source where its
	// content begins.
	inside int

	// grouped says that the part stood in parentheses.
	grouped bool

	// receiver says that a method is called on the part.
	receiver bool
}

// isText reports whether the part is a literal text.
func (s *syntaxNode) isText() bool {
	_, ok := s.value.(string)
	return s.op == opLiteral && ok
}

// path gives the dotted path of names that the part spells, as in
// user.profile.email; empty where it is anything else.
func (s *syntaxNode) path() string {
	switch s.op {
	case opName:
		return s.text
	case opProperty:
		if base := s.kids[0].path(); base != "" {
			return base + "." + s.text
		}
	case opIndex:
		if key := s.kids[1]; key.isText() {
			if base := s.kids[0].path(); base != "" {
				return base + "." + key.value.(string)
			}
		}
	default: // no path
	}
	return ""
}
