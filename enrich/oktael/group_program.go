package oktael

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/object"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// groupSteps lets a group expression of some twenty steps be evaluated for each
// of MaxList groups.
const groupSteps = 20 * value.MaxList

// GroupProgram is a compiled group expression, as the second argument of
// getFilteredGroups is one: an expression in which "group" is bound to one of
// the user's groups. It is immutable and safe for concurrent use.
type GroupProgram struct{ program Program }

// CompileGroup compiles a group expression. It may read the group and the inputs
// of the options, and call the functions of their dialect. Its length is bounded
// by DefaultMaxLength. Of the options, MaxLength, MaxSteps, Result and
// TruncateOverLimit have no effect. The error is an *Error, but for an expression
// that is too long.
func CompileGroup(source string, o Options) (*GroupProgram, error) {
	if len(source) > DefaultMaxLength {
		return nil, fmt.Errorf("an expression has at most %d bytes", DefaultMaxLength)
	}
	o.MaxSteps = groupSteps
	c := &compiler{source: source, options: o, members: new(memberReads)}
	body, err := c.compileGroup(&syntax.Node{Op: syntax.OpLiteral, Value: source})
	if err != nil {
		return nil, err
	}
	return &GroupProgram{Program{
		source: source, root: body, options: o, reads: c.reads | InputGroups, members: c.members, warnings: c.warnings,
	}}, nil
}

// Eval computes the expression's value for the groups at the positions in
// c.Groups, in that order, as canonical values. Null values are left out; where
// none is left, the list is empty. The error is an *EvalError.
func (p *GroupProgram) Eval(c *Context, positions []int32) ([]any, error) {
	e := p.program.begin(c)
	defer p.program.end(e)
	e.GroupDepth = 1
	values, body := make([]any, 0, len(positions)), &groupExpression{p.program.root}
	for _, at := range positions {
		v, err := e.EvalGroup(body, true, &c.Groups[at])
		if err != nil {
			return nil, e.wrap(0, err)
		}
		if v != nil {
			values = append(values, v)
		}
	}
	out, err := object.ToCanonical(values, c.Scopes)
	if err != nil {
		return nil, e.wrap(0, err)
	}
	list, _ := out.([]any)
	return list, nil
}

// Reads returns the inputs that an evaluation may read, InputGroups among them.
func (p *GroupProgram) Reads() Inputs { return p.program.reads }

// Members returns, sorted, the members of an input that are read by name; see
// Program.Members.
func (p *GroupProgram) Members(of string) []string { return p.program.Members(of) }

// ReadsWhole reports whether any member of an input may be read; see
// Program.ReadsWhole.
func (p *GroupProgram) ReadsWhole(of string) bool { return p.program.ReadsWhole(of) }

// Warnings returns what is allowed but probably a mistake, in the order of the
// source.
func (p *GroupProgram) Warnings() []Warning { return p.program.warnings }

// GroupsByID returns the positions in c.Groups of the groups that have one of the
// ids, in the order of c.Groups: the groups that an allow list lets through. The
// empty id is that of no group. The cost follows the list where c.Index belongs
// to the groups. The error is that of c.GroupsError, or ErrLimit for more than
// 10,000 groups.
func GroupsByID(c *Context, ids []string) ([]int32, error) {
	env := library.Env{Context: c}
	groups, err := env.Groups()
	if err != nil {
		return nil, err
	}
	index := c.Index
	if !index.Fits(groups) {
		index = IndexGroups(groups)
	}
	positions := make([]int32, 0, min(len(ids), len(groups)))
	for _, id := range ids {
		if id != "" {
			positions = index.Find(groups, id, positions)
		}
	}
	slices.Sort(positions)
	return slices.Compact(positions), nil // an id may be on the list twice
}
