package oktael

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

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

	// prepare checks literal arguments at load and may compile them; what it
	// gives is callNode.extra.
	prepare func(c *compiler, name *syntaxNode, args []*syntaxNode) (any, *Error)

	// call computes the result from converted arguments. For a method,
	// args[0] is the receiver.
	call func(e *evaluation, call *callNode, args []any) (any, error)
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

// convert turns an argument into the type that the parameter wants.
func (e *evaluation) convert(v any, want argument) (any, error) {
	switch want {
	case argText:
		if _, ok := v.(string); ok {
			return v, nil
		}
		return e.text(v)
	case argList:
		return e.list(v)
	case argInt:
		if _, ok := v.(int64); ok {
			return v, nil
		}
		return integer(v)
	case argMap:
		if kindOf(v) != kindMap {
			return nil, fmt.Errorf("a map is wanted, not %s", kindOf(v))
		}
	case argElements:
		if kindOf(v)&(kindList|kindText) == 0 {
			return nil, fmt.Errorf("a list is wanted, not %s", kindOf(v))
		}
	case argNumeric:
		if kindOf(v)&(kindText|kindNumber) == 0 {
			return nil, fmt.Errorf("a text or a number is wanted, not %s", kindOf(v))
		}
	case argAny:
	}
	return v, nil
}

// list reads a value as a list: a list, or a text with commas.
func (e *evaluation) list(v any) (any, error) {
	switch x := v.(type) {
	case []any:
		return v, nil
	case string:
		return e.splitCSV(x)
	}
	return nil, fmt.Errorf("a list is wanted, not %s", kindOf(v))
}

var errNotInteger = errors.New("an integer is wanted")

// integer reads a value as an integer without rounding.
func integer(v any) (int64, error) {
	switch x := v.(type) {
	case int64:
		return x, nil
	case float64:
		if x == math.Trunc(x) && x >= math.MinInt64 && x < math.MaxInt64 {
			return int64(x), nil
		}
	case string:
		if n, err := strconv.ParseInt(strings.TrimSpace(x), 10, 64); err == nil {
			return n, nil
		}
	default:
		return 0, fmt.Errorf("an integer is wanted, not %s", kindOf(v))
	}
	return 0, errNotInteger
}

// library holds all functions. It never changes after init; it is built
// there, and not where it is declared, because the functions that compile
// expressions look into it.
var library *functions

func init() { library = buildLibrary() }

type functions struct {
	// static are the functions by full name.
	static map[string]*function

	// methods are the methods by name; one name may belong to several kinds
	// of value.
	methods map[string][]*function

	// families are the words before the point of a static function.
	families map[string]bool
}

func buildLibrary() *functions {
	l := &functions{static: map[string]*function{}, methods: map[string][]*function{}, families: map[string]bool{}}
	for _, table := range [][]function{
		stringFunctions, stringMethods, arrayFunctions, arrayMethods, convertFunctions, countryFunctions, countryMethods,
		groupFunctions, userMethods, directoryFunctions, timeFunctions, timeMethods,
	} {
		for i := range table {
			f := &table[i]
			if f.receiver != 0 {
				l.methods[f.name] = append(l.methods[f.name], f)
				continue
			}
			l.static[f.name] = f
			if family, _, ok := strings.Cut(f.name, "."); ok {
				l.families[family] = true
			}
		}
	}
	return l
}

// isFamily reports whether a name is a family of functions, as String is.
func isFamily(name string) bool { return library.families[name] }

// names gives the names of the static functions of a dialect, sorted.
func (l *functions) names(d Dialect) []string {
	var names []string
	for name, f := range l.static {
		if d.has(f.dialect) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// methodNames gives the names of the methods of a dialect, sorted.
func (l *functions) methodNames(d Dialect) []string {
	var names []string
	for name, overloads := range l.methods {
		if slices.ContainsFunc(overloads, func(f *function) bool { return d.has(f.dialect) }) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
