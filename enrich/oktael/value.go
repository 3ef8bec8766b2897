package oktael

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
)

// Inside the evaluator a value is a canonical value, a pointer to one of the
// directory's objects, or one of these.
type (
	// dateTime is a date and time in a zone.
	dateTime struct{ t time.Time }

	// accessObject is what "access" stands for; the scopes stay in the
	// context.
	accessObject struct{}
)

// appendText writes a value as text, as concatenation does. nil is written
// as "null", because the language that Okta's is based on does so.
func (e *evaluation) appendText(b []byte, v any) ([]byte, error) {
	switch x := v.(type) {
	case nil:
		b = append(b, "null"...)
	case string:
		b = append(b, x...)
	case bool:
		b = strconv.AppendBool(b, x)
	case int64:
		b = strconv.AppendInt(b, x, 10)
	case float64:
		b = appendReal(b, x)
	case json.Number:
		b = append(b, x...)
	case dateTime:
		b = append(b, datetime.ZonedISO8601(x.t)...)
	case country:
		b = append(b, x.alpha2()...)
	case []any:
		return e.appendCSV(b, x, ",")
	default:
		return nil, fmt.Errorf("%s cannot be written as text", kindOf(v))
	}
	if len(b) > MaxText {
		return nil, fmt.Errorf("the text is longer than %d bytes: %w", MaxText, ErrLimit)
	}
	return b, nil
}

// appendCSV writes the elements of a list with a separator between them. Null
// elements are left out.
func (e *evaluation) appendCSV(b []byte, list []any, separator string) ([]byte, error) {
	if err := e.charge(len(list), listPerStep); err != nil {
		return nil, err
	}
	first := true
	for _, v := range list {
		if v == nil {
			continue
		}
		if !first {
			b = append(b, separator...)
		}
		first = false
		var err error
		if b, err = e.appendText(b, v); err != nil {
			return nil, err
		}
	}
	return b, nil
}

// text writes a value as text; a text is given back as it is.
func (e *evaluation) text(v any) (string, error) {
	if s, ok := v.(string); ok {
		return s, nil
	}
	b, err := e.appendText(nil, v)
	if err != nil {
		return "", err
	}
	if err := e.charge(len(b), textPerStep); err != nil {
		return "", err
	}
	return string(b), nil
}

// The range in which Java writes a double without an exponent
// (java.lang.Double.toString).
const (
	plainFrom = 1e-3
	plainTo   = 1e7
)

// appendReal writes a number with a fraction as Java does: the shortest
// digits that read back the same, at least one after the point, and an
// exponent for what is very large or very small (2.0, 3.141, 1.0E7).
func appendReal(b []byte, f float64) []byte {
	if abs := math.Abs(f); abs == 0 || abs >= plainFrom && abs < plainTo {
		start := len(b)
		b = strconv.AppendFloat(b, f, 'f', -1, 64)
		if !strings.Contains(string(b[start:]), ".") {
			b = append(b, ".0"...)
		}
		return b
	}
	digits := strconv.FormatFloat(f, 'E', -1, 64)
	mantissa, exponent, _ := strings.Cut(digits, "E")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	n, _ := strconv.Atoi(exponent)
	return append(b, mantissa+"E"+strconv.Itoa(n)...)
}

// equal compares two values as == does: numbers by value, everything else by
// kind and content. It never fails but for the bounds.
func (e *evaluation) equal(a, b any) (bool, error) {
	switch x := a.(type) {
	case nil:
		return b == nil, nil
	case bool:
		y, ok := b.(bool)
		return ok && x == y, nil
	case string:
		y, ok := b.(string)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		return x == y, e.charge(len(x), textPerStep)
	case int64, float64:
		order, ok := compareNumbers(a, b)
		return ok && order == 0, nil
	case json.Number:
		y, ok := b.(json.Number)
		return ok && x == y, nil
	case dateTime:
		y, ok := b.(dateTime)
		return ok && x.t.Equal(y.t), nil
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for i := range x {
			if same, err := e.equalInside(x[i], y[i]); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case map[string]any:
		y, ok := b.(map[string]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for key, v := range x {
			w, ok := y[key]
			if !ok {
				return false, nil
			}
			if same, err := e.equalInside(v, w); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case *identity.Group:
		y, ok := b.(*identity.Group)
		return ok && x.ID == y.ID, nil
	case country, *identity.User, *identity.App, *identity.AppUser, accessObject:
		return a == b, nil
	}
	return false, nil
}

// equalInside compares parts of lists and maps. They cost steps, because a
// list may stand in another many times.
func (e *evaluation) equalInside(a, b any) (bool, error) {
	if err := e.charge(1, 1); err != nil {
		return false, err
	}
	return e.equal(a, b)
}

// compareNumbers orders two numbers; ok is false where one is not a number
// or is over 64 bits. Mixed ones are compared exactly, not after rounding.
func compareNumbers(a, b any) (order int, ok bool) {
	switch x := a.(type) {
	case int64:
		switch y := b.(type) {
		case int64:
			return cmp.Compare(x, y), true
		case float64:
			return -compareRealInt(y, x), true
		}
	case float64:
		switch y := b.(type) {
		case int64:
			return compareRealInt(x, y), true
		case float64:
			return cmp.Compare(x, y), true
		}
	}
	return 0, false
}

// compareRealInt orders a real and an integer, also where the integer has
// more digits than a real can hold.
func compareRealInt(f float64, i int64) int {
	switch {
	case f >= math.MaxInt64: // the constant becomes 2^63 as a real
		return 1
	case f < math.MinInt64:
		return -1
	}
	whole := math.Trunc(f)
	if order := cmp.Compare(int64(whole), i); order != 0 {
		return order
	}
	return cmp.Compare(f, whole)
}

// order compares two values as < and > do. null sorts before everything.
func order(a, b any) (int, error) {
	if a == nil || b == nil {
		switch {
		case b != nil:
			return -1, nil
		case a != nil:
			return 1, nil
		}
		return 0, nil
	}
	if n, ok := compareNumbers(a, b); ok {
		return n, nil
	}
	switch x := a.(type) {
	case string:
		if y, ok := b.(string); ok {
			return strings.Compare(x, y), nil
		}
	case dateTime:
		if y, ok := b.(dateTime); ok {
			return x.t.Compare(y.t), nil
		}
	}
	if kindOf(a)&kindNumber != 0 && kindOf(b)&kindNumber != 0 {
		return 0, errors.New("an integer over 64 bits cannot be ordered")
	}
	return 0, fmt.Errorf("%s and %s cannot be ordered", kindOf(a), kindOf(b))
}

// splitCSV reads a text where a list is wanted: the parts between commas,
// without the spaces around them. The empty text is the empty list.
func (e *evaluation) splitCSV(s string) ([]any, error) {
	if s == "" {
		return []any{}, nil
	}
	n := 1 + strings.Count(s, ",")
	if n > MaxList {
		return nil, fmt.Errorf("the list has over %d elements: %w", MaxList, ErrLimit)
	}
	if err := e.charge(len(s), textPerStep); err != nil {
		return nil, err
	}
	list := make([]any, 0, n)
	for part := range strings.SplitSeq(s, ",") {
		list = append(list, strings.TrimSpace(part))
	}
	return list, nil
}
