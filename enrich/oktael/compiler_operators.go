package oktael

// compileChoice compiles a ? b : c and a ?: b.
func (c *compiler) compileChoice(s *syntaxNode) (typed, error) {
	cond, err := c.compile(s.kids[0])
	if err != nil {
		return typed{}, err
	}
	if s.op == opElvis {
		other, err := c.compile(s.kids[1])
		if err != nil {
			return typed{}, err
		}
		return typed{&elvisNode{c.at(s), cond.node, other.node}, cond.kinds&^kindNull | other.kinds}, nil
	}
	if cond.kinds&kindBool == 0 {
		return typed{}, c.Fail(s.kids[0].offset, "the condition is %s, not true or false", cond.kinds)
	}
	yes, err := c.compileKnowing(s.kids[1], nonNull(s.kids[0], true))
	if err != nil {
		return typed{}, err
	}
	no, err := c.compileKnowing(s.kids[2], nonNull(s.kids[0], false))
	if err != nil {
		return typed{}, err
	}
	return typed{&ternaryNode{c.at(s), cond.node, yes.node, no.node}, yes.kinds | no.kinds}, nil
}

// compileKnowing compiles a part that is evaluated only where these paths are
// not null.
func (c *compiler) compileKnowing(s *syntaxNode, paths []string) (typed, error) {
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

// nonNull gives the paths that are certainly not null where the condition has
// this outcome.
func nonNull(cond *syntaxNode, outcome bool) []string {
	return nonNullWithin(cond, outcome, maxConditions)
}

// maxConditions is how many conditions joined by AND are looked through for
// what they exclude. It serves warnings only, and each is looked through
// again for every one behind it.
const maxConditions = 32

func nonNullWithin(cond *syntaxNode, outcome bool, depth int) []string {
	switch {
	case depth == 0:
		return nil
	case cond.op == opNot:
		return nonNullWithin(cond.kids[0], !outcome, depth-1)
	case cond.op == opAnd && outcome, cond.op == opOr && !outcome:
		// The right side first: the left one is the longer chain.
		right := nonNullWithin(cond.kids[1], outcome, depth-1)
		return append(right, nonNullWithin(cond.kids[0], outcome, depth-1)...)
	case cond.op == opCompare && (cond.text == "!=") == outcome && (cond.text == "!=" || cond.text == "=="):
		for i, kid := range cond.kids {
			if other := cond.kids[1-i]; other.op == opLiteral && other.value == nil {
				if path := kid.path(); path != "" {
					return []string{path}
				}
			}
		}
	case cond.op == opCompare && cond.text == "==" && outcome:
		// Equal to a literal that is not null is not null either.
		for i, kid := range cond.kids {
			if other := cond.kids[1-i]; other.op == opLiteral && other.value != nil {
				if path := kid.path(); path != "" {
					return []string{path}
				}
			}
		}
	}
	return nil
}

func (c *compiler) compileLogic(s *syntaxNode) (typed, error) {
	left, err := c.compile(s.kids[0])
	if err != nil {
		return typed{}, err
	}
	if left.kinds&kindBool == 0 {
		return typed{}, c.Fail(s.kids[0].offset, "true or false is wanted here, not %s", left.kinds)
	}
	if s.op == opNot {
		return typed{&notNode{c.at(s), left.node}, kindBool}, nil
	}
	right, err := c.compileKnowing(s.kids[1], nonNull(s.kids[0], s.op == opAnd))
	if err != nil {
		return typed{}, err
	}
	if right.kinds&kindBool == 0 {
		return typed{}, c.Fail(s.kids[1].offset, "true or false is wanted here, not %s", right.kinds)
	}
	return typed{&logicNode{c.at(s), left.node, right.node, s.op == opOr}, kindBool}, nil
}

func (c *compiler) compileCompare(s *syntaxNode) (typed, error) {
	left, right, err := c.compilePair(s)
	if err != nil {
		return typed{}, err
	}
	n := &compareNode{position: c.at(s), left: left.node, right: right.node, operator: s.text}
	if s.text == "==" || s.text == "!=" {
		if l, r := broad(left.kinds), broad(right.kinds); l&r == 0 {
			c.Warn(s.offset, "%s and %s are never equal", left.kinds, right.kinds)
		}
		return typed{n, kindBool}, nil
	}
	const ordered = kindNull | kindText | kindInt | kindReal | kindTime
	for i, t := range []typed{left, right} {
		if t.kinds&ordered == 0 {
			return typed{}, c.Fail(s.kids[i].offset, "%s cannot be ordered", t.kinds)
		}
	}
	l, r := left.kinds&ordered, right.kinds&ordered
	if (l|r)&kindNull == 0 && l&r == 0 && (l&(kindInt|kindReal) == 0 || r&(kindInt|kindReal) == 0) {
		return typed{}, c.Fail(s.offset, "%s and %s cannot be ordered", l, r)
	}
	return typed{n, kindBool}, nil
}

// broad takes the kinds of number for one, because they are compared by value.
func broad(k kinds) kinds {
	if k&kindNumber != 0 {
		k |= kindNumber
	}
	return k
}

func (c *compiler) compilePair(s *syntaxNode) (left, right typed, err error) {
	if left, err = c.compile(s.kids[0]); err == nil {
		right, err = c.compile(s.kids[1])
	}
	return left, right, err
}

func (c *compiler) compileMatches(s *syntaxNode) (typed, error) {
	left, right, err := c.compilePair(s)
	if err != nil {
		return typed{}, err
	}
	if left.kinds&(kindText|kindBool|kindNumber) == 0 {
		return typed{}, c.Fail(s.kids[0].offset, "a text is wanted before matches, not %s", left.kinds)
	}
	if right.kinds&kindText == 0 {
		return typed{}, c.Fail(s.kids[1].offset, "a regular expression is a text, not %s", right.kinds)
	}
	n := &matchesNode{position: c.at(s), left: left.node, right: right.node}
	if s.kids[1].isText() {
		if n.regex, err = compileRegex(s.kids[1].value.(string)); err != nil {
			return typed{}, c.Fail(s.kids[1].offset, "%v", err)
		}
	}
	return typed{n, kindBool}, nil
}

func (c *compiler) compileArithmetic(s *syntaxNode) (typed, error) {
	const number = kindInt | kindReal
	if s.op != opArithmetic {
		operand, err := c.compile(s.kids[0])
		if err != nil {
			return typed{}, err
		}
		if operand.kinds&number == 0 {
			return typed{}, c.Fail(s.kids[0].offset, "a number is wanted here, not %s", operand.kinds)
		}
		return typed{&signNode{c.at(s), operand.node, s.op == opNegate}, operand.kinds & number}, nil
	}
	left, right, err := c.compilePair(s)
	if err != nil {
		return typed{}, err
	}
	n := &arithmeticNode{position: c.at(s), left: left.node, right: right.node, operator: s.text[0]}
	if s.text != "+" {
		for i, t := range []typed{left, right} {
			if t.kinds&number == 0 {
				return typed{}, c.Fail(s.kids[i].offset, "a number is wanted here, not %s", t.kinds)
			}
		}
		return typed{n, number}, nil
	}
	var k kinds
	if left.kinds&number != 0 && right.kinds&number != 0 {
		k |= number
	}
	if left.kinds&kindText != 0 && printable(right.kinds) || right.kinds&kindText != 0 && printable(left.kinds) {
		k |= kindText
	}
	if k == 0 {
		return typed{}, c.Fail(s.offset, "%s and %s cannot be added", left.kinds, right.kinds)
	}
	// A sum of attributes may be one of texts, and then null shows.
	if k&kindText != 0 {
		for _, kid := range s.kids {
			c.warnNull(kid, "")
		}
	}
	return typed{n, k}, nil
}

// printable reports whether something of these kinds can be put into a text:
// null can, but what is else an object should not be put there in the hope
// that it is null.
func printable(k kinds) bool { return k&kindPrintable != 0 || k == kindNull }

// ofGroups reports whether a node gives a list of groups and nothing else.
func ofGroups(n node) bool {
	switch n := n.(type) {
	case *rootNode:
		return n.root == RootGroups
	case *callNode:
		return n.fn != nil && n.fn.ofGroups
	case *selectNode:
		return n.which == '?' && ofGroups(n.base)
	}
	return false
}

// compileCollection compiles x.![e], x.?[e], x.^[e] and x.$[e].
func (c *compiler) compileCollection(s *syntaxNode) (typed, error) {
	base, err := c.compile(s.kids[0])
	if err != nil {
		return typed{}, err
	}
	if base.kinds&(kindList|kindMap) == 0 && !(s.safe && base.kinds&kindNull != 0) {
		return typed{}, c.Fail(s.offset, "only lists and maps can be projected or selected from, not %s", base.kinds)
	}
	outer := c.element
	c.element = kindAny
	if ofGroups(base.node) {
		c.element = kindGroup
	}
	body, err := c.compile(s.kids[1])
	c.element = outer
	if err != nil {
		return typed{}, err
	}
	k := kindList
	if s.safe {
		k |= kindNull
	}
	if s.op == opProject {
		return typed{&projectNode{c.at(s), base.node, body.node, s.safe}, k}, nil
	}
	if body.kinds&kindBool == 0 {
		return typed{}, c.Fail(s.kids[1].offset, "the condition is %s, not true or false", body.kinds)
	}
	switch {
	case s.text != "?":
		k = kindAny
	case base.kinds&kindMap != 0:
		k |= kindMap
	}
	return typed{&selectNode{c.at(s), base.node, body.node, s.text[0], s.safe}, k}, nil
}
