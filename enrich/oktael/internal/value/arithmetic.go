package value

import (
	"errors"
	"fmt"
	"math"
)

// Arithmetic with integers of 64 bits and reals. What does not fit is an error:
// a number that wrapped around would be a wrong claim. An integer over 64 bits,
// which JSON may hold, is read, compared and printed but not computed with.

var (
	// ErrOverflow is the error of a result that an integer cannot hold.
	ErrOverflow = errors.New("the result does not fit in 64 bits")
	errByZero   = errors.New("division by zero")
)

// Calculate applies + - * / % or ^. Two integers make an integer, an integer and
// a real make a real, and + with a text on either side joins texts.
func (m *Meter) Calculate(operator byte, left, right any) (any, error) {
	if operator == '+' {
		if KindOf(left) == KindText || KindOf(right) == KindText {
			return m.Concatenate(left, right)
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
		return nil, fmt.Errorf("%s and %s cannot be added", DescribeNumber(left), DescribeNumber(right))
	}
	return nil, fmt.Errorf("%c needs numbers, not %s and %s", operator, DescribeNumber(left), DescribeNumber(right))
}

// DescribeNumber is a value's kind in words, where an integer over 64 bits
// would otherwise look like any number.
func DescribeNumber(v any) string {
	if KindOf(v) == KindBig {
		return "an integer over 64 bits"
	}
	return KindOf(v).String()
}

// Concatenate joins two values as texts. Two texts, the usual case, are joined
// without a copy in between.
func (m *Meter) Concatenate(left, right any) (any, error) {
	if l, ok := left.(string); ok {
		if r, ok := right.(string); ok {
			if len(l)+len(r) > MaxText {
				return nil, fmt.Errorf("the string is longer than %d bytes: %w", MaxText, ErrLimit)
			}
			if err := m.Consume(len(l)+len(r), TextPerStep); err != nil {
				return nil, err
			}
			return l + r, nil
		}
	}
	b, err := m.AppendText(nil, left)
	if err == nil {
		b, err = m.AppendText(b, right)
	}
	if err == nil {
		err = m.Consume(len(b), TextPerStep)
	}
	if err != nil {
		return nil, err
	}
	return string(b), nil
}

// calculateInt computes with integers of 64 bits. / cuts towards zero, and % has
// the sign of the left side, as in Java. What does not fit is an
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
			return nil, ErrOverflow
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
	return nil, ErrOverflow
}

// multiply reports whether the product fits 64 bits.
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

// calculateReal computes with reals. Infinity and NaN, which JSON cannot hold, are
// errors.
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
