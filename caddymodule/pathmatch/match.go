// Package pathmatch matches requests by all readings of their path. Applications
// read one path in several ways; matchers that come to different results for two
// of them do not choose a policy, and the request is refused.
package pathmatch

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// Matchers are matcher sets that must come to one result for all readings of a
// request's path. To a Java application, for example, "/admin;x/users" is
// "/admin/users", which Caddy's matcher "/admin/*" does not match (P55).
type Matchers struct {
	sets     caddyhttp.MatcherSets
	readings pathreading.Set
	// readsPath means that a matcher may depend on the path.
	readsPath bool
}

// New returns matchers for the sets that a module has loaded from raw, and for those
// of the readings that make a difference to them.
func New(sets caddyhttp.MatcherSets, raw caddyhttp.RawMatcherSets, all pathreading.Set) Matchers {
	var m Matchers
	m.readings, m.readsPath = readingsOf(all, raw)
	for _, set := range sets {
		m.sets = append(m.sets, withReadings(set))
	}
	return m
}

// Match reports whether the matchers match the request. Where readings of its path
// come to different results, or one of them leads elsewhere in itself, the error is
// an *enrich.Refusal. The request's URL is as before when it returns.
func (m *Matchers) Match(r *http.Request) (bool, error) {
	if err := enrich.CheckPath(r); err != nil {
		return false, err
	}
	// Most paths have one reading, and are matched once.
	if !m.readsPath || enrich.HasOnePath(r, m.readings) {
		return m.sets.AnyMatchWithError(r)
	}
	// Each reading is matched on a copy that takes what matchers leave behind.
	readings, err := enrich.PathReadings(r, m.readings)
	if err != nil {
		return false, err
	}
	scratch := m.isolated(r)
	first, err := resultFor(m.sets, scratch, readings[0])
	if err != nil {
		return false, err
	}
	for _, reading := range readings[1:] {
		if match, err := resultFor(m.sets, scratch, reading); err != nil {
			return false, err
		} else if match != first {
			return false, m.ambiguous(scratch, readings[0], reading, first)
		}
	}
	// The original path comes last, so that what matchers leave behind, such as
	// captures of path_regexp, is about it. It has its slashes decoded.
	last := original
	if !m.readings.Has(pathreading.EncodedSlashes) && pathreading.HasEncodedSlash(r.URL) {
		last = readings[0]
	}
	match, err := resultFor(m.sets, r, last)
	if err == nil && match != first {
		return false, m.ambiguous(scratch, readings[0], last, first)
	}
	return match, err
}

// original selects the URL of the request instead of a reading.
const original = ""

// resultFor returns the result of matchers for a reading. It sets the request's own
// URL to the reading meanwhile, because expressions read it through placeholders.
func resultFor(sets caddyhttp.MatcherSets, r *http.Request, reading string) (bool, error) {
	if reading != original {
		defer setReading(r, reading)()
	}
	return sets.AnyMatchWithError(r)
}

// setReading sets the URL of a request to a reading of its path, and the URL of the
// request as it was sent where both have one path. It returns the function that
// undoes it.
func setReading(r *http.Request, reading string) func() {
	urls := []*url.URL{r.URL}
	if sent, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && sent.URL != nil && sent.URL != r.URL && sent.URL.Path == r.URL.Path {
		urls = append(urls, sent.URL)
	}
	own := make([]url.URL, len(urls))
	path, raw := pathreading.URL(reading)
	for i, u := range urls {
		own[i] = *u
		u.Path, u.RawPath = path, raw
	}
	return func() {
		for i, u := range urls {
			*u = own[i]
		}
	}
}

// isolated returns the request with a replacer and variables of its own, so that what
// matchers leave behind there does not reach the request itself. It shares the URL
// with r.
func (m *Matchers) isolated(r *http.Request) *http.Request {
	ctx := context.WithValue(r.Context(), keepCase{}, m.readings.Has(pathreading.LetterCase))
	if repl, ok := ctx.Value(caddy.ReplacerCtxKey).(*caddy.Replacer); ok {
		scratch := caddy.NewEmptyReplacer()
		scratch.Map(repl.Get)
		ctx = context.WithValue(ctx, caddy.ReplacerCtxKey, scratch)
	}
	if vars, ok := ctx.Value(caddyhttp.VarsCtxKey).(map[string]any); ok {
		ctx = context.WithValue(ctx, caddyhttp.VarsCtxKey, maps.Clone(vars))
	}
	return r.WithContext(ctx)
}

// ambiguous returns the refusal of a request for which the matchers come to different
// results in two readings. It names the first matcher that does so by itself.
func (m *Matchers) ambiguous(r *http.Request, one, other string, takesOne bool) error {
	name := "the combined matchers"
	// Each matcher by itself, to name one that an operator can change.
	for _, set := range m.sets {
		for _, matcher := range set {
			alone := caddyhttp.MatcherSets{{matcher}}
			a, errOne := resultFor(alone, r, one)
			b, errOther := resultFor(alone, r, other)
			if errOne == nil && errOther == nil && a != b && name == "the combined matchers" {
				name, takesOne = matcherName(matcher), a
			}
		}
	}
	if other == original {
		other = r.URL.Path
	}
	if !takesOne {
		one, other = other, one
	}
	return enrich.DifferentPaths(name, one, other)
}

// maxShownMatcher bounds how many bytes of a matcher's settings a log line has.
const maxShownMatcher = 256

// matcherName returns the module and settings of a matcher, for an operator.
// The client never sees it.
func matcherName(matcher any) string {
	name := fmt.Sprintf("%T", matcher)
	if m, ok := matcher.(caddy.Module); ok {
		name = strings.TrimPrefix(string(m.CaddyModule().ID), "http.matchers.")
	}
	if text, err := json.Marshal(matcher); err == nil {
		name += " " + string(text[:min(len(text), maxShownMatcher)])
	}
	return "the matcher " + name
}
