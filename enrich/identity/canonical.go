package identity

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"
)

// MaxDepth bounds how deep a canonical value may nest; real profiles nest a
// handful of levels.
const MaxDepth = 32

// ErrNotCanonical says that a value has no canonical form: a kind that JSON
// lacks, a number that is not finite, or one nested deeper than MaxDepth.
var ErrNotCanonical = errors.New("value has no canonical form")

// Canonical turns a decoded JSON or YAML value into the closed set of kinds
// that the rest of the gateway knows: nil, bool, string, int64, float64,
// json.Number (an integer beyond 64 bits, kept to the digit), []any and
// map[string]any. Times become RFC 3339 text. Containers are copied.
func Canonical(v any) (any, error) { return canonical(v, 0) }

func canonical(v any, depth int) (any, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested over %d levels: %w", MaxDepth, ErrNotCanonical)
	}
	switch x := v.(type) {
	case nil, bool, string, int64:
		return x, nil
	case int:
		return int64(x), nil
	case int32:
		return int64(x), nil
	case int16:
		return int64(x), nil
	case uint64:
		if x > math.MaxInt64 {
			return json.Number(strconv.FormatUint(x, 10)), nil
		}
		return int64(x), nil
	case float32:
		return canonical(float64(x), depth)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return nil, fmt.Errorf("number is not finite: %w", ErrNotCanonical)
		}
		return x, nil
	case json.Number:
		return number(x)
	case time.Time:
		return x.Format(time.RFC3339Nano), nil
	case []string:
		out := make([]any, len(x))
		for i, s := range x {
			out[i] = s
		}
		return out, nil
	case []any:
		out := make([]any, len(x))
		for i, e := range x {
			c, err := canonical(e, depth+1)
			if err != nil {
				return nil, err
			}
			out[i] = c
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(x))
		for k, e := range x {
			c, err := canonical(e, depth+1)
			if err != nil {
				return nil, err
			}
			out[k] = c
		}
		return out, nil
	}
	return nil, fmt.Errorf("%T: %w", v, ErrNotCanonical)
}

// number keeps integers exact: an integer that fits is an int64, a larger one
// stays as written, because a rounded identifier would be another one.
func number(n json.Number) (any, error) {
	if i, err := strconv.ParseInt(string(n), 10, 64); err == nil {
		return i, nil
	}
	if isInteger(string(n)) {
		return n, nil
	}
	f, err := strconv.ParseFloat(string(n), 64)
	if err != nil || math.IsInf(f, 0) || math.IsNaN(f) {
		return nil, fmt.Errorf("number out of range: %w", ErrNotCanonical)
	}
	return f, nil
}

// isInteger reports whether a JSON number has neither fraction nor exponent.
func isInteger(s string) bool {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// DecodeJSON reads exactly one JSON value and returns its canonical form.
// Anything after the value is an error.
func DecodeJSON(text []byte) (any, error) {
	var v any
	if err := DecodeJSONInto(text, &v); err != nil {
		return nil, fmt.Errorf("decoding JSON: %w", err)
	}
	return Canonical(v)
}

// ErrSeveralValues is returned for a text with more than one JSON value.
var ErrSeveralValues = errors.New("more than one value")

// DecodeJSONInto reads exactly one JSON value into the variable that to points
// at. Numbers in members of type any stay json.Number; Canonical converts them.
// Members that the variable's type does not have are ignored.
func DecodeJSONInto(text []byte, to any) error { return decodeJSON(text, to, false) }

// DecodeKnownJSONInto is DecodeJSONInto, except that a member that the variable's
// type does not have is an error.
func DecodeKnownJSONInto(text []byte, to any) error { return decodeJSON(text, to, true) }

func decodeJSON(text []byte, to any, known bool) error {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if known {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(to); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return ErrSeveralValues
	}
	return nil
}
