package directory

import (
	"encoding/json"
	"strconv"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// DefaultMatch returns the properties that may hold the subject where nothing
// else is configured.
func DefaultMatch() []string { return []string{"id", "login"} }

// MatchesSubject reports whether the user holds the subject in one of the named
// properties (see Source.Match). Each kind that asks for a subject checks the
// answer with it: a server that misread a filter must not supply another user.
func MatchesSubject(u *identity.User, subject string, match []string) bool {
	for _, name := range match {
		for _, v := range MatchValues(u, name) {
			if v == MatchKey(name, subject) {
				return true
			}
		}
	}
	return false
}

// MatchKey returns the form in which a subject is compared with a property:
// logins and e-mail addresses without regard to the case of ASCII letters, as
// directories treat them; all else exactly. Other letters are never folded: one
// that folds to an ASCII letter would let one name pass for another.
func MatchKey(name, value string) string {
	if name == "login" || name == "email" {
		return lowerASCII(value)
	}
	return value
}

// MatchValues returns the values of a user's property in the form of MatchKey:
// each element of a list, and the decimal digits of a number. A property that is
// absent or null has none.
func MatchValues(u *identity.User, name string) []string {
	switch name {
	case "id":
		return nonEmpty(u.ID)
	case "login":
		if u.Login != "" {
			return []string{lowerASCII(u.Login)}
		}
	case "email":
		emails := u.Emails()
		for i := range emails {
			emails[i] = lowerASCII(emails[i])
		}
		return emails
	}
	switch v := u.Profile[name].(type) {
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			if s := Identifier(e); s != "" {
				out = append(out, MatchKey(name, s))
			}
		}
		return out
	default:
		return nonEmpty(MatchKey(name, Identifier(v)))
	}
}

// nonEmpty returns a list of s, empty where s is.
func nonEmpty(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// Identifier returns a canonical value that can name a user or a group as text:
// a text itself, or the digits of an integer. It is empty for any other value.
func Identifier(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case int64:
		return strconv.FormatInt(x, 10)
	case json.Number:
		return string(x)
	}
	return ""
}

// lowerASCII returns s with its ASCII letters in lower case; it allocates only
// where there is an upper-case one.
func lowerASCII(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if c := b[i]; c >= 'A' && c <= 'Z' {
					b[i] = c + 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
