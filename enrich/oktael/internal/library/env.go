package library

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// env is what the functions of one evaluation work with.
type Env struct {
	value.Meter

	Context *input.Context
	Dialect syntax.Dialect

	// truncate cuts lists of groups at the limit of the call instead of failing.
	Truncate bool

	Regexes value.Regexes

	// expressions evaluates group expressions.
	Expressions groupExpressions
}

// groupExpressions evaluates the expressions inside of an expression, with
// "group" bound to one of the user's groups after the other.
type groupExpressions interface {
	// CompileGroup compiles the text of a group expression that is not a
	// literal.
	CompileGroup(text string) (any, error)

	// EvalGroups evaluates a group expression for the groups at these positions
	// and leaves out nulls. literal says that it is part of the source.
	EvalGroups(compiled any, literal bool, groups []identity.Group, positions []int32) ([]any, error)
}

// groups gives the user's groups, or ErrGroupsUnknown.
func (e *Env) Groups() ([]identity.Group, error) {
	if !e.Context.GroupsKnown {
		return nil, e.Context.GroupsError()
	}
	if len(e.Context.Groups) > value.MaxList {
		return nil, fmt.Errorf("the user has over %d groups: %w", value.MaxList, value.ErrLimit)
	}
	return e.Context.Groups, nil
}
