package mint

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// appendValue writes a canonical value as JSON. Members stand in the order of
// their names and numbers as they came, so that equal values give equal bytes
// and no identifier is rounded.
func appendValue(b []byte, v any, depth int) ([]byte, error) {
	if depth > identity.MaxDepth {
		return nil, fmt.Errorf("nested over %d levels: %w", identity.MaxDepth, identity.ErrNotCanonical)
	}
	var err error
	switch x := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case bool:
		return strconv.AppendBool(b, x), nil
	case string:
		return appendString(b, x), nil
	case int64:
		return strconv.AppendInt(b, x, 10), nil
	case json.Number:
		if x == "" || x[0] != '-' && (x[0] < '0' || x[0] > '9') || !json.Valid([]byte(x)) {
			return nil, fmt.Errorf("a number that is none: %w", identity.ErrNotCanonical)
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
			if b, err = appendValue(b, e, depth+1); err != nil {
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
			b = append(appendString(b, name), ':')
			if b, err = appendValue(b, x[name], depth+1); err != nil {
				return nil, err
			}
		}
		return append(b, '}'), nil
	}
	return nil, fmt.Errorf("%T: %w", v, identity.ErrNotCanonical)
}

// appendFloat writes the shortest text that reads back as the same number.
func appendFloat(b []byte, f float64) ([]byte, error) {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, fmt.Errorf("number is not finite: %w", identity.ErrNotCanonical)
	}
	format := byte('f')
	if abs := math.Abs(f); abs != 0 && (abs < 1e-6 || abs >= 1e21) {
		format = 'e' // as ECMAScript does, so that readers meet what they know
	}
	return strconv.AppendFloat(b, f, format, -1, 64), nil
}

const hex = "0123456789abcdef"

// appendString writes a JSON string (RFC 8259, section 7). What is not UTF-8
// becomes the replacement character.
func appendString(b []byte, s string) []byte {
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
				b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&0xf])
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

// appendAudience writes aud: text for one, a list for more (RFC 7519, section
// 4.1.3).
func appendAudience(b []byte, audience []string) []byte {
	if len(audience) == 1 {
		return appendString(b, audience[0])
	}
	for i, a := range audience {
		b = append(b, "[,"[min(i, 1)])
		b = appendString(b, a)
	}
	return append(b, ']')
}
