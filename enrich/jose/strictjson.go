package jose

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Bounds of the JSON inside a token. The token's own length bounds the work
// already; these bound what is built from it.
const (
	// maxMembers bounds the members of one object: real tokens have a few
	// dozen claims.
	maxMembers = 256
	// maxValues bounds the values in one object, all levels counted: 200
	// groups and a few roles per group stay far below.
	maxValues = 4096
)

// DecodeObject reads text as one JSON object and gives its members as
// canonical values. It is strict (RFC 7515, section 4 and RFC 7519, section
// 4 want unique names, RFC 8725, section 3.7 wants UTF-8): duplicate names,
// invalid UTF-8, lone surrogates and anything behind the object are errors.
// Strings are parts of one copy of the text. Errors wrap ErrMalformed and
// quote nothing.
func DecodeObject(text []byte) (map[string]any, error) {
	// One library decides what is valid; the reader below only builds.
	if !jsontext.Value(text).IsValid() {
		return nil, fmt.Errorf("decoding JSON: not valid or not unique: %w", ErrMalformed)
	}
	r := jsonReader{text: string(text)}
	r.space()
	if r.peek() != '{' {
		return nil, fmt.Errorf("decoding JSON: not an object: %w", ErrMalformed)
	}
	object, err := r.object(0)
	if err != nil {
		return nil, err
	}
	return object, nil
}

// A jsonReader builds canonical values from text that is known to be valid
// JSON. On any other text it gives an error or a wrong value, never a panic.
type jsonReader struct {
	text   string
	at     int
	values int
}

func (r *jsonReader) peek() byte {
	if r.at < len(r.text) {
		return r.text[r.at]
	}
	return 0
}

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
		size = 14 // what a map of sixteen slots takes; one more doubles it
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
	// The commas up to the first bracket bound the elements of a flat list,
	// which is what lists of groups and scopes are.
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

// str reads a string. One without an escape is a part of the text itself.
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
	// Dates are plain integers: they need not go through text once more.
	if n, ok := shortInteger(r.text[start:r.at]); ok {
		return n, nil
	}
	v, err := identity.Canonical(json.Number(r.text[start:r.at]))
	if err != nil {
		return nil, fmt.Errorf("decoding JSON: number out of range: %w", ErrMalformed)
	}
	return v, nil
}

// shortInteger reads an integer without a sign that cannot overflow.
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

// errJSON cannot happen after the library's check; it is there so that a
// disagreement between the two is a refusal.
var errJSON = fmt.Errorf("decoding JSON: %w", ErrMalformed)
