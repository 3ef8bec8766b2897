package pathreading

import (
	"errors"
	"net/url"
	"slices"
	"strings"
)

// Errors of paths that are refused whatever chooses by them.
var (
	// ErrOpaque: a target such as x:http://app/admin has no path to net/url,
	// but something opaque, and a proxy puts that alone on the request line.
	ErrOpaque = errors.New("the target has no path")
	// ErrHiddenDots: a dot segment appears in a second reading only.
	ErrHiddenDots = errors.New("a dot segment appears only through %2F, %5C, a semicolon, a second decoding, or a trailing dot or blank")
	// ErrBlankSegment: to a server that trims, a segment is none, and which blanks
	// it trims is not known.
	ErrBlankSegment = errors.New("a segment holds nothing but blanks, controls and dots")
	// ErrTooMany: the path has more than MaxReadings readings.
	ErrTooMany = errors.New("the path has more than 32 readings")
	// ErrTooLong: a path of several readings is longer than MaxLength.
	ErrTooLong = errors.New("the path has several readings and more than 8192 bytes")
)

const (
	// MaxReadings is how many distinct readings a path may have: an ordinary
	// one has at most a handful, and each costs an evaluation.
	MaxReadings = 32
	// MaxLength is how long, in bytes, a path of several readings may be: as
	// long as servers take a request line by default.
	MaxLength = 8 << 10
)

// Single reports whether a path has one reading in any set, which is
// u.Path. It takes one pass over the bytes and allocates nothing.
func Single(u *url.URL, set Set) bool {
	for i := 0; i+2 < len(u.RawPath); i++ {
		if u.RawPath[i] == '%' && staysEscaped(unhex(u.RawPath[i+1])<<4|unhex(u.RawPath[i+2])) {
			return false
		}
	}
	p := u.Path
	last := byte(0)
	for i := range len(p) {
		c := p[i]
		switch c {
		case '%', ';', '\\':
			return false
		case '/':
			if i > 0 && endsOddly(last) {
				return false
			}
		}
		last = c
	}
	if last != '/' && endsOddly(last) {
		return false
	}
	return !set.Has(LetterCase) || strings.ToLower(p) == p
}

// endsOddly reports whether a segment that ends in c may have a second reading:
// it is empty, or ends in a dot or blank.
func endsOddly(c byte) bool { return c == '/' || c == '.' || isBlank(c) }

// isBlank reports whether servers and functions that trim take c for white space:
// with it go all controls, as a zero byte ends a text in C, and the $ of many
// regular expressions matches before a last line feed too.
func isBlank(c byte) bool { return c <= ' ' }

// Check refuses a path that servers read in several ways of which one leads
// elsewhere: no matcher needs to be asked.
func Check(u *url.URL) error {
	if u.Opaque != "" {
		return ErrOpaque
	}
	if Single(u, 0) {
		return nil
	}
	wire := u.EscapedPath()
	if len(wire) > MaxLength {
		return ErrTooLong
	}
	once := unescape(wire, isSlash)
	list := []string{once}
	for _, decoded := range []string{once, u.Path} {
		list = appendNew(list, decoded)
		if twice, ok := unescapeAgain(decoded, none); ok {
			list = appendNew(list, twice)
		}
	}
	for _, read := range []func(string) string{slashed, withoutParameters, trimmed} {
		for _, text := range slices.Clone(list) {
			list = appendNew(list, read(text))
		}
	}
	want := dotSegments(once)
	for _, text := range list {
		if dotSegments(text) != want {
			return ErrHiddenDots
		}
	}
	return nil
}

// Of returns the distinct readings of a path as it is forwarded, each as text.
// The first is the path as it was sent: escapes of ASCII letters, digits,
// ".", "/", "\" and "%" stay, with capital hexadecimal digits, and all others
// are decoded.
func Of(u *url.URL, set Set) ([]string, error) {
	if Single(u, set) && u.Opaque == "" {
		return []string{u.Path}, nil
	}
	if err := Check(u); err != nil {
		return nil, err
	}
	list := decoded(u, set)
	for _, step := range []struct {
		in   Set
		read func(string) string
	}{
		{Backslashes, slashed},
		{Authority, withoutAuthority},
		{Parameters, withoutParameters},
		{TrailingDots, trimmed},
		{DotSegments, merged},
		{DotSegments, undotted},
		{LetterCase, strings.ToLower},
	} {
		if !set.Has(step.in) {
			continue
		}
		for _, text := range slices.Clone(list) {
			if list = appendNew(list, step.read(text)); len(list) > MaxReadings {
				return nil, ErrTooMany
			}
		}
	}
	if set.Has(TrailingDots) && slices.ContainsFunc(list, hasBlankSegment) {
		return nil, ErrBlankSegment
	}
	if !set.Has(DotSegments) {
		all := list
		list = nil
		for _, text := range all {
			list = appendNew(list, undotted(merged(text)))
		}
	}
	return list, nil
}

// decoded lists what decoding alone makes of a path.
func decoded(u *url.URL, set Set) []string {
	wire := u.EscapedPath()
	once := unescape(wire, isSlash)
	list := appendNew([]string{unescape(wire, staysEscaped)}, once)
	switch {
	case set.Has(EncodedSlashes):
		list = appendNew(list, u.Path)
	case set.Has(Backslashes): // which Go writes as %5C when it forwards them
		list = appendNew(list, unescape(wire, func(b byte) bool { return b == '/' }))
	}
	if !set.Has(DoubleDecoding) {
		return list
	}
	if twice, ok := unescapeAgain(once, isSlash); ok {
		list = appendNew(list, twice)
	}
	if twice, ok := unescapeAgain(u.Path, none); ok && set.Has(EncodedSlashes) {
		list = appendNew(list, twice)
	}
	return list
}

