package library

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// Conversions between strings and numbers, with the roundings of Java.

// convertFunctions is the Convert family of the Classic dialect and its
// counterpart in the Identity Engine dialect, the methods of strings and
// numbers.
var convertFunctions = []Function{
	// The string or number rounded to the nearest integer, halves upwards. A
	// result that does not fit in 32 bits is an error, and so is a string that
	// is not a number.
	{
		Name: "Convert.toInt", Dialect: syntax.Classic, Result: value.KindInt, OnNull: NullNull,
		Params: []Param{{Name: "value", Want: argNumeric}},
		Call: func(_ *Env, _ any, args []any) (any, error) {
			n, err := rounded(args[0])
			if err == nil && (n > math.MaxInt32 || n < math.MinInt32) {
				err = errors.New("the number does not fit in 32 bits")
			}
			return n, err
		},
	},
	// The string or number as a number with a fraction. A string that is not a
	// number is an error.
	{
		Name: "Convert.toNum", Dialect: syntax.Classic, Result: value.KindReal, OnNull: NullNull,
		Params: []Param{{Name: "value", Want: argNumeric}}, Call: toNumber,
	},
	// The string or number rounded to the nearest integer, halves upwards. A
	// result that does not fit in 32 bits wraps around; a string that is not a
	// number is an error.
	{
		Name: "toInteger", Receiver: value.KindText | value.KindNumber, Dialect: syntax.IdentityEngine, Result: value.KindInt,
		Params: []Param{{Name: "value", Want: argNumeric}},
		Call: func(_ *Env, _ any, args []any) (any, error) {
			n, err := rounded(args[0])
			return int64(int32(n)), err //nolint:gosec // wrapping is what the reference documents
		},
	},
	// The string as a number with a fraction. A string that is not a number is an
	// error.
	{
		Name: "toNumber", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindReal,
		Params: []Param{{Name: "text", Want: argNumeric}}, Call: toNumber,
	},
}

var errNotNumber = errors.New("the value is not a number")

// toReal reads a string or number as a number with a fraction.
func toReal(v any) (float64, error) {
	switch x := v.(type) {
	case int64:
		return float64(x), nil
	case float64:
		return x, nil
	case string:
		s := strings.TrimSpace(x)
		if !isDecimal(s) {
			return 0, errNotNumber
		}
		f, err := syntax.ParseReal(s)
		if err != nil {
			return 0, errNotNumber
		}
		return f, nil
	case json.Number:
		return 0, errors.New("an integer over 64 bits cannot be converted")
	}
	return 0, fmt.Errorf("want a string or a number, not %s", value.KindOf(v))
}

// isDecimal reports whether a string has only what a decimal number is made
// of: not the words, underscores and hexadecimal forms that Go also reads.
func isDecimal(s string) bool {
	return s != "" && strings.Trim(s, "0123456789+-.eE") == ""
}

// toNumber is Convert.toNum and the method toNumber.
func toNumber(_ *Env, _ any, args []any) (any, error) { return toReal(args[0]) }

// rounded reads a string or number as the nearest integer, halves upwards, as
// Java's Math.round does. Integers are not taken through a real, which holds
// 53 bits of them.
func rounded(v any) (int64, error) {
	switch x := v.(type) {
	case int64:
		return x, nil
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return n, nil
		}
	}
	f, err := toReal(v)
	if err != nil {
		return 0, err
	}
	// Not Floor(f + 0.5): that sum rounds 0.49999999999999994 up to 1.
	whole := math.Floor(f)
	if f-whole >= 0.5 {
		whole++
	}
	if whole < math.MinInt64 || whole >= math.MaxInt64 {
		return 0, errors.New("the number does not fit in 64 bits")
	}
	return int64(whole), nil
}
