package ldap

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// This file parses search filters with placeholders, expands them, and checks
// entries against what was searched.

// A filter is a search filter (RFC 4515). It has placeholders such as {subject}
// only in the values that it compares with.
type filter struct {
	text   string
	leaves []leaf
	uses   bool    // it has a placeholder that is not negated
	checks []check // what an entry found by {subject} must show
}

// A leaf is one comparison of a filter.
type leaf struct {
	attribute, operator, value string
	negated                    bool
}

// A check is an attribute with the value that was searched, which the entry
// found must have.
type check struct{ attribute, value string }

// maxFilter bounds a filter, in bytes, and maxFilterDepth its nesting.
const (
	maxFilter      = 4096
	maxFilterDepth = 32
)

// parseFilter parses a filter in which the given names may be in braces.
func parseFilter(text string, names ...string) (*filter, error) {
	if len(text) > maxFilter {
		return nil, fmt.Errorf("over %d bytes", maxFilter)
	}
	f := &filter{text: strings.TrimSpace(text)}
	rest, err := f.parse(f.text, false, 0)
	if err != nil {
		return nil, err
	}
	if rest != "" {
		return nil, errors.New("text after the end of the filter")
	}
	for _, l := range f.leaves {
		if strings.ContainsAny(l.attribute+l.operator, "{}") {
			return nil, errors.New("a placeholder is not allowed in an attribute name")
		}
		used, err := placeholders(l.value, names)
		if err != nil {
			return nil, err
		}
		f.uses = f.uses || (len(used) > 0 && !l.negated)
		// Only a comparison that the entry must satisfy literally can be
		// checked.
		if slices.Contains(used, "subject") && l.operator == "=" && !l.negated && !strings.Contains(l.value, "*") {
			f.checks = append(f.checks, check{l.attribute, l.value})
		}
	}
	// The client library has the last word on the syntax.
	if _, err := ldap.CompileFilter(f.expand("x", "cn=x")); err != nil {
		return nil, errors.New("not a filter")
	}
	return f, nil
}

// parse reads one filter from the start of text and returns what follows it.
// negated says that the filter is inside an odd number of nots.
func (f *filter) parse(text string, negated bool, depth int) (rest string, err error) {
	if depth > maxFilterDepth {
		return "", fmt.Errorf("nested over %d levels", maxFilterDepth)
	}
	if !strings.HasPrefix(text, "(") {
		return "", errors.New("a parenthesis is missing")
	}
	text = text[1:]
	if text != "" && strings.IndexByte("&|!", text[0]) >= 0 {
		// Two nots cancel each other.
		negated = negated != (text[0] == '!')
		text = text[1:]
		for strings.HasPrefix(text, "(") {
			if text, err = f.parse(text, negated, depth+1); err != nil {
				return "", err
			}
		}
		if !strings.HasPrefix(text, ")") {
			return "", errors.New("a parenthesis is missing")
		}
		return text[1:], nil
	}
	end := strings.IndexAny(text, "()")
	if end < 0 || text[end] != ')' {
		return "", errors.New("a parenthesis is missing")
	}
	attribute, value, ok := strings.Cut(text[:end], "=")
	if !ok {
		return "", errors.New("a comparison has no =")
	}
	l := leaf{attribute: attribute, operator: "=", value: value, negated: negated}
	if i := strings.IndexAny(attribute, ":~<>"); i >= 0 {
		l.attribute, l.operator = attribute[:i], attribute[i:]+"="
	}
	f.leaves = append(f.leaves, l)
	return text[end+1:], nil
}

// placeholders returns the placeholders in a value.
func placeholders(value string, names []string) ([]string, error) {
	var used []string
	for {
		open := strings.IndexAny(value, "{}")
		if open < 0 {
			return used, nil
		}
		length := strings.IndexByte(value[open:], '}')
		if value[open] == '}' || length < 0 {
			return nil, errors.New(`unbalanced brace; write \7b or \7d for one that is meant`)
		}
		name := value[open+1 : open+length]
		if !slices.Contains(names, name) {
			return nil, fmt.Errorf("unknown placeholder {%s}%s", name, suggest.DidYouMean(name, names))
		}
		used = append(used, name)
		value = value[open+length+1:]
	}
}

