package login

import (
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxReturn bounds a return target, in bytes.
const maxReturn = 1 << 10

// maxDecodings bounds how often a return target's path is decoded. What is still
// encoded then was made to mislead.
const maxDecodings = 4

// ReturnTarget reads the address of this site that a person is sent back to after a
// login: an absolute path with its query, which stay as they are, byte for byte. It
// reports false for what a browser or a server could take for another site: a path
// with an empty segment, a backslash or a control character in any reading that is in
// use, a fragment, or anything but printable ASCII. One that is only too long, over
// 1 KiB, becomes the root. The query is not looked into: it cannot change the site.
func ReturnTarget(text string) (string, bool) {
	if !strings.HasPrefix(text, "/") || strings.ContainsRune(text, '#') {
		return "", false
	}
	if len(text) > maxReturn {
		return "/", true
	}
	for i := range len(text) {
		if text[i] <= ' ' || text[i] >= 0x7f {
			return "", false
		}
	}
	path, _, _ := strings.Cut(text, "?")
	if _, err := url.PathUnescape(path); err != nil {
		return "", false // net/http refuses such a request, too
	}
	// An application that redirects to its own path once more, decoded or cleaned,
	// must not lead elsewhere either.
	for range maxDecodings {
		if misleads(path) {
			return "", false
		}
		decoded := unescape(path)
		if decoded == path {
			return text, true
		}
		path = decoded
	}
	return "", false
}

// misleads reports whether a path, as it stands, has an empty segment, a backslash or
// a control character, be it after what some servers leave out of a path: parameters
// of segments, blanks, and characters that are not seen.
func misleads(path string) bool {
	var last rune // that counts
	parameters := false
	for _, r := range path {
		switch {
		case unicode.IsControl(r), r == '\\', r == '\u2028', r == '\u2029':
			return true
		case unicode.IsSpace(r), unicode.Is(unicode.Cf, r):
			continue // as if it were not there
		case r == ';':
			parameters = true // up to the next slash: /;x/a is //a to Java's servers
		case r == '/':
			if last == '/' {
				return true
			}
			parameters = false
		}
		if !parameters {
			last = r
		}
	}
	return false
}

// unescape decodes percent-encoding once, as lenient servers do: what is no escape
// stays. Characters that some of them take for ASCII ones become those: the full-width
// and other forms of slash, backslash and percent sign, Microsoft's %uXXXX, and
// encodings of ASCII in too many bytes (RFC 3629, section 10).
func unescape(path string) string {
	// Nothing becomes longer: three bytes make one, and six at most four.
	b := make([]byte, 0, len(path))
	for i := 0; i < len(path); i++ {
		c := path[i]
		if c == '%' {
			if v, ok := hexValue(path, i+1, 2); ok {
				b = append(b, byte(v))
				i += 2
				continue
			}
			if i+1 < len(path) && path[i+1]|0x20 == 'u' {
				if v, ok := hexValue(path, i+2, 4); ok {
					b = utf8.AppendRune(b, v)
					i += 5
					continue
				}
			}
		}
		b = append(b, c)
	}
	return fold(string(b))
}

// hexValue reads n hexadecimal digits at a place.
func hexValue(s string, at, n int) (v rune, ok bool) {
	if at+n > len(s) {
		return 0, false
	}
	for _, c := range []byte(s[at : at+n]) {
		switch {
		case '0' <= c && c <= '9':
			v = v<<4 | rune(c-'0')
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			v = v<<4 | rune(c|0x20-'a'+10)
		default:
			return 0, false
		}
	}
	return v, true
}

// fold replaces what is taken for a slash, a backslash or a percent sign: by Unicode's
// compatibility forms (NFKC), by the best fit of Windows' code pages, or by decoders
// that take UTF-8 in more bytes than it needs. Bytes that are no UTF-8 stay: old
// applications have addresses in Latin-1.
func fold(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 {
			r, size = overlong(s[i:])
		}
		switch r {
		case '\uff0f', '\u2044', '\u2215', '\u29f8': // full-width solidus, fraction and division slash, big solidus
			b = append(b, '/')
		case '\uff3c', '\ufe68', '\u2216', '\u29f5', '\u29f9': // full-width and small reverse solidus, set minus, its operators
			b = append(b, '\\')
		case '\uff05', '\ufe6a': // full-width and small percent sign
			b = append(b, '%')
		case utf8.RuneError: // no UTF-8, or the replacement character itself
			b = append(b, s[i:i+size]...)
		default:
			b = utf8.AppendRune(b, r)
		}
		i += size
	}
	return string(b)
}

// overlong decodes an ASCII character in two to four bytes, which is not UTF-8. For
// anything else it returns utf8.RuneError and one byte.
func overlong(s string) (r rune, size int) {
	// The last byte holds the six lower bits of the character, the one before it the
	// seventh; all others hold zeroes.
	for _, lead := range []string{"\xc0", "\xc1", "\xe0\x80", "\xe0\x81", "\xf0\x80\x80", "\xf0\x80\x81"} {
		n := len(lead)
		if strings.HasPrefix(s, lead) && n < len(s) && s[n]&0xc0 == 0x80 {
			return rune(lead[n-1]&1)<<6 | rune(s[n]&0x3f), n + 1
		}
	}
	return utf8.RuneError, 1
}
