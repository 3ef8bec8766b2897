package syntax

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The lexer splits the source into tokens. It rejects what no expression can have:
// invalid UTF-8, open quotes, numbers out of range, unknown characters.

// tokenKind says what a token is. Operators and brackets are their own text.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota // after the last byte
	tokenName                    // a name, a constant or an operator word
	tokenText                    // a string, without its quotes
	tokenNumber                  // an integer or a number with a fraction
	tokenSymbol                  // an operator or a bracket
)

// token is a name, string, number or symbol of the source.
type token struct {
	kind tokenKind

	// text is the name, the symbol, or the text between the quotes.
	text string

	// value is the number, int64 or float64.
	value any

	// start and end are its bytes in the source.
	start, end int
}

// symbols are the operators and brackets, longest first. The last ones belong to
// Spring's language; the parser names them in its error.
var symbols = []string{
	".![", ".?[", ".^[", ".$[",
	"?.", "?:", "==", "!=", "<=", ">=", "&&", "||", "++", "--",
	".", ",", ":", "?", "(", ")", "[", "]", "{", "}", "+", "-", "*", "/", "%", "^", "!", "<", ">", "=", "&", "|", "#", "@",
}

// lex splits the source into tokens; the last is tokenEnd.
func lex(source string) ([]token, *Error) {
	if !utf8.ValidString(source) {
		return nil, NewError(source, invalidAt(source), "the expression is not valid UTF-8")
	}
	tokens := make([]token, 0, 2+len(source)/4)
	for at := 0; ; {
		for at < len(source) && isSpace(source[at]) {
			at++
		}
		if at == len(source) {
			return append(tokens, token{kind: tokenEnd, start: at, end: at}), nil
		}
		t, err := lexOne(source, at)
		if err != nil {
			return nil, err
		}
		tokens = append(tokens, t)
		at = t.end
	}
}

// lexOne reads the token that begins at a byte.
func lexOne(source string, at int) (token, *Error) {
	switch c := source[at]; {
	case c == '\'' || c == '"':
		return lexText(source, at)
	case isDigit(c):
		return lexNumber(source, at)
	case isNameStart(c):
		end := at + 1
		for end < len(source) && isNamePart(source[end]) {
			end++
		}
		return token{kind: tokenName, text: source[at:end], start: at, end: end}, nil
	}
	rest := source[at:]
	for _, s := range symbols {
		if !strings.HasPrefix(rest, s) {
			continue
		}
		if s == "?." && len(rest) > 3 && rest[2] != '.' && strings.IndexByte("!?^$", rest[2]) >= 0 && rest[3] == '[' {
			s = rest[:4] // safe projection and selection: ?.![ ?.?[ ?.^[ ?.$[
		}
		return token{kind: tokenSymbol, text: s, start: at, end: at + len(s)}, nil
	}
	r, _ := utf8.DecodeRuneInString(rest)
	switch r {
	case '“', '”', '‘', '’':
		return token{}, NewError(source, at, "a string is written in straight quotes (' or \"), not %q", r)
	case '`':
		return token{}, NewError(source, at, "a string is written in ' or \", not in backticks")
	}
	return token{}, NewError(source, at, "unexpected character %q", r)
}

// lexText reads a text between quotes. A quote is embedded by doubling it; a
// backslash is an ordinary character.
func lexText(source string, at int) (token, *Error) {
	quote, doubled := source[at], false
	for end := at + 1; end < len(source); end++ {
		if source[end] != quote {
			continue
		}
		if end+1 < len(source) && source[end+1] == quote {
			doubled = true
			end++
			continue
		}
		text := source[at+1 : end]
		if doubled {
			text = strings.ReplaceAll(text, string([]byte{quote, quote}), string([]byte{quote}))
		}
		return token{kind: tokenText, text: text, start: at, end: end + 1}, nil
	}
	return token{}, NewError(source, at, "the string has no closing %c", quote)
}

// lexNumber reads 1234, 1234L, 0x1F, 3.141, 1e5, 1.5f and 2d. A point that no
// digit follows belongs to a method (1.toInteger() is not a number with a
// fraction).
func lexNumber(source string, at int) (token, *Error) {
	end := at
	digits := func(is func(byte) bool) {
		for end < len(source) && is(source[end]) {
			end++
		}
	}
	peek := func(i int) byte {
		if end+i < len(source) {
			return source[end+i]
		}
		return 0
	}
	var value any
	var err error
	if source[at] == '0' && at+1 < len(source) && (source[at+1] == 'x' || source[at+1] == 'X') {
		end = at + 2
		digits(isHexDigit)
		value, err = strconv.ParseInt(source[at+2:end], 16, 64)
		if c := peek(0); c == 'l' || c == 'L' {
			end++
		}
	} else {
		digits(isDigit)
		whole := true
		if peek(0) == '.' && isDigit(peek(1)) {
			whole = false
			end++
			digits(isDigit)
		}
		if c := peek(0); c == 'e' || c == 'E' {
			if isDigit(peek(1)) || (peek(1) == '+' || peek(1) == '-') && isDigit(peek(2)) {
				whole = false
				end += 2
				digits(isDigit)
			}
		}
		text := source[at:end]
		switch c := peek(0); {
		case whole && (c == 'l' || c == 'L'):
			end++
		case c == 'f' || c == 'F' || c == 'd' || c == 'D':
			whole = false
			end++
		}
		if whole {
			value, err = strconv.ParseInt(text, 10, 64)
		} else {
			value, err = ParseReal(text)
		}
	}
	if err != nil {
		return token{}, NewError(source, at, "the number does not fit (integers have 64 bits)")
	}
	if end < len(source) && isNamePart(source[end]) {
		return token{}, NewError(source, end, "unexpected %q after a number", source[end])
	}
	return token{kind: tokenNumber, text: source[at:end], value: value, start: at, end: end}, nil
}

// ParseReal reads a finite number.
func ParseReal(text string) (float64, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && (math.IsInf(f, 0) || math.IsNaN(f)) {
		err = strconv.ErrRange
	}
	return f, err
}

// invalidAt returns the first byte of a text that is not UTF-8.
func invalidAt(s string) int {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return i
			}
		}
	}
	return 0
}

// The characters of the language are ASCII; letters of other alphabets occur in
// texts only.

// isSpace reports whether c is white space between tokens: Spring's tokenizer
// skips the same four.
func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHexDigit(c byte) bool {
	return isDigit(c) || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// isNameStart reports whether a name can begin with c.
func isNameStart(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '$'
}
func isNamePart(c byte) bool { return isNameStart(c) || isDigit(c) }
