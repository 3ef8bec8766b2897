package forward

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// separated escapes one element of a list for its delimiter, so that the
// delimiter, read from the left, ends the element and nothing else does.
func (h *header) separated(element string) (string, error) {
	switch h.escape {
	case escapeBackslash:
		return h.backslashed(element)
	case escapePercent:
		return h.percented(element), nil
	}
	if spaceAtEnd(element) {
		return "", errElement
	}
	// With a delimiter of several characters, an element that ends in part
	// of it could move the place where a reader sees it.
	if strings.Contains(element, h.delimiter) ||
		len(h.delimiter) > 1 && strings.Index(element+h.delimiter, h.delimiter) != len(element) {
		return "", errDelimiter
	}
	return element, nil
}

// backslashed escapes an element with backslashes.
func (h *header) backslashed(element string) (string, error) {
	if spaceAtEnd(element) {
		return "", errElement
	}
	first := h.firstOfDelimiter()
	if !strings.Contains(element, first) && !strings.Contains(element, `\`) {
		return element, nil
	}
	return h.backslashes.Replace(element), nil
}

// percented escapes an element with percent-encoding.
func (h *header) percented(element string) string {
	first := h.firstOfDelimiter()
	if !strings.ContainsAny(element, "%+") && !strings.Contains(element, first) && !spaceAtEnd(element) {
		return element
	}
	var b strings.Builder
	for i := 0; i < len(element); {
		r, n := utf8.DecodeRuneInString(element[i:])
		part := element[i : i+n]
		edge := (i == 0 || i+n == len(element)) && unicode.IsSpace(r)
		i += n
		if r == '%' || r == '+' || part == first || edge {
			appendPercent(&b, part)
			continue
		}
		b.WriteString(part)
	}
	return b.String()
}

// firstOfDelimiter is the first character of the delimiter. Where it is
// escaped everywhere, no element can begin, or complete, a delimiter.
func (h *header) firstOfDelimiter() string {
	_, n := utf8.DecodeRuneInString(h.delimiter)
	return h.delimiter[:n]
}

const upperHex = "0123456789ABCDEF"

func appendPercent(b *strings.Builder, s string) {
	for i := range len(s) {
		b.WriteByte('%')
		b.WriteByte(upperHex[s[i]>>4])
		b.WriteByte(upperHex[s[i]&15])
	}
}

// spaceAtEnd reports whether s begins or ends with white space, which HTTP
// strips around values and many readers strip around elements.
func spaceAtEnd(s string) bool {
	if s == "" {
		return false
	}
	if first, last := s[0], s[len(s)-1]; first < utf8.RuneSelf && last < utf8.RuneSelf {
		return isASCIISpace(first) || isASCIISpace(last)
	}
	first, _ := utf8.DecodeRuneInString(s)
	last, _ := utf8.DecodeLastRuneInString(s)
	return unicode.IsSpace(first) || unicode.IsSpace(last)
}

func isASCIISpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
