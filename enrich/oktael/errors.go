package oktael

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// What goes wrong in an evaluation, and what may go wrong. The faults of
// compilation are syntax.Error.

// EvalError says why an evaluation failed, and where. It never holds a value
// that the expression worked on.
type EvalError struct {
	// Offset, Line and Column are as in Error.
	Offset       int
	Line, Column int

	// Msg says what is wrong.
	Msg string

	source string
	cause  error
}

// newEvalError returns an error with its position in the source.
func newEvalError(source string, offset int, cause error) *EvalError {
	e := &EvalError{Offset: offset, Msg: cause.Error(), source: source, cause: cause}
	e.Line, e.Column = syntax.Position(source, offset)
	return e
}

// Error returns position and fault in one line.
func (e *EvalError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg) }

// Caret returns the line of the source and, below it, a caret under the fault.
func (e *EvalError) Caret() string { return syntax.Caret(e.source, e.Offset) }

// Unwrap returns the cause, which may be one of this package's sentinels.
func (e *EvalError) Unwrap() error { return e.cause }

// Warning is something that is allowed but probably a mistake.
type Warning struct {
	// Offset, Line and Column are as in Error.
	Offset       int
	Line, Column int

	// Msg says what may go wrong.
	Msg string
}

// String returns position and warning in one line.
func (w Warning) String() string { return fmt.Sprintf("%d:%d: %s", w.Line, w.Column, w.Msg) }
