package fetch

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file decodes answers and escapes what goes into URLs.

// JSON returns the body as a canonical value. A body that is not exactly one
// JSON value is directory.ErrMalformed.
func (r *Response) JSON() (any, error) {
	v, err := identity.DecodeJSON(r.Body)
	if err != nil {
		// The decoder's error may quote the answer.
		return nil, fmt.Errorf("decoding an answer: not one JSON value: %w", directory.ErrMalformed)
	}
	return v, nil
}

// Object returns the body as a canonical JSON object. Any other value, null
// included, is directory.ErrMalformed.
func (r *Response) Object() (map[string]any, error) {
	v, err := r.JSON()
	if err != nil {
		return nil, err
	}
	object, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("decoding an answer: not a JSON object: %w", directory.ErrMalformed)
	}
	return object, nil
}

// Decode decodes the body into v, a pointer to a struct or list of the kind's
// own. A null is an error: a list that is missing is not an empty one. Numbers
// in members of type any stay json.Number: make them canonical with
// identity.Canonical.
func (r *Response) Decode(v any) error {
	err := identity.DecodeJSONInto(r.Body, v)
	if errors.Is(err, identity.ErrSeveralValues) {
		return fmt.Errorf("decoding an answer: more than one JSON value: %w", directory.ErrMalformed)
	}
	if err != nil || string(bytes.TrimSpace(r.Body)) == "null" {
		return fmt.Errorf("decoding an answer: not the JSON that was expected: %w", directory.ErrMalformed)
	}
	return nil
}

// PathSegment escapes a name to be one segment of a path. A name that a server
// might read as a step to another folder after unescaping is
// directory.ErrNotFound, because no object has it.
func PathSegment(name string) (string, error) {
	for _, part := range strings.FieldsFunc(name, func(c rune) bool { return c == '/' || c == '\\' }) {
		if part == "." || part == ".." {
			return "", fmt.Errorf("writing a path: the name holds a dot segment: %w", directory.ErrNotFound)
		}
	}
	if name == "" {
		return "", fmt.Errorf("writing a path: the name is empty: %w", directory.ErrNotFound)
	}
	return escape(name), nil
}

// QueryValue escapes a value for a query.
func QueryValue(value string) string { return escape(value) }

// escape leaves only the unreserved characters of RFC 3986 (section 2.3) as
// they are, which all servers read alike.
func escape(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '.', c == '_', c == '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}

// Media types for Request.Accept and Request.ContentType.
const (
	MediaJSON = "application/json"
	MediaSCIM = "application/scim+json"
	MediaJWT  = "application/jwt"
)
