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
//
// The first fault is kept and moves the parser to the end of the tokens, so
// that every method returns soon and needs to hand no error on. The tree of a
// faulty source is not used.
type parser struct {
	source string
	tokens []token

	// at is the position of the next token.
	at int

	// depth counts the levels of nesting around it.
	depth int

	// fault is the first fault, or nil.
	fault *Error

	// isFamily reports whether a name is a family of functions, as String is.
	isFamily func(name string) bool
}

// Parse reads a whole expression. isFamily distinguishes a call on a family of
// functions, as String.len(s), from a method of a value. The error is an
// *Error.
func Parse(source string, isFamily func(name string) bool) (*Node, error) {
	tokens, err := lex(source)
	if err != nil {
		return nil, err
	}
	p := &parser{source: source, tokens: tokens, isFamily: isFamily}
	if p.peek().kind == tokenEnd {
		return nil, NewError(source, 0, "the expression is empty")
	}
	tree := p.choice()
	if p.peek().kind != tokenEnd {
		p.unexpected("the end of the expression")
	}
	if p.fault != nil {
		return nil, p.fault
	}
	return tree, nil
}

// peek returns the next token and leaves it there.
func (p *parser) peek() token { return p.tokens[p.at] }

// peekAt returns the token i places after the next one.
func (p *parser) peekAt(i int) token { return p.tokens[min(p.at+i, len(p.tokens)-1)] }

// next takes the next token. The end stays where it is.
func (p *parser) next() token {
	t := p.tokens[p.at]
	if t.kind != tokenEnd {
		p.at++
	}
	return t
}

// follows reports whether the next token is this symbol.
func (p *parser) follows(symbol string) bool {
	t := p.peek()
	return t.kind == tokenSymbol && t.text == symbol
}

// symbol takes the next token if it is one of these symbols.
func (p *parser) symbol(texts ...string) (token, bool) {
	if t := p.peek(); t.kind == tokenSymbol && slices.Contains(texts, t.text) {
		return p.next(), true
	}
	return token{}, false
}

// word takes the next token if it is one of these words, in any case, and
// returns it in lower case.
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

// want takes a symbol that has to be there and reports whether it is.
func (p *parser) want(symbol string) bool {
	_, ok := p.symbol(symbol)
	if !ok {
		p.unexpected("\"" + symbol + "\"")
	}
	return ok
}

// fail keeps a fault, unless there was one before, and ends the parsing.
func (p *parser) fail(offset int, format string, args ...any) *Node {
	if p.fault == nil {
		p.fault = NewError(p.source, offset, format, args...)
		p.at = len(p.tokens) - 1
	}
	return &Node{}
}

// unexpected fails at the next token, where wanted was expected. Constructs of
// Spring's language that Okta's does not have are named in the error.
func (p *parser) unexpected(wanted string) *Node {
	t := p.peek()
	at := t.start
	switch t.kind {
	case tokenEnd:
		return p.fail(at, "the expression ends where %s is expected", wanted)
	case tokenSymbol:
		switch t.text {
		case "=":
			return p.fail(at, "assignment is not supported; equality is written ==")
		case "++", "--":
			return p.fail(at, "the operator %s is not supported", t.text)
		case "#":
			return p.fail(at, "variables and functions with # are not supported")
		case "@":
			return p.fail(at, "references with @ are not supported")
		case "&", "|":
			return p.fail(at, "unexpected \"%s\" (did you mean \"%s%s\"?)", t.text, t.text, t.text)
		}
	case tokenName:
		switch strings.ToLower(t.text) {
		case "instanceof", "between":
			return p.fail(at, "the operator %s is not supported", t.text)
		}
	case tokenText:
		return p.fail(at, "unexpected string; %s is expected (a quote inside a string is doubled)", wanted)
	case tokenNumber:
	}
	return p.fail(at, "unexpected \"%s\"; %s is expected", t.text, wanted)
}

// enter begins a level of nesting and reports whether it is allowed.
func (p *parser) enter() bool {
	if p.depth++; p.depth > MaxNesting {
		p.fail(p.peek().start, "the expression nests over %d levels", MaxNesting)
		return false
	}
	return true
}

