package syntax

// The tree that Parse makes of a text. It knows the grammar alone: which names
// and functions exist is the business of whoever compiles it.

// Op says what a part of the tree does.
type Op uint8

// The comments name the fields of a Node that an operation uses.
const (
	OpLiteral    Op = iota // value
	OpName                 // text: an input, a variable or a member of the element
	OpProperty             // kids[0].text; safe: ?.
	OpIndex                // kids[0][kids[1]]
	OpCall                 // text(kids…): text holds the family, as in String.len
	OpMethod               // kids[0].text(kids[1:]…); safe: ?.
	OpList                 // {kids…}
	OpMap                  // {k: v, …}: kids are keys and values in turn
	OpTernary              // kids[0] ? kids[1] : kids[2]
	OpElvis                // kids[0] ?: kids[1]
	OpOr                   // kids[0] || kids[1]
	OpAnd                  // kids[0] && kids[1]
	OpNot                  // !kids[0]
	OpNegate               // -kids[0]
	OpPlus                 // +kids[0]
	OpCompare              // kids[0] text kids[1]: == != < > <= >=
	OpMatches              // kids[0] matches kids[1]
	OpArithmetic           // kids[0] text kids[1]: + - * / % ^
	OpProject              // kids[0].![kids[1]]; safe: ?.
	OpSelect               // kids[0].?[kids[1]], with text ? ^ or $; safe: ?.
	OpElement              // the element of a projection; the compiler makes it
)

// Node is one part of the tree that the parser makes.
type Node struct {
	// Op is what the part does.
	Op Op

	// Text is the name or operator that the part is written with.
	Text string

	// Value is the value of a literal: nil, bool, string, int64 or float64.
	Value any

	// Kids are the operands, in the order of the source.
	Kids []*Node

	// Safe says that the part is null where its first operand is (?.), instead
	// of an error.
	Safe bool

	// Offset is the byte of the source that an error about this part names:
	// the operator, the name of a property or function, the literal.
	Offset int

	// ContentOffset is, for a literal text, the byte of the source where its
	// content begins.
	ContentOffset int

	// grouped says that the part was written in parentheses.
	grouped bool

	// IsReceiver says that a method is called on the part; the compiler sets it.
	IsReceiver bool
}

// IsText reports whether the part is a literal text.
func (s *Node) IsText() bool {
	_, ok := s.Value.(string)
	return s.Op == OpLiteral && ok
}

// Path returns the dotted path of names that the part spells, as in
// user.profile.email, also where a name is written as an index
// (user["email"]). It is empty where the part is anything else.
func (s *Node) Path() string {
	switch s.Op {
	case OpName:
		return s.Text
	case OpProperty:
		if base := s.Kids[0].Path(); base != "" {
			return base + "." + s.Text
		}
	case OpIndex:
		if key := s.Kids[1]; key.IsText() {
			if base := s.Kids[0].Path(); base != "" {
				return base + "." + key.Value.(string)
			}
		}
	default: // no path
	}
	return ""
}
