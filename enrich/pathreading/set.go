// Package pathreading lists the readings of a request's path: what servers and
// applications make of one and the same path. What chooses by a path must come
// to one result in all of them, or a request leads past it (P55).
package pathreading

import (
	"fmt"
	"strings"
)

// Set says which readings are checked besides the path as it was sent and the
// path decoded once. The zero value is these two alone.
type Set uint8

const (
	// EncodedSlashes reads %2F and %5C as slashes.
	EncodedSlashes Set = 1 << iota
	// Backslashes reads a backslash as a slash.
	Backslashes
	// Parameters leaves out what follows a semicolon in a segment.
	Parameters
	// DotSegments keeps dot segments and empty segments; without it they are
	// resolved in every reading.
	DotSegments
	// DoubleDecoding decodes a second time.
	DoubleDecoding
	// LetterCase folds letters.
	LetterCase
	// TrailingDots leaves out dots and blanks at the end of a segment.
	TrailingDots
	// Authority takes what follows two slashes at the beginning for a host.
	Authority

	// All is every reading.
	All Set = 1<<iota - 1
)

// names are the names of the readings, in the order of their bits.
var names = [...]string{
	"encoded_slashes", "backslashes", "parameters", "dot_segments", "double_decoding", "letter_case", "trailing_dots", "authority",
}

// NameAll is the name of the set of all readings.
const NameAll = "all"

// Names returns the names that Parse knows.
func Names() []string { return append([]string{NameAll}, names[:]...) }

// Parse returns the set of the named readings; no names mean all.
func Parse(list []string) (Set, error) {
	if len(list) == 0 {
		return All, nil
	}
	var set Set
	for _, name := range list {
		bit := Set(0)
		for i, known := range names {
			if name == known {
				bit = 1 << i
			}
		}
		switch {
		case name == NameAll && len(list) > 1:
			return 0, fmt.Errorf("%s cannot be combined with other readings", NameAll)
		case name == NameAll:
			return All, nil
		case bit == 0:
			return 0, fmt.Errorf("unknown reading %q", name)
		case set&bit != 0:
			return 0, fmt.Errorf("duplicate reading %q", name)
		}
		set |= bit
	}
	return set, nil
}

// Has reports whether the set has every reading of another.
func (s Set) Has(other Set) bool { return s&other == other }

// Missing returns the names of the readings that the set lacks.
func (s Set) Missing() []string {
	var list []string
	for i, name := range names {
		if s&(1<<i) == 0 {
			list = append(list, name)
		}
	}
	return list
}

// FoldsLetters reports whether a path may be compared with a literal, or with a
// regular expression, after its letters were folded: one that holds a slash
// and a capital could match no folded path.
func FoldsLetters(literal string) bool {
	if !strings.Contains(literal, "/") {
		return true
	}
	escaped := false
	for _, r := range literal {
		// Of an escape such as \S in a regular expression, the letter is none.
		if !escaped && strings.ToLower(string(r)) != string(r) {
			return false
		}
		escaped = r == '\\' && !escaped
	}
	return true
}