// leave ends a level of nesting, also one that was not allowed.
func (p *parser) leave() { p.depth-- }

// choice reads a ? b : c and a ?: b, both right-associative.
func (p *parser) choice() *Node {
	if !p.enter() {
		return &Node{}
	}
	defer p.leave()
	cond := p.or()
	if t, ok := p.symbol("?:"); ok {
		return &Node{Op: OpElvis, Kids: []*Node{cond, p.choice()}, Offset: t.start}
	}
	t, ok := p.symbol("?")
	if !ok {
		return cond
	}
	yes := p.choice()
	p.want(":")
	return &Node{Op: OpTernary, Kids: []*Node{cond, yes, p.choice()}, Offset: t.start}
}

// or reads a || b and a OR b.
func (p *parser) or() *Node { return p.logic(OpOr, p.and, "||", "or") }

// and reads a && b and a AND b.
func (p *parser) and() *Node { return p.logic(OpAnd, p.relation, "&&", "and") }

// logic reads operands of a tighter level joined by a symbol or its word.
func (p *parser) logic(op Op, operand func() *Node, symbol, word string) *Node {
	left := operand()
	for {
		t, ok := p.symbol(symbol)
		if !ok {
			t, ok = p.word(word)
		}
		if !ok {
			return left
		}
		left = &Node{Op: op, Kids: []*Node{left, operand()}, Offset: t.start}
	}
}

// spelledRelations are the relations that have a word besides their symbol.
var spelledRelations = map[string]string{"eq": "==", "ne": "!=", "lt": "<", "le": "<=", "gt": ">", "ge": ">="}

// relation reads at most one relation: a < b < c means nothing.
func (p *parser) relation() *Node {
	left := p.sum()
	operator := OpCompare
	t, ok := p.symbol("==", "!=", "<", ">", "<=", ">=")
	if !ok {
		if t, ok = p.word("eq", "ne", "lt", "le", "gt", "ge"); ok {
			t.text = spelledRelations[t.text]
		} else if t, ok = p.word("matches"); ok {
			operator = OpMatches
		} else {
			return left
		}
	}
	right := p.sum()
	if again := p.peek(); again.kind == tokenSymbol && (again.text == "==" || again.text == "!=" || again.text[0] == '<' || again.text[0] == '>') {
		return p.fail(again.start, "comparisons do not chain; join two with AND")
	}
	return &Node{Op: operator, Text: t.text, Kids: []*Node{left, right}, Offset: t.start}
}

// sum reads a + b and a - b.
func (p *parser) sum() *Node { return p.chain(p.product, "+", "-") }

// product reads a * b, a / b and a % b, also written DIV and MOD.
func (p *parser) product() *Node { return p.chain(p.power, "*", "/", "%") }

// power reads a ^ b; like all arithmetic here it associates to the left.
func (p *parser) power() *Node { return p.chain(p.unary, "^") }

// spelledOperators are the operators of products that have a word besides
// their symbol.
var spelledOperators = map[string]string{"div": "/", "mod": "%"}

// chain reads operands of a tighter level joined by these operators.
func (p *parser) chain(operand func() *Node, operators ...string) *Node {
	left := operand()
	for {
		t, ok := p.symbol(operators...)
		if !ok && operators[0] == "*" {
			if t, ok = p.word("div", "mod"); ok {
				t.text = spelledOperators[t.text]
			}
		}
		if !ok {
			return left
		}
		left = &Node{Op: OpArithmetic, Text: t.text, Kids: []*Node{left, operand()}, Offset: t.start}
	}
}

// unary reads !a, NOT a, -a and +a.
func (p *parser) unary() *Node {
	operator := OpNot
	t, ok := p.symbol("!", "-", "+")
	switch {
	case !ok:
		// "not" is a word of the language only where an operand follows it.
		if after := p.peekAt(1); after.kind == tokenSymbol && after.text != "(" && after.text != "{" &&
			after.text != "!" && after.text != "-" || after.kind == tokenEnd {
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
	if !p.enter() {
		return &Node{}
	}
	defer p.leave()
	return &Node{Op: operator, Kids: []*Node{p.unary()}, Offset: t.start}
}
