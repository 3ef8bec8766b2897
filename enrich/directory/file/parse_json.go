package file

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file parses JSON into nodes, with the lines that errors name.

// parseJSON parses one JSON value into nodes. JSON has a parser of its own,
// although it nearly is YAML: the two differ in tabs, escapes and numbers.
func parseJSON(text []byte) (*node, error) {
	r := jsonReader{text: text, d: json.NewDecoder(bytes.NewReader(text)), line: 1}
	r.d.UseNumber()
	n, err := r.value(0)
	if err != nil {
		return nil, err
	}
	// A second value would be ignored silently, such as the rest of a file that
	// an editor has written twice.
	if _, err := r.d.Token(); !errors.Is(err, io.EOF) {
		return nil, at(r.lineNow(), "more than one JSON value")
	}
	return n, nil
}

// A jsonReader reads tokens and counts lines along the decoder's offset.
type jsonReader struct {
	text    []byte
	d       *json.Decoder
	line    int
	counted int64 // offset up to which line is right
}

// lineNow returns the line of the token that was read last.
func (r *jsonReader) lineNow() int {
	end := min(r.d.InputOffset(), int64(len(r.text)))
	if end > r.counted {
		r.line += bytes.Count(r.text[r.counted:end], []byte{'\n'})
		r.counted = end
	}
	return r.line
}

// token returns the next token. Its errors quote nothing of the file; where the
// text ends too early, they are errTruncated.
func (r *jsonReader) token() (json.Token, error) {
	t, err := r.d.Token()
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, at(r.lineNow(), "%w", errTruncated)
	case err != nil:
		return nil, at(r.lineNow(), "not valid JSON")
	}
	return t, nil
}

// value reads one value and all below it.
func (r *jsonReader) value(depth int) (*node, error) {
	t, err := r.token()
	if err != nil {
		return nil, err
	}
	n := &node{line: r.lineNow()}
	if depth > maxNesting {
		return nil, at(n.line, "nested over %d levels", maxNesting)
	}
	switch v := t.(type) {
	case nil:
		return n, nil
	case string:
		n.kind, n.text, n.value = scalar, v, v
	case bool:
		n.kind, n.value = scalar, v
	case json.Number:
		n.kind, n.text = scalar, string(v)
		// Integers stay exact; a number that no float64 holds is an error.
		if n.value, err = identity.Canonical(v); err != nil {
			return nil, at(n.line, "a number is out of range")
		}
	case json.Delim:
		if v == '[' {
			return n, r.list(n, depth)
		}
		return n, r.object(n, depth)
	}
	return n, nil
}

// list reads the items of a list up to its closing bracket.
func (r *jsonReader) list(n *node, depth int) error {
	n.kind = list
	for r.d.More() {
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.items = append(n.items, item)
	}
	_, err := r.token()
	return err
}

// object reads the members of an object up to its closing brace. A duplicate
// key is an error.
func (r *jsonReader) object(n *node, depth int) error {
	n.kind = object
	// encoding/json keeps the last of two members of one name, so duplicates
	// are found here.
	seen := keyset{}
	for r.d.More() {
		t, err := r.token()
		if err != nil {
			return err
		}
		name, ok := t.(string)
		if !ok {
			return at(r.lineNow(), "a key is not a string")
		}
		k := key{name, r.lineNow()}
		if err := seen.add(k.name, k.line); err != nil {
			return err
		}
		item, err := r.value(depth + 1)
		if err != nil {
			return err
		}
		n.keys, n.items = append(n.keys, k), append(n.items, item)
	}
	_, err := r.token()
	return err
}
