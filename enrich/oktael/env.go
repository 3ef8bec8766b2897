package oktael

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// env is what the functions of one evaluation work with.
type env struct {
	meter

	c       *Context
	dialect Dialect

	// truncate cuts lists of groups at the limit of the call instead of failing.
	truncate bool

	regexes regexes

	// expressions evaluates group expressions.
	expressions groupExpressions
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
func (e *env) groups() ([]identity.Group, error) {
	if !e.c.GroupsKnown {
		return nil, e.c.GroupsError()
	}
	if len(e.c.Groups) > MaxList {
		return nil, fmt.Errorf("the user has over %d groups: %w", MaxList, ErrLimit)
	}
	return e.c.Groups, nil
}
