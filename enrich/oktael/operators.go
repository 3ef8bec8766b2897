package oktael

import (
	"math"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// The nodes of operators. They evaluate their operands from left to right, and
// those behind a condition only where it lets them.

// ternaryNode chooses by a condition.
type ternaryNode struct {
	position
	cond, yes, no node
}

// eval evaluates one of the outcomes.
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
		return false, e.fail(n.at(), "want true or false here, not %s", value.KindOf(v))
	}
	return b, nil
}

// elvisNode is a default for null and for the empty text.
type elvisNode struct {
	position
	value, otherwise node
}

// eval evaluates the default only where it is needed.
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

// eval returns the left side where that decides.
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

// notNode is NOT or !.
type notNode struct {
	position
	operand node
}

// eval takes true and false, and no null.
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

// eval compares with value.Equal and value.Compare.
func (n *compareNode) eval(e *evaluation) (any, error) {
	left, right, err := e.both(n.left, n.right)
	if err != nil {
		return nil, err
	}
	if n.operator == "==" || n.operator == "!=" {
		same, err := e.Equal(left, right)
		if err != nil {
			return nil, e.wrap(n.at(), err)
		}
		return same == (n.operator == "=="), nil
	}
	by, err := value.Compare(left, right)
	if text, ok := left.(string); ok && err == nil {
		err = e.Consume(len(text), value.TextPerStep)
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
	regex       *value.Regex // of a literal
}

// eval writes a number or boolean on the left as text.
func (n *matchesNode) eval(e *evaluation) (any, error) {
	left, err := e.run(n.left)
	if err != nil {
		return nil, err
	}
	if left == nil {
		return nil, e.wrap(n.left.at(), value.NullError("want a string before matches, not null"))
	}
	if value.KindOf(left)&(value.KindText|value.KindNumber|value.KindBool) == 0 {
		return nil, e.fail(n.left.at(), "want a string before matches, not %s", value.KindOf(left))
	}
	text, err := e.Text(left)
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
			return nil, e.fail(n.right.at(), "a regular expression is a string, not %s", value.KindOf(right))
		}
		if regex, err = e.Regexes.Compile(pattern); err != nil {
			return nil, e.wrap(n.right.at(), err)
		}
	}
	matched, err := e.Match(regex, text)
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

// eval keeps the kind of number.
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
			return nil, e.wrap(n.at(), value.ErrOverflow)
		}
		return -x, nil
	case float64:
		if n.negate {
			x = -x
		}
		return x, nil
	}
	return nil, e.fail(n.operand.at(), "want a number here, not %s", value.DescribeNumber(v))
}

// arithmeticNode is + - * / % or ^.
type arithmeticNode struct {
	position
	left, right node
	operator    byte
}

// eval computes with value.Calculate.
func (n *arithmeticNode) eval(e *evaluation) (any, error) {
	left, right, err := e.both(n.left, n.right)
	if err != nil {
		return nil, err
	}
	v, err := e.Calculate(n.operator, left, right)
	if err != nil {
		return nil, e.wrap(n.at(), err)
	}
	return v, nil
}