// appendNew appends a text that the list does not have yet.
func appendNew(list []string, text string) []string {
	if slices.Contains(list, text) {
		return list
	}
	return append(list, text)
}

// staysEscaped reports whether a byte's escape stays in a path as sent: routers
// that compare before they decode distinguish it from the byte.
func staysEscaped(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || b == '.' || b == '%' || isSlash(b)
}

// isSlash reports whether some server takes b for a separator of segments:
// Windows and .NET take the backslash for one.
func isSlash(b byte) bool { return b == '/' || b == '\\' }

// none keeps no escape.
func none(byte) bool { return false }

// unescape decodes the escapes of a path but those of bytes that stay, whose
// hexadecimal digits become capital.
func unescape(text string, stays func(byte) bool) string {
	out, _ := unescapeAgain(text, stays)
	return out
}

// unescapeAgain decodes a text that may have been decoded before. It reports
// whether every percent sign begins an escape, and there is one.
func unescapeAgain(text string, stays func(byte) bool) (string, bool) {
	if strings.IndexByte(text, '%') < 0 {
		return text, false
	}
	out, valid := make([]byte, 0, len(text)), true
	for i := 0; i < len(text); i++ {
		switch {
		case text[i] != '%':
			out = append(out, text[i])
		case i+2 >= len(text) || !isHex(text[i+1]) || !isHex(text[i+2]):
			out, valid = append(out, '%'), false
		default:
			if b := unhex(text[i+1])<<4 | unhex(text[i+2]); stays(b) {
				out = append(out, '%', capitals[b>>4], capitals[b&15])
			} else {
				out = append(out, b)
			}
			i += 2
		}
	}
	return string(out), valid
}

// capitals are the digits of escapes that stay, as RFC 3986 (section 6.2.2.1)
// writes them.
const capitals = "0123456789ABCDEF"

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

// unhex returns the value of a hexadecimal digit.
func unhex(c byte) byte {
	switch {
	case c <= '9':
		return c - '0'
	case c <= 'F':
		return c - 'A' + 10
	}
	return c - 'a' + 10
}

// slashed makes a slash of each backslash.
func slashed(text string) string { return strings.ReplaceAll(text, `\`, "/") }

// withoutAuthority leaves out the text between slashes at the beginning and
// the next one: to the URL class of Node and to PHP's parse_url, that is a host.
func withoutAuthority(text string) string {
	if !strings.HasPrefix(text, "//") {
		return text
	}
	_, path, _ := strings.Cut(strings.TrimLeft(text, "/"), "/")
	return "/" + path
}

// withoutParameters cuts each segment at its first semicolon.
func withoutParameters(text string) string {
	return eachSegment(text, func(segment string) string {
		name, _, _ := strings.Cut(segment, ";")
		return name
	})
}

// trimmed cuts dots and blanks off the end of each segment; where that leaves a
// dot segment, it stays.
func trimmed(text string) string {
	return eachSegment(text, func(segment string) string {
		for n := len(segment); n > 0 && !isDots(segment) && (segment[n-1] == '.' || isBlank(segment[n-1])); n-- {
			segment = segment[:n-1]
		}
		return segment
	})
}

// hasBlankSegment reports whether trimming leaves nothing of a segment.
func hasBlankSegment(text string) bool {
	for segment := range strings.SplitSeq(text, "/") {
		if segment != "" && trimmed(segment) == "" {
			return true
		}
	}
	return false
}

// merged makes one slash of several.
func merged(text string) string {
	for strings.Contains(text, "//") {
		text = strings.ReplaceAll(text, "//", "/")
	}
	return text
}

// undotted resolves dot segments (RFC 3986, section 5.2.4); to it an empty
// segment is one like any other. A slash at the end comes and goes with what
// stood there.
func undotted(text string) string {
	segments := strings.Split(text, "/")
	out := segments[:0]
	for _, segment := range segments {
		switch {
		case segment == "..":
			out = out[:max(len(out)-1, min(len(out), 1))]
		case segment != ".":
			out = append(out, segment)
		}
	}
	if len(out) == 1 && out[0] == "" && len(segments) > 1 {
		return "/"
	}
	return strings.Join(out, "/")
}

func eachSegment(text string, change func(string) string) string {
	segments := strings.Split(text, "/")
	for i, segment := range segments {
		segments[i] = change(segment)
	}
	return strings.Join(segments, "/")
}

func isDots(segment string) bool { return segment == "." || segment == ".." }

// dotSegments counts them.
func dotSegments(text string) int {
	n := 0
	for segment := range strings.SplitSeq(text, "/") {
		if isDots(segment) {
			n++
		}
	}
	return n
}

// HasEncodedSlash reports whether the path as it is forwarded holds the escape
// of a slash or backslash.
func HasEncodedSlash(u *url.URL) bool {
	return strings.IndexByte(u.Path, '\\') >= 0 || strings.Count(u.EscapedPath(), "/") != strings.Count(u.Path, "/")
}
