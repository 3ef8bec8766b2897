package forward

import (
	"iter"
	"net/http"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// This file removes and writes cookies in all the ways in which applications read
// them.

// SetCookie writes a cookie onto the request and deletes every cookie of the
// client that an application could take for it, or whose name is none; the
// others stay byte for byte. The new cookie comes first: several frameworks take the first of two
// cookies, and an open quotation mark in a client's cookie cannot swallow it. The error is a
// *headerError.
func SetCookie(r *http.Request, name, value string) error {
	if !isFieldName(name) || len(name) > maxNameBytes || !isCookieValue(value) {
		return &headerError{Header: name, Reason: "not a cookie's name and value", Err: errRefused}
	}
	DropCookies(r, name)
	lines := r.Header["Cookie"]
	var line strings.Builder
	line.WriteString(name + "=" + value)
	for _, l := range lines {
		if l != "" {
			line.WriteString("; " + l)
		}
	}
	r.Header["Cookie"] = []string{line.String()}
	return nil
}

// DropCookies deletes every cookie whose name an application could take for
// one of the names, or that is no name, and returns how many there were.
func DropCookies(r *http.Request, names ...string) int {
	var o ReservedNames
	for _, n := range names {
		if len(n) <= maxNameBytes {
			o.cookies.add(Canonicalize(n))
		}
	}
	return o.sweepCookies(r.Header, nil)
}

// isCookieValue reports whether value is made of cookie-octets (RFC 6265,
// section 4.1.1).
func isCookieValue(value string) bool {
	for i := range len(value) {
		if c := value[i]; c <= ' ' || c >= 0x7F || c == '"' || c == ',' || c == ';' || c == '\\' {
			return false
		}
	}
	return value != ""
}

// sweepCookies deletes reserved cookies from all Cookie lines, but not those of
// the exact names that spare reports, which are still to be read. A nil spare
// reports none.
func (o *ReservedNames) sweepCookies(h http.Header, spare func(name string) bool) (removed int) {
	lines := h["Cookie"]
	if len(lines) == 0 || o.cookies.names == nil {
		return 0
	}
	var buf nameBuffer
	for i, line := range lines {
		left, n := o.withoutCookies(line, spare, &buf)
		if n == 0 {
			continue
		}
		if removed == 0 { // the first one: keep the caller's slice as it is
			lines = append([]string(nil), lines...)
		}
		lines[i] = left
		removed += n
	}
	if removed == 0 {
		return 0
	}
	kept := lines[:0]
	for _, line := range lines {
		if line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) == 0 {
		delete(h, "Cookie")
	} else {
		h["Cookie"] = kept
	}
	return removed
}

// withoutCookies returns the line without the pairs to delete, and their number. A line
// with none of them it returns as it is.
func (o *ReservedNames) withoutCookies(line string, spare func(string) bool, buf *nameBuffer) (string, int) {
	var b strings.Builder
	removed, at := 0, 0
	for rest, more := line, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, ";")
		switch {
		case o.ownsPair(pair, spare, buf):
			if removed == 0 {
				b.Grow(len(line) - len(pair))
				b.WriteString(strings.TrimLeft(line[:max(at-1, 0)], "; \t"))
			}
			removed++
		case removed == 0:
		case b.Len() > 0:
			b.WriteByte(';')
			b.WriteString(pair)
		default:
			b.WriteString(strings.TrimLeft(pair, " \t"))
		}
		at += len(pair) + len(";")
	}
	if removed == 0 {
		return line, 0
	}
	return b.String(), removed
}

// ownsPair reports whether the text between two semicolons must not reach
// the application: its name holds what no name may (RFC 6265, section 4.1.1)
// and one or another reader trims, or some reader finds a cookie in it whose
// canonical form is a reserved name. Readers differ: some end a cookie at a comma, at
// white space or at what no value may hold, some leave quotation marks around a
// name away, or what no name may hold before it, or an equals sign (Werkzeug
// before 2.2.3, CVE-2023-23934). Each word before its first equals sign is
// therefore a name, and so is the whole text before the first.
func (o *ReservedNames) ownsPair(pair string, spare func(string) bool, buf *nameBuffer) bool {
	whole, value, valued := strings.Cut(pair, "=")
	name := strings.Trim(whole, " \t")
	if valued && spare != nil && len(name) > 0 && whole[len(whole)-1] == name[len(name)-1] && spare(name) {
		return false // no white space before the equals sign, which some readers take as part of the name
	}
	traits := traitsOf(name)
	if traits&blank != 0 || o.ownsCookie(name, traits, buf) {
		return true
	}
	if name != "" && traits&(divided|nested) == 0 && strings.IndexByte(value, '=') < 0 {
		return false
	}
	for word := range names(pair) {
		if o.ownsCookie(word, traitsOf(word), buf) {
			return true
		}
	}
	return false
}

// ownsCookie reports whether a cookie's canonical name is a reserved one, as it
// is or as some application decodes and cuts it: PHP did so until 7.2.34,
// 7.3.23 and 7.4.11 (CVE-2020-7070; Rack did too), and still ends it at a
// bracket, with which arrays are written.
func (o *ReservedNames) ownsCookie(name string, traits uint8, buf *nameBuffer) bool {
	if o.cookies.has(name, buf) {
		return true
	}
	if traits&rewritten == 0 {
		return false
	}
	whole, cut := token.Canonical(buf[:], name)
	if _, in := o.cookies.names[string(buf[:whole])]; in {
		return true
	}
	_, in := o.cookies.names[string(buf[:cut])]
	return in
}

// names returns the words of a pair that have an equals sign behind them, with
// nothing between but what readers leave away; of a pair whose name is empty,
// the one word behind its equals signs too. Of a word that holds what no name
// may, some readers take what follows it, so it is returned as well.
// It looks at each byte once: a client may send a megabyte of equals signs.
func names(pair string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, end := 0, 0 // of the word that is still to be returned; none if equal
		tail := 0          // where the part of it begins that some readers take
		inWord, inValue, named := false, false, false
		word := func() bool {
			return yield(pair[start:end]) && (tail <= start || tail >= end || yield(pair[tail:end]))
		}
		for i := range len(pair) {
			switch c := pair[i]; {
			case cookieTraits[c]&divided != 0:
				inWord, inValue = false, false
			case c == '=':
				if start < end {
					if !word() {
						return
					}
					// Some look for a name behind the equals sign if none ends
					// right before it.
					inValue, named = tail < end && end == i, true
				}
				start, end, inWord = i, i, false
			case inValue:
			default:
				if !inWord {
					start, tail, inWord = i, i, true
				}
				end = i + 1
				if cookieTraits[c]&nested != 0 {
					tail = end
				}
			}
		}
		if !named && start < end {
			word()
		}
	}
}

// The traits of bytes in a cookie's name.
const (
	blank     = 1 << iota // no name may hold it, and some reader trims it
	divided               // readers may end a cookie here
	nested                // readers may begin a name behind it
	rewritten             // readers may read another name
)

var cookieTraits = func() (t [256]uint8) {
	for i := range t {
		if token.IsBlank(byte(i)) {
			t[i] = blank | divided | rewritten
		}
	}
	for _, c := range []byte(`,"\`) {
		t[c] |= divided
	}
	for _, c := range []byte(`()/:<>?@[]{}`) {
		t[c] |= nested
	}
	for _, c := range []byte(`%+[]`) {
		t[c] |= rewritten
	}
	return t
}()

// traitsOf returns the traits of all bytes of a name.
func traitsOf(name string) (traits uint8) {
	for i := range len(name) {
		traits |= cookieTraits[name[i]]
	}
	return traits
}
