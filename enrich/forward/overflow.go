package forward

import (
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// overflow does what on_overflow says about a value that is too long.
func (r *rendering) overflow(h *header, items []string, s shape, lines []string) error {
	switch h.onOverflow {
	case overflowOmit:
		r.out.record(h.name, OmittedOverflow)
		return nil
	case overflowTruncate:
		if s.isList() && r.truncate(h, items, s) {
			return nil
		}
	case overflowSplit:
		// Parts do not make the whole smaller: the budget must hold it.
		switch {
		case onWire(h.name, lines) > r.left:
			return r.overBudget(h, lines)
		case s == oneText && r.splitText(h, items[0]), s.isList() && r.splitList(h, items, s):
			return nil
		}
	}
	if n := size(lines); n > h.maxBytes {
		return &headerError{Header: h.name, Size: n, Limit: h.maxBytes, Err: errTooLarge}
	}
	return r.overBudget(h, lines)
}

// overBudget returns the error of lines that the budget does not hold.
func (r *rendering) overBudget(h *header, lines []string) error {
	n := onWire(h.name, lines)
	return &headerError{Header: h.name, Size: r.out.bytes + n, Limit: r.out.bytes + r.left, Err: errBudget}
}

// truncate writes as many elements as fit, at least one: a list that is cut
// to nothing would read as an empty one.
func (r *rendering) truncate(h *header, items []string, s shape) bool {
	var kept []string
	longest(len(items), func(n int) bool {
		lines, err := h.lines(items[:n], s)
		if err != nil || size(lines) == 0 || !r.fits(h, lines) {
			return false
		}
		kept = lines
		return true
	})
	if kept == nil {
		return false
	}
	r.write(h, "", kept)
	r.out.record(h.name, Truncated)
	return true
}

// splitList writes Name-1 … Name-n, each a list of as many elements as fit.
func (r *rendering) splitList(h *header, items []string, s shape) bool {
	var parts [][]string
	for len(items) > 0 {
		var part []string
		n := longest(len(items), func(n int) bool {
			lines, err := h.lines(items[:n], s)
			if err != nil || size(lines) == 0 || size(lines) > h.maxBytes {
				return false
			}
			part = lines
			return true
		})
		if n == 0 {
			return false
		}
		parts, items = append(parts, part), items[n:]
	}
	return r.writeParts(h, parts)
}

// splitText writes Name-1 … Name-n, each with as many characters of the text
// as fit.
func (r *rendering) splitText(h *header, text string) bool {
	var parts [][]string
	for text != "" {
		n := longest(len(text), func(n int) bool { return h.lengthOf(text[:n]) <= h.maxBytes })
		for n > 0 && (!h.mayCut(text, n) || h.lengthOf(text[:n]) > h.maxBytes) {
			n--
		}
		if n == 0 {
			return false
		}
		line, err := h.encoded(text[:n])
		if err != nil {
			return false
		}
		parts, text = append(parts, []string{line}), text[n:]
	}
	return r.writeParts(h, parts)
}

// lengthOf is the length of the encoded text. It takes text that encoded
// would refuse for the white space at its end, because a split tries any
// length; it grows with the text.
func (h *header) lengthOf(text string) int {
	switch h.encode {
	case encodeUTF8, encodeASCII:
		return len(text)
	case encodeLatin1:
		return utf8.RuneCountInString(text)
	}
	line, err := h.encoded(strings.ToValidUTF8(text, "?"))
	if err != nil {
		return maxBudget + 1
	}
	return len(line)
}

// mayCut reports whether the text may be cut before byte n: between two
// characters, and not at white space that HTTP would strip off a part.
func (h *header) mayCut(text string, n int) bool {
	if n == len(text) {
		return true
	}
	if !utf8.RuneStart(text[n]) {
		return false
	}
	return h.encode > encodeLatin1 || !spaceAtEnd(text[:n]) && !spaceAtEnd(text[n:])
}

// writeParts writes all parts, or none where the budget does not hold them.
func (r *rendering) writeParts(h *header, parts [][]string) bool {
	n := 0
	for i, lines := range parts {
		n += onWire(h.name+partSuffix(i), lines)
	}
	if n > r.left {
		return false
	}
	for i, lines := range parts {
		r.write(h, partSuffix(i), lines)
	}
	r.out.record(h.name, Split)
	return true
}

func partSuffix(i int) string { return "-" + strconv.Itoa(i+1) }

// longest returns the largest n in 1…most for which fits holds, or 0. Lengths
// grow with n, so that a binary search finds it in few tries; fits has
// returned true for n.
func longest(most int, fits func(n int) bool) int {
	return sort.Search(most, func(i int) bool { return !fits(i + 1) })
}
