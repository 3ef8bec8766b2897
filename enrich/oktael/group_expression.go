package oktael

import (
	"errors"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// Group expressions: the texts inside of getFilteredGroups, which are expressions
// themselves, evaluated once for each group with "group" bound to it.

// GroupExpression is compileGroup for the functions.
func (c *compiler) GroupExpression(s *syntax.Node) (any, error) {
	body, err := c.compileGroup(s)
	return &groupExpression{body}, err
}

// compileGroup compiles a literal text as an expression with "group" bound. It
// may read whatever the whole expression may. Its faults are reported where they
// are in the whole source.
func (c *compiler) compileGroup(s *syntax.Node) (node, error) {
	if c.groupDepth >= library.MaxGroupDepth {
		return nil, c.Fail(s.Offset, "group expressions nest over %d levels", library.MaxGroupDepth)
	}
	inside := func(err error) error {
		var fault *syntax.Error
		if !errors.As(err, &fault) {
			return c.Fail(s.Offset, "in the group expression: %v", err)
		}
		return syntax.NewError(c.source, min(fault.Offset, len(c.source)), "in the group expression: %s", fault.Msg)
	}
	tree, err := syntax.Parse(s.Value.(string), library.IsFamily)
	if err != nil {
		if fault, ok := errors.AsType[*syntax.Error](err); ok {
			fault.Offset += c.base + s.ContentOffset
		}
		return nil, inside(err)
	}
	inner := &compiler{
		source: c.source, options: c.options, base: c.base + s.ContentOffset, inGroup: true,
		groupDepth: c.groupDepth + 1, known: c.known, members: c.members,
	}
	t, err := inner.compile(tree)
	if err != nil {
		return nil, inside(err)
	}
	c.reads |= inner.reads
	c.warnings = append(c.warnings, inner.warnings...)
	return t.node, nil
}

// CompileGroup returns the compiled group expression of a text that is not a
// literal. The text may come from a profile, so that it may read the group only,
// and an error says where it is wrong but not what it says.
func (e *evaluation) CompileGroup(text string) (any, error) {
	if compiled, ok := e.groupExpressions[text]; ok {
		return compiled, nil
	}
	if len(e.groupExpressions) >= value.MaxCompiled {
		return nil, fmt.Errorf("over %d different group expressions: %w", value.MaxCompiled, value.ErrLimit)
	}
	if len(text) > DefaultMaxLength {
		return nil, fmt.Errorf("the group expression is longer than %d bytes: %w", DefaultMaxLength, value.ErrLimit)
	}
	// Compiling costs as much as evaluating what is written does.
	if err := e.Consume(len(text), value.SourcePerStep); err != nil {
		return nil, err
	}
	tree, err := syntax.Parse(text, library.IsFamily)
	var t typed
	if err == nil {
		c := &compiler{source: text, options: Options{Dialect: e.Dialect}, inGroup: true, groupDepth: library.MaxGroupDepth, members: new(memberReads)}
		t, err = c.compile(tree)
	}
	if err != nil {
		if fault, ok := errors.AsType[*syntax.Error](err); ok {
			return nil, fmt.Errorf("the group expression does not compile (at %d:%d)", fault.Line, fault.Column)
		}
		return nil, errors.New("the group expression does not compile")
	}
	if e.groupExpressions == nil {
		e.groupExpressions = make(map[string]*groupExpression)
	}
	compiled := &groupExpression{t.node}
	e.groupExpressions[text] = compiled
	return compiled, nil
}

// EvalGroup evaluates a group expression for one group. The position of an
// error means nothing where the expression is not part of the source.
func (e *evaluation) EvalGroup(compiled any, literal bool, group *identity.Group) (any, error) {
	outerGroup, outerElement := e.group, e.element
	e.group, e.element = group, nil
	v, err := e.run(compiled.(*groupExpression).body) //nolint:forcetypeassert // what CompileGroup and GroupExpression return
	e.group, e.element = outerGroup, outerElement
	if err != nil && !literal {
		return nil, foreign(err)
	}
	return v, err
}

// foreign strips position and words off the error of a group expression whose
// text is not part of the source: both are of that text, which may be a user's
// attribute.
func foreign(err error) error {
	for _, known := range []error{value.ErrLimit, value.ErrNull, library.ErrTooManyGroups, input.ErrGroupsUnknown, input.ErrFactUnavailable} {
		if errors.Is(err, known) {
			return fmt.Errorf("evaluating the group expression: %w", known)
		}
	}
	return errors.New("the group expression fails")
}
