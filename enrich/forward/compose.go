package forward

import (
	"strconv"
	"strings"
)

// This file makes field lines of a claim's value: its elements become texts, these
// a list, the list one or more lines.

// shape is how the items of a value are put together.
type shape uint8

const (
	oneText   shape = iota // the one item is the text
	oneJSON                // the one item is JSON, which cannot be cut
	delimited              // escaped texts with the delimiter between them
	jsonList               // JSON texts in brackets
	repeated               // a line for each
)

// isList reports whether elements can be left out or moved to another header.
func (s shape) isList() bool { return s >= delimited }

// items returns the parts of a value and the shape in which they are put together.
func (h *header) items(v any) ([]string, shape, error) {
	if h.count {
		n, err := countOf(v)
		return []string{strconv.Itoa(n)}, oneText, err
	}
	list, isList := v.([]any)
	switch {
	case h.list == listJSON || h.structured && holdsObject(v):
		if !isList {
			text, err := h.json(v)
			return []string{text}, oneJSON, err
		}
		items, err := each(list, h.json)
		return items, jsonList, err
	case !isList && !h.declared:
		text, err := h.text(v)
		return []string{text}, oneText, err
	case !isList:
		list = []any{v}
	}
	list = withoutNull(list)
	switch h.list {
	case listFirst:
		text, err := h.text(list[0])
		return []string{text}, oneText, err
	case listRepeat:
		items, err := each(list, h.line)
		return items, repeated, err
	}
	items, err := each(list, h.element)
	return items, delimited, err
}

// withoutNull leaves null elements out. An empty list has been dealt with
// before, so that at least one element is left.
func withoutNull(list []any) []any {
	for _, e := range list {
		if e == nil {
			kept := make([]any, 0, len(list)-1)
			for _, e := range list {
				if e != nil {
					kept = append(kept, e)
				}
			}
			return kept
		}
	}
	return list
}

func each(list []any, f func(any) (string, error)) ([]string, error) {
	items := make([]string, len(list))
	for i, e := range list {
		text, err := f(e)
		if err != nil {
			return nil, err
		}
		items[i] = text
	}
	return items, nil
}

// text returns the text of one element.
func (h *header) text(v any) (string, error) {
	if !h.commonName {
		return scalarText(v)
	}
	if dn, isText := v.(string); isText {
		if name, ok := commonName(dn); ok {
			return name, nil
		}
	}
	return "", errName
}

// element returns the text of an element between delimiters.
func (h *header) element(v any) (string, error) {
	text, err := h.text(v)
	if err != nil {
		return "", err
	}
	return h.separated(text)
}

// line returns the text of a repeated line. It is escaped for the comma only
// where that is asked for: an encoding may hide the comma, which the finished
// line will show.
func (h *header) line(v any) (string, error) {
	if h.escape == escapeRefuse {
		return h.text(v)
	}
	return h.element(v)
}

func (h *header) json(v any) (string, error) {
	if h.commonName && v != nil {
		name, err := h.text(v)
		if err != nil {
			return "", err
		}
		v = name
	}
	b, err := appendJSON(nil, v, h.limit())
	return string(b), err
}

// lines composes and encodes items.
func (h *header) lines(items []string, s shape) ([]string, error) {
	var text string
	switch s {
	case repeated:
		return h.repeat(items)
	case jsonList:
		text = "[" + strings.Join(items, ",") + "]"
	case delimited:
		text = strings.Join(items, h.delimiter)
	default:
		text = items[0]
	}
	line, err := h.encoded(text)
	if err != nil {
		return nil, err
	}
	return []string{line}, nil
}

// repeat encodes one line for each item. Servers and frameworks join repeated
// lines with commas (RFC 9110, section 5.3), so that a bare comma inside a
// line would make two elements of one.
func (h *header) repeat(items []string) ([]string, error) {
	lines := make([]string, len(items))
	for i, item := range items {
		line, err := h.encoded(item)
		if err != nil {
			return nil, err
		}
		if h.escape == escapeRefuse && strings.Contains(line, defaultDelimiter) {
			return nil, errComma
		}
		lines[i] = line
	}
	return lines, nil
}

func countOf(v any) (int, error) {
	switch x := v.(type) {
	case []any:
		return len(withoutNull(x)), nil
	case map[string]any:
		return 0, errCount
	}
	return 1, nil
}

// holdsObject reports whether a value is an object or a list with an object
// or a list in it.
func holdsObject(v any) bool {
	if _, is := v.(map[string]any); is {
		return true
	}
	list, _ := v.([]any)
	for _, e := range list {
		switch e.(type) {
		case map[string]any, []any:
			return true
		}
	}
	return false
}
