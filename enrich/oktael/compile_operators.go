package oktael

import (
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// The operators, and what a condition excludes: a part that is evaluated only
// where a path is not null needs no warning of null there.

// compileChoice compiles a ? b : c and a ?: b.
func (c *compiler) compileChoice(s *syntax.Node) (typed, error) {
	if s.Op == syntax.OpElvis {
		left, right, err := c.compilePair(s)
		return typed{&elvisNode{c.at(s), left.node, right.node}, left.kinds&^value.KindNull | right.kinds}, err
	}
	cond, err := c.compileAs(s.Kids[0], value.KindBool, "the condition is %s, not true or false")
	if err != nil {
		return typed{}, err
	}
	yes, err := c.compileKnowing(s.Kids[1], nonNull(s.Kids[0], true))
	if err != nil {
		return typed{}, err
	}
	no, err := c.compileKnowing(s.Kids[2], nonNull(s.Kids[0], false))
	if err != nil {
		return typed{}, err
	}
	return typed{&ternaryNode{c.at(s), cond.node, yes.node, no.node}, yes.kinds | no.kinds}, nil
}

// compileAs compiles a part whose value has to be of one of these kinds. wanted
// is the message otherwise, with a verb for the kinds that the value can be of.
func (c *compiler) compileAs(s *syntax.Node, kinds value.Kinds, wanted string) (typed, error) {
	t, err := c.compile(s)
	if err == nil && t.kinds&kinds == 0 {
		err = c.Fail(s.Offset, wanted, t.kinds)
	}
	return t, err
}

// compileKnowing compiles a part that is evaluated only where these paths are
// not null.
func (c *compiler) compileKnowing(s *syntax.Node, paths []string) (typed, error) {
	c.know(paths, 1)
	t, err := c.compile(s)
	c.know(paths, -1)
	return t, err
}

// know counts the conditions that exclude null from these paths up or down.
func (c *compiler) know(paths []string, by int) {
	if c.known == nil && len(paths) > 0 {
		c.known = make(map[string]int)
	}
	for _, path := range paths {
		c.known[path] += by
	}
}

// nonNull returns the paths that are certainly not null where the condition has
// this outcome.
func nonNull(cond *syntax.Node, outcome bool) []string {
	return nonNullWithin(cond, outcome, maxConditions)
}

// maxConditions is how many conditions joined by AND are looked through for
// what they exclude. It serves warnings only, and each is looked through
// again for every one after it.
const maxConditions = 32

// nonNullWithin is nonNull for conditions of a depth.
func nonNullWithin(cond *syntax.Node, outcome bool, depth int) []string {
	switch {
	case depth == 0:
		return nil
	case cond.Op == syntax.OpNot:
		return nonNullWithin(cond.Kids[0], !outcome, depth-1)
	case cond.Op == syntax.OpAnd && outcome, cond.Op == syntax.OpOr && !outcome:
		// The right side first: the left one is the longer chain.
		right := nonNullWithin(cond.Kids[1], outcome, depth-1)
		return append(right, nonNullWithin(cond.Kids[0], outcome, depth-1)...)
	case cond.Op == syntax.OpCompare && (cond.Text == "!=") == outcome && (cond.Text == "!=" || cond.Text == "=="):
		for i, kid := range cond.Kids {
			if other := cond.Kids[1-i]; other.Op == syntax.OpLiteral && other.Value == nil {
				if path := kid.Path(); path != "" {
					return []string{path}
				}
			}
		}
	case cond.Op == syntax.OpCompare && cond.Text == "==" && outcome:
		// Equal to a literal that is not null is not null either.
		for i, kid := range cond.Kids {
			if other := cond.Kids[1-i]; other.Op == syntax.OpLiteral && other.Value != nil {
				if path := kid.Path(); path != "" {
					return []string{path}
				}
			}
		}
	}
	return nil
}

// compileLogic compiles a AND b, a OR b and NOT a. The right side is compiled
// with what the left one excludes, because it is evaluated only then.
func (c *compiler) compileLogic(s *syntax.Node) (typed, error) {
	const wanted = "want true or false here, not %s"
	left, err := c.compileAs(s.Kids[0], value.KindBool, wanted)
	if err != nil {
		return typed{}, err
	}
	if s.Op == syntax.OpNot {
		return typed{&notNode{c.at(s), left.node}, value.KindBool}, nil
	}
	paths := nonNull(s.Kids[0], s.Op == syntax.OpAnd)
	c.know(paths, 1)
	right, err := c.compileAs(s.Kids[1], value.KindBool, wanted)
	c.know(paths, -1)
	if err != nil {
		return typed{}, err
	}
	return typed{&logicNode{c.at(s), left.node, right.node, s.Op == syntax.OpOr}, value.KindBool}, nil
}

// compileCompare compiles == and !=, which take everything, and the orders, which
// take what has one.
func (c *compiler) compileCompare(s *syntax.Node) (typed, error) {
	left, right, err := c.compilePair(s)
	if err != nil {
		return typed{}, err
	}
	n := &compareNode{position: c.at(s), left: left.node, right: right.node, operator: s.Text}
	if s.Text == "==" || s.Text == "!=" {
		if l, r := broad(left.kinds), broad(right.kinds); l&r == 0 {
			c.Warn(s.Offset, "%s and %s are never equal", left.kinds, right.kinds)
		}
		return typed{n, value.KindBool}, nil
	}
	const ordered = value.KindNull | value.KindText | value.KindInt | value.KindReal | value.KindTime
	for i, t := range []typed{left, right} {
		if t.kinds&ordered == 0 {
			return typed{}, c.Fail(s.Kids[i].Offset, "%s cannot be ordered", t.kinds)
		}
	}
	l, r := left.kinds&ordered, right.kinds&ordered
	if (l|r)&value.KindNull == 0 && l&r == 0 && (l&(value.KindInt|value.KindReal) == 0 || r&(value.KindInt|value.KindReal) == 0) {
		return typed{}, c.Fail(s.Offset, "%s and %s cannot be ordered", l, r)
	}
	return typed{n, value.KindBool}, nil
}

// broad takes the kinds of number for one, because they are compared by value.
func broad(k value.Kinds) value.Kinds {
	if k&value.KindNumber != 0 {
		k |= value.KindNumber
	}
	return k
}

// compilePair compiles both sides of an operator.
func (c *compiler) compilePair(s *syntax.Node) (left, right typed, err error) {
	if left, err = c.compile(s.Kids[0]); err == nil {
		right, err = c.compile(s.Kids[1])
	}
	return left, right, err
}

// compileMatches compiles a matches b; a literal regular expression is compiled
// here.
func (c *compiler) compileMatches(s *syntax.Node) (typed, error) {
	left, right, err := c.compilePair(s)
	if err != nil {
		return typed{}, err
	}
	if left.kinds&(value.KindText|value.KindBool|value.KindNumber) == 0 {
		return typed{}, c.Fail(s.Kids[0].Offset, "want a string before matches, not %s", left.kinds)
	}
	if right.kinds&value.KindText == 0 {
		return typed{}, c.Fail(s.Kids[1].Offset, "a regular expression is a string, not %s", right.kinds)
	}
	n := &matchesNode{position: c.at(s), left: left.node, right: right.node}
	if s.Kids[1].IsText() {
		if n.regex, err = value.CompileRegex(s.Kids[1].Value.(string)); err != nil {
			return typed{}, c.Fail(s.Kids[1].Offset, "%v", err)
		}
	}
	return typed{n, value.KindBool}, nil
}

// compileArithmetic compiles + - * / % ^ and the signs. + also joins texts, and
// then a null that would be written as "null" is warned of.
func (c *compiler) compileArithmetic(s *syntax.Node) (typed, error) {
	const number = value.KindInt | value.KindReal
	const wanted = "want a number here, not %s"
	if s.Op != syntax.OpArithmetic {
		operand, err := c.compileAs(s.Kids[0], number, wanted)
		if err != nil {
			return typed{}, err
		}
		return typed{&signNode{c.at(s), operand.node, s.Op == syntax.OpNegate}, operand.kinds & number}, nil
	}
	left, right, err := c.compilePair(s)
	if err != nil {
		return typed{}, err
	}
	n := &arithmeticNode{position: c.at(s), left: left.node, right: right.node, operator: s.Text[0]}
	if s.Text != "+" {
		for i, t := range []typed{left, right} {
			if t.kinds&number == 0 {
				return typed{}, c.Fail(s.Kids[i].Offset, wanted, t.kinds)
			}
		}
		return typed{n, number}, nil
	}
	var k value.Kinds
	if left.kinds&number != 0 && right.kinds&number != 0 {
		k |= number
	}
	if left.kinds&value.KindText != 0 && printable(right.kinds) || right.kinds&value.KindText != 0 && printable(left.kinds) {
		k |= value.KindText
	}
	if k == 0 {
		return typed{}, c.Fail(s.Offset, "%s and %s cannot be added", left.kinds, right.kinds)
	}
	// A sum of attributes may be one of texts, and then null shows.
	if k&value.KindText != 0 {
		for _, kid := range s.Kids {
			c.warnNull(kid, "")
		}
	}
	return typed{n, k}, nil
}

// printable reports whether something of these kinds can be put into a text:
// null can, but what is else an object should not be put there in the hope
// that it is null.
func printable(k value.Kinds) bool { return k&value.KindPrintable != 0 || k == value.KindNull }

// ofGroups reports whether the value of a node is a list of groups and nothing else.
func ofGroups(n node) bool {
	switch n := n.(type) {
	case *inputNode:
		return n.input == input.Groups
	case *callNode:
		return len(n.fits) == 1 && n.fits[0].OfGroups
	case *selectNode:
		return n.which == '?' && ofGroups(n.base)
	}
	return false
}

// compileCollection compiles x.![e], x.?[e], x.^[e] and x.$[e].
func (c *compiler) compileCollection(s *syntax.Node) (typed, error) {
	base, err := c.compile(s.Kids[0])
	if err != nil {
		return typed{}, err
	}
	if base.kinds&(value.KindList|value.KindMap) == 0 && !(s.Safe && base.kinds&value.KindNull != 0) {
		return typed{}, c.Fail(s.Offset, "only lists and maps can be projected or selected from, not %s", base.kinds)
	}
	outer := c.element
	c.element = value.KindAny
	if ofGroups(base.node) {
		c.element = value.KindGroup
	}
	body, err := c.compile(s.Kids[1])
	c.element = outer
	if err != nil {
		return typed{}, err
	}
	k := value.KindList
	if s.Safe {
		k |= value.KindNull
	}
	if s.Op == syntax.OpProject {
		return typed{&projectNode{c.at(s), base.node, body.node, s.Safe}, k}, nil
	}
	if body.kinds&value.KindBool == 0 {
		return typed{}, c.Fail(s.Kids[1].Offset, "the condition is %s, not true or false", body.kinds)
	}
	switch {
	case s.Text != "?":
		k = value.KindAny
	case base.kinds&value.KindMap != 0:
		k |= value.KindMap
	}
	return typed{&selectNode{c.at(s), base.node, body.node, s.Text[0], s.Safe}, k}, nil
}
