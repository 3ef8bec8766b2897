package token

import (
	"net/http"
	"slices"
	"strings"
)

// Drop takes the token out of the request: the header, the cookie or the
// query parameter that Find found, with what a refused request has of aliases
// of the parameter, and nothing else. What stays keeps its bytes, its order
// and its spacing. It never changes a slice of header values in place, because
// copies of the request may share it.
func (f Found) Drop(r *http.Request) {
	if f.Place == nil {
		return
	}
	switch f.Place.Kind {
	case Header:
		delete(r.Header, http.CanonicalHeaderKey(f.Place.Name))
	case Cookie:
		dropCookie(r.Header, f.Place.Name)
	case Query:
		if r.URL != nil {
			r.URL.RawQuery = dropParameter(r.URL.RawQuery, f.Place.Name)
		}
	}
}

// dropCookie removes the cookie of that name from every Cookie line; a line
// that held nothing else goes away.
func dropCookie(h http.Header, name string) {
	lines := h["Cookie"]
	if !slices.ContainsFunc(lines, func(line string) bool { rest, _ := withoutCookie(line, name); return rest != line }) {
		return
	}
	kept := make([]string, 0, len(lines))
	for _, line := range lines {
		if rest, only := withoutCookie(line, name); !only {
			kept = append(kept, rest)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
		return
	}
	h["Cookie"] = kept
}

// withoutCookie returns the line without the cookie of that name, and whether
// there was nothing else. The separator in front of the cookie goes with it, or
// the one behind it if it is the first.
func withoutCookie(line, name string) (rest string, only bool) {
	var b strings.Builder
	removed, first := false, true
	for at := 0; at <= len(line); {
		end := strings.IndexByte(line[at:], ';')
		if end < 0 {
			end = len(line)
		} else {
			end += at
		}
		pair := line[at:end]
		if _, ok := cookieValue(pair, name); ok {
			if !removed {
				b.Grow(len(line))
				if at > 0 {
					b.WriteString(line[:at-1])
				}
				removed = true
			}
		} else {
			if removed {
				if first {
					pair = strings.TrimLeft(pair, " \t")
				} else {
					b.WriteByte(';')
				}
				b.WriteString(pair)
			}
			first = false
		}
		at = end + 1
	}
	if !removed {
		return line, false
	}
	return b.String(), strings.Trim(b.String(), " \t;") == ""
}

// dropParameter removes the parameter of that name and its aliases from a raw
// query, each with one ampersand beside it.
func dropParameter(raw, name string) string {
	var b strings.Builder
	b.Grow(len(raw))
	first := true
	for at := 0; at <= len(raw); {
		end := strings.IndexByte(raw[at:], '&')
		if end < 0 {
			end = len(raw)
		} else {
			end += at
		}
		pair := raw[at:end]
		if _, as := readParameter(pair, name); as == another {
			if !first {
				b.WriteByte('&')
			}
			b.WriteString(pair)
			first = false
		}
		at = end + 1
	}
	return b.String()
}
