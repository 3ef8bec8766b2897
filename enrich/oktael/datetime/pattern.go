// Package datetime reads and writes dates as Okta's expression language does:
// with the patterns of Joda-Time's DateTimeFormat
// (https://www.joda.org/joda-time/key_format.html) in English, with zones by
// their IANA names and Joda's short aliases, and with Windows and Unix
// timestamps.
//
// Nothing here reads the clock or the machine's own time zone, so that a
// claim comes out alike on every node. As in Joda-Time, the finest unit that
// is written is the millisecond; what is finer is cut off.
package datetime

import (
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxPattern bounds a pattern's length in bytes. The longest pattern in
	// Okta's documents has 28; each letter of a run may cost one byte of output.
	MaxPattern = 256

	// MaxText bounds the length in bytes of a date that is parsed, a zone's
	// name and literal text included.
	MaxText = 512
)

var (
	// ErrPattern says that a pattern is empty, too long, or uses a letter that
	// has no meaning.
	ErrPattern = errors.New("bad date pattern")

	// ErrText says that a text is not a date of the wanted form, or names one
	// that does not exist (30 February, or an hour that a zone skipped).
	ErrText = errors.New("date does not match the pattern")
)

// letters are the pattern letters, in the order of Joda-Time's documentation:
//
//	G era                C century of era       Y year of era
//	x weekyear           w week of weekyear     e day of week, a number
//	E day of week, text  y year                 D day of year
//	M month              d day of month         a half of the day
//	K hour 0 to 11       h hour 1 to 12         H hour 0 to 23
//	k hour 1 to 24       m minute               s second
//	S fraction           z name of the zone     Z offset or id of the zone
//
// The number of letters is the least number of digits. M and E are short names
// from three and one letters on, full ones from four on; yy, YY and xx are the
// last two digits of a year; Z is +hhmm, ZZ +hh:mm, ZZZ the id.
const letters = "GCYxweEyDMdaKhHkmsSzZ"

// numeric are the letters that always mean digits; M does so up to MM.
const numeric = "CYxweyDdKhHkmsS"

// element is a run of one pattern letter, or literal text (letter 0).
type element struct {
	letter byte
	count  int
	text   string
	// adjacent says that another number follows at once, so that this one
	// takes no more digits than its letters.
	adjacent bool
}

// isNumber reports whether the element is written in digits.
func (e element) isNumber() bool {
	return e.letter != 0 && (strings.IndexByte(numeric, e.letter) >= 0 || e.letter == 'M' && e.count <= 2)
}

// Pattern is a compiled pattern. It never changes and may be used by many
// goroutines at once.
type Pattern struct{ elements []element }

// Compile reads a Joda-Time pattern. Letters A to Z and a to z are reserved:
// an unknown one is ErrPattern. Everything else is literal; 'quoted'
// letters do too, and two quotes in a row are one. A quote that is not closed
// runs to the end, as in Joda-Time.
func Compile(pattern string) (*Pattern, error) {
	switch {
	case pattern == "":
		return nil, fmt.Errorf("compiling an empty pattern: %w", ErrPattern)
	case len(pattern) > MaxPattern:
		return nil, fmt.Errorf("compiling a pattern over %d bytes: %w", MaxPattern, ErrPattern)
	}
	p := &Pattern{}
	for i := 0; i < len(pattern); {
		c := pattern[i]
		if !isLetter(c) {
			text, next := literal(pattern, i)
			i = next
			if text != "" {
				p.elements = append(p.elements, element{text: text})
			}
			continue
		}
		if strings.IndexByte(letters, c) < 0 {
			return nil, fmt.Errorf("compiling a pattern: letter %q at %d: %w", c, i, ErrPattern)
		}
		start := i
		for i < len(pattern) && pattern[i] == c {
			i++
		}
		p.elements = append(p.elements, element{letter: c, count: i - start})
	}
	for i := range p.elements[:max(len(p.elements)-1, 0)] {
		p.elements[i].adjacent = p.elements[i+1].isNumber()
	}
	return p, nil
}

// literal reads text up to the next unquoted letter.
func literal(pattern string, i int) (text string, next int) {
	var b strings.Builder
	quoted := false
	for i < len(pattern) {
		c := pattern[i]
		switch {
		case c == '\'' && i+1 < len(pattern) && pattern[i+1] == '\'':
			b.WriteByte('\'')
			i++
		case c == '\'':
			quoted = !quoted
		case !quoted && isLetter(c):
			return b.String(), i
		default:
			b.WriteByte(c)
		}
		i++
	}
	return b.String(), i
}

// isLetter reports whether a byte is a letter of ASCII, which a pattern reserves.
func isLetter(c byte) bool { return 'A' <= c && c <= 'Z' || 'a' <= c && c <= 'z' }
