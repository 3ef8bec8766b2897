package syntax

import (
	"slices"
	"strings"
)

// MaxNesting is how deep brackets, lists, calls and choices may nest.
// Written by hand, a dozen is already unreadable.
const MaxNesting = 64

// parser is a recursive-descent parser; each method reads one level of
// precedence, from the loosest (choice) to the tightest (postfix).
type parser struct {
	source string
	tokens []token
	at     int
	depth  int

	// isFamily reports whether a name is a family of functions, as String is.
	isFamily func(name string) bool
}

// parse reads a whole expression. isFamily tells a call on a family of
// functions, as String.len(s), from a method of a value.
func Parse(source string, isFamily func(name string) bool) (*Node, error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{source: source, tokens: tokens, isFamily: isFamily}
	if p.peek().kind == tokenEnd {
		return nil, NewError(source, 0, "the expression is empty")
	}
	tree, err := p.choice()
	if err == nil && p.peek().kind != tokenEnd {
		err = p.unexpected("the end of the expression")
	}
	if err != nil {
		return nil, err
	}
	return tree, nil
}

func (p *parser) peek() token { return p.tokens[p.at] }

func (p *parser) peekAt(i int) token { return p.tokens[min(p.at+i, len(p.tokens)-1)] }

func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// symbol takes the next token if it is one of these symbols.
func (p *parser) symbol(texts ...string) (token, bool) {
	if t := p.peek(); t.kind == tokenSymbol {
		if slices.Contains(texts, t.text) {
			return p.next(), true
		}
	}
	return token{}, false
}

// word takes the next token if it is one of these words, in any case, and
// gives it in lower case.
func (p *parser) word(texts ...string) (token, bool) {
	if t := p.peek(); t.kind == tokenName {
		for _, s := range texts {
			if strings.EqualFold(t.text, s) {
				t.text = s
				p.next()
				return t, true
			}
		}
	}
	return token{}, false
}

func (p *parser) want(symbol string) *Error {
	if _, ok := p.symbol(symbol); !ok {
		return p.unexpected("\"" + symbol + "\"")
	}
	return nil
}

// unexpected says what stands where something else was wanted; words of
// Spring's language that Okta's lacks are named.
func (p *parser) unexpected(wanted string) *Error {
	t := p.peek()
	at := t.start
	switch t.kind {
	case tokenEnd:
		return NewError(p.source, at, "the expression ends where %s is expected", wanted)
	case tokenSymbol:
		switch t.text {
		case "=":
			return NewError(p.source, at, "assignment is not supported; equality is written ==")
		case "++", "--":
			return NewError(p.source, at, "the operator %s is not supported", t.text)
		case "#":
			return NewError(p.source, at, "variables and functions with # are not supported")
		case "@":
			return NewError(p.source, at, "references with @ are not supported")
		case "&", "|":
			return NewError(p.source, at, "unexpected \"%s\" (did you mean \"%s%s\"?)", t.text, t.text, t.text)
		}
	case tokenName:
		switch strings.ToLower(t.text) {
		case "instanceof", "between":
			return NewError(p.source, at, "the operator %s is not supported", t.text)
		}
	case tokenText:
		return NewError(p.source, at, "unexpected text; %s is expected (a quote inside of a text is doubled)", wanted)
	case tokenNumber:
	}
	return NewError(p.source, at, "unexpected \"%s\"; %s is expected", t.text, wanted)
}

// enter guards each level of nesting.
func (p *parser) enter() *Error {
	if p.depth++; p.depth > MaxNesting {
		return NewError(p.source, p.peek().start, "the expression nests over %d levels", MaxNesting)
	}
	return nil
}

// choice reads a ? b : c and a ?: b, both right-associative.
func (p *parser) choice() (*Node, *Error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	cond, err := p.or()
	if err != nil {
		return nil, err
	}
	if t, ok := p.symbol("?:"); ok {
		other, err := p.choice()
		if err != nil {
			return nil, err
		}
		return &Node{Op: OpElvis, Kids: []*Node{cond, other}, Offset: t.start}, nil
	}
	t, ok := p.symbol("?")
	if !ok {
		return cond, nil
	}
	yes, err := p.choice()
	if err != nil {
		return nil, err
	}
	if err := p.want(":"); err != nil {
		return nil, err
	}
	no, err := p.choice()
	if err != nil {
		return nil, err
	}
	return &Node{Op: OpTernary, Kids: []*Node{cond, yes, no}, Offset: t.start}, nil
}

