package oktael

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

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

// Error gives position and fault in one line.
func (e *EvalError) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Msg) }

// Caret gives the line of the source and, below it, a caret under the fault.
func (e *EvalError) Caret() string { return syntax.Caret(e.source, e.Offset) }

// Unwrap gives the cause: one of this package's sentinels, or nil.
func (e *EvalError) Unwrap() error { return e.cause }

// Warning is something that is allowed but probably not meant.
type Warning struct {
	// Offset, Line and Column are as in Error.
	Offset       int
	Line, Column int

	// Msg says what may go wrong.
	Msg string
}

// String gives position and warning in one line.
func (w Warning) String() string { return fmt.Sprintf("%d:%d: %s", w.Line, w.Column, w.Msg) }
