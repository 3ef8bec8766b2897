package forward

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// enum is a closed set of option values. The position in names is the value;
// the first is the default.
type enum struct {
	option string
	names  []string
}

var (
	listValues     = enum{"list", []string{"delimiter", "json", "repeat", "first"}}
	escapeValues   = enum{"escape", []string{"refuse", "backslash", "percent"}}
	encodeValues   = enum{"encode", []string{"utf8", "ascii", "latin1", "percent", "base64", "base64url", "rfc2047", "rfc8187"}}
	emptyValues    = enum{"on_empty", []string{"omit", "empty", "deny", "default"}}
	overflowValues = enum{"on_overflow", []string{"deny", "omit", "truncate_list", "split"}}
	valueValues    = enum{"value", []string{"", "cn"}}
)

// parse returns the number of a value; the empty text is the default.
func (e enum) parse(text string) (uint8, error) {
	if text == "" {
		return 0, nil
	}
	for i, n := range e.names {
		if n == text {
			return uint8(i), nil //nolint:gosec // the sets are small
		}
	}
	return 0, fmt.Errorf("unknown %s %q%s", e.option, text, suggest.DidYouMean(text, e.names))
}
