package forward

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"mime"
	"net/url"
	"strings"
	"unicode/utf8"
)

// The decoders below read values as an application would, each after the
// documentation of the library that it stands for.

// overTheWire is what HTTP leaves of a field value (RFC 9110, section 5.5).
func overTheWire(line string) string { return strings.Trim(line, " \t") }

// javaURLDecoder is java.net.URLDecoder.decode with UTF-8, and PHP's
// urldecode: a plus is a space.
func javaURLDecoder(s string) (string, error) { return url.QueryUnescape(s) }

// rawURLDecode is PHP's rawurldecode, Python's urllib.parse.unquote and
// JavaScript's decodeURIComponent: a plus is a plus.
func rawURLDecode(s string) (string, error) { return url.PathUnescape(s) }

// emailHeader is Python's email.header.decode_header, or a MIME library.
func emailHeader(s string) (string, error) { return new(mime.WordDecoder).DecodeHeader(s) }

// extValue is an ext-value of RFC 8187, section 3.2.1.
func extValue(s string) (string, error) {
	charset, rest, ok := strings.Cut(s, "'")
	_, text, ok2 := strings.Cut(rest, "'")
	if !ok || !ok2 || !strings.EqualFold(charset, "UTF-8") {
		return "", errors.New("no ext-value")
	}
	for i := range len(text) {
		if c := text[i]; !isTokenByte(c) || c == '*' || c == '\'' {
			return "", errors.New("a character that no ext-value has")
		}
	}
	return rawURLDecode(text)
}

// looseExtValue is what applications write that have a form decoder at hand.
func looseExtValue(s string) (string, error) {
	return javaURLDecoder(strings.TrimPrefix(s, "UTF-8''"))
}

func latin1Text(s string) (string, error) {
	var b strings.Builder
	for i := range len(s) {
		b.WriteRune(rune(s[i]))
	}
	return b.String(), nil
}

func sameText(s string) (string, error) {
	if !utf8.ValidString(s) {
		return "", errors.New("not UTF-8")
	}
	return s, nil
}

// decoders undo encode; several where applications differ.
var decoders = map[string][]func(string) (string, error){
	"utf8":    {sameText},
	"ascii":   {sameText, latin1Text},
	"latin1":  {latin1Text},
	"percent": {javaURLDecoder, rawURLDecode},
	"base64": {func(s string) (string, error) {
		b, err := base64.StdEncoding.Strict().DecodeString(s)
		return string(b), err
	}},
	"base64url": {func(s string) (string, error) {
		b, err := base64.RawURLEncoding.Strict().DecodeString(s)
		return string(b), err
	}},
	"rfc2047": {emailHeader},
	"rfc8187": {extValue, looseExtValue},
}

// splitters undo list and escape.
func splitBackslash(text, delimiter string) []string {
	var out []string
	var b strings.Builder
	for i := 0; i < len(text); {
		switch {
		case text[i] == '\\' && i+1 < len(text):
			_, n := utf8.DecodeRuneInString(text[i+1:])
			b.WriteString(text[i+1 : i+1+n])
			i += 1 + n
		case strings.HasPrefix(text[i:], delimiter):
			out = append(out, b.String())
			b.Reset()
			i += len(delimiter)
		default:
			b.WriteByte(text[i])
			i++
		}
	}
	return append(out, b.String())
}

func splitPercent(text, delimiter string, decode func(string) (string, error)) ([]string, error) {
	parts := strings.Split(text, delimiter)
	for i := range parts {
		p, err := decode(parts[i])
		if err != nil {
			return nil, err
		}
		parts[i] = p
	}
	return parts, nil
}

// read undoes one field value under a definition, in every way that an
// application may, and reports the first that gives something else than want.
func read(d HeaderDefinition, line string, want []string) error {
	for _, decode := range decoders[or(d.Encode, "utf8")] {
		text, err := decode(overTheWire(line))
		if err != nil {
			return err
		}
		if err := same(d, text, want); err != nil {
			return err
		}
	}
	return nil
}

func same(d HeaderDefinition, text string, want []string) error {
	delimiter := or(d.Delimiter, defaultDelimiter)
	check := func(got []string) error {
		if len(got) != len(want) {
			return errors.New("another number of elements: " + text)
		}
		for i := range got {
			if got[i] != want[i] {
				return errors.New("another element: " + got[i])
			}
		}
		return nil
	}
	switch {
	case d.List == "json":
		var got []string
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			return err
		}
		return check(got)
	case d.List == "repeat" && d.Escape == "backslash":
		return check(splitBackslash(text, ","))
	case d.Escape == "backslash":
		return check(splitBackslash(text, delimiter))
	case d.Escape == "percent":
		for _, decode := range []func(string) (string, error){javaURLDecoder, rawURLDecode} {
			got, err := splitPercent(text, delimiter, decode)
			if err != nil {
				return err
			}
			if err := check(got); err != nil {
				return err
			}
		}
		return nil
	case d.List == "repeat":
		return check([]string{text})
	}
	// A reader may trim what it has split.
	got := strings.Split(text, delimiter)
	for i := range got {
		if strings.TrimSpace(got[i]) != got[i] {
			return errors.New("an element that a reader would trim: " + got[i])
		}
	}
	return check(got)
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}
