package claim

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// MaxAllowList bounds an allow list. No user holds more groups than this, so
// that a longer list could not let more through.
const MaxAllowList = 10000

// allowList is an AllowList, compiled. One of ids and program is set.
type allowList struct {
	ids     *idSet
	program *oktael.Program
	value   groupValue
	limit   limit
}

// compileAllowList checks a and sets the rule's allow list.
func (r *Rules) compileAllowList(c *rule, a *AllowList, dialect oktael.Dialect) (field string, err error) {
	l := &allowList{}
	switch {
	case (len(a.IDs) > 0) == (a.Expression != ""):
		return "allow_list", errors.New("an allow list is either ids or an expression")
	case len(a.IDs) > MaxAllowList:
		return "allow_list.ids", fmt.Errorf("an allow list has at most %d ids", MaxAllowList)
	case a.Expression != "":
		field = "allow_list.expression"
		if l.program, err = r.program(c, field, a.Expression, dialect, readable); err != nil {
			return field, err
		}
	}
	for _, id := range a.IDs {
		if id == "" || strings.TrimSpace(id) != id {
			return "allow_list.ids", fmt.Errorf("%q is not a group's id", id)
		}
	}
	if len(a.IDs) > 0 {
		l.ids = newIDSet(a.IDs)
	}
	if l.value, err = r.compileGroupValue(c, a.Value, dialect); err != nil {
		return "allow_list.value", err
	}
	if l.limit, field, err = compileLimit(a.Limit, a.OnLimit); err != nil {
		return "allow_list." + field, err
	}
	c.allow = l
	return "", nil
}

// list gives the ids that are allowed.
func (l *allowList) list(c *oktael.Context) (*idSet, error) {
	if l.program == nil {
		return l.ids, nil
	}
	v, err := l.program.Eval(c)
	if err != nil {
		return nil, err
	}
	ids, err := groupIDs(v)
	if err != nil {
		return nil, err
	}
	return newIDSet(ids), nil
}

// groupIDs reads the value of a dynamic allow list: a list of strings, or one
// string with the ids separated by commas, which Okta takes wherever it takes
// a list. Null is not an empty list: it says that nobody wrote one.
func groupIDs(v any) ([]string, error) {
	var ids []string
	switch x := v.(type) {
	case nil:
		return nil, fmt.Errorf("it is null: %w", ErrAllowList)
	case string:
		ids = make([]string, 0, 1+strings.Count(x, ","))
		for id := range strings.SplitSeq(x, ",") {
			if id = strings.TrimSpace(id); id != "" {
				ids = append(ids, id)
			}
		}
	case []any:
		ids = make([]string, 0, len(x))
		for _, e := range x {
			id, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("it holds a value that is not a string: %w", ErrAllowList)
			}
			if id != "" {
				ids = append(ids, id)
			}
		}
	default:
		return nil, fmt.Errorf("it is neither a list nor a string: %w", ErrAllowList)
	}
	if len(ids) > MaxAllowList {
		return nil, fmt.Errorf("it holds more than %d ids: %w", MaxAllowList, ErrAllowList)
	}
	return ids, nil
}

// choose gives the positions of the groups that are allowed.
func (l *allowList) choose(c *oktael.Context, allowed *idSet) (GroupChoice, error) {
	choice := GroupChoice{Considered: len(c.Groups), Listed: len(allowed.ids)}
	choice.Kept = allowed.positions(c.Groups)
	return choice, l.limit.cut(&choice)
}
