package forward

import (
	"fmt"
	"strings"
)

// refusedNames are the canonical header names that no claim may be written
// to, each with what would go wrong.
var refusedNames = map[string]string{
	"host":              "it routes the request",
	"connection":        "it controls the connection",
	"proxy":             "CGI turns it into HTTP_PROXY, which programs use as their outbound proxy",
	"transfer-encoding": "it frames the body",
	"te":                "it controls the connection",
	"trailer":           "it frames the body",
	"upgrade":           "it controls the connection",
	"cookie":            "it carries the client's own cookies",
	"set-cookie":        "it is a response header",
	"authorization":     "it carries credentials; only the re-signed token may go there",
	"x-forwarded-for":   "the proxy writes it",
	"x-forwarded-host":  "the proxy writes it",
	"x-forwarded-proto": "the proxy writes it",
	"x-forwarded-port":  "the proxy writes it",
	// Not hop-by-hop, but frameworks prepend it to the path.
	"x-forwarded-prefix": "it moves the application's paths",
	"forwarded":          "the proxy writes it",
	"via":                "the proxy writes it",
	"x-real-ip":          "it carries the client's address",
	// Proxies delete these before they send a request on, so that a claim
	// written there would silently be lost.
	"keep-alive":          "it is deleted at every hop",
	"proxy-connection":    "it is deleted at every hop",
	"proxy-authenticate":  "it is deleted at every hop",
	"proxy-authorization": "it is deleted at every hop",
	"http2-settings":      "it is deleted at every hop",
	"expect":              "it controls how the body is sent",
}

// refusedPrefix covers Content-Length, Content-Type and the other headers of the
// body.
const refusedPrefix = "content-"

// checkName reports why a claim cannot be written to a header of that name.
func checkName(name string) error {
	if err := checkSpelling(name); err != nil {
		return err
	}
	canonical := Canonicalize(name)
	if why, bad := refusedNames[canonical]; bad {
		return fmt.Errorf("%w: %s", errHeaderName, why)
	}
	if strings.HasPrefix(canonical, refusedPrefix) {
		return fmt.Errorf("%w: it describes the body", errHeaderName)
	}
	return nil
}

// checkSpelling reports whether name is a field name of bearable length.
func checkSpelling(name string) error {
	switch {
	case name == "":
		return fmt.Errorf("%w: it is empty", errHeaderName)
	case len(name) > maxNameBytes:
		return fmt.Errorf("%w: it is longer than %d bytes", errHeaderName, maxNameBytes)
	case !isFieldName(name):
		return fmt.Errorf("%w: a header name has letters, digits and %s only (RFC 9110, section 5.6.2)", errHeaderName, separators)
	}
	return nil
}

// checkPrefix reports why headers_from cannot reserve all names with the prefix.
func checkPrefix(prefix string) error {
	if len(prefix) < minPrefixBytes {
		return fmt.Errorf("%w: a prefix has at least %d characters, or it would reserve unrelated headers", errHeaderName, minPrefixBytes)
	}
	if err := checkSpelling(prefix); err != nil {
		return err
	}
	canonical := Canonicalize(prefix)
	if core := strings.Trim(canonical, string(symbol)); core == "x" || core == "" {
		return fmt.Errorf("%w: X- alone would reserve every extension header", errHeaderName)
	}
	for name := range refusedNames {
		if strings.HasPrefix(name, canonical) {
			return fmt.Errorf("%w: %s begins with it and may not be deleted", errHeaderName, spell(canonical))
		}
	}
	if strings.HasPrefix(canonical, refusedPrefix) || strings.HasPrefix(refusedPrefix, canonical) {
		return fmt.Errorf("%w: the Content headers begin with it", errHeaderName)
	}
	return nil
}

// spell names the first, in the order of the alphabet, of the refused names
// under a prefix, so that the message does not change from load to load.
func spell(canonical string) string {
	first := ""
	for name := range refusedNames {
		if strings.HasPrefix(name, canonical) && (first == "" || name < first) {
			first = name
		}
	}
	return first
}
