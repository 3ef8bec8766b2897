package library

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// getFilteredGroups: a group expression for each group of an allow list.

// MaxGroupDepth is how many group expressions may be nested in each other; one
// that reads its own string from a profile would otherwise never end.
const MaxGroupDepth = 2

// prepareFilteredGroups checks a literal limit and compiles a literal group expression. It may
// read whatever the whole expression may.
func prepareFilteredGroups(c Checker, _ *syntax.Node, args []*syntax.Node) (any, error) {
	if limit, ok := args[2].Value.(int64); ok && args[2].Op == syntax.OpLiteral && limit < 1 {
		return nil, c.Fail(args[2].Offset, "getFilteredGroups: %v", errLimitArgument)
	}
	if !args[1].IsText() {
		return nil, nil
	}
	return c.GroupExpression(args[1])
}

// getFilteredGroups evaluates the group expression for the user's groups that
// are on the allow list.
func getFilteredGroups(e *Env, prepared any, args []any) (any, error) {
	allow, limit := args[0].([]any), args[2].(int64)
	if limit < 1 {
		return nil, errLimitArgument
	}
	body, literal := prepared, prepared != nil
	if !literal {
		var err error
		if body, err = e.Expressions.CompileGroup(args[1].(string)); err != nil {
			return nil, err
		}
	}
	groups, err := e.Groups()
	if err != nil {
		return nil, err
	}
	var room [32]int32
	positions, err := e.allowed(groups, allow, room[:0])
	if err != nil {
		return nil, err
	}
	if int64(len(positions)) > limit {
		if err := e.tooMany(limit); err != nil {
			return nil, err
		}
		positions = positions[:limit]
	}
	if e.GroupDepth >= MaxGroupDepth {
		return nil, fmt.Errorf("group expressions nest over %d levels: %w", MaxGroupDepth, value.ErrLimit)
	}
	e.GroupDepth++
	defer func() { e.GroupDepth-- }()
	values := make([]any, 0, len(positions))
	for _, at := range positions {
		v, err := e.Expressions.EvalGroup(body, literal, &groups[at])
		if err != nil {
			return nil, err
		}
		if v != nil {
			values = append(values, v)
		}
	}
	if len(values) == 0 {
		return nil, nil
	}
	return values, nil
}

// allowed returns the positions of the groups on the allow list, in the order
// of the groups. With an index the cost follows the allow list.
func (e *Env) allowed(groups []identity.Group, allow []any, positions []int32) ([]int32, error) {
	if e.Context.Index.Fits(groups) {
		for _, v := range allow {
			id, err := e.groupID(v)
			if err != nil {
				return nil, err
			}
			if id != "" {
				positions = e.Context.Index.Find(groups, id, positions)
			}
		}
		slices.Sort(positions)
		return slices.Compact(positions), nil // an id may be on the list twice
	}
	if err := e.Consume(len(groups), value.ListPerStep); err != nil {
		return nil, err
	}
	wanted := make(map[string]struct{}, len(allow))
	for _, v := range allow {
		id, err := e.groupID(v)
		if err != nil {
			return nil, err
		}
		if id != "" {
			wanted[id] = struct{}{}
		}
	}
	for i := range groups {
		if _, ok := wanted[groups[i].ID]; ok {
			positions = append(positions, int32(i)) //nolint:gosec // bounded by MaxList
		}
	}
	return positions, nil
}

// groupID reads an element of an allow list; null is no group's id.
func (e *Env) groupID(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	return e.Text(v)
}
