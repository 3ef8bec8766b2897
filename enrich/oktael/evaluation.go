package oktael

import (
	"errors"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// The evaluation goes down the tree of nodes; its state passes from node to node.

// evaluation is the state of one Eval. It is used by one goroutine.
type evaluation struct {
	// Env is what the functions see of the evaluation.
	library.Env

	// source is the expression, for the positions of errors.
	source string

	// element is what the bare names of a projection or selection belong to.
	element any

	// group is what "group" reads in a group expression.
	group *identity.Group

	// groupExpressions are the group expressions that are not literals; within
	// one evaluation the same text is compiled once.
	groupExpressions map[string]*groupExpression

	// stack holds the arguments of the calls under way; room is its first
	// piece, so that a typical evaluation allocates it together with the rest.
	// No result may share it: it serves the next evaluation too.
	stack []any
	room  [8]any
}

// groupExpression is a compiled group expression, as the functions hold it.
type groupExpression struct{ body node }

// node is a part of a compiled expression. Nodes are immutable.
type node interface {
	// eval computes the value. Errors are *EvalError.
	eval(e *evaluation) (any, error)

	// at is the byte of the source that an error names.
	at() int
}

// position is the at of a node; nodes embed it.
type position int

// at returns the byte of the source.
func (p position) at() int { return int(p) }

// run evaluates a node, which costs a step. What only reads a value that is
// there already is free, because whatever it is part of has cost one; a property
// costs a part of a step. Nodes evaluate each other by run alone, so that no
// expression outlasts its steps.
func (e *evaluation) run(n node) (any, error) {
	switch n := n.(type) {
	case *literalNode:
		return n.value, nil
	case *groupNode:
		return e.group, nil
	case *elementNode:
		return e.element, nil
	case *inputNode, *memberNode:
		return n.eval(e)
	case *propertyNode:
		if err := e.ConsumeUnits(value.UnitsPerStep / value.PropertyPerStep); err != nil {
			return nil, e.wrap(n.at(), err)
		}
		return n.eval(e)
	}
	if err := e.ConsumeUnits(value.UnitsPerStep); err != nil {
		return nil, e.wrap(n.at(), err)
	}
	return n.eval(e)
}

// wrap returns an error with its position. An error that has one keeps it, and
// the words around it, which would be read before the position, are left off.
func (e *evaluation) wrap(at int, err error) error {
	if err == nil {
		return nil
	}
	if placed, ok := errors.AsType[*EvalError](err); ok {
		return placed
	}
	return newEvalError(e.source, at, err)
}

// fail is wrap for an error that is made on the spot.
func (e *evaluation) fail(at int, format string, args ...any) error {
	return e.wrap(at, fmt.Errorf(format, args...))
}
