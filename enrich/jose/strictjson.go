package jose

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file reads the JSON of headers, claims and answers. The text has one
// meaning only, or it is refused.

// Bounds of one object. The length of the text bounds the work already; these
// bound the memory of what is built from it.
const (
	// maxMembers bounds the members of one object. Tokens in use have a few
	// dozen claims.
	maxMembers = 256
	// maxValues bounds the values of one object on all levels. 200 groups with
	// a few roles each stay far below.
	maxValues = 4096
)

// DecodeObject reads text as one JSON object and returns its members as canonical
// values (see identity.Canonical). It refuses duplicate names (RFC 7515, section
// 4; RFC 7519, section 4), invalid UTF-8 and lone surrogates (RFC 8725, section
// 3.7), nesting over identity.MaxDepth levels, and anything behind the object. The
// strings of the result share one copy of the text. Errors wrap ErrMalformed and
// quote nothing.
func DecodeObject(text []byte) (map[string]any, error) {
	// The library decides what is valid; the reader below only builds values.
	if !jsontext.Value(text).IsValid() {
		return nil, fmt.Errorf("decoding JSON: not valid or not unique: %w", ErrMalformed)
	}
	r := jsonReader{text: string(text)}
	r.space()
	if r.peek() != '{' {
		return nil, fmt.Errorf("decoding JSON: not an object: %w", ErrMalformed)
	}
	return r.object(0)
}

// A jsonReader builds canonical values from a text that is known to be valid JSON.
// For any other text it returns an error or a wrong value, and never panics.
type jsonReader struct {
	text   string
	at     int
	values int
}

// peek returns the next byte, or 0 at the end.
func (r *jsonReader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

// space skips white space.
func (r *jsonReader) space() {
	for r.at < len(r.text) {
		switch r.text[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
		default:
			return
		}
	}
}

func (r *jsonReader) object(depth int) (map[string]any, error) {
	r.at++ // the brace
	size := 4
	if depth == 0 {
		size = 14 // the most that a map of sixteen slots holds before it grows
	}
	out := make(map[string]any, size)
	for r.space(); r.peek() != '}'; r.space() {
		if r.peek() == ',' {
			r.at++
			r.space()
		}
		name, err := r.str()
		if err != nil {
			return nil, err
		}
		r.space()
		r.at++ // the colon
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		if len(out) == maxMembers {
			return nil, fmt.Errorf("decoding JSON: over %d members: %w", maxMembers, ErrMalformed)
		}
		out[name] = v
	}
	r.at++
	return out, nil
}

func (r *jsonReader) array(depth int) ([]any, error) {
	start := r.at
	r.at++ // the bracket
	// In a flat list, as those of groups and scopes are, the commas up to the
	// first closing bracket bound the number of elements.
	size := 0
	if end := strings.IndexByte(r.text[start:], ']'); end > 1 {
		size = 1 + strings.Count(r.text[start:start+end], ",")
	}
	out := make([]any, 0, min(size, maxValues))
	for r.space(); r.peek() != ']'; r.space() {
		if r.peek() == ',' {
			r.at++
		}
		v, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	r.at++
	return out, nil
}

func (r *jsonReader) value(depth int) (any, error) {
	if depth > identity.MaxDepth {
		return nil, fmt.Errorf("decoding JSON: nested over %d levels: %w", identity.MaxDepth, ErrMalformed)
	}
	if r.values++; r.values > maxValues {
		return nil, fmt.Errorf("decoding JSON: over %d values: %w", maxValues, ErrMalformed)
	}
	r.space()
	switch r.peek() {
	case '{':
		return r.object(depth)
	case '[':
		return r.array(depth)
	case '"':
		return r.str()
	case 't':
		r.at += len("true")
		return true, nil
	case 'f':
		r.at += len("false")
		return false, nil
	case 'n':
		r.at += len("null")
		return nil, nil
	}
	return r.number()
}

// str reads a string. One without an escape shares the memory of the text.
func (r *jsonReader) str() (string, error) {
	if r.peek() != '"' {
		return "", errJSON
	}
	start := r.at
	for i := start + 1; i < len(r.text); i++ {
		switch r.text[i] {
		case '\\':
			i++
		case '"':
			r.at = i + 1
			body := r.text[start+1 : i]
			if strings.IndexByte(body, '\\') < 0 {
				return body, nil
			}
			out, err := jsontext.AppendUnquote(nil, r.text[start:i+1])
			if err != nil {
				return "", errJSON
			}
			return string(out), nil
		}
	}
	return "", errJSON
}

func (r *jsonReader) number() (any, error) {
	start := r.at
	for r.at < len(r.text) && strings.IndexByte("+-.0123456789Ee", r.text[r.at]) >= 0 {
		r.at++
	}
	if r.at == start {
		return nil, errJSON
	}
	// Dates are plain integers, which need no detour over json.Number.
	if n, ok := shortInteger(r.text[start:r.at]); ok {
		return n, nil
	}
	v, err := identity.Canonical(json.Number(r.text[start:r.at]))
	if err != nil {
		return nil, fmt.Errorf("decoding JSON: number out of range: %w", ErrMalformed)
	}
	return v, nil
}

// shortInteger reads an unsigned integer of at most 18 digits, which cannot
// overflow.
func shortInteger(s string) (int64, bool) {
	if len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}

// errJSON cannot happen after the library's check. It makes a disagreement between
// the two a refusal.
var errJSON = fmt.Errorf("decoding JSON: %w", ErrMalformed)
