package forward

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// word is a closed set of option values. The position in names is the value;
// the first is the default.
type word struct {
	option string
	names  []string
}

var (
	listWords     = word{"list", []string{"delimiter", "json", "repeat", "first"}}
	escapeWords   = word{"escape", []string{"refuse", "backslash", "percent"}}
	encodeWords   = word{"encode", []string{"utf8", "ascii", "latin1", "percent", "base64", "base64url", "rfc2047", "rfc8187"}}
	emptyWords    = word{"on_empty", []string{"omit", "empty", "deny", "default"}}
	overflowWords = word{"on_overflow", []string{"deny", "omit", "truncate_list", "split"}}
	valueWords    = word{"value", []string{"", "cn"}}
)

// parse gives the value of text; empty text is the default.
func (w word) parse(text string) (uint8, error) {
	if text == "" {
		return 0, nil
	}
	for i, n := range w.names {
		if n == text {
			return uint8(i), nil //nolint:gosec // the sets are a handful of words
		}
	}
	return 0, fmt.Errorf("unknown %s %q%s", w.option, text, nearest.Hint(text, w.names))
}