// expand replaces the placeholders by the values, escaped after RFC 4515. It is
// one pass: a subject that reads {dn} is not expanded again.
func (f *filter) expand(subject, dn string) string {
	return strings.NewReplacer("{subject}", ldap.EscapeFilter(subject), "{dn}", ldap.EscapeFilter(dn)).Replace(f.text)
}

// withRule returns the filter with a matching rule in each comparison with
// {dn}.
func (f *filter) withRule(rule string) (*filter, error) {
	text := f.text
	for _, l := range f.leaves {
		if l.operator == "=" && l.value == "{dn}" {
			text = strings.ReplaceAll(text, "("+l.attribute+"={dn})", "("+l.attribute+":"+rule+":={dn})")
		}
	}
	if text == f.text {
		return nil, errors.New("it compares no attribute with {dn}")
	}
	return parseFilter(text, "dn", "subject")
}

// withSID returns the filter with the group's own SID in place of each
// comparison with {dn}. It is nil where {dn} is used in any other way, or not
// at all.
func (f *filter) withSID() (*filter, error) {
	text := f.text
	for _, l := range f.leaves {
		switch {
		case !strings.Contains(l.value, "{dn}"):
		case l.value == "{dn}" && !l.negated:
			text = strings.ReplaceAll(text, "("+l.attribute+strings.TrimSuffix(l.operator, "=")+"={dn})", "(objectSid={dn})")
		default:
			return nil, nil //nolint:nilnil // as documented
		}
	}
	if text == f.text {
		return nil, nil //nolint:nilnil // as documented
	}
	return parseFilter(text, "dn", "subject")
}

// anyOf returns the filter for any of several distinguished names.
func (f *filter) anyOf(subject string, dns []string) string {
	if len(dns) == 1 {
		return f.expand(subject, dns[0])
	}
	var text strings.Builder
	text.WriteString("(|")
	for _, dn := range dns {
		text.WriteString(f.expand(subject, dn))
	}
	text.WriteString(")")
	return text.String()
}

// A resemblance says how much an entry shows of what was searched.
type resemblance uint8

const (
	foreign resemblance = iota // nothing of it
	similar                    // only as a server's lenient rules compare
	same                       // the value, without regard to the case of ASCII letters
)

// resembles compares an entry with the checks. A server that misread a filter
// must not supply another user, and neither must a name that only a lenient
// rule takes for the subject (a blank at its end, a letter that folds to
// another). With the same value it returns the subject as the entry spells it:
// an attribute that names members by it, as memberUid does, may be case-
// sensitive.
func (f *filter) resembles(e *ldap.Entry, subject string) (best resemblance, spelt string) {
	for _, c := range f.checks {
		value := unescape(c.value)
		want := strings.ReplaceAll(value, "{subject}", subject)
		for _, have := range e.GetEqualFoldAttributeValues(c.attribute) {
			switch {
			case foldASCII(have) == foldASCII(want):
				at := strings.Index(value, "{subject}")
				return same, have[at : at+len(subject)] // only letters' case differs
			case lenient(have) == lenient(want):
				best = similar
			}
		}
	}
	return best, ""
}

// foldASCII returns s with its ASCII letters in lower case. It works on bytes,
// so that text that is not UTF-8 equals nothing else.
func foldASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// lenient returns about the form in which servers compare text (RFC 4518).
func lenient(s string) string {
	return strings.Join(strings.Fields(cases.Fold().String(norm.NFKC.String(s))), " ")
}

// unescape decodes the escapes of RFC 4515 in a value.
func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.Write(c)
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
