package directories

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/rest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// oneArg reads exactly one argument.
func oneArg(d *caddyfile.Dispenser) (string, error) {
	var arg string
	if !d.AllArgs(&arg) {
		return "", d.ArgErr()
	}
	return arg, nil
}

// address reads the kind, which d stands before, and the one argument that
// follows it.
func address(d *caddyfile.Dispenser, to *string) error {
	d.Next() // the kind
	var err error
	*to, err = oneArg(d)
	return err
}

// written gives a setting as it stands in a Caddyfile, or the other text where
// it holds a placeholder and cannot be judged yet.
func written(setting, other string) string {
	if block.HasPlaceholder(setting) {
		return other
	}
	return setting
}

// word is a word in braces, which is no placeholder of Caddy's: those have a
// dot.
var word = regexp.MustCompile(`\{([A-Za-z_]+)\}`)

// expandTemplate expands the placeholders of a URL in which, besides what
// block.Expand knows, {issuer} and {client} stand for the directory.
func expandTemplate(text *string) error {
	for _, m := range word.FindAllStringSubmatch(*text, -1) {
		if places := rest.Places(); !slices.Contains(places, m[1]) {
			return fmt.Errorf("unknown place {%s}%s", m[1], nearest.Hint(m[1], places))
		}
	}
	places := strings.NewReplacer("{issuer}", "\x00{issuer}\x00", "{client}", "\x00{client}\x00").Replace(*text)
	parts := strings.Split(places, "\x00")
	for i := 0; i < len(parts); i += 2 {
		if err := block.Expand(&parts[i]); err != nil {
			return err
		}
	}
	*text = strings.Join(parts, "")
	return nil
}

// expandHeaders expands the placeholders of header values, which are secrets
// more often than not. The map is made anew, because it may be shared with the
// configuration as it was written.
func expandHeaders(h *http.Header) error {
	if *h == nil {
		return nil
	}
	out := h.Clone()
	for _, values := range out {
		for i := range values {
			if err := block.Expand(&values[i]); err != nil {
				return err
			}
		}
	}
	*h = out
	return nil
}
