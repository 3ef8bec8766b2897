package forward

import (
	"iter"
	"net/http"
	"strings"
)

// SetCookie writes a cookie onto the request and deletes every cookie of the
// client that an application could take for it, byte for byte leaving the
// others. Ours stands first: several frameworks take the first of two
// cookies, and an open quotation mark in a client's cookie cannot swallow it.
func SetCookie(r *http.Request, name, value string) error {
	if !isFieldName(name) || len(name) > MaxNameBytes || !isCookieValue(value) {
		return &HeaderError{Header: name, Reason: "not a cookie's name and value", Err: ErrRefused}
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
// one of the names, and returns how many there were.
func DropCookies(r *http.Request, names ...string) int {
	var o Owned
	for _, n := range names {
		if len(n) <= MaxNameBytes {
			o.cookies.add(Fold(n))
		}
	}
	return o.sweepCookies(r.Header, false)
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

// sweepCookies deletes owned cookies from all Cookie lines, but with spare
// those that are still to be read.
func (o *Owned) sweepCookies(h http.Header, spare bool) (removed int) {
	lines := h["Cookie"]
	if len(lines) == 0 || o.cookies.names == nil {
		return 0
	}
	var buf foldBuffer
	for i, line := range lines {
		if !o.anyCookie(line, spare, &buf) {
			continue
		}
		if removed == 0 { // the first one: keep the caller's slice as it is
			lines = append([]string(nil), lines...)
		}
		var n int
		lines[i], n = o.withoutCookies(line, spare, &buf)
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

func (o *Owned) anyCookie(line string, spare bool, buf *foldBuffer) bool {
	for line != "" {
		var pair string
		pair, line, _ = strings.Cut(line, ";")
		if o.ownsPair(pair, spare, buf) {
			return true
		}
	}
	return false
}

func (o *Owned) withoutCookies(line string, spare bool, buf *foldBuffer) (string, int) {
	var b strings.Builder
	removed := 0
	for rest, more := line, true; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, ";")
		if o.ownsPair(pair, spare, buf) {
			removed++
			continue
		}
		if b.Len() > 0 {
			b.WriteByte(';')
		} else {
			pair = strings.TrimLeft(pair, " \t")
		}
		b.WriteString(pair)
	}
	return b.String(), removed
}

// ownsPair reports whether what stands between two semicolons gives, in some
// reader, a cookie whose name folds to an owned one. Readers differ: some end
// a cookie at a comma or at white space too, some leave quotation marks around
// a name away, or an equals sign before it (Werkzeug before 2.2.3,
// CVE-2023-23934). Each word before its first equals sign is therefore a name,
// and so is the whole text before the first.
func (o *Owned) ownsPair(pair string, spare bool, buf *foldBuffer) bool {
	whole, value, _ := strings.Cut(pair, "=")
	name := trimCookie(whole)
	if spare && o.sparedCookies[name] {
		return false
	}
	traits := traitsOf(name)
	if o.cookies.has(name, buf) || traits&rewritten != 0 && o.ownsRewritten(name, buf) {
		return true
	}
	if traits&divided == 0 && strings.IndexByte(value, '=') < 0 {
		return false
	}
	for word := range names(pair) {
		if o.cookies.has(word, buf) || o.ownsRewritten(word, buf) {
			return true
		}
	}
	return false
}

// names gives the words of a pair that have an equals sign behind them, with
// nothing between but what readers leave away. It looks at each byte once: a
// client may send a megabyte of equals signs.
func names(pair string) iter.Seq[string] {
	return func(yield func(string) bool) {
		start, end := 0, 0 // of the word that is still to be given; none if equal
		inWord, inValue := false, false
		for i := range len(pair) {
			switch c := pair[i]; {
			case cookieTraits[c]&divided != 0:
				inWord, inValue = false, false
			case c == '=':
				if start < end && !yield(pair[start:end]) {
					return
				}
				inValue = inValue || start < end
				start, end, inWord = i, i, false
			case inValue:
			case inWord:
				end = i + 1
			default:
				start, end, inWord = i, i+1, true
			}
		}
	}
}

// The traits of bytes in a cookie's name.
const (
	divided   = 1 << iota // readers may end a cookie here
	rewritten             // PHP may read another name
)

var cookieTraits = func() (t [256]uint8) {
	for c := range ' ' + 1 {
		t[c] = divided | rewritten
	}
	t[','], t['"'] = divided, divided
	t['%'], t['+'], t['['] = rewritten, rewritten, rewritten
	return t
}()

func traitsOf(name string) (traits uint8) {
	for i := range len(name) {
		traits |= cookieTraits[name[i]]
	}
	return traits
}

// trimCookie takes white space and control characters off both ends.
func trimCookie(s string) string {
	for s != "" && s[0] <= ' ' {
		s = s[1:]
	}
	for s != "" && s[len(s)-1] <= ' ' {
		s = s[:len(s)-1]
	}
	return s
}

// ownsRewritten reports whether a cookie's name folds to an owned one after
// what PHP does to names: until 7.2.34, 7.3.23 and 7.4.11 it decoded percent
// signs in them (CVE-2020-7070; Rack did so too); it leaves spaces before
// them away, and ends them at a bracket, with which arrays are written.
func (o *Owned) ownsRewritten(name string, buf *foldBuffer) bool {
	n := 0
	for i := 0; i < len(name); i++ {
		c := name[i]
		switch {
		case c == '+':
			c = ' '
		case c == '%' && i+2 < len(name):
			if high, low := hexValue(name[i+1]), hexValue(name[i+2]); high >= 0 && low >= 0 {
				c = byte(high<<4 | low) //nolint:gosec // two digits
				i += 2
			}
		}
		if c == ' ' && n == 0 {
			continue
		}
		if c == 0 || c == '[' && n > 0 {
			break
		}
		if n == len(buf) {
			return false
		}
		buf[n] = foldTable[c]
		n++
	}
	_, in := o.cookies.names[string(buf[:n])]
	return in
}
