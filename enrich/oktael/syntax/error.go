package syntax

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Error says why an expression does not compile, and where.
type Error struct {
	// Offset is the byte in the source of the fault, from 0.
	Offset int

	// Line and Column count from 1; a column is a character.
	Line, Column int

	// Msg says what is wrong.
	Msg string

	// source is what Caret shows a line of.
	source string
}

// NewError returns an Error at a byte of the source.
func NewError(source string, offset int, format string, args ...any) *Error {
	e := &Error{Offset: offset, Msg: fmt.Sprintf(format, args...), source: source}
	e.Line, e.Column = Position(source, offset)
	return e
}

// Error returns position and fault in one line, as in
// "1:8: unknown function String.lenn (did you mean "String.len"?)".
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg) }

// Caret returns the line of the source and, below it, a caret under the fault.
func (e *Error) Caret() string { return Caret(e.source, e.Offset) }

// Position returns the line and column of a byte of the source, both from 1. A
// column counts characters, as an editor does.
func Position(source string, offset int) (line, column int) {
	offset = max(0, min(offset, len(source)))
	line = 1 + strings.Count(source[:offset], "\n")
	start := strings.LastIndexByte(source[:offset], '\n') + 1
	return line, 1 + utf8.RuneCountInString(source[start:offset])
}

// caretWidth is how many characters of a line are shown on each side of a fault;
// an expression without line breaks can be thousands of characters long.
const caretWidth = 60

// Caret returns the line of the source that holds a byte and, below it, a caret
// under that byte. A long line is cut on both sides.
func Caret(source string, offset int) string {
	offset = max(0, min(offset, len(source)))
	start := strings.LastIndexByte(source[:offset], '\n') + 1
	end := len(source)
	if i := strings.IndexByte(source[offset:], '\n'); i >= 0 {
		end = offset + i
	}
	before, after := []rune(source[start:offset]), []rune(strings.TrimSuffix(source[offset:end], "\r"))
	lead, tail := "", ""
	if len(before) > caretWidth {
		before, lead = before[len(before)-caretWidth:], "…"
	}
	if len(after) > caretWidth {
		after, tail = after[:caretWidth], "…"
	}
	var b strings.Builder
	b.WriteString(lead + string(before) + string(after) + tail + "\n")
	if lead != "" {
		b.WriteByte(' ')
	}
	for _, r := range before {
		if r != '\t' { // a tab stays one, so that the caret is where the eye looks
			r = ' '
		}
		b.WriteRune(r)
	}
	b.WriteByte('^')
	return b.String()
}
