package claim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// maxAllowList bounds an allow list. No user holds more groups than this, so
// that a longer list could not let more through.
const maxAllowList = 10000

// allowList is an AllowList, compiled.
type allowList struct {
	// static are the ids of a static list; nil where dynamic is set.
	static  []string
	dynamic *oktael.Program

	// value is what is emitted of each group that is let through; nil where
	// that is its id.
	value *oktael.GroupProgram
	limit limit
}

// compileAllowList checks a and sets the rule's allow list.
func (r *Rules) compileAllowList(c *rule, a *AllowList, dialect oktael.Dialect) (field string, err error) {
	l := &allowList{}
	switch {
	case (len(a.IDs) > 0) == (a.Expression != ""):
		return "allow_list", errors.New("an allow list is either ids or an expression")
	case len(a.IDs) > maxAllowList:
		return "allow_list.ids", fmt.Errorf("an allow list has at most %d ids", maxAllowList)
	case a.Expression != "":
		field = "allow_list.expression"
		if l.dynamic, err = r.program(c, field, a.Expression, dialect, oktael.ResultIDs); err != nil {
			return field, err
		}
	default:
		for _, id := range a.IDs {
			if id == "" || strings.TrimSpace(id) != id {
				return "allow_list.ids", fmt.Errorf("%q is not a group id", id)
			}
		}
		l.static = slices.Clone(a.IDs)
	}
	if err := r.compileValue(c, l, a.Value, dialect); err != nil {
		return "allow_list.value", err
	}
	if l.limit, field, err = compileLimit(a.Limit, a.OnLimit); err != nil {
		return "allow_list." + field, err
	}
	c.allow = l
	return "", nil
}

// compileValue compiles what is emitted of each group, and notes what it reads.
func (r *Rules) compileValue(c *rule, l *allowList, value string, dialect oktael.Dialect) (err error) {
	switch strings.TrimSpace(value) {
	case "group.id":
		return nil
	case "":
		value = "group.name"
	}
	if dialect == oktael.IdentityEngine {
		dialect = oktael.Either // group expressions belong to the other dialect
	}
	if l.value, err = oktael.CompileGroup(value, oktael.Options{Dialect: dialect, Inputs: readable, Claims: r.above()}); err != nil {
		return err
	}
	r.record(c, "allow_list.value", value, l.value.Reads(), l.value.Warnings())
	return nil
}

// eval returns the values of the groups that are allowed.
func (l *allowList) eval(c *oktael.Context, choice *GroupChoice) (values []any, field string, err error) {
	listed := l.static
	choice.Considered = len(c.Groups)
	if l.dynamic != nil {
		v, err := l.dynamic.Eval(c)
		if err != nil {
			return nil, "allow_list.expression", err
		}
		if listed, err = groupIDs(v); err != nil {
			return nil, "allow_list.expression", err
		}
	}
	choice.Listed = len(listed)
	positions, err := oktael.GroupsByID(c, listed)
	if err != nil {
		return nil, "allow_list", err
	}
	if len(positions) > 0 {
		choice.Kept = make([]string, len(positions))
		for i, at := range positions {
			choice.Kept[i] = c.Groups[at].ID
		}
	}
	if err := l.limit.cut(choice); err != nil {
		return nil, "allow_list.limit", err
	}
	if l.value != nil {
		values, err = l.value.Eval(c, positions[:len(choice.Kept)])
		return values, "allow_list.value", err
	}
	values = make([]any, len(choice.Kept))
	for i, id := range choice.Kept {
		values[i] = id
	}
	return values, "", nil
}

// groupIDs reads the value of a dynamic allow list: a list of strings, or one
// string with the ids separated by commas, which Okta takes wherever it takes
// a list. Null is an error, not an empty list: it means that no list was configured.
func groupIDs(v any) ([]string, error) {
	switch x := v.(type) {
	case nil:
		return nil, fmt.Errorf("it is null: %w", errAllowList)
	case string:
		var ids []string
		for id := range strings.SplitSeq(x, ",") {
			if id = strings.TrimSpace(id); id != "" {
				if len(ids) == maxAllowList {
					return nil, errLongList
				}
				ids = append(ids, id)
			}
		}
		return ids, nil
	case []any:
		if len(x) > maxAllowList {
			return nil, errLongList
		}
		ids := make([]string, len(x))
		for i, e := range x {
			id, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("it holds a value that is not a string: %w", errAllowList)
			}
			ids[i] = id
		}
		return ids, nil
	}
	return nil, fmt.Errorf("it is neither a list nor a string: %w", errAllowList)
}

var errLongList = fmt.Errorf("it holds more than %d ids: %w", maxAllowList, errAllowList)
