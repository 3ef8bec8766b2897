package forward

import "github.com/tokenenrich/caddy-token-enrich/enrich/token"

// symbol replaces, in a canonical form, every byte that is neither a letter nor a
// digit.
const symbol = token.Symbol

// canonicalBytes maps each byte to its canonical form. It never changes.
var canonicalBytes = func() (t [256]byte) {
	for i := range t {
		t[i] = token.FoldByte(byte(i))
	}
	return t
}()

// Canonicalize returns the form in which names are compared: letters in lower case,
// every byte that is neither a letter nor a digit as one and the same symbol.
// Two names with the same canonical form can reach an application as one: CGI, FastCGI,
// WSGI, Rack and PHP turn separators into underscores and letters into one
// case before the application looks a header up.
func Canonicalize(name string) string {
	for i := range len(name) {
		if canonicalBytes[name[i]] != name[i] {
			b := make([]byte, len(name))
			for j := range len(name) {
				b[j] = canonicalBytes[name[j]]
			}
			return string(b)
		}
	}
	return name
}

// hasCanonicalPrefix reports whether name begins with prefix, which is in
// canonical form.
func hasCanonicalPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		if canonicalBytes[name[i]] != prefix[i] {
			return false
		}
	}
	return true
}

// separators are the bytes that RFC 9110, section 5.6.2, allows in a field
// name besides letters and digits.
const separators = "!#$%&'*+-.^_`|~"

// isFieldName reports whether name is a token of RFC 9110, section 5.6.2.
func isFieldName(name string) bool {
	for i := range len(name) {
		if !isTokenByte(name[i]) {
			return false
		}
	}
	return name != ""
}

func isTokenByte(c byte) bool {
	if canonicalBytes[c] != symbol {
		return true
	}
	for i := range len(separators) {
		if separators[i] == c {
			return true
		}
	}
	return false
}

// Aliases returns spellings that have the canonical form of name and that a client
// may send:
// every byte that a field name may have in place of each separator, all at
// once and one at a time, in four cases of letters. A test that sends them
// all and finds none at the application has covered every kind of alias.
func Aliases(name string) []string {
	var places []int
	for i := range len(name) {
		if canonicalBytes[name[i]] == symbol {
			places = append(places, i)
		}
	}
	spellings := append(make([]string, 0, 1+(len(places)+1)*len(separators)), name)
	for k := range len(separators) {
		all := []byte(name)
		for _, p := range places {
			all[p] = separators[k]
			one := []byte(name)
			one[p] = separators[k]
			spellings = append(spellings, string(one))
		}
		spellings = append(spellings, string(all))
	}
	seen := make(map[string]bool, 4*len(spellings))
	var out []string
	for _, s := range spellings {
		for _, c := range []string{s, lower(s), upper(s), swap(s)} {
			if !seen[c] {
				seen[c] = true
				out = append(out, c)
			}
		}
	}
	return out
}

func lower(s string) string {
	return mapLetters(s, func(c byte) byte {
		if 'A' <= c && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	})
}

func upper(s string) string {
	return mapLetters(s, func(c byte) byte {
		if 'a' <= c && c <= 'z' {
			return c - ('a' - 'A')
		}
		return c
	})
}

func swap(s string) string {
	return mapLetters(s, func(c byte) byte {
		switch {
		case 'a' <= c && c <= 'z':
			return c - ('a' - 'A')
		case 'A' <= c && c <= 'Z':
			return c + 'a' - 'A'
		}
		return c
	})
}

func mapLetters(s string, f func(byte) byte) string {
	b := []byte(s)
	for i := range b {
		b[i] = f(b[i])
	}
	return string(b)
}
