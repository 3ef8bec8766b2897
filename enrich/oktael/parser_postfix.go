package oktael

import "strings"

// postfix reads an operand and what hangs on it: properties, methods,
// indexes, projections and selections.
func (p *parser) postfix() (*syntaxNode, *Error) {
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
func (p *parser) member(left *syntaxNode, safe bool) (*syntaxNode, *Error) {
	t := p.peek()
	if t.kind != tokenName {
		return nil, p.unexpected("a property or method")
	}
	p.next()
	if open := p.peek(); open.kind != tokenSymbol || open.text != "(" {
		return &syntaxNode{op: opProperty, text: t.text, kids: []*syntaxNode{left}, safe: safe, offset: t.start}, nil
	}
	arguments, err := p.arguments()
	if err != nil {
		return nil, err
	}
	if left.op == opName && !left.grouped && !safe && p.isFamily(left.text) {
		return &syntaxNode{op: opCall, text: left.text + "." + t.text, kids: arguments, offset: left.offset}, nil
	}
	return &syntaxNode{op: opMethod, text: t.text, kids: append([]*syntaxNode{left}, arguments...), safe: safe, offset: t.start}, nil
}

func (p *parser) index(left *syntaxNode, open token) (*syntaxNode, *Error) {
	key, err := p.choice()
	if err != nil {
		return nil, err
	}
	if err := p.want("]"); err != nil {
		return nil, err
	}
	return &syntaxNode{op: opIndex, kids: []*syntaxNode{left, key}, offset: open.start}, nil
}

// collection reads .![e], .?[e], .^[e] and .$[e], and the safe ?.![e] ….
func (p *parser) collection(left *syntaxNode, open token) (*syntaxNode, *Error) {
	body, err := p.choice()
	if err != nil {
		return nil, err
	}
	if err := p.want("]"); err != nil {
		return nil, err
	}
	s := &syntaxNode{op: opSelect, text: open.text[len(open.text)-2 : len(open.text)-1], kids: []*syntaxNode{left, body}, offset: open.start}
	s.safe = strings.HasPrefix(open.text, "?.")
	if s.text == "!" {
		s.op = opProject
	}
	return s, nil
}

// arguments reads (a, b, …).
func (p *parser) arguments() ([]*syntaxNode, *Error) {
	if err := p.want("("); err != nil {
		return nil, err
	}
	if _, ok := p.symbol(")"); ok {
		return nil, nil
	}
	return p.list(")")
}

// list reads a, b, … up to the closing symbol.
func (p *parser) list(closing string) ([]*syntaxNode, *Error) {
	var elements []*syntaxNode
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

func (p *parser) primary() (*syntaxNode, *Error) {
	t := p.peek()
	switch t.kind {
	case tokenText:
		p.next()
		return &syntaxNode{op: opLiteral, value: t.text, offset: t.start, inside: t.start + 1}, nil
	case tokenNumber:
		p.next()
		return &syntaxNode{op: opLiteral, value: t.value, offset: t.start}, nil
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
			return nil, newError(p.source, t.start, "a list is written {1, 2}, not [1, 2]")
		}
	case tokenEnd:
	}
	return nil, p.unexpected("a value")
}

// literals are the names that are values, in any case.
var literals = map[string]any{"true": true, "false": false, "null": nil}

// name reads a literal name, a root, or the call of a function.
func (p *parser) name() (*syntaxNode, *Error) {
	t := p.next()
	low := strings.ToLower(t.text)
	open := p.peek()
	called := open.kind == tokenSymbol && open.text == "("
	if value, ok := literals[low]; ok && !called {
		return &syntaxNode{op: opLiteral, value: value, offset: t.start}, nil
	}
	switch {
	case low == "new" && open.kind == tokenName:
		return nil, newError(p.source, t.start, "constructors (new) are not supported")
	case t.text == "T" && called:
		return nil, newError(p.source, t.start, "type references T(…) are not supported")
	case isOperatorWord(low):
		return nil, newError(p.source, t.start, "unexpected operator \"%s\"; a value is expected", t.text)
	}
	if !called {
		return &syntaxNode{op: opName, text: t.text, offset: t.start}, nil
	}
	arguments, err := p.arguments()
	if err != nil {
		return nil, err
	}
	return &syntaxNode{op: opCall, text: t.text, kids: arguments, offset: t.start}, nil
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
func (p *parser) braces(open token) (*syntaxNode, *Error) {
	list := &syntaxNode{op: opList, offset: open.start}
	if _, ok := p.symbol("}"); ok {
		return list, nil
	}
	if _, ok := p.symbol(":"); ok {
		return &syntaxNode{op: opMap, offset: open.start}, p.want("}")
	}
	first, err := p.choice()
	if err != nil {
		return nil, err
	}
	if _, ok := p.symbol(":"); ok {
		return p.pairs(open, first)
	}
	list.kids = []*syntaxNode{first}
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
	list.kids = append(list.kids, rest...)
	return list, nil
}

// pairs reads a map whose first key and colon have been read.
func (p *parser) pairs(open token, key *syntaxNode) (*syntaxNode, *Error) {
	m := &syntaxNode{op: opMap, offset: open.start}
	for {
		if key.op == opName && !key.grouped {
			key = &syntaxNode{op: opLiteral, value: key.text, offset: key.offset, inside: key.offset}
		}
		value, err := p.choice()
		if err != nil {
			return nil, err
		}
		m.kids = append(m.kids, key, value)
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
