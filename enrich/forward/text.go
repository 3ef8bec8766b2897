package forward

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file turns single values into text and JSON.

// isEmpty reports whether a claim's value counts as empty.
func isEmpty(v any) bool {
	switch x := v.(type) {
	case nil:
		return true
	case string:
		return x == ""
	case json.Number:
		return x == ""
	case []any:
		return !slices.ContainsFunc(x, func(e any) bool { return e != nil })
	case map[string]any:
		return len(x) == 0
	}
	return false
}

// scalarText returns the text of a value that is neither list nor object.
func scalarText(v any) (string, error) {
	switch x := v.(type) {
	case string:
		return x, nil
	case bool:
		return strconv.FormatBool(x), nil
	case int64:
		return strconv.FormatInt(x, 10), nil
	case float64:
		number, err := appendJSON(nil, x, utf8.MaxRune)
		return string(number), err
	case json.Number:
		return string(x), nil
	case time.Time:
		return x.Format(time.RFC3339Nano), nil
	case map[string]any:
		return "", errObject
	case []any:
		return "", errNested
	}
	return "", errKind
}

// appendJSON appends a canonical value as JSON on one line. Control characters,
// line and paragraph separators and every character above limit are written as
// \u escapes, so that the text fits its encoding.
func appendJSON(b []byte, v any, limit rune) ([]byte, error) {
	b, err := identity.AppendJSON(b, v, func(b []byte, s string) ([]byte, error) { return appendJSONString(b, s, limit) })
	if errors.Is(err, identity.ErrNotCanonical) {
		return nil, errKind
	}
	return b, err
}

const hexDigits = "0123456789abcdef"

func appendJSONString(b []byte, s string, limit rune) ([]byte, error) {
	if !utf8.ValidString(s) {
		return nil, errUTF8
	}
	b = append(b, '"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b = append(b, '\\', byte(r))
		case !isControl(r) && r <= limit:
			b = utf8.AppendRune(b, r)
		case r > 0xFFFF:
			r -= 0x10000
			b = appendEscape(b, 0xD800+(r>>10))
			b = appendEscape(b, 0xDC00+(r&0x3FF))
		default:
			b = appendEscape(b, r)
		}
	}
	return append(b, '"'), nil
}

func appendEscape(b []byte, unit rune) []byte {
	return append(b, '\\', 'u', hexDigits[unit>>12&15], hexDigits[unit>>8&15], hexDigits[unit>>4&15], hexDigits[unit&15])
}

// isControl reports whether a reader could take the character for a control
// or for the end of a line: Unicode's category Cc and the line and paragraph
// separators. The tab is one of them although RFC 9110 allows it inside a
// value, because HTTP strips it at the ends and splits lists at it.
func isControl(r rune) bool {
	return r < 0x20 || 0x7F <= r && r <= 0x9F || r == 0x2028 || r == 0x2029
}
