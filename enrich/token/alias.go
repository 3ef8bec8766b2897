package token

import (
	"encoding/hex"
	"strings"
)

// This file finds the names that an application may read as another name: those
// that frameworks decode, trim, cut and fold before they look a cookie or a
// parameter up.

// MaxNameBytes bounds the name of a place, so that its canonical form fits on
// the stack.
const MaxNameBytes = 200

// Symbol is what every byte that is neither a letter nor a digit folds to.
const Symbol = '-'

// FoldByte returns the form in which bytes of names are compared: letters in
// lower case, and everything but letters and digits as one Symbol.
func FoldByte(c byte) byte {
	switch {
	case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		return c
	case 'A' <= c && c <= 'Z':
		return c + 'a' - 'A'
	}
	return Symbol
}

// IsBlank reports whether c is a control character, a space, or a byte of white
// space beyond ASCII: which of these a framework trims depends on the encoding
// that it reads headers in.
func IsBlank(c byte) bool { return c <= ' ' || c >= 0x7F }

// Canonical writes into buf how applications may read the name of a cookie or
// a parameter, and returns how many bytes that takes: whole, and cut at a NUL
// or at a bracket, with which PHP, Rack and Node's qs write arrays, and which
// PHP makes an underscore where it is not closed. It does what any of them does:
// decode percent signs and plus signs, trim white space and the brackets in
// front, and fold what is left. A form that does not fit has no bytes.
func Canonical(buf []byte, name string) (whole, cut int) {
	at, isCut := 0, false
	for i := 0; i < len(name); {
		c, size := decoded(name[i:])
		i += size
		ends := c == '[' || c == ']' || c == 0
		isCut = isCut || ends && at > 0
		switch {
		case at == 0 && (ends || IsBlank(c)):
		case at < len(buf):
			buf[at] = FoldByte(c)
			at++
			if !IsBlank(c) {
				whole = at
			}
			if !isCut {
				cut = whole
			}
		case !IsBlank(c):
			if whole = 0; !isCut {
				cut = 0
			}
			return whole, cut
		}
	}
	return whole, cut
}

// decoded returns the first byte of s as an application decodes it, and how
// many bytes of s encode it. What %uXXXX (old ASP.NET) writes beyond ASCII
// counts as one blank.
func decoded(s string) (c byte, size int) {
	switch {
	case s[0] == '+':
		return ' ', 1
	case s[0] != '%':
		return s[0], 1
	}
	if c, ok := hexByte(s, 1); ok {
		return c, 3
	}
	if len(s) > 1 && s[1]|0x20 == 'u' {
		high, ok := hexByte(s, 2)
		low, ok2 := hexByte(s, 4)
		switch {
		case ok && ok2 && high == 0:
			return low, 6
		case ok && ok2:
			return 0x7F, 6
		}
	}
	return '%', 1
}

// hexByte reads two hexadecimal digits of s.
func hexByte(s string, at int) (byte, bool) {
	if at+2 > len(s) {
		return 0, false
	}
	var out [1]byte
	_, err := hex.Decode(out[:], []byte(s[at:at+2]))
	return out[0], err == nil
}

// isAlias reports whether an encoded name of a parameter is, to some
// application, the name of a place. A name is an alias of itself. Behind a
// number sign, which some servers let through, others read no query.
func isAlias(encoded, name string) bool {
	before, _, ends := strings.Cut(encoded, "#")
	return reads(encoded, name) || ends && reads(before, name)
}

// reads reports whether some canonical form of an encoded name is that of name.
func reads(encoded, name string) bool {
	var buf [MaxNameBytes]byte
	whole, cut := Canonical(buf[:], encoded)
	if len(name) != whole && len(name) != cut {
		return false
	}
	for i := range len(name) {
		if buf[i] != FoldByte(name[i]) {
			return false
		}
	}
	return name != ""
}
