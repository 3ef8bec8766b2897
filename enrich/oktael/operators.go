package oktael

import (
	"errors"
	"fmt"
	"math"
)

// ternaryNode chooses by a condition.
type ternaryNode struct {
	position
	cond, yes, no node
}

func (n *ternaryNode) eval(e *evaluation) (any, error) {
	cond, err := e.condition(n.cond)
	if err != nil {
		return nil, err
	}
	if cond {
		return e.run(n.yes)
	}
	return e.run(n.no)
}

// condition evaluates what must be true or false; null is neither.
func (e *evaluation) condition(n node) (bool, error) {
	v, err := e.run(n)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, e.fail(n.at(), "true or false is wanted here, not %s", kindOf(v))
	}
	return b, nil
}

// elvisNode gives a default for null and for the empty text.
type elvisNode struct {
	position
	value, otherwise node
}

func (n *elvisNode) eval(e *evaluation) (any, error) {
	v, err := e.run(n.value)
	if err != nil {
		return nil, err
	}
	if v == nil || v == "" {
		return e.run(n.otherwise)
	}
	return v, nil
}

// logicNode is AND or OR; the right side is evaluated only where it decides.
type logicNode struct {
	position
	left, right node
	or          bool
}

func (n *logicNode) eval(e *evaluation) (any, error) {
	left, err := e.condition(n.left)
	if err != nil {
		return nil, err
	}
	if left == n.or {
		return left, nil
	}
	right, err := e.condition(n.right)
	if err != nil {
		return nil, err
	}
	return right, nil
}

type notNode struct {
	position
	operand node
}

func (n *notNode) eval(e *evaluation) (any, error) {
	v, err := e.condition(n.operand)
	if err != nil {
		return nil, err
	}
	return !v, nil
}

// both evaluates the two sides of an operator, the left one first.
func (e *evaluation) both(left, right node) (l, r any, err error) {
	if l, err = e.run(left); err != nil {
		return nil, nil, err
	}
	r, err = e.run(right)
	return l, r, err
}

// compareNode is == != < > <= or >=.
type compareNode struct {
	position
	left, right node
	operator    string
}

func (n *compareNode) eval(e *evaluation) (any, error) {
	left, right, err := e.both(n.left, n.right)
	if err != nil {
		return nil, err
	}
	if n.operator == "==" || n.operator == "!=" {
		same, err := e.equal(left, right)
		if err != nil {
			return nil, e.wrap(n.at(), err)
		}
		return same == (n.operator == "=="), nil
	}
	by, err := order(left, right)
	if text, ok := left.(string); ok && err == nil {
		err = e.charge(len(text), textPerStep)
	}
	if err != nil {
		return nil, e.wrap(n.at(), err)
	}
	switch n.operator {
	case "<":
		return by < 0, nil
	case ">":
		return by > 0, nil
	case "<=":
		return by <= 0, nil
	}
	return by >= 0, nil
}

// matchesNode tests a whole text against a regular expression.
type matchesNode struct {
	position
	left, right node
	regex       *regex // of a literal
}

func (n *matchesNode) eval(e *evaluation) (any, error) {
	left, err := e.run(n.left)
	if err != nil {
		return nil, err
	}
	if left == nil {
		return nil, e.wrap(n.left.at(), onNull("a text is wanted before matches, not null"))
	}
	if kindOf(left)&(kindText|kindNumber|kindBool) == 0 {
		return nil, e.fail(n.left.at(), "a text is wanted before matches, not %s", kindOf(left))
	}
	text, err := e.text(left)
	if err != nil {
		return nil, e.wrap(n.left.at(), err)
	}
	regex := n.regex
	if regex == nil {
		right, err := e.run(n.right)
		if err != nil {
			return nil, err
		}
		pattern, ok := right.(string)
		if !ok {
			return nil, e.fail(n.right.at(), "a regular expression is a text, not %s", kindOf(right))
		}
		if regex, err = e.regex(pattern); err != nil {
			return nil, e.wrap(n.right.at(), err)
		}
	}
	matched, err := e.match(regex, text)
	if err != nil {
		return nil, e.wrap(n.at(), err)
	}
	return matched, nil
}

// signNode is -x or +x.
type signNode struct {
	position
	operand node
	negate  bool
}

func (n *signNode) eval(e *evaluation) (any, error) {
	v, err := e.run(n.operand)
	if err != nil {
		return nil, err
	}
	switch x := v.(type) {
	case int64:
		if !n.negate {
			return x, nil
		}
		if x == math.MinInt64 {
			return nil, e.wrap(n.at(), errOverflow)
		}
		return -x, nil
	case float64:
		if n.negate {
			x = -x
		}
		return x, nil
	}
	return nil, e.fail(n.operand.at(), "a number is wanted here, not %s", describeNumber(v))
}

