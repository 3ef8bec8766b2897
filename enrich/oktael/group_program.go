package oktael

import (
	"fmt"
	"slices"
)

// groupSteps lets a group expression of some twenty steps be evaluated for each
// of MaxList groups.
const groupSteps = 20 * MaxList

// GroupProgram is a compiled group expression, as the second argument of
// getFilteredGroups is one: an expression in which "group" is bound to one of
// the user's groups. It is immutable and safe for concurrent use.
type GroupProgram struct{ program Program }

// CompileGroup compiles a group expression. It may read the group and the roots
// of the options, and call the functions of their dialect. Its length is bounded
// by DefaultMaxLength. Of the options, MaxLength, MaxSteps, Wants and
// TruncateOverLimit have no effect. The error is an *Error, but for an expression
// that is too long.
func CompileGroup(source string, o Options) (*GroupProgram, error) {
	if len(source) > DefaultMaxLength {
		return nil, fmt.Errorf("an expression has at most %d bytes", DefaultMaxLength)
	}
	o.MaxSteps = groupSteps
	c := &compiler{source: source, options: o, members: new(memberReads)}
	body, err := c.groupExpression(&syntaxNode{op: opLiteral, value: source})
	if err != nil {
		return nil, err
	}
	return &GroupProgram{Program{
		source: source, root: body, options: o, reads: c.reads | RootGroups, members: c.members, warnings: c.warnings,
	}}, nil
}

// Eval computes the expression's value for the groups at the positions in
// c.Groups, in that order, as canonical values. Null values are left out; where
// none is left, the list is empty. The error is an *EvalError.
func (p *GroupProgram) Eval(c *Context, positions []int32) ([]any, error) {
	e := newEval(&p.program, c)
	defer e.end(&p.program)
	values, err := e.eachGroup(c.Groups, positions, p.program.root, true)
	if err != nil {
		return nil, e.wrap(0, err)
	}
	out, err := e.handOut(values)
	if err != nil {
		return nil, e.wrap(0, err)
	}
	list, _ := out.([]any)
	return list, nil
}

// Reads returns the roots that an evaluation may read, RootGroups among them.
func (p *GroupProgram) Reads() Roots { return p.program.reads }

// Warnings returns what is allowed but probably not meant, in the order of the
// source.
func (p *GroupProgram) Warnings() []Warning { return p.program.warnings }

// GroupsByID returns the positions in c.Groups of the groups that have one of the
// ids, in the order of c.Groups: the groups that an allow list lets through. The
// empty id is that of no group. The cost follows the list where c.Index belongs
// to the groups. The error is that of
// c.GroupsError, or ErrLimit for more than MaxList groups.
func (c *Context) GroupsByID(ids []string) ([]int32, error) {
	if !c.GroupsKnown {
		return nil, c.GroupsError()
	}
	if len(c.Groups) > MaxList {
		return nil, fmt.Errorf("the user has over %d groups: %w", MaxList, ErrLimit)
	}
	index := c.Index
	if !index.fits(c.Groups) {
		index = IndexGroups(c.Groups)
	}
	positions := make([]int32, 0, min(len(ids), len(c.Groups)))
	for _, id := range ids {
		if id != "" {
			positions = index.find(c.Groups, id, positions)
		}
	}
	slices.Sort(positions)
	return slices.Compact(positions), nil // an id may stand on the list twice
}
