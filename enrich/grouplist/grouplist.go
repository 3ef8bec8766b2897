// Package grouplist reads the groups of a token or an answer, including those
// written as one string instead of a list: "[admin, user]", "a,b", JSON in a
// string. Only the operator knows what such a string is. Read as one group, it
// would admit callers that a requirement such as NOT isMemberOfGroupName("admin")
// must keep out.
package grouplist

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// The values of groups_delimiter besides a delimiter itself.
const (
	// JSON says that a text is a list in JSON: ["admin","user"].
	JSON = "json"
	// None says that a text is one group, as a distinguished name is.
	None = "none"
)

// maxDelimiter bounds a delimiter, in bytes; the longest in use have two.
const maxDelimiter = 8

// Check refuses what can be no delimiter: one with a letter or a digit, which is
// a misspelt word, and one with a bracket or a quote, which enclose parts.
func Check(delimiter string) error {
	switch {
	case delimiter == "", delimiter == JSON, delimiter == None:
		return nil
	case len(delimiter) > maxDelimiter:
		return fmt.Errorf("a delimiter has at most %d bytes", maxDelimiter)
	case strings.ContainsFunc(delimiter, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) || r == unicode.ReplacementChar }):
		return fmt.Errorf(`unknown value %q (want a delimiter such as "," or ";", json or none)%s`, delimiter, suggest.DidYouMean(delimiter, []string{JSON, None}))
	case strings.ContainsAny(delimiter, marks):
		return errors.New("brackets and quotes enclose groups and cannot separate them")
	}
	return nil
}

// marks enclose a list or a part of it, and are part of no name.
const marks = `[]{}"'`

// The reasons for which groups are unknown. They are part of messages.
const (
	reasonUndecided = "the groups are one string, which may hold several; groups_delimiter says whether it does"
	reasonEmpty     = "the groups are an empty string instead of a list"
	reasonJSON      = "the groups are not a JSON list, as groups_delimiter says"
	reasonMarks     = "a group has brackets or quotes of its own; try groups_delimiter json"
	reasonKind      = "the groups are neither a list nor a string"
)

// Read returns the groups in v, the value that is to hold them, as a list that is
// never nil where they are known. The delimiter is one that Check accepts; empty,
// it says nothing of texts, and only a text that can be no more than one group is read.
// Where the groups are not known, unknown says why; it is empty for a null value,
// which does not mean "no groups" either.
func Read(v any, delimiter string) (list []any, unknown string) {
	// Blanks around parts are cut, so that ", " is the comma.
	if bare := strings.TrimSpace(delimiter); bare != "" {
		delimiter = bare
	}
	switch x := v.(type) {
	case nil:
		return nil, ""
	case []any:
		return elements(x, delimiter)
	case string:
		return parse(x, delimiter)
	}
	return nil, reasonKind
}

// parse reads a text instead of a list. It returns the groups, or the reason
// for which they are unknown.
func parse(text, delimiter string) ([]any, string) {
	switch delimiter {
	case "":
		if text == "" {
			return nil, reasonEmpty
		}
		if !isPlain(text) {
			return nil, reasonUndecided
		}
		return []any{text}, ""
	case None:
		if text == "" {
			return nil, reasonEmpty
		}
		return []any{text}, ""
	case JSON:
		v, err := identity.DecodeJSON([]byte(text))
		if list, ok := v.([]any); ok && err == nil {
			return list, ""
		}
		return nil, reasonJSON
	}
	text = strings.TrimSpace(text)
	if inner, ok := strings.CutPrefix(text, "["); ok && strings.HasSuffix(inner, "]") {
		text = strings.TrimSuffix(inner, "]")
	}
	list := []any{}
	for part := range strings.SplitSeq(text, delimiter) {
		switch part = strings.TrimSpace(part); {
		case part == "":
		case strings.ContainsRune(marks, rune(part[0])), strings.ContainsRune(marks, rune(part[len(part)-1])):
			return nil, reasonMarks
		default:
			list = append(list, part)
		}
	}
	return list, ""
}

// elements reads a value that is a list already. Its texts are split where a
// delimiter is configured: a source may join several groups in one element too.
func elements(list []any, delimiter string) ([]any, string) {
	joined := func(v any) bool { s, ok := v.(string); return ok && strings.Contains(s, delimiter) }
	if delimiter == "" || delimiter == JSON || delimiter == None || !slices.ContainsFunc(list, joined) {
		return list, ""
	}
	out := make([]any, 0, len(list)+1)
	for _, v := range list {
		if !joined(v) {
			out = append(out, v)
			continue
		}
		parts, unknown := parse(v.(string), delimiter) //nolint:forcetypeassert // joined saw it
		if unknown != "" {
			return nil, unknown
		}
		out = append(out, parts...)
	}
	return out, ""
}

// isPlain reports whether a text can be one group only: letters, digits, and
// what occurs in names, paths, URNs, addresses and Windows' domain names.
// Any other character could separate the groups of a list.
func isPlain(text string) bool {
	return !strings.ContainsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !unicode.IsMark(r) && !strings.ContainsRune(`-_.:/@\`, r)
	})
}
