package oktael

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// prepareFilteredGroups compiles a literal group expression at load. It may
// read whatever the whole expression may. An allow list of nothing but
// literal ids is put into a form that needs no work later.
func prepareFilteredGroups(c *compiler, _ *syntaxNode, args []*syntaxNode) (any, *Error) {
	if limit, ok := args[2].value.(int64); ok && args[2].op == opLiteral && limit < 1 {
		return nil, c.failAt(args[2].offset, "getFilteredGroups: %v", errLimitArgument)
	}
	if !args[1].isText() {
		return nil, nil
	}
	return c.groupExpression(args[1])
}

// groupExpression compiles a literal text as an expression with "group"
// bound. Its faults are reported where they stand in the whole source.
func (c *compiler) groupExpression(s *syntaxNode) (node, *Error) {
	if c.groupDepth >= maxGroupDepth {
		return nil, c.failAt(s.offset, "group expressions nest over %d levels", maxGroupDepth)
	}
	inside := func(err error) *Error {
		var fault *Error
		if !errors.As(err, &fault) {
			return c.failAt(s.offset, "in the group expression: %v", err)
		}
		return newError(c.source, min(fault.Offset, len(c.source)), "in the group expression: %s", fault.Msg)
	}
	tree, err := parse(s.value.(string))
	if err != nil {
		if fault, ok := errors.AsType[*Error](err); ok {
			fault.Offset += c.base + s.inside
		}
		return nil, inside(err)
	}
	inner := &compiler{
		source: c.source, options: c.options, base: c.base + s.inside, inGroup: true,
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

// groupNode gives the compiled group expression of a text that is not a
// literal. It may come from a profile, so that it may read the group only,
// and an error tells where it is wrong but not what it says.
func (e *evaluation) groupNode(text string) (node, error) {
	if n, ok := e.groupNodes[text]; ok {
		return n, nil
	}
	if len(e.groupNodes) >= maxCompiled {
		return nil, fmt.Errorf("over %d different group expressions: %w", maxCompiled, ErrLimit)
	}
	if len(text) > DefaultMaxLength {
		return nil, fmt.Errorf("the group expression is longer than %d bytes: %w", DefaultMaxLength, ErrLimit)
	}
	// Compiling costs as much as evaluating what is written does.
	if err := e.charge(len(text), sourcePerStep); err != nil {
		return nil, err
	}
	tree, err := parse(text)
	var t typed
	if err == nil {
		c := &compiler{source: text, options: Options{Dialect: e.options.Dialect}, inGroup: true, groupDepth: maxGroupDepth, members: new(memberReads)}
		t, err = c.compile(tree)
	}
	if err != nil {
		if fault, ok := errors.AsType[*Error](err); ok {
			return nil, fmt.Errorf("the group expression does not compile (at %d:%d)", fault.Line, fault.Column)
		}
		return nil, errors.New("the group expression does not compile")
	}
	if e.groupNodes == nil {
		e.groupNodes = make(map[string]node)
	}
	e.groupNodes[text] = t.node
	return t.node, nil
}

// getFilteredGroups evaluates the group expression for the user's groups that
// are on the allow list.
func getFilteredGroups(e *evaluation, n *callNode, args []any) (any, error) {
	allow, limit := args[0].([]any), args[2].(int64)
	if limit < 1 {
		return nil, errLimitArgument
	}
	body, literal := n.extra.(node)
	if !literal {
		var err error
		if body, err = e.groupNode(args[1].(string)); err != nil {
			return nil, err
		}
	}
	groups, err := e.groups()
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
	values, err := e.eachGroup(groups, positions, body, literal)
	if err != nil || len(values) == 0 {
		return nil, err
	}
	return values, nil
}

// allowed gives the positions of the groups on the allow list, in the order
// of the groups. With an index the cost follows the allow list.
func (e *evaluation) allowed(groups []identity.Group, allow []any, positions []int32) ([]int32, error) {
	if e.c.Index.fits(groups) {
		for _, v := range allow {
			id, err := e.groupID(v)
			if err != nil {
				return nil, err
			}
			if id != "" {
				positions = e.c.Index.find(groups, id, positions)
			}
		}
		slices.Sort(positions)
		return slices.Compact(positions), nil // an id may stand on the list twice
	}
	if err := e.charge(len(groups), listPerStep); err != nil {
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

// groupID reads an element of an allow list; null is nobody's group.
func (e *evaluation) groupID(v any) (string, error) {
	if v == nil {
		return "", nil
	}
	return e.text(v)
}

// eachGroup evaluates a body for groups and leaves out nulls.
func (e *evaluation) eachGroup(groups []identity.Group, positions []int32, body node, literal bool) ([]any, error) {
	if e.groupDepth >= maxGroupDepth {
		return nil, fmt.Errorf("group expressions nest over %d levels: %w", maxGroupDepth, ErrLimit)
	}
	outerGroup, outerElement := e.group, e.element
	e.groupDepth++
	defer func() {
		e.group, e.element = outerGroup, outerElement
		e.groupDepth--
	}()
	values := make([]any, 0, len(positions))
	for _, at := range positions {
		e.group, e.element = &groups[at], nil
		v, err := e.run(body)
		if err != nil {
			if !literal {
				// Its position means nothing in this source.
				return nil, foreign(err)
			}
			return nil, err
		}
		if v != nil {
			values = append(values, v)
		}
	}
	return values, nil
}

// foreign strips position and words off the error of a group expression whose
// text is not part of the source: both are of that text, which may be
// somebody's attribute.
func foreign(err error) error {
	for _, known := range []error{ErrLimit, ErrNull, ErrTooManyGroups, ErrGroupsUnknown, ErrUntold} {
		if errors.Is(err, known) {
			return fmt.Errorf("evaluating the group expression: %w", known)
		}
	}
	return errors.New("the group expression fails")
}
