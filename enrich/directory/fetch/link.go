package fetch

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// This file reads Link headers, by which servers name the next page of a list.

// Next returns the target of the Link with rel="next" (RFC 8288) as an absolute
// URL, empty where there is none. It may lead to another host, which Client.Do
// refuses. A header that cannot be parsed is directory.ErrMalformed: it might
// lead to the rest of the list.
func (r *Response) Next() (string, error) {
	for _, text := range r.Header.Values("Link") {
		for {
			if text = strings.TrimLeft(text, " \t,"); text == "" {
				break
			}
			var l webLink
			var ok bool
			if l, text, ok = readLink(text); !ok {
				return "", fmt.Errorf("reading an answer: its links are not readable: %w", directory.ErrMalformed)
			}
			if l.isNext() {
				return r.Resolve(l.target), nil
			}
		}
	}
	return "", nil
}

// A webLink is one value of a Link header.
type webLink struct{ target, rel string }

// isNext reports whether one of the link's relation types is next.
func (l webLink) isNext() bool {
	for rel := range strings.FieldsSeq(strings.Trim(l.rel, "'")) { // some servers take these for quotes
		if strings.EqualFold(rel, "next") {
			return true
		}
	}
	return false
}

// readLink parses the first value of text. rest is empty or begins with the
// comma before the next value.
func readLink(text string) (l webLink, rest string, ok bool) {
	text, opened := strings.CutPrefix(text, "<")
	if l.target, rest, ok = strings.Cut(text, ">"); !ok || !opened {
		return l, "", false
	}
	for hasRel := false; ; {
		if rest = strings.TrimLeft(rest, " \t"); rest == "" || rest[0] == ',' {
			return l, rest, true
		}
		if rest[0] != ';' {
			return l, "", false
		}
		var name, value string
		if name, value, rest, ok = readParameter(rest[1:]); !ok {
			return l, "", false
		}
		// Names are compared without regard to case.
		if strings.EqualFold(name, "rel") && !hasRel { // the first counts (section 3.3)
			l.rel, hasRel = value, true
		}
	}
}

// readParameter parses a parameter at the start of text: a name, and a value
// where it has one.
func readParameter(text string) (name, value, rest string, ok bool) {
	text = strings.TrimLeft(text, " \t")
	name, text = until(text, "=;, \t")
	text = strings.TrimLeft(text, " \t")
	if !strings.HasPrefix(text, "=") {
		return name, "", text, true
	}
	text = strings.TrimLeft(text[1:], " \t")
	if !strings.HasPrefix(text, `"`) {
		value, rest = until(text, ";, \t")
		return name, value, rest, true
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return name, b.String(), text[i+1:], true
		case c == '\\' && i+1 < len(text):
			i++
			b.WriteByte(text[i])
		default:
			b.WriteByte(c)
		}
	}
	return name, "", "", false // the quote does not end
}

// until splits text before the first of the characters.
func until(text, characters string) (before, rest string) {
	if i := strings.IndexAny(text, characters); i >= 0 {
		return text[:i], text[i:]
	}
	return text, ""
}

// Resolve returns a reference in the answer as an absolute URL. A text that is
// no URL is returned unchanged.
func (r *Response) Resolve(target string) string {
	u, err := url.Parse(target)
	if err != nil || r.URL == nil {
		return target
	}
	return r.URL.ResolveReference(u).String()
}
