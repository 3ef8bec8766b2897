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

// allowList is an AllowList, compiled.
type allowList struct {
	// static are the variables with the ids of a static list; nil where
	// dynamic is set.
	static  map[string]any
	listed  int
	dynamic *oktael.Program

	// ids gives the ids of the groups that are allowed, value what is emitted
	// of each; value is nil where that is the id itself.
	ids   *groupProgram
	value *groupProgram
	limit limit
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
		if l.dynamic, err = r.program(c, field, a.Expression, dialect, oktael.ResultIDs); err != nil {
			return field, err
		}
	default:
		ids := make([]any, len(a.IDs))
		for i, id := range a.IDs {
			if id == "" || strings.TrimSpace(id) != id {
				return "allow_list.ids", fmt.Errorf("%q is not a group's id", id)
			}
			ids[i] = id
		}
		l.static, l.listed = allowedVars(ids), len(ids)
	}
	if l.ids, err = compileGroupProgram("group.id", oktael.Options{}); err != nil {
		return "allow_list", err
	}
	field = "allow_list.value"
	value := a.Value
	if strings.TrimSpace(value) == "" {
		value = "group.name"
	}
	if strings.TrimSpace(value) != "group.id" {
		if l.value, err = r.groupProgram(c, field, value, dialect); err != nil {
			return field, err
		}
	}
	if l.limit, field, err = compileLimit(a.Limit, a.OnLimit); err != nil {
		return "allow_list." + field, err
	}
	c.allow = l
	return "", nil
}

// eval gives the values of the groups that are allowed.
func (l *allowList) eval(c *oktael.Context, choice *GroupChoice) (values []any, field string, err error) {
	vars := l.static
	choice.Considered, choice.Listed = len(c.Groups), l.listed
	if l.dynamic != nil {
		v, err := l.dynamic.Eval(c)
		if err != nil {
			return nil, "allow_list.expression", err
		}
		list, err := groupIDs(v)
		if err != nil {
			return nil, "allow_list.expression", err
		}
		vars, choice.Listed = allowedVars(list), len(list)
	}
	local := *c
	local.Vars = vars
	ids, err := l.ids.eval(&local)
	if err != nil {
		return nil, "allow_list", err
	}
	choice.Kept = texts(ids)
	all := len(ids)
	if err := l.limit.cut(choice); err != nil {
		return nil, "allow_list.limit", err
	}
	if l.value == nil || len(choice.Kept) == 0 {
		return ids[:len(choice.Kept)], "", nil
	}
	if len(choice.Kept) < all {
		local.Vars = allowedVars(ids[:len(choice.Kept)])
	}
	if values, err = l.value.eval(&local); err != nil {
		return nil, "allow_list.value", err
	}
	return values, "", nil
}

// groupIDs reads the value of a dynamic allow list: a list of strings, or one
// string with the ids separated by commas, which Okta takes wherever it takes
// a list. Null is not an empty list: it says that nobody wrote one.
func groupIDs(v any) ([]any, error) {
	var ids []any
	switch x := v.(type) {
	case nil:
		return nil, fmt.Errorf("it is null: %w", ErrAllowList)
	case string:
		for id := range strings.SplitSeq(x, ",") {
			if id = strings.TrimSpace(id); id != "" {
				if len(ids) == MaxAllowList {
					return nil, errLongList
				}
				ids = append(ids, id)
			}
		}
	case []any:
		if len(x) > MaxAllowList {
			return nil, errLongList
		}
		for _, e := range x {
			if _, ok := e.(string); !ok {
				return nil, fmt.Errorf("it holds a value that is not a string: %w", ErrAllowList)
			}
		}
		ids = x
	default:
		return nil, fmt.Errorf("it is neither a list nor a string: %w", ErrAllowList)
	}
	return ids, nil
}

var errLongList = fmt.Errorf("it holds more than %d ids: %w", MaxAllowList, ErrAllowList)

// texts gives a list of strings as such.
func texts(list []any) []string {
	if len(list) == 0 {
		return nil
	}
	out := make([]string, len(list))
	for i, v := range list {
		out[i], _ = v.(string)
	}
	return out
}
