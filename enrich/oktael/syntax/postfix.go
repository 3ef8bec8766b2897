package syntax

import "strings"

// postfix reads an operand and what hangs on it: properties, methods,
// indexes, projections and selections.
func (p *parser) postfix() (*Node, *Error) {
	left, err := p.primary()
	for err == nil {
		t := p.peek()
		if t.kind != tokenSymbol {
			return left, nil
		}
		switch {
		case t.text == "." || t.text == "?.":
			p.next()
			left, err = p.member(left, t.text == "?.")
		case t.text == "[":
			p.next()
			left, err = p.index(left, t)
		case strings.HasSuffix(t.text, "[") && len(t.text) >= 3:
			p.next()
			left, err = p.collection(left, t)
		default:
			return left, nil
		}
	}
	return nil, err
}

// member reads what follows a point: a property or a method.
func (p *parser) member(left *Node, safe bool) (*Node, *Error) {
	t := p.peek()
	if t.kind != tokenName {
		return nil, p.unexpected("a property or method")
	}
	p.next()
	if open := p.peek(); open.kind != tokenSymbol || open.text != "(" {
		return &Node{Op: OpProperty, Text: t.text, Kids: []*Node{left}, Safe: safe, Offset: t.start}, nil
	}
	arguments, err := p.arguments()
	if err != nil {
		return nil, err
	}
	if left.Op == OpName && !left.grouped && !safe && p.isFamily(left.Text) {
		return &Node{Op: OpCall, Text: left.Text + "." + t.text, Kids: arguments, Offset: left.Offset}, nil
	}
	return &Node{Op: OpMethod, Text: t.text, Kids: append([]*Node{left}, arguments...), Safe: safe, Offset: t.start}, nil
}

func (p *parser) index(left *Node, open token) (*Node, *Error) {
	key, err := p.choice()
	if err != nil {
		return nil, err
	}
	if err := p.want("]"); err != nil {
		return nil, err
	}
	return &Node{Op: OpIndex, Kids: []*Node{left, key}, Offset: open.start}, nil
}

// collection reads .![e], .?[e], .^[e] and .$[e], and the safe ?.![e] ….
func (p *parser) collection(left *Node, open token) (*Node, *Error) {
	body, err := p.choice()
	if err != nil {
		return nil, err
	}
	if err := p.want("]"); err != nil {
		return nil, err
	}
	s := &Node{Op: OpSelect, Text: open.text[len(open.text)-2 : len(open.text)-1], Kids: []*Node{left, body}, Offset: open.start}
	s.Safe = strings.HasPrefix(open.text, "?.")
	if s.Text == "!" {
		s.Op = OpProject
	}
	return s, nil
}

// arguments reads (a, b, …).
func (p *parser) arguments() ([]*Node, *Error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	if _, ok := p.symbol(")"); ok {
		return nil, nil
	}
	return p.list(")")
}

// list reads a, b, … up to the closing symbol.
func (p *parser) list(closing string) ([]*Node, *Error) {
	var elements []*Node
	for {
		e, err := p.choice()
		if err != nil {
			return nil, err
		}
		elements = append(elements, e)
		if _, ok := p.symbol(","); ok {
			continue
		}
		if _, ok := p.symbol(closing); ok {
			return elements, nil
		}
		return nil, p.unexpected("\",\" or \"" + closing + "\"")
	}
}

func (p *parser) primary() (*Node, *Error) {
	t := p.peek()
	switch t.kind {
	case tokenText:
		p.next()
		return &Node{Op: OpLiteral, Value: t.text, Offset: t.start, ContentOffset: t.start + 1}, nil
	case tokenNumber:
		p.next()
		return &Node{Op: OpLiteral, Value: t.value, Offset: t.start}, nil
	case tokenName:
		return p.name()
	case tokenSymbol:
		switch t.text {
		case "(":
			p.next()
			inner, err := p.choice()
			if err != nil {
				return nil, err
			}
			inner.grouped = true
			return inner, p.want(")")
		case "{":
			p.next()
			return p.braces(t)
		case "[":
			return nil, NewError(p.source, t.start, "a list is written {1, 2}, not [1, 2]")
		}
	case tokenEnd:
	}
	return nil, p.unexpected("a value")
}

// literals are the names that are values, in any case.
var literals = map[string]any{"true": true, "false": false, "null": nil}

// name reads a literal name, a root, or the call of a function.
func (p *parser) name() (*Node, *Error) {
	t := p.next()
	low := strings.ToLower(t.text)
	open := p.peek()
	called := open.kind == tokenSymbol && open.text == "("
	if value, ok := literals[low]; ok && !called {
		return &Node{Op: OpLiteral, Value: value, Offset: t.start}, nil
	}
	switch {
	case low == "new" && open.kind == tokenName:
		return nil, NewError(p.source, t.start, "constructors (new) are not supported")
	case t.text == "T" && called:
		return nil, NewError(p.source, t.start, "type references T(…) are not supported")
	case isOperatorWord(low):
		return nil, NewError(p.source, t.start, "unexpected operator \"%s\"; a value is expected", t.text)
	}
	if !called {
		return &Node{Op: OpName, Text: t.text, Offset: t.start}, nil
	}
	arguments, err := p.arguments()
	if err != nil {
		return nil, err
	}
	return &Node{Op: OpCall, Text: t.text, Kids: arguments, Offset: t.start}, nil
}

func isOperatorWord(low string) bool {
	switch low {
	case "and", "or", "matches", "eq", "ne", "lt", "le", "gt", "ge", "div", "mod", "instanceof", "between":
		return true
	}
	return false
}

// braces reads a list {a, b} or a map {k: v}; {} is the empty list, {:} the
// empty map. A bare name before the colon is the key itself.
func (p *parser) braces(open token) (*Node, *Error) {
	list := &Node{Op: OpList, Offset: open.start}
	if _, ok := p.symbol("}"); ok {
		return list, nil
	}
	if _, ok := p.symbol(":"); ok {
		return &Node{Op: OpMap, Offset: open.start}, p.want("}")
	}
	first, err := p.choice()
	if err != nil {
		return nil, err
	}
	if _, ok := p.symbol(":"); ok {
		return p.pairs(open, first)
	}
	list.Kids = []*Node{first}
	if _, ok := p.symbol("}"); ok {
		return list, nil
	}
	if err := p.want(","); err != nil {
		return nil, p.unexpected("\",\" or \"}\"")
	}
	rest, err := p.list("}")
	if err != nil {
		return nil, err
	}
	list.Kids = append(list.Kids, rest...)
	return list, nil
}

// pairs reads a map whose first key and colon have been read.
func (p *parser) pairs(open token, key *Node) (*Node, *Error) {
	m := &Node{Op: OpMap, Offset: open.start}
	for {
		if key.Op == OpName && !key.grouped {
			key = &Node{Op: OpLiteral, Value: key.Text, Offset: key.Offset, ContentOffset: key.Offset}
		}
		value, err := p.choice()
		if err != nil {
			return nil, err
		}
		m.Kids = append(m.Kids, key, value)
		if _, ok := p.symbol("}"); ok {
			return m, nil
		}
		if err := p.want(","); err != nil {
			return nil, p.unexpected("\",\" or \"}\"")
		}
		if key, err = p.choice(); err != nil {
			return nil, err
		}
		if err := p.want(":"); err != nil {
			return nil, err
		}
	}
}
