package pathreading

import (
	"net/url"
	"strings"
)

// A matcher of Caddy sees a request's URL and cleans its path first. URL writes a
// reading so that the matcher sees it unchanged.

// standIn takes the place of a dot segment or an empty segment, which matchers
// would resolve. It is of a private use area, so that no pattern means it.
const standIn = "\uE0D5"

// URL returns the path and the raw path that show a reading to a matcher.
// Segments that are kept in the reading have a stand-in in both. Escapes that
// stayed in the reading are text in the path, and escapes in the raw path.
func URL(reading string) (plain, raw string) {
	segments := strings.Split(reading, "/")
	for i, segment := range segments {
		if isDots(segment) || segment == "" && i > 0 && i < len(segments)-1 {
			segments[i] = standIn
		}
	}
	plain = strings.Join(segments, "/")
	if strings.IndexByte(plain, '%') < 0 {
		return plain, ""
	}
	return plain, escapeRest(plain)
}

// escapeRest escapes a text that holds escapes already.
func escapeRest(text string) string {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(text, "%")
		out.WriteString((&url.URL{Path: before}).EscapedPath())
		switch {
		case !found:
			return out.String()
		case len(rest) >= 2 && isHex(rest[0]) && isHex(rest[1]):
			out.WriteString("%" + rest[:2])
			text = rest[2:]
		default:
			out.WriteString("%25")
			text = rest
		}
	}
}
