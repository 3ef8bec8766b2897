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

// Matchers are matchers that must come to one result in every reading of a
// request's path: to a Java application, "/admin;x/users" is "/admin/users",
// which the matcher "/admin/*" does not see (P55).
type Matchers struct {
	sets     caddyhttp.MatcherSets
	readings pathreading.Set
	// readsPath reports that a matcher may depend on the path.
	readsPath bool
}

// New makes them of what a module has loaded from raw.
func New(sets caddyhttp.MatcherSets, raw caddyhttp.RawMatcherSets, all pathreading.Set) Matchers {
	var m Matchers
	m.readings, m.readsPath = readingsOf(all, raw)
	for _, set := range sets {
		m.sets = append(m.sets, forReadings(set))
	}
	return m
}

// Match reports whether the matchers take the request. Where readings of its
// path come to different results, or one of them leads elsewhere in itself, the
// error is a *enrich.Refusal.
func (m *Matchers) Match(r *http.Request) (bool, error) {
	if err := enrich.CheckPath(r); err != nil {
		return false, err
	}
	if !m.readsPath || enrich.HasOnePath(r, m.readings) {
		return m.sets.AnyMatchWithError(r)
	}
	readings, err := enrich.PathReadings(r, m.readings)
	if err != nil {
		return false, err
	}
	aside := m.besides(r)
	first, err := resultFor(m.sets, aside, readings[0])
	if err != nil {
		return false, err
	}
	for _, reading := range readings[1:] {
		if match, err := resultFor(m.sets, aside, reading); err != nil {
			return false, err
		} else if match != first {
			return false, m.different(aside, readings[0], reading, first)
		}
	}
	// The path as it stands comes last, so that what matchers leave behind, such
	// as captures of path_regexp, is about it. It has its slashes decoded.
	last := asItStands
	if !m.readings.Has(pathreading.EncodedSlashes) && pathreading.HasEncodedSlash(r.URL) {
		last = readings[0]
	}
	match, err := resultFor(m.sets, r, last)
	if err == nil && match != first {
		return false, m.different(aside, readings[0], last, first)
	}
	return match, err
}

// asItStands is no reading, but the URL of the request.
const asItStands = ""

// resultFor asks matchers about a reading. It stands in the request's own URL
// meanwhile, because expressions read it there through placeholders.
func resultFor(sets caddyhttp.MatcherSets, r *http.Request, reading string) (bool, error) {
	if reading != asItStands {
		defer showPath(r, reading)()
	}
	return sets.AnyMatchWithError(r)
}

// showPath puts a reading of the path into the URL of a request, and into that
// of the request as it was sent where they have one path. It returns the
// function that undoes it.
func showPath(r *http.Request, reading string) func() {
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

// besides is the request with places of its own for what matchers leave behind:
// placeholders and variables. It shares the URL with r.
func (m *Matchers) besides(r *http.Request) *http.Request {
	ctx := context.WithValue(r.Context(), keepsCapitals{}, m.readings.Has(pathreading.LetterCase))
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

// different is the refusal of a request of which the matchers take one reading,
// or leave it, and do the contrary with the other. It names the first matcher
// that parts them.
func (m *Matchers) different(r *http.Request, one, other string, takesOne bool) error {
	name := "the matchers together"
	for _, set := range m.sets {
		for _, matcher := range set {
			alone := caddyhttp.MatcherSets{{matcher}}
			a, errOne := resultFor(alone, r, one)
			b, errOther := resultFor(alone, r, other)
			if errOne == nil && errOther == nil && a != b && name == "the matchers together" {
				name, takesOne = matcherName(matcher), a
			}
		}
	}
	if other == asItStands {
		other = r.URL.Path
	}
	if !takesOne {
		one, other = other, one
	}
	return enrich.DifferentPaths(name, one, other)
}

// maxShownMatcher is how many bytes of a matcher stand in a log line.
const maxShownMatcher = 256

// matcherName names a matcher for an operator: its module and its settings.
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
