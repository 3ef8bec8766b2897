package identity

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"
)

// TextWriter appends a text as a JSON string (RFC 8259, section 7).
type TextWriter func(b []byte, s string) ([]byte, error)

// AppendJSON appends a canonical value as JSON without white space. Members
// stand in the order of their names and numbers as they came, so that equal
// values have equal bytes and no identifier is rounded. Texts and names are
// written by text; nil means AppendString. The error is that of text, or
// ErrNotCanonical.
func AppendJSON(b []byte, v any, text TextWriter) ([]byte, error) {
	if text == nil {
		text = func(b []byte, s string) ([]byte, error) { return AppendString(b, s), nil }
	}
	return appendJSON(b, v, text, 0)
}

func appendJSON(b []byte, v any, text TextWriter, depth int) ([]byte, error) {
	if depth > MaxDepth {
		return nil, fmt.Errorf("nested over %d levels: %w", MaxDepth, ErrNotCanonical)
	}
	var err error
	switch x := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, x), nil
	case string:
		return text(b, x)
	case int64:
		return strconv.AppendInt(b, x, 10), nil
	case json.Number:
		if x == "" || x[0] != '-' && (x[0] < '0' || x[0] > '9') || !json.Valid([]byte(x)) {
			return nil, fmt.Errorf("not a number: %w", ErrNotCanonical)
		}
		return append(b, x...), nil
	case float64:
		return appendFloat(b, x)
	case []any:
		b = append(b, '[')
		for i, e := range x {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = appendJSON(b, e, text, depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, ']'), nil
	case map[string]any:
		b = append(b, '{')
		for i, name := range slices.Sorted(maps.Keys(x)) {
			if i > 0 {
				b = append(b, ',')
			}
			if b, err = text(b, name); err != nil {
				return nil, err
			}
			b = append(b, ':')
			if b, err = appendJSON(b, x[name], text, depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return nil, fmt.Errorf("%T: %w", v, ErrNotCanonical)
}

// appendFloat writes the shortest text that reads back as the same number.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("number is not finite: %w", ErrNotCanonical)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e' // as ECMAScript does, so that readers meet what they know
	}
	return strconv.AppendFloat(b, f, format, -1, 64), nil
}

const hexDigits = "0123456789abcdef"

// AppendString appends a text as a JSON string. Only what JSON demands is
// escaped. What is not UTF-8 becomes the replacement character.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			if c == '"' || c == '\\' {
				b = append(b, '\\', c)
			} else {
				b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&0xf])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			b = append(b, s[start:i]...)
			b = append(b, "\uFFFD"...)
			start = i + 1
		}
		i += size
	}
	b = append(b, s[start:]...)
	return append(b, '"')
}
