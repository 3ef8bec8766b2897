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
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file has what several kinds need to read their settings.

// address reads the kind, which is the next token of d, and the one argument
// that follows it.
func address(d *caddyfile.Dispenser, to *string) error {
	d.Next() // the kind
	if !d.AllArgs(to) {
		return d.ArgErr()
	}
	return nil
}

// knownOr returns a setting as a Caddyfile has it, or a valid substitute where it
// holds a placeholder and cannot be checked yet.
func knownOr(setting, standIn string) string {
	if block.HasPlaceholder(setting) {
		return standIn
	}
	return setting
}

// wordInBraces is no placeholder of Caddy's: those have a dot.
var wordInBraces = regexp.MustCompile(`\{([A-Za-z_]+)\}`)

// expandTemplate expands the placeholders of a URL, but for those that the
// directory replaces at each look-up: {subject}, {issuer}, {client} and {app}. Any
// other word in braces is an error.
func expandTemplate(text *string) error {
	for _, m := range wordInBraces.FindAllStringSubmatch(*text, -1) {
		if places := rest.Places(); !slices.Contains(places, m[1]) {
			return fmt.Errorf("unknown placeholder {%s}%s", m[1], suggest.DidYouMean(m[1], places))
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

// expandHeaders expands the placeholders of header values, most of which are
// secrets. It makes a new map, because the old one may be shared with the
// configuration before expansion.
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
