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

// This file makes of Caddy's path matcher one that can be shown a reading of a
// path: it folds letters by itself, and takes the escaped path for another form
// of the path.

// keepsCapitals is the key of a context in which letters are not folded but by
// the reading.
type keepsCapitals struct{}

// readingPath is Caddy's path matcher.
type readingPath struct {
	caddyhttp.MatchPath                     // as configured
	plain               caddyhttp.MatchPath // the patterns without escapes
	escaped             caddyhttp.MatchPath // those with
}

// forReadings returns a set with it in the place of Caddy's.
func forReadings(set caddyhttp.MatcherSet) caddyhttp.MatcherSet {
	set = slices.Clone(set)
	for i, matcher := range set {
		switch m := matcher.(type) {
		case *caddyhttp.MatchNot:
			n := &caddyhttp.MatchNot{MatcherSetsRaw: m.MatcherSetsRaw}
			for _, inner := range m.MatcherSets {
				n.MatcherSets = append(n.MatcherSets, forReadings(inner))
			}
			set[i] = n
		case *MatchPath:
			set[i] = m.matcher.sets[0][0] // whose readings are judged here
		case *caddyhttp.MatchPath:
			p := &readingPath{MatchPath: *m}
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
func (m *readingPath) MarshalJSON() ([]byte, error) { return json.Marshal(m.MatchPath) }

// MatchWithError reports whether one of the patterns matches.
func (m *readingPath) MatchWithError(r *http.Request) (bool, error) {
	if match, err := m.matchPlain(r); match || err != nil || len(m.escaped) == 0 {
		return match, err
	}
	if decoded, err := url.PathUnescape(r.URL.RawPath); r.URL.RawPath != "" && err == nil {
		defer withPath(r.URL, decoded)()
	}
	return m.escaped.MatchWithError(r)
}

func (m *readingPath) matchPlain(r *http.Request) (bool, error) {
	if len(m.plain) == 0 {
		return false, nil
	}
	if keeps, _ := r.Context().Value(keepsCapitals{}).(bool); keeps {
		defer withPath(r.URL, strings.Map(withoutCapitals, r.URL.Path))()
	}
	return m.plain.MatchWithError(r)
}

// withoutCapitals puts what no pattern names in the place of a capital, which
// would be folded.
func withoutCapitals(r rune) rune {
	if unicode.ToLower(r) != r {
		return capitalStandIn
	}
	return r
}

// capitalStandIn is of a private use area.
const capitalStandIn = '\uE0C0'

// withPath changes the path of a URL. It returns the function that undoes it.
func withPath(u *url.URL, path string) func() {
	own := u.Path
	u.Path = path
	return func() { u.Path = own }
}
