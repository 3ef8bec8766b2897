package pathmatch

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// This file adapts Caddy's path matcher to readings. The matcher itself folds the
// case of letters, and matches patterns with escapes against the escaped path.

// keepCase is the context key that makes the path matcher keep the case of
// letters, because a reading of its own folds them.
type keepCase struct{}

// caseMatchPath is Caddy's path matcher, which may keep the case of letters.
type caseMatchPath struct {
	caddyhttp.MatchPath                     // as configured
	plain               caddyhttp.MatchPath // the patterns without escapes
	escaped             caddyhttp.MatchPath // those with
}

// withReadings returns a matcher set in which caseMatchPath replaces Caddy's path
// matcher, inside of not too.
func withReadings(set caddyhttp.MatcherSet) caddyhttp.MatcherSet {
	set = slices.Clone(set)
	for i, matcher := range set {
		switch m := matcher.(type) {
		case *caddyhttp.MatchNot:
			n := &caddyhttp.MatchNot{MatcherSetsRaw: m.MatcherSetsRaw}
			for _, inner := range m.MatcherSets {
				n.MatcherSets = append(n.MatcherSets, withReadings(inner))
			}
			set[i] = n
		case *MatchPath: // of this package
			set[i] = m.matcher.sets[0][0] // its readings are among those of the set
		case *caddyhttp.MatchPath:
			p := &caseMatchPath{MatchPath: *m}
			for _, pattern := range *m {
				if strings.Contains(pattern, "%") {
					p.escaped = append(p.escaped, pattern)
				} else {
					p.plain = append(p.plain, pattern)
				}
			}
			set[i] = p
		}
	}
	return set
}

// MarshalJSON returns the patterns.
func (m *caseMatchPath) MarshalJSON() ([]byte, error) { return json.Marshal(m.MatchPath) }

// MatchWithError reports whether one of the patterns matches.
func (m *caseMatchPath) MatchWithError(r *http.Request) (bool, error) {
	if match, err := m.matchPlain(r); match || err != nil || len(m.escaped) == 0 {
		return match, err
	}
	// Caddy matches these patterns against EscapedPath, which is RawPath only where
	// Path is its decoded form.
	if decoded, err := url.PathUnescape(r.URL.RawPath); r.URL.RawPath != "" && err == nil {
		defer withPath(r.URL, decoded)()
	}
	return m.escaped.MatchWithError(r)
}

// matchPlain matches the patterns without escapes.
func (m *caseMatchPath) matchPlain(r *http.Request) (bool, error) {
	if len(m.plain) == 0 {
		return false, nil
	}
	if keeps, _ := r.Context().Value(keepCase{}).(bool); keeps {
		defer withPath(r.URL, strings.Map(replaceCapital, r.URL.Path))()
	}
	return m.plain.MatchWithError(r)
}

// replaceCapital replaces a capital letter, which the matcher would fold, by a letter
// that no pattern has.
func replaceCapital(r rune) rune {
	if unicode.ToLower(r) != r {
		return capitalStandIn
	}
	return r
}

// capitalStandIn is a code point for private use.
const capitalStandIn = '\uE0C0'

// withPath sets the path of a URL and returns the function that undoes it.
// Caddy's matchers take their input from there, and a copy of the request for each
// reading would cost more than the match.
func withPath(u *url.URL, path string) func() {
	own := u.Path
	u.Path = path
	return func() { u.Path = own }
}