// arithmeticNode is + - * / % or ^.
type arithmeticNode struct {
	position
	left, right node
	operator    byte
}

func (n *arithmeticNode) eval(e *evaluation) (any, error) {
	left, right, err := e.both(n.left, n.right)
	if err != nil {
		return nil, err
	}
	v, err := e.calculate(n.operator, left, right)
	if err != nil {
		return nil, e.wrap(n.at(), err)
	}
	return v, nil
}

var (
	errOverflow = errors.New("the result does not fit an integer of 64 bits")
	errByZero   = errors.New("division by zero")
)

func (e *evaluation) calculate(operator byte, left, right any) (any, error) {
	if operator == '+' {
		if kindOf(left) == kindText || kindOf(right) == kindText {
			return e.concatenate(left, right)
		}
	}
	switch x := left.(type) {
	case int64:
		switch y := right.(type) {
		case int64:
			return calculateInt(operator, x, y)
		case float64:
			return calculateReal(operator, float64(x), y)
		}
	case float64:
		switch y := right.(type) {
		case int64:
			return calculateReal(operator, x, float64(y))
		case float64:
			return calculateReal(operator, x, y)
		}
	}
	if operator == '+' {
		return nil, fmt.Errorf("%s and %s cannot be added", describeNumber(left), describeNumber(right))
	}
	return nil, fmt.Errorf("numbers are wanted for %c, not %s and %s", operator, describeNumber(left), describeNumber(right))
}

// describeNumber is a value's kind in words, where an integer over 64 bits
// would otherwise look like any number.
func describeNumber(v any) string {
	if kindOf(v) == kindBig {
		return "an integer over 64 bits"
	}
	return kindOf(v).String()
}

func (e *evaluation) concatenate(left, right any) (any, error) {
	if l, ok := left.(string); ok {
		if r, ok := right.(string); ok {
			if len(l)+len(r) > MaxText {
				return nil, fmt.Errorf("the text is longer than %d bytes: %w", MaxText, ErrLimit)
			}
			if err := e.charge(len(l)+len(r), textPerStep); err != nil {
				return nil, err
			}
			return l + r, nil
		}
	}
	b, err := e.appendText(nil, left)
	if err == nil {
		b, err = e.appendText(b, right)
	}
	if err == nil {
		err = e.charge(len(b), textPerStep)
	}
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

// calculateInt computes with integers of 64 bits. What does not fit is an
// error: a wrapped number would be a wrong claim.
func calculateInt(operator byte, x, y int64) (any, error) {
	switch operator {
	case '+':
		if sum := x + y; (sum > x) == (y > 0) {
			return sum, nil
		}
	case '-':
		if difference := x - y; (difference < x) == (y > 0) {
			return difference, nil
		}
	case '*':
		if product, ok := multiply(x, y); ok {
			return product, nil
		}
	case '/', '%':
		if y == 0 {
			return nil, errByZero
		}
		if x == math.MinInt64 && y == -1 {
			if operator == '%' {
				return int64(0), nil
			}
			return nil, errOverflow
		}
		if operator == '%' {
			return x % y, nil
		}
		return x / y, nil
	case '^':
		if power, ok := raise(x, y); ok {
			return power, nil
		}
	}
	return nil, errOverflow
}

func multiply(x, y int64) (int64, bool) {
	if x == 0 || y == 0 {
		return 0, true
	}
	product := x * y
	ok := product/y == x && !(x == -1 && y == math.MinInt64) && !(y == -1 && x == math.MinInt64)
	return product, ok
}

// raise computes x to the power of y by squaring. A negative power of an
// integer is cut to an integer, as division is.
func raise(x, y int64) (int64, bool) {
	if y < 0 {
		switch x {
		case 1:
			return 1, true
		case -1:
			y = -y & 1
		default:
			return 0, x != 0
		}
	}
	result := int64(1)
	for {
		if y&1 != 0 {
			var ok bool
			if result, ok = multiply(result, x); !ok {
				return 0, false
			}
		}
		if y >>= 1; y == 0 {
			return result, true
		}
		var ok bool
		if x, ok = multiply(x, x); !ok {
			return 0, false
		}
	}
}

func calculateReal(operator byte, x, y float64) (any, error) {
	var v float64
	switch operator {
	case '+':
		v = x + y
	case '-':
		v = x - y
	case '*':
		v = x * y
	case '/', '%':
		if y == 0 {
			return nil, errByZero
		}
		if v = x / y; operator == '%' {
			v = math.Mod(x, y)
		}
	case '^':
		v = math.Pow(x, y)
	}
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil, errors.New("the result is not a finite number")
	}
	return v, nil
}
