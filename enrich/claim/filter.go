package claim

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// maxPatternLength bounds a group filter's pattern, in characters. Okta bounds
// a claim's value at the same length.
const maxPatternLength = 1024

// operator is how a filter compares.
type operator uint8

const (
	everyGroup operator = iota // the empty pattern
	startsWith
	equals
	contains
	wholeRegex
)

// filter is a GroupFilter, compiled.
type filter struct {
	operator operator
	folded   []byte // what contains looks for
	text     string // the same, for the others
	regex    *regexp.Regexp
	types    []string // nil: every type
	byID     bool
	limit    limit
}

// compileFilter checks f and prepares it. The field that it returns with an
// error is the one that is wrong.
func compileFilter(f *GroupFilter) (c *filter, field string, err error) {
	c = &filter{}
	switch f.Match {
	case MatchStartsWith:
		c.operator = startsWith
	case MatchEquals:
		c.operator = equals
	case MatchContains:
		c.operator = contains
	case MatchRegex:
		c.operator = wholeRegex
	default:
		return nil, "groups.match", oneOf(f.Match, MatchStartsWith, MatchEquals, MatchContains, MatchRegex)
	}
	switch {
	case !utf8.ValidString(f.Pattern):
		return nil, "groups.pattern", errors.New("a pattern must be valid UTF-8")
	case utf8.RuneCountInString(f.Pattern) > maxPatternLength:
		return nil, "groups.pattern", fmt.Errorf("a pattern has at most %d characters", maxPatternLength)
	case f.Pattern != "":
	case c.operator == equals:
		return nil, "groups.pattern", errors.New("an empty pattern equals no group name")
	case c.operator == wholeRegex:
		return nil, "groups.pattern", errors.New("an empty regular expression matches no group name; write .* for every group")
	default:
		c.operator = everyGroup
	}
	if c.operator == wholeRegex {
		if c.regex, err = compileWhole(f.Pattern); err != nil {
			return nil, "groups.pattern", err
		}
	} else {
		c.folded = appendFold(nil, f.Pattern)
		c.text = string(c.folded)
	}
	for _, t := range f.Types {
		switch t {
		case identity.GroupTypeOkta, identity.GroupTypeApp, identity.GroupTypeBuiltIn:
		default:
			return nil, "groups.types", oneOf(t, identity.GroupTypeOkta, identity.GroupTypeApp, identity.GroupTypeBuiltIn)
		}
	}
	c.types = slices.Clone(f.Types)
	switch f.Value {
	case "", ValueName:
	case ValueID:
		c.byID = true
	default:
		return nil, "groups.value", oneOf(f.Value, ValueName, ValueID)
	}
	if c.limit, field, err = compileLimit(f.Limit, f.OnLimit); err != nil {
		return nil, "groups." + field, err
	}
	return c, "", nil
}

// matches reports whether the filter lets g through.
func (f *filter) matches(g *identity.Group) bool {
	if f.types != nil && !slices.Contains(f.types, g.Type) {
		return false
	}
	name := g.MatchName()
	if name == "" && !f.byID {
		return false // there is nothing to emit
	}
	switch f.operator {
	case startsWith:
		_, ok := cutFold(name, f.text)
		return ok
	case equals:
		rest, ok := cutFold(name, f.text)
		return ok && rest == ""
	case contains:
		return containsFold(name, f.folded)
	case wholeRegex:
		return f.regex.MatchString(name)
	case everyGroup:
	}
	return true
}

// choose returns the values of the groups that the filter lets through.
func (f *filter) choose(groups []identity.Group, choice *GroupChoice) ([]any, error) {
	choice.Considered = len(groups)
	var room [64]int32 // most filters keep less
	kept := room[:0]
	for i := range groups {
		if f.matches(&groups[i]) {
			kept = append(kept, int32(i))
		}
	}
	if len(kept) > 0 {
		choice.Kept = make([]string, len(kept))
		for i, k := range kept {
			choice.Kept[i] = groups[k].ID
		}
	}
	if err := f.limit.cut(choice); err != nil {
		return nil, err
	}
	values := make([]any, len(choice.Kept))
	for i, k := range kept[:len(values)] {
		if f.byID {
			values[i] = groups[k].ID
		} else {
			values[i] = groups[k].MatchName()
		}
	}
	return values, nil
}

// limit bounds how many groups a rule may emit.
type limit struct {
	most     int // 0: none
	truncate bool
}

// compileLimit checks a limit. The field that it returns with an error is the one
// that is wrong, without the prefix of its kind of rule.
func compileLimit(most int, onLimit string) (l limit, field string, err error) {
	if most < 0 {
		return l, "limit", errors.New("limit must be at least 1; omit it for no limit")
	}
	l.most = most
	switch onLimit {
	case "", OnLimitError:
	case OnLimitTruncate:
		l.truncate = true
	default:
		return l, "on_limit", oneOf(onLimit, OnLimitError, OnLimitTruncate)
	}
	return l, "", nil
}

// cut applies the limit to the positions kept.
func (l limit) cut(c *GroupChoice) error {
	if l.most == 0 || len(c.Kept) <= l.most {
		return nil
	}
	if !l.truncate {
		return fmt.Errorf("%d groups match, the limit is %d: %w", len(c.Kept), l.most, oktael.ErrTooManyGroups)
	}
	c.Truncated = len(c.Kept) - l.most
	c.Kept = c.Kept[:l.most:l.most]
	return nil
}

// oneOf returns the error of an option that takes one of words and got another
// value.
func oneOf(got string, words ...string) error {
	if got == "" {
		return fmt.Errorf("must be %s", suggest.JoinOr(words))
	}
	return fmt.Errorf("unknown value %q (want %s)%s", got, suggest.JoinOr(words), suggest.DidYouMean(got, words))
}
