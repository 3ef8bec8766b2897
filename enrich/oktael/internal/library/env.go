package library

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// The surroundings of a call: the steps that are left, the context, and what is
// compiled during the evaluation.

// Env is what the functions of one evaluation work with. It belongs to one
// goroutine.
type Env struct {
	value.Meter

	// Context is what the expression may read.
	Context *input.Context

	// Dialect decides whether the profile or the directory's own field wins.
	Dialect syntax.Dialect

	// Truncate cuts lists of groups at the limit of the call; without it more
	// groups than the limit are an error.
	Truncate bool

	// Regexes are the regular expressions that are not literals.
	Regexes value.Regexes

	// Expressions evaluates group expressions. GroupDepth counts those that are
	// being evaluated, one inside the other.
	Expressions GroupExpressions
	GroupDepth  int
}

// GroupExpressions evaluates the expressions inside of an expression, with
// "group" bound to one of the user's groups after the other. The compiler lies
// above this package and hands itself in.
type GroupExpressions interface {
	// CompileGroup compiles the string of a group expression that is not a
	// literal.
	CompileGroup(text string) (any, error)

	// EvalGroup evaluates a group expression for one group. literal says that
	// the expression is part of the source.
	EvalGroup(compiled any, literal bool, group *identity.Group) (any, error)
}

// Groups returns the user's groups, or ErrGroupsUnknown.
func (e *Env) Groups() ([]identity.Group, error) {
	if !e.Context.GroupsKnown {
		return nil, e.Context.GroupsError()
	}
	if len(e.Context.Groups) > value.MaxList {
		return nil, fmt.Errorf("the user has over %d groups: %w", value.MaxList, value.ErrLimit)
	}
	return e.Context.Groups, nil
}

// ScanGroups is Groups for a function that looks at each of them, and consumes
// the steps for that.
func (e *Env) ScanGroups() ([]identity.Group, error) {
	groups, err := e.Groups()
	if err != nil {
		return nil, err
	}
	return groups, e.Consume(len(groups), value.ListPerStep)
}
