package forward

import (
	"encoding/base64"
	"mime"
	"strings"
	"unicode/utf8"
)

// This file encodes texts for field values.

// encoded turns the text of a value into the bytes of a field value.
func (h *header) encoded(text string) (string, error) {
	switch h.encode {
	case encodeUTF8:
		return text, plain(text, utf8.MaxRune, errASCII)
	case encodeASCII:
		return text, plain(text, 0x7E, errASCII)
	case encodeLatin1:
		return latin1(text)
	}
	if !utf8.ValidString(text) {
		return "", errUTF8
	}
	switch h.encode {
	case encodePercent:
		return percent(text, "-._~"), nil
	case encodeBase64:
		return base64.StdEncoding.EncodeToString([]byte(text)), nil
	case encodeBase64URL:
		return base64.RawURLEncoding.EncodeToString([]byte(text)), nil
	case encodeRFC2047:
		return words(text), nil
	}
	// attr-char of RFC 8187, section 3.2.1, without +, which form decoders
	// read as a space.
	return "UTF-8''" + percent(text, "!#$&-.^_`|~"), nil
}

// limit is the highest character that the encoding writes as itself; JSON
// escapes what is above it.
func (h *header) limit() rune {
	switch h.encode {
	case encodeASCII:
		return 0x7E
	case encodeLatin1:
		return 0xFF
	}
	return utf8.MaxRune
}

// plain checks text that goes onto the wire as it is.
func plain(text string, limit rune, outside refusal) error {
	if spaceAtEnd(text) {
		return errEdge
	}
	for i := 0; i < len(text); {
		if c := text[i]; c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7F {
				return errControl
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(text[i:])
		switch {
		case r == utf8.RuneError && n == 1:
			return errUTF8
		case isControl(r):
			return errControl
		case r > limit:
			return outside
		}
		i += n
	}
	return nil
}

// latin1 returns the text in ISO 8859-1.
func latin1(text string) (string, error) {
	if err := plain(text, 0xFF, errLatin1); err != nil {
		return "", err
	}
	b := make([]byte, 0, len(text))
	for _, r := range text {
		b = append(b, byte(r)) //nolint:gosec // plain has bounded it
	}
	return string(b), nil
}

// percent encodes every byte that is neither a letter, a digit, nor one of
// keep.
func percent(text, keep string) string {
	var b strings.Builder
	b.Grow(len(text) + len(text)/2)
	for i := range len(text) {
		if c := text[i]; canonicalBytes[c] != symbol || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		appendPercent(&b, text[i:i+1])
	}
	return b.String()
}

// words writes text as RFC 2047 encoded words where it has to: outside plain
// ASCII, with white space at an end, or where it contains the mark that
// begins an encoded word, so that a reader who decodes always gets the text
// back. All of the text is encoded, because white space between an encoded
// and a plain word would be lost or kept depending on the reader.
func words(text string) string {
	if plain(text, 0x7E, errASCII) == nil && !strings.Contains(text, "=?") {
		return text
	}
	encoded := mime.BEncoding.Encode("UTF-8", text)
	if encoded != text {
		return encoded
	}
	// The library leaves printable ASCII alone; what is left is that.
	const perWord = 45 // bytes, so that a word has at most 75 characters
	var b strings.Builder
	for text != "" {
		n := min(perWord, len(text))
		if b.Len() > 0 {
			b.WriteByte(' ')
		}
		b.WriteString("=?UTF-8?B?" + base64.StdEncoding.EncodeToString([]byte(text[:n])) + "?=")
		text = text[n:]
	}
	return b.String()
}
