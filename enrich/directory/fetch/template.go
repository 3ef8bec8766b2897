package fetch

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file expands the URL templates of a configuration.

// Template is a URL with placeholders in its path or query, such as
// https://host/profile/{subject}. Scheme, host and port have none: a user's
// name never decides which server is asked.
type Template struct {
	base  string
	parts []part
}

// A part of a template is a literal text or a placeholder, in the path or in
// the query.
type part struct {
	text  string // literal, where name is empty
	name  string
	query bool
}

// maxTemplate bounds a template, in bytes.
const maxTemplate = 4096

// ParseTemplate parses a template that may hold the given names in braces. Any
// other name, unbalanced brace and a fragment are errors.
func ParseTemplate(text string, names ...string) (*Template, error) {
	if len(text) > maxTemplate {
		return nil, fmt.Errorf("reading a URL template: over %d bytes", maxTemplate)
	}
	scheme, rest, ok := strings.Cut(text, "://")
	if !ok {
		return nil, errors.New("reading a URL template: want https://host/…")
	}
	// Everything before the path is the origin, which is fixed.
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	t := &Template{base: scheme + "://" + rest[:end]}
	if strings.ContainsAny(t.base, "{}") {
		return nil, errors.New("reading a URL template: a placeholder is not allowed in scheme, host or port")
	}
	rest = rest[end:]
	if strings.Contains(rest, "#") {
		return nil, errors.New("reading a URL template: a fragment is never sent")
	}
	query := false
	for rest != "" {
		open := strings.IndexAny(rest, "{}")
		literal := rest
		if open >= 0 {
			literal = rest[:open]
		}
		if literal != "" {
			t.parts = append(t.parts, part{text: literal})
			query = query || strings.Contains(literal, "?")
		}
		if open < 0 {
			break
		}
		length := strings.IndexByte(rest[open:], '}')
		if rest[open] == '}' || length < 0 {
			return nil, errors.New("reading a URL template: unbalanced brace")
		}
		name := rest[open+1 : open+length]
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("reading a URL template: unknown placeholder {%s}%s", name, suggest.DidYouMean(name, names))
		}
		t.parts = append(t.parts, part{name: name, query: query})
		rest = rest[open+length+1:]
	}
	// With the placeholders filled, the rest must be a URL.
	if _, err := url.Parse(t.base + t.fill(func(part) string { return "x" })); err != nil {
		return nil, errors.New("reading a URL template: not a URL")
	}
	return t, nil
}

// Base returns scheme, host and port, for Options.Base.
func (t *Template) Base() string { return t.base }

// Has reports whether the template has a placeholder of this name.
func (t *Template) Has(name string) bool {
	return slices.ContainsFunc(t.parts, func(p part) bool { return p.name == name })
}

// Expand replaces the placeholders by the escaped values and returns path and
// query, for Request.URL. A value that cannot be one segment of a path is
// directory.ErrNotFound.
func (t *Template) Expand(values map[string]string) (string, error) {
	var failed error
	text := t.fill(func(p part) string {
		if p.query {
			return QueryValue(values[p.name])
		}
		segment, err := PathSegment(values[p.name])
		if err != nil {
			failed = err
		}
		return segment
	})
	if failed != nil {
		return "", failed
	}
	return text, nil
}

// fill joins the parts, with the placeholders replaced by value.
func (t *Template) fill(value func(part) string) string {
	var b strings.Builder
	for _, p := range t.parts {
		if p.name == "" {
			b.WriteString(p.text)
			continue
		}
		b.WriteString(value(p))
	}
	return b.String()
}
