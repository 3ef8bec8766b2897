package syntax

import "strings"

// This file parses the tightest level: operands with their properties, calls and
// indexes. A parse function that fails records the error in the parser and returns
// a placeholder, so that callers need no checks.

// postfix reads an operand with its properties, methods, indexes, projections
// and selections.
func (p *parser) postfix() *Node {
	left := p.primary()
	for {
		t := p.peek()
		switch {
		case t.kind != tokenSymbol:
			return left
		case t.text == "." || t.text == "?.":
			p.next()
			left = p.member(left, t.text == "?.")
		case t.text == "[":
			p.next()
			left = p.index(left, t)
		case strings.HasSuffix(t.text, "[") && len(t.text) >= 3:
			p.next()
			left = p.collection(left, t)
		default:
			return left
		}
	}
}

// member reads what follows a point: a property or a method.
func (p *parser) member(left *Node, safe bool) *Node {
	t := p.peek()
	if t.kind != tokenName {
		return p.unexpected("a property or method")
	}
	p.next()
	if !p.follows("(") {
		return &Node{Op: OpProperty, Text: t.text, Kids: []*Node{left}, Safe: safe, Offset: t.start}
	}
	arguments := p.arguments()
	if left.Op == OpName && !left.grouped && !safe && p.isFamily(left.Text) {
		return &Node{Op: OpCall, Text: left.Text + "." + t.text, Kids: arguments, Offset: left.Offset}
	}
	return &Node{Op: OpMethod, Text: t.text, Kids: append([]*Node{left}, arguments...), Safe: safe, Offset: t.start}
}

// index reads [key], whose bracket has been read.
func (p *parser) index(left *Node, open token) *Node {
	key := p.choice()
	p.want("]")
	return &Node{Op: OpIndex, Kids: []*Node{left, key}, Offset: open.start}
}

// collection reads .![e], .?[e], .^[e] and .$[e], and the safe ?.![e] ….
func (p *parser) collection(left *Node, open token) *Node {
	body := p.choice()
	p.want("]")
	s := &Node{Op: OpSelect, Text: open.text[len(open.text)-2 : len(open.text)-1], Kids: []*Node{left, body}, Offset: open.start}
	s.Safe = strings.HasPrefix(open.text, "?.")
	if s.Text == "!" {
		s.Op = OpProject
	}
	return s
}

// arguments reads (a, b, …).
func (p *parser) arguments() []*Node {
	p.want("(")
	if _, ok := p.symbol(")"); ok {
		return nil
	}
	return p.list(")")
}

// list reads a, b, … up to the closing symbol.
func (p *parser) list(closing string) []*Node {
	var elements []*Node
	for {
		elements = append(elements, p.choice())
		if !p.more(closing) {
			return elements
		}
	}
}

// more takes what follows an element: a comma, behind which there is another,
// or the closing symbol.
func (p *parser) more(closing string) bool {
	if _, ok := p.symbol(","); ok {
		return true
	}
	if _, ok := p.symbol(closing); !ok {
		p.unexpected("\",\" or \"" + closing + "\"")
	}
	return false
}

// primary reads a literal, a name, a call, a list, a map, or an expression in
// parentheses.
func (p *parser) primary() *Node {
	t := p.peek()
	switch t.kind {
	case tokenText:
		p.next()
		return &Node{Op: OpLiteral, Value: t.text, Offset: t.start, ContentOffset: t.start + 1}
	case tokenNumber:
		p.next()
		return &Node{Op: OpLiteral, Value: t.value, Offset: t.start}
	case tokenName:
		return p.name()
	case tokenSymbol:
		switch t.text {
		case "(":
			p.next()
			inner := p.choice()
			inner.grouped = true
			p.want(")")
			return inner
		case "{":
			p.next()
			return p.braces(t)
		case "[":
			return p.fail(t.start, "a list is written {1, 2}, not [1, 2]")
		}
	case tokenEnd:
	}
	return p.unexpected("a value")
}

// literals are the names that are values, in any case.
var literals = map[string]any{"true": true, "false": false, "null": nil}

// name reads a literal name, an input, or the call of a function.
func (p *parser) name() *Node {
	t := p.next()
	low := strings.ToLower(t.text)
	called := p.follows("(")
	if value, ok := literals[low]; ok && !called {
		return &Node{Op: OpLiteral, Value: value, Offset: t.start}
	}
	switch {
	case low == "new" && p.peek().kind == tokenName:
		return p.fail(t.start, "constructors (new) are not supported")
	case t.text == "T" && called:
		return p.fail(t.start, "type references T(…) are not supported")
	case isOperatorWord(low):
		return p.fail(t.start, "unexpected operator \"%s\"; a value is expected", t.text)
	case called:
		return &Node{Op: OpCall, Text: t.text, Kids: p.arguments(), Offset: t.start}
	}
	return &Node{Op: OpName, Text: t.text, Offset: t.start}
}

// isOperatorWord reports whether a word is an operator of this language or of
// Spring's.
func isOperatorWord(low string) bool {
	switch low {
	case "and", "or", "matches", "eq", "ne", "lt", "le", "gt", "ge", "div", "mod", "instanceof", "between":
		return true
	}
	return false
}

// braces reads a list {a, b} or a map {k: v}; {} is the empty list, {:} the
// empty map. A bare name before the colon is the key itself.
func (p *parser) braces(open token) *Node {
	list := &Node{Op: OpList, Offset: open.start}
	if _, ok := p.symbol("}"); ok {
		return list
	}
	if _, ok := p.symbol(":"); ok {
		p.want("}")
		return &Node{Op: OpMap, Offset: open.start}
	}
	first := p.choice()
	if _, ok := p.symbol(":"); ok {
		return p.pairs(open, first)
	}
	list.Kids = []*Node{first}
	if p.more("}") {
		list.Kids = append(list.Kids, p.list("}")...)
	}
	return list
}

// pairs reads a map whose first key and colon have been read.
func (p *parser) pairs(open token, key *Node) *Node {
	m := &Node{Op: OpMap, Offset: open.start}
	for {
		if key.Op == OpName && !key.grouped {
			key = &Node{Op: OpLiteral, Value: key.Text, Offset: key.Offset, ContentOffset: key.Offset}
		}
		m.Kids = append(m.Kids, key, p.choice())
		if !p.more("}") {
			return m
		}
		key = p.choice()
		p.want(":")
	}
}
