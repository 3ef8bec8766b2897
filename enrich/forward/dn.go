package forward

import (
	"encoding/hex"
	"strings"
	"unicode/utf8"
)

// commonNameOID is the attribute type of CN (RFC 4519, section 2.3).
const commonNameOID = "2.5.4.3"

// commonName returns the CN of a distinguished name in the form of RFC 4514,
// from its first relative name only: in uid=ada,cn=users the CN belongs to
// the container. ok is false where there is none, or where the text is not a
// distinguished name as far as it has to be read.
func commonName(dn string) (name string, ok bool) {
	rest := dn
	for {
		kind, after, found := strings.Cut(rest, "=")
		if !found {
			return "", false
		}
		kind = strings.TrimSpace(kind)
		value, end, left, ok := attributeValue(after)
		if !ok || !isAttributeType(kind) {
			return "", false
		}
		if strings.EqualFold(kind, "cn") || kind == commonNameOID {
			return value, value != ""
		}
		if end != '+' { // the relative name has no further attribute
			return "", false
		}
		rest = left
	}
}

// attributeValue reads a value up to the separator that ends it: a comma (or
// the semicolon of RFC 2253), a plus, or the end of the text, for which end
// is 0.
func attributeValue(s string) (value string, end byte, rest string, ok bool) {
	s = strings.TrimLeft(s, " ")
	if strings.HasPrefix(s, "#") {
		return "", 0, "", false // BER in hex: not a text to show
	}
	if strings.HasPrefix(s, `"`) {
		return quotedValue(s[1:])
	}
	var b strings.Builder
	kept := 0 // length up to the last character that is not a trailing space
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case ',', ';', '+':
			return finishValue(b.String()[:kept], c, s[i+1:])
		case '\\':
			char, n, escaped := unescape(s[i+1:])
			if !escaped {
				return "", 0, "", false
			}
			b.WriteByte(char)
			i += n
			kept = b.Len()
		case '"', '<', '>', 0:
			return "", 0, "", false
		default:
			b.WriteByte(c)
			if c != ' ' {
				kept = b.Len()
			}
		}
	}
	return finishValue(b.String()[:kept], 0, "")
}

// quotedValue reads the rest of a value in quotation marks, which RFC 4514,
// section 2.4 no longer writes but asks readers to take.
func quotedValue(s string) (value string, end byte, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '\\':
			char, n, escaped := unescape(s[i+1:])
			if !escaped {
				return "", 0, "", false
			}
			b.WriteByte(char)
			i += n
		case '"':
			after := strings.TrimLeft(s[i+1:], " ")
			if after == "" {
				return finishValue(b.String(), 0, "")
			}
			if strings.IndexByte(",;+", after[0]) < 0 {
				return "", 0, "", false
			}
			return finishValue(b.String(), after[0], after[1:])
		default:
			b.WriteByte(c)
		}
	}
	return "", 0, "", false
}

func finishValue(value string, end byte, rest string) (string, byte, string, bool) {
	return value, end, rest, utf8.ValidString(value)
}

// unescape reads what follows a backslash: two hexadecimal digits or one
// special character (RFC 4514, section 3).
func unescape(s string) (char byte, n int, ok bool) {
	if len(s) >= 2 {
		if b, err := hex.DecodeString(s[:2]); err == nil {
			return b[0], 2, true
		}
	}
	if s != "" && strings.IndexByte(` "#+,;<=>\`, s[0]) >= 0 {
		return s[0], 1, true
	}
	return 0, 0, false
}

// isAttributeType reports whether s can precede the equals sign: a name
// or a dotted number (RFC 4512, section 1.4).
func isAttributeType(s string) bool {
	for i := range len(s) {
		if c := s[i]; canonicalBytes[c] == symbol && c != '-' && c != '.' {
			return false
		}
	}
	return s != ""
}
