package oktael

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
)

// evaluation is the state of one Eval. It is used by one goroutine.
type evaluation struct {
	c       *Context
	source  string
	options *Options

	// left is what remains of the steps, in units of unitsPerStep.
	left int64

	// element is what the bare names of a projection or selection belong to.
	element any

	// group is what "group" stands for in a group expression.
	group *identity.Group

	// groupDepth counts the group expressions that stand inside each other.
	groupDepth int

	// regexes and groupNodes hold what had to be compiled because it is not
	// a literal; within one evaluation the same text is compiled once.
	regexes    map[string]*regex
	groupNodes map[string]node

	// stack holds the arguments of the calls under way; room is its first
	// piece, so that a typical evaluation allocates it together with the rest.
	// No result may share it: it serves the next evaluation too.
	stack []any
	room  [8]any
}

func newEval(p *Program, c *Context) *evaluation {
	e, ok := p.idle.Get().(*evaluation)
	if !ok {
		e = &evaluation{}
	}
	e.c, e.source, e.options, e.left = c, p.source, &p.options, int64(p.options.MaxSteps)*unitsPerStep
	e.stack = e.room[:0]
	return e
}

// end hands the evaluation back, without anything of what it worked on.
func (e *evaluation) end(p *Program) {
	*e = evaluation{}
	p.idle.Put(e)
}

// node is a part of a compiled expression. Nodes are immutable.
type node interface {
	// eval computes the value. Errors are *EvalError.
	eval(e *evaluation) (any, error)

	// at is the byte of the source that an error names.
	at() int
}

// position is the at of a node; nodes embed it.
type position int

func (p position) at() int { return int(p) }

// run evaluates a node, which costs a step. What only reads a value that is
// there already is free; whatever it is part of has cost one.
func (e *evaluation) run(n node) (any, error) {
	switch n := n.(type) {
	case *literalNode:
		return n.value, nil
	case *groupNode:
		return e.group, nil
	case *elementNode:
		return e.element, nil
	case *rootNode, *memberNode:
		return n.eval(e)
	case *propertyNode:
		if e.left -= unitsPerStep / propertyPerStep; e.left < 0 {
			return nil, e.wrap(n.at(), errSteps)
		}
		return n.eval(e)
	}
	if e.left -= unitsPerStep; e.left < 0 {
		return nil, e.wrap(n.at(), errSteps)
	}
	return n.eval(e)
}

var errSteps = fmt.Errorf("the evaluation takes too many steps: %w", ErrLimit)

// charge takes the steps for going over n parts, of which one step pays for
// so many as per says: a power of two up to unitsPerStep, so that nothing is
// lost in rounding.
func (e *evaluation) charge(n, per int) error {
	return e.spend(int64(n) * int64(unitsPerStep/per))
}

// spend is charge in units.
func (e *evaluation) spend(units int64) error {
	if e.left -= units; e.left < 0 {
		return errSteps
	}
	return nil
}

// wrap gives an error its position. An error that has one keeps it, and the
// words around it, which would stand before the position, are left off.
func (e *evaluation) wrap(at int, err error) error {
	if err == nil {
		return nil
	}
	if placed, ok := errors.AsType[*EvalError](err); ok {
		return placed
	}
	x := &EvalError{Offset: at, Msg: err.Error(), source: e.source, cause: err}
	x.Line, x.Column = lineColumn(e.source, at)
	return x
}

// fail is wrap for an error that is made on the spot.
func (e *evaluation) fail(at int, format string, args ...any) error {
	return e.wrap(at, fmt.Errorf(format, args...))
}

// groups gives the user's groups, or ErrGroupsUnknown.
func (e *evaluation) groups() ([]identity.Group, error) {
	if !e.c.GroupsKnown {
		return nil, e.c.GroupsError()
	}
	if len(e.c.Groups) > MaxList {
		return nil, fmt.Errorf("the user has over %d groups: %w", MaxList, ErrLimit)
	}
	return e.c.Groups, nil
}

// handOut turns a value of the evaluator into a canonical one. What is
// canonical already is shared, not copied.
func (e *evaluation) handOut(v any) (any, error) {
	switch x := v.(type) {
	case nil, bool, int64, string, float64, json.Number:
		return x, nil
	}
	o := &output{scopes: e.c.Scopes, values: MaxResult, bytes: maxResultText}
	out, _, err := o.canonical(v, 0)
	return out, err
}

// output counts what a result holds. The same list may stand in it many
// times, so that little work can make much.
type output struct {
	scopes        []string
	values, bytes int
}

// canonical gives the canonical form of a value and whether it differs.
func (o *output) canonical(v any, depth int) (out any, changed bool, err error) {
	if o.values--; o.values < 0 {
		return nil, false, fmt.Errorf("the result holds over %d values: %w", MaxResult, ErrLimit)
	}
	if depth > identity.MaxDepth {
		return nil, false, fmt.Errorf("the result nests over %d levels: %w", identity.MaxDepth, ErrLimit)
	}
	switch x := v.(type) {
	case string:
		if o.bytes -= len(x); o.bytes < 0 {
			return nil, false, fmt.Errorf("the result holds over %d bytes of text: %w", maxResultText, ErrLimit)
		}
	case []any:
		return o.list(x, depth)
	case map[string]any:
		return o.object(x, depth)
	case dateTime:
		return datetime.ZonedISO8601(x.t), true, nil
	case country:
		return x.alpha2(), true, nil
	case *identity.User:
		return o.made(userMap(x), depth)
	case *identity.App:
		return o.made(appMap(x), depth)
	case *identity.AppUser:
		return o.made(appUserMap(x), depth)
	case *identity.Group:
		return o.made(groupMap(x), depth)
	case accessObject:
		return o.made(map[string]any{"scope": textList(o.scopes)}, depth)
	}
	return v, false, nil
}

func (o *output) list(list []any, depth int) (any, bool, error) {
	out, copied := list, list == nil
	if copied {
		out = []any{}
	}
	for i, element := range list {
		c, changed, err := o.canonical(element, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && !copied {
			out, copied = slices.Clone(list), true
		}
		if changed {
			out[i] = c
		}
	}
	return out, copied, nil
}

func (o *output) object(m map[string]any, depth int) (any, bool, error) {
	out, copied := m, m == nil
	if copied {
		out = map[string]any{}
	}
	for key, v := range m {
		o.bytes -= len(key)
		c, changed, err := o.canonical(v, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && !copied {
			out, copied = maps.Clone(m), true
		}
		if changed {
			out[key] = c
		}
	}
	return out, copied, nil
}

// made is object for a map that was made for the result.
func (o *output) made(m map[string]any, depth int) (any, bool, error) {
	out, _, err := o.object(m, depth)
	return out, true, err
}

func textList(texts []string) []any {
	list := make([]any, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}
