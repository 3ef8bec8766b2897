package oktael

import "strconv"

// argument is what a parameter accepts. The caller converts, so that a
// function sees exactly one Go type.
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

// arguments tells, by argument, the word for signatures and the kinds that
// are accepted.
var arguments = [...]struct {
	name    string
	accepts kinds
}{
	argAny:  {"any", kindAny},
	argText: {"text", kindPrintable},
	argList: {"list", kindList | kindText},
	argInt:  {"integer", kindInt | kindReal | kindText},
	argMap:  {"map", kindMap},

	argElements: {"list", kindList | kindText},
	argNumeric:  {"text or number", kindText | kindNumber},
}

// parameter is one parameter of a function.
type parameter struct {
	name string
	want argument

	// nullable lets null through to the function, as nil.
	nullable bool
}

// nullRule is what a call gives when an argument that is not nullable is
// null.
type nullRule uint8

const (
	nullFails nullRule = iota // an error
	nullNull                  // null
	nullFalse                 // false
	nullZero                  // 0
)

// nullDocs are the rules in words.
var nullDocs = [...]string{nullFails: "error", nullNull: "null", nullFalse: "false", nullZero: "0"}

// call is the code of a function. prepared is what its prepare returned for
// this call, or nil.
type call func(e *env, prepared any, args []any) (any, error)

// checker is what a function asks of the compiler when it checks the literal
// arguments of a call.
type checker interface {
	// Fail returns an error at an offset of the expression.
	Fail(offset int, format string, args ...any) error

	// Warn notes something that is allowed but probably not meant.
	Warn(offset int, format string, args ...any)

	// GroupExpression compiles a literal text as an expression with "group"
	// bound.
	GroupExpression(s *syntaxNode) (any, error)
}

// function describes one function or method. The tables of the families are
// the only place that names them: the checker, the evaluator and the
// documentation read the same descriptor.
type function struct {
	// name is the full name: String.len, getFilteredGroups, or the bare name
	// of a method.
	name string

	// receiver are the kinds of value that a method belongs to; 0 for
	// functions.
	receiver kinds

	// dialect is where it may be used; Either means in both.
	dialect Dialect

	params []parameter

	// optional is how many of the last parameters may be left out.
	optional int

	// rest lets the last parameter repeat.
	rest bool

	// result are the kinds that the function gives.
	result kinds

	// ofGroups says that the result is a list of groups and nothing else.
	ofGroups bool

	// onNull is what a null argument gives; onNullDoc says more where the
	// rule alone does not tell.
	onNull    nullRule
	onNullDoc string

	// reads are the roots that the call reads.
	reads Roots

	// doc says what the function gives, and when it fails.
	doc string

	// instead is what a deprecated function should be written as.
	instead string

	// prepare checks literal arguments at load and may compile them; call gets
	// what it returns.
	prepare func(c checker, name *syntaxNode, args []*syntaxNode) (any, error)

	// call computes the result from converted arguments. For a method,
	// args[0] is the receiver.
	call call
}

// least and most are how many arguments a call may have; most is -1 for any
// number.
func (f *function) least() int { return len(f.params) - f.optional }

func (f *function) most() int {
	if f.rest {
		return -1
	}
	return len(f.params)
}

// takes reports whether the function can be called with n arguments.
func (f *function) takes(n int) bool {
	return n >= f.least() && (f.rest || n <= len(f.params))
}

// param gives the parameter of the argument at a position.
func (f *function) param(i int) *parameter {
	return &f.params[min(i, len(f.params)-1)]
}

// accepts returns the kinds that the argument at a position may be of, and the
// kinds that messages name: what is meant, not all that is converted.
func (f *function) accepts(i int) (accepts, meant kinds) {
	p := f.param(i)
	accepts = arguments[p.want].accepts
	switch meant = accepts; p.want {
	case argInt:
		meant = kindInt
	case argText:
		meant = kindText
	case argList, argElements:
		meant = kindList
	case argAny, argMap, argNumeric:
	}
	if p.nullable || f.onNull != nullFails {
		accepts |= kindNull
	}
	return accepts, meant
}

// count says in words how many arguments the function takes.
func (f *function) count() string {
	word := func(n int) string {
		if n == 1 {
			return "1 argument"
		}
		return strconv.Itoa(n) + " arguments"
	}
	switch least, most := f.least(), f.most(); {
	case most < 0:
		return "at least " + word(least)
	case least == most && least == 0:
		return "no arguments"
	case least == most:
		return word(least)
	default:
		return strconv.Itoa(least) + " to " + word(most)
	}
}

// methodCount is count without the receiver.
func (f *function) methodCount() string {
	without := *f
	without.params = f.params[1:]
	return without.count()
}