func (p *parser) or() (*Node, *Error) {
	left, err := p.and()
	for err == nil {
		t, ok := p.symbol("||")
		if !ok {
			if t, ok = p.word("or"); !ok {
				return left, nil
			}
		}
		var right *Node
		right, err = p.and()
		left = &Node{Op: OpOr, Kids: []*Node{left, right}, Offset: t.start}
	}
	return nil, err
}

func (p *parser) and() (*Node, *Error) {
	left, err := p.relation()
	for err == nil {
		t, ok := p.symbol("&&")
		if !ok {
			if t, ok = p.word("and"); !ok {
				return left, nil
			}
		}
		var right *Node
		right, err = p.relation()
		left = &Node{Op: OpAnd, Kids: []*Node{left, right}, Offset: t.start}
	}
	return nil, err
}

// spelledRelations are the relations that have a word besides their symbol.
var spelledRelations = map[string]string{"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

// relation reads at most one relation: a < b < c means nothing.
func (p *parser) relation() (*Node, *Error) {
	left, err := p.sum()
	if err != nil {
		return nil, err
	}
	operator := OpCompare
	t, ok := p.symbol("==", "!=", "<", ">", "<=", ">=")
	if !ok {
		if t, ok = p.word("eq", "ne", "lt", "le", "gt", "ge"); ok {
			t.text = spelledRelations[t.text]
		} else if t, ok = p.word("matches"); ok {
			operator = OpMatches
		} else {
			return left, nil
		}
	}
	right, err := p.sum()
	if err != nil {
		return nil, err
	}
	switch again := p.peek(); {
	case again.kind == tokenSymbol && (again.text == "==" || again.text == "!=" || again.text[0] == '<' || again.text[0] == '>'):
		return nil, NewError(p.source, again.start, "comparisons do not chain; join two with AND")
	}
	return &Node{Op: operator, Text: t.text, Kids: []*Node{left, right}, Offset: t.start}, nil
}

func (p *parser) sum() (*Node, *Error) {
	return p.chain(p.product, "+", "-")
}

func (p *parser) product() (*Node, *Error) {
	return p.chain(p.power, "*", "/", "%")
}

// power reads a ^ b; like all arithmetic here it associates to the left.
func (p *parser) power() (*Node, *Error) {
	return p.chain(p.unary, "^")
}

// chain reads operands of a tighter level joined by these operators.
func (p *parser) chain(operand func() (*Node, *Error), operators ...string) (*Node, *Error) {
	left, err := operand()
	for err == nil {
		t, ok := p.symbol(operators...)
		if !ok && operators[0] == "*" {
			if t, ok = p.word("div", "mod"); ok {
				t.text = map[string]string{"div": "/", "mod": "%"}[t.text]
			}
		}
		if !ok {
			return left, nil
		}
		var right *Node
		right, err = operand()
		left = &Node{Op: OpArithmetic, Text: t.text, Kids: []*Node{left, right}, Offset: t.start}
	}
	return nil, err
}

func (p *parser) unary() (*Node, *Error) {
	operator := OpNot
	t, ok := p.symbol("!", "-", "+")
	switch {
	case !ok:
		// "not" is a word of the language only where an operand follows it.
		if follows := p.peekAt(1); follows.kind == tokenSymbol && follows.text != "(" && follows.text != "{" &&
			follows.text != "!" && follows.text != "-" || follows.kind == tokenEnd {
			return p.postfix()
		}
		if t, ok = p.word("not"); !ok {
			return p.postfix()
		}
	case t.text == "-":
		operator = OpNegate
	case t.text == "+":
		operator = OpPlus
	}
	if err := p.enter(); err != nil {
		return nil, err
	}
	defer func() { p.depth-- }()
	operand, err := p.unary()
	if err != nil {
		return nil, err
	}
	return &Node{Op: operator, Kids: []*Node{operand}, Offset: t.start}, nil
}
