package claim

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// This file compares names without case, as group filters do, without an
// allocation for each.

// foldBuffer is the size of the stack buffer in which a name is folded. Group
// names are at most 255 characters in Okta and in Active Directory; a longer
// one costs an allocation and nothing else.
const foldBuffer = 512

// foldRune returns one rune for all that differ in case only: the smallest of
// its orbit under Unicode's simple folding. K, k and the Kelvin sign become K.
func foldRune(r rune) rune {
	if r < utf8.RuneSelf {
		if 'a' <= r && r <= 'z' {
			return r - ('a' - 'A')
		}
		return r
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		least = min(least, f)
	}
	return least
}

// appendFold appends s folded. Bytes that are not UTF-8 stay as they are.
func appendFold(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			dst = append(dst, c)
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			dst = append(dst, s[i])
		} else {
			dst = utf8.AppendRune(dst, foldRune(r))
		}
		i += n
	}
	return dst
}

// cutFold takes a prefix off s that equals folded, a text that appendFold
// made, but for case. It stops at the first difference.
func cutFold(s, folded string) (rest string, ok bool) {
	i := 0
	for j := 0; j < len(folded); {
		if i == len(s) {
			return "", false
		}
		c, f := s[i], folded[j]
		if c < utf8.RuneSelf {
			if 'a' <= c && c <= 'z' {
				c -= 'a' - 'A'
			}
			if c != f {
				return "", false
			}
			i++
			j++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 {
			return "", false // a pattern is valid UTF-8, so this byte is not in it
		}
		want, m := utf8.DecodeRuneInString(folded[j:])
		if foldRune(r) != want {
			return "", false
		}
		i += n
		j += m
	}
	return s[i:], true
}

// containsFold reports whether s contains folded, but for case.
func containsFold(s string, folded []byte) bool {
	var buffer [foldBuffer]byte
	return bytes.Contains(appendFold(buffer[:0], s), folded)
}
