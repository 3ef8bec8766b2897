package value

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Equality and order of values. == takes every pair and is false for values of
// different kinds, but for numbers, which are compared by value whatever their
// kind (1 == 1.0). < and > take pairs of numbers, texts or times, and null.

// Equal compares two values as == does: numbers by value, everything else by
// kind and content. It never fails but for the bounds.
func (m *Meter) Equal(a, b any) (bool, error) {
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
		return x == y, m.Consume(len(x), TextPerStep)
	case int64, float64:
		order, ok := compareNumbers(a, b)
		return ok && order == 0, nil
	case json.Number:
		y, ok := b.(json.Number)
		return ok && x == y, nil
	case DateTime:
		y, ok := b.(DateTime)
		return ok && x.Time.Equal(y.Time), nil
	case []any:
		y, ok := b.([]any)
		if !ok || len(x) != len(y) {
			return false, nil
		}
		for i := range x {
			if same, err := m.equalInside(x[i], y[i]); !same || err != nil {
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
			if same, err := m.equalInside(v, w); !same || err != nil {
				return false, err
			}
		}
		return true, nil
	case *identity.Group:
		y, ok := b.(*identity.Group)
		return ok && x.ID == y.ID, nil
	case Country, *identity.User, *identity.App, *identity.AppUser, Access:
		return a == b, nil
	}
	return false, nil
}

// equalInside compares parts of lists and maps. They cost steps, because a
// list may be in another many times.
func (m *Meter) equalInside(a, b any) (bool, error) {
	if err := m.Consume(1, 1); err != nil {
		return false, err
	}
	return m.Equal(a, b)
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

// Compare orders two values as < and > do: numbers by value, texts by bytes,
// times by instant. null sorts before everything. Other pairs are an error.
func Compare(a, b any) (int, error) {
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
	case DateTime:
		if y, ok := b.(DateTime); ok {
			return x.Time.Compare(y.Time), nil
		}
	}
	if KindOf(a)&KindNumber != 0 && KindOf(b)&KindNumber != 0 {
		return 0, errors.New("an integer over 64 bits cannot be ordered")
	}
	return 0, fmt.Errorf("%s and %s cannot be ordered", KindOf(a), KindOf(b))
}
