package pathmatch

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// This file finds out from the configuration of matchers what they read of a path, so
// that a request is matched by as few readings as possible. A matcher of an unknown
// kind counts as reading everything.

// matcherReads is what matchers read of a request's path.
type matcherReads struct {
	path          bool // a matcher depends on the path
	letters       bool // a matcher compares its letters
	caseSensitive bool // a matcher may mean another path by folded letters
}

// readingsOf narrows a set of readings to those that can make a difference to
// matchers, and reports whether they depend on the path at all. The reading that
// folds letters stays where paths are compared only with literals that have no
// capitals; elsewhere Caddy's path matcher folds letters by itself.
func readingsOf(set pathreading.Set, raw caddyhttp.RawMatcherSets) (narrowed pathreading.Set, readsPath bool) {
	var reads matcherReads
	for _, matchers := range raw {
		reads.set(matchers)
	}
	if !reads.letters || reads.caseSensitive {
		set &^= pathreading.LetterCase
	}
	return set, reads.path
}

// set adds what the matchers of one set read. All of them must match, but each may
// come to another result in another reading, so each counts.
func (m *matcherReads) set(matchers map[string]json.RawMessage) {
	for name, text := range matchers {
		m.matcher(name, text)
	}
}

// matcher adds what one matcher reads, by its name and settings.
func (m *matcherReads) matcher(name string, text json.RawMessage) {
	switch name {
	// These read nothing of the path.
	case "host", "method", "protocol", "tls", "remote_ip", "client_ip":
	// These read the path only through a placeholder.
	case "query", "header", "header_regexp":
		if strings.Contains(string(text), "{http.request.") {
			m.path, m.caseSensitive = true, true
		}
	case "path", moduleName:
		var patterns []string
		m.path, m.letters = true, true
		m.caseSensitive = m.caseSensitive || json.Unmarshal(text, &patterns) != nil || slices.ContainsFunc(patterns, func(p string) bool {
			return strings.Contains(p, "{") || !pathreading.FoldsLetters(p)
		})
	case "not":
		var sets []map[string]json.RawMessage
		if json.Unmarshal(text, &sets) != nil {
			m.path, m.caseSensitive = true, true
		}
		for _, set := range sets {
			m.set(set)
		}
	case "path_regexp":
		var re struct {
			Pattern string `json:"pattern"`
		}
		m.path, m.letters = true, true
		m.caseSensitive = m.caseSensitive || json.Unmarshal(text, &re) != nil || !pathreading.FoldsLetters(re.Pattern)
	case "expression":
		m.path, m.letters = true, true
		m.caseSensitive = m.caseSensitive || !foldsExpression(text)
	case "vars":
		var values map[string][]string
		m.caseSensitive = m.caseSensitive || json.Unmarshal(text, &values) != nil
		m.path = true
		for name, list := range values {
			m.letters = m.letters || readsPath(name)
			for _, value := range list {
				m.caseSensitive = m.caseSensitive || strings.Contains(value, "{") || !pathreading.FoldsLetters(value)
			}
		}
	default:
		m.path, m.caseSensitive = true, true // other matchers may do anything
	}
}

// readsPath reports whether a text is the placeholder of the path, or of the URI
// that begins with it.
func readsPath(text string) bool {
	return text == "{http.request.uri.path}" || text == "{http.request.uri}"
}

// celText matches string literals of an expression, celPlaceholder its placeholders.
var (
	celText        = regexp.MustCompile(`"[^"]*"|'[^']*'`)
	celPlaceholder = regexp.MustCompile(`\{([A-Za-z0-9_.-]+)\}`)
)

// foldsExpression reports whether an expression can be evaluated for a path with
// folded letters: it reads only placeholders of the request line, and no literal of
// it has capitals.
func foldsExpression(text json.RawMessage) bool {
	var e struct {
		Expr string `json:"expr"`
	}
	if json.Unmarshal(text, &e.Expr) != nil && json.Unmarshal(text, &e) != nil {
		return false
	}
	for _, literal := range celText.FindAllString(e.Expr, -1) {
		if !pathreading.FoldsLetters(literal) {
			return false
		}
	}
	// Other placeholders may hold anything, with capitals too.
	for _, name := range celPlaceholder.FindAllStringSubmatch(e.Expr, -1) {
		if !slices.Contains([]string{
			"http.request.uri", "http.request.uri.path", "http.request.orig_uri.path", "http.request.method", "http.request.host",
			"http.request.hostport", "http.request.port", "http.request.scheme", "http.request.proto",
			"http.request.uri.path.dir", "http.request.uri.path.file",
		}, name[1]) {
			return false
		}
	}
	return true
}
