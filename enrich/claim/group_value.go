package claim

import (
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// groupValue is what an allow list emits of each group. Name and id, which are
// nearly all that people write, need no expression.
type groupValue struct {
	kind    groupValueKind
	program *oktael.Program
}

type groupValueKind uint8

const (
	groupName groupValueKind = iota
	groupID
	groupExpression
)

// compileGroupValue compiles the value expression of an allow list.
func (r *Rules) compileGroupValue(c *rule, source string, dialect oktael.Dialect) (v groupValue, err error) {
	switch strings.TrimSpace(source) {
	case "", "group.name":
		v.kind = groupName
	case "group.id":
		v.kind = groupID
	default:
		v.kind = groupExpression
		v.program, err = r.program(c, "allow_list.value", source, dialect, readable|oktael.RootVars)
	}
	return v, err
}

// of gives the values of the groups chosen, without those that are null.
func (v *groupValue) of(c *oktael.Context, kept []int) ([]any, error) {
	out := make([]any, 0, len(kept))
	switch v.kind {
	case groupName:
		for _, k := range kept {
			out = append(out, c.Groups[k].Name)
		}
	case groupID:
		for _, k := range kept {
			out = append(out, c.Groups[k].ID)
		}
	case groupExpression:
	}
	return out, nil
}
