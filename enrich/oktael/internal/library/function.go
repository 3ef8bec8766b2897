package library

import (
	"strconv"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// What describes a function: its parameters, its result, what null does to it,
// and its code.

// argument is what a parameter accepts. The evaluation converts, so that a
// function sees exactly one Go type. The comments name it.
type argument uint8

const (
	argAny      argument = iota // any
	argText                     // string: a text, or what can be written as one
	argList                     // []any: a list, or a text with commas
	argInt                      // int64: an integer, or a text or real that is one
	argMap                      // map[string]any
	argElements                 // []any or string: as argList, but a text is left as it is
	argNumeric                  // int64, float64, json.Number or string
)

// accepted are the kinds of value that a parameter of each type accepts.
var accepted = [...]value.Kinds{
	argAny:      value.KindAny,
	argText:     value.KindPrintable,
	argList:     value.KindList | value.KindText,
	argInt:      value.KindInt | value.KindReal | value.KindText,
	argMap:      value.KindMap,
	argElements: value.KindList | value.KindText,
	argNumeric:  value.KindText | value.KindNumber,
}

// Param is one parameter of a function.
type Param struct {
	// Name is what messages and the documentation call it.
	Name string

	// Want is what it accepts.
	Want argument

	// Nullable lets null through to the function, as nil.
	Nullable bool
}

// NullRule is what a call returns when an argument that is not nullable is
// null.
type NullRule uint8

const (
	// NullFails makes the call an error. It is the zero value.
	NullFails NullRule = iota

	// NullNull returns null.
	NullNull

	// NullFalse returns false.
	NullFalse

	// NullZero returns 0.
	NullZero
)

// Call is the code of a function. prepared is what its prepare returned for
// this call, or nil.
type Call func(e *Env, prepared any, args []any) (any, error)

// Checker is what a function asks of the compiler when it checks the literal
// arguments of a call.
type Checker interface {
	// Fail returns an error at an offset of the expression.
	Fail(offset int, format string, args ...any) error

	// Warn notes something that is allowed but probably a mistake.
	Warn(offset int, format string, args ...any)

	// GroupExpression compiles a literal string as an expression with "group"
	// bound.
	GroupExpression(s *syntax.Node) (any, error)
}

// Function describes one function or method. The compiler and the evaluation
// read the same description.
type Function struct {
	// Name is the full name: String.len, getFilteredGroups, or the bare name
	// of a method.
	Name string

	// Receiver are the kinds of value that a method belongs to; 0 for
	// functions.
	Receiver value.Kinds

	// Dialect is where it may be used; Either means in both.
	Dialect syntax.Dialect

	// Params are the parameters in order; of a method, the receiver first.
	Params []Param

	// Optional is how many of the last parameters may be left out.
	Optional int

	// Rest lets the last parameter repeat.
	Rest bool

	// Result are the kinds that the function returns.
	Result value.Kinds

	// OfGroups says that the result is a list of groups and nothing else.
	OfGroups bool

	// OnNull is the result where an argument that is not nullable is null.
	OnNull NullRule

	// Reads are the inputs that the call reads.
	Reads input.Set

	// Prepare checks literal arguments when the call is compiled and may compile
	// them; Call gets what it returns. Methods of one name on several kinds of
	// receiver have none.
	Prepare func(c Checker, name *syntax.Node, args []*syntax.Node) (any, error)

	// Call computes the result from converted arguments. For a method,
	// args[0] is the receiver.
	Call Call
}

// least is how many arguments a call has at least.
func (f *Function) least() int { return len(f.Params) - f.Optional }

// Takes reports whether the function can be called with n arguments.
func (f *Function) Takes(n int) bool {
	return n >= f.least() && (f.Rest || n <= len(f.Params))
}

// Param returns the parameter of the argument at a position.
func (f *Function) Param(i int) *Param {
	return &f.Params[min(i, len(f.Params)-1)]
}

// Accepts returns the kinds that the argument at a position may be of, and the
// kinds that messages name: what is expected, not all that is converted.
func (f *Function) Accepts(i int) (accepts, meant value.Kinds) {
	p := f.Param(i)
	accepts = accepted[p.Want]
	switch meant = accepts; p.Want {
	case argInt:
		meant = value.KindInt
	case argText:
		meant = value.KindText
	case argList, argElements:
		meant = value.KindList
	case argAny, argMap, argNumeric:
	}
	if p.Nullable || f.OnNull != NullFails {
		accepts |= value.KindNull
	}
	return accepts, meant
}

// Count says in words how many arguments the function takes.
func (f *Function) Count() string {
	word := func(n int) string {
		if n == 1 {
			return "1 argument"
		}
		return strconv.Itoa(n) + " arguments"
	}
	switch least, most := f.least(), len(f.Params); {
	case f.Rest:
		return "at least " + word(least)
	case least == most && least == 0:
		return "no arguments"
	case least == most:
		return word(least)
	default:
		return strconv.Itoa(least) + " to " + word(most)
	}
}

// MethodCount is Count without the receiver.
func (f *Function) MethodCount() string {
	without := *f
	without.Params = f.Params[1:]
	return without.Count()
}
