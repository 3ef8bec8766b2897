package library

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// arrayParameter is the first parameter of the functions.
var arrayParameter = Param{Name: "array", Want: argList, Nullable: true}

// arrayFunctions is the Arrays family of the Classic dialect. A string with
// commas is accepted wherever an array is; null counts as an empty array.
// No function changes its arguments.
var arrayFunctions = []Function{
	// The array with the value appended.
	// Null: a null array counts as empty; a null value is added.
	{
		Name: "Arrays.add", Dialect: syntax.Classic, Result: value.KindList,
		Params: []Param{arrayParameter, {Name: "value", Want: argAny, Nullable: true}}, Call: arrayAdd,
	},
	// The array without the elements that equal the value.
	// Null: a null array counts as empty.
	{
		Name: "Arrays.remove", Dialect: syntax.Classic, Result: value.KindList,
		Params: []Param{arrayParameter, {Name: "value", Want: argAny, Nullable: true}}, Call: arrayRemove,
	},
	// An empty array.
	// Null: an empty array.
	{
		Name: "Arrays.clear", Dialect: syntax.Classic, Result: value.KindList,
		Params: []Param{arrayParameter},
		Call:   func(*Env, any, []any) (any, error) { return []any{}, nil },
	},
	// The element at a position, counted from 0. A position outside the array is
	// an error.
	// Null: error, like every position that the array does not have.
	{
		Name: "Arrays.get", Dialect: syntax.Classic, Result: value.KindAny,
		Params: []Param{arrayParameter, {Name: "position", Want: argInt}}, Call: arrayGet,
	},
	// One array of all values, with the elements of arrays, however nested, in
	// the arrays' place. A string with commas counts as an array.
	// Null: error; guard with != null or Arrays.isEmpty.
	{
		Name: "Arrays.flatten", Dialect: syntax.Classic, Result: value.KindList,
		Params: []Param{{Name: "values", Want: argAny}},
		Rest:   true,
		Call:   arrayFlattenValues,
	},
	// Whether an element equals the value. Case matters. Elements of a string with
	// commas are compared with the value written as a string.
	// Null: a null array contains nothing.
	{
		Name: "Arrays.contains", Dialect: syntax.Classic, Result: value.KindBool,
		Params: []Param{{Name: "array", Want: argElements, Nullable: true}, {Name: "value", Want: argAny, Nullable: true}},
		Call:   arrayContainsCSV,
	},
	// How many elements the array has.
	// Null: 0.
	{
		Name: "Arrays.size", Dialect: syntax.Classic, Result: value.KindInt,
		Params: []Param{arrayParameter}, Call: arraySize,
	},
	// Whether the array has no elements.
	// Null: true.
	{
		Name: "Arrays.isEmpty", Dialect: syntax.Classic, Result: value.KindBool,
		Params: []Param{arrayParameter}, Call: arrayIsEmpty,
	},
	// The elements as one string with commas between them. Commas inside
	// elements are not escaped.
	// Null: the empty string; null elements are omitted.
	{
		Name: "Arrays.toCsvString", Dialect: syntax.Classic, Result: value.KindText,
		Params: []Param{arrayParameter},
		Call: func(e *Env, _ any, args []any) (any, error) {
			b, err := e.AppendCSV(nil, asList(args[0]), ",")
			if err != nil {
				return nil, err
			}
			return string(b), e.Consume(len(b), value.TextPerStep)
		},
	},
}

// selfArray is the receiver of the methods.
var selfArray = Param{Name: "array", Want: argList}

// arrayMethods are the methods of lists in the Identity Engine dialect.
var arrayMethods = []Function{
	// Whether an element equals the value. Case matters.
	{
		Name: "contains", Receiver: value.KindList, Dialect: syntax.IdentityEngine, Result: value.KindBool,
		Params: []Param{selfArray, {Name: "value", Want: argAny, Nullable: true}}, Call: arrayContains,
	},
	// How many elements the array has.
	{
		Name: "size", Receiver: value.KindList, Dialect: syntax.IdentityEngine, Result: value.KindInt,
		Params: []Param{selfArray}, Call: arraySize,
	},
	// Whether the array has no elements.
	{
		Name: "isEmpty", Receiver: value.KindList, Dialect: syntax.IdentityEngine, Result: value.KindBool,
		Params: []Param{selfArray}, Call: arrayIsEmpty,
	},
	// The array with the value appended.
	{
		Name: "add", Receiver: value.KindList, Dialect: syntax.IdentityEngine, Result: value.KindList,
		Params: []Param{selfArray, {Name: "value", Want: argAny, Nullable: true}}, Call: arrayAdd,
	},
	// The array without the elements that equal the value. The argument is a
	// value, not a position.
	{
		Name: "remove", Receiver: value.KindList, Dialect: syntax.IdentityEngine, Result: value.KindList,
		Params: []Param{selfArray, {Name: "value", Want: argAny, Nullable: true}}, Call: arrayRemove,
	},
	// The array with the elements of arrays inside it, however nested, in those
	// arrays' place.
	{
		Name: "flatten", Receiver: value.KindList, Dialect: syntax.IdentityEngine, Result: value.KindList,
		Params: []Param{selfArray},
		Call: func(e *Env, _ any, args []any) (any, error) {
			return e.flatten(args[0].([]any))
		},
	},
}

// asList reads a nullable array.
func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

// arrayAdd copies the array: its argument may be shared.
func arrayAdd(_ *Env, _ any, args []any) (any, error) {
	list := asList(args[0])
	if len(list) >= value.MaxList {
		return nil, errListLong
	}
	out := make([]any, len(list)+1)
	copy(out, list)
	out[len(list)] = args[1]
	return out, nil
}

var errListLong = fmt.Errorf("the list has over %d elements: %w", value.MaxList, value.ErrLimit)

// arrayRemove compares as == does.
func arrayRemove(e *Env, _ any, args []any) (any, error) {
	list := asList(args[0])
	out := make([]any, 0, len(list))
	for _, v := range list {
		same, err := e.Equal(v, args[1])
		if err != nil {
			return nil, err
		}
		if !same {
			out = append(out, v)
		}
	}
	return out, nil
}

// arrayGet counts from 0.
func arrayGet(_ *Env, _ any, args []any) (any, error) {
	list, at := asList(args[0]), args[1].(int64)
	if at < 0 || at >= int64(len(list)) {
		return nil, value.ErrNoElement
	}
	return list[at], nil
}

// arrayFlattenValues flattens its arguments. Only an argument that is itself
// a string is read as one with commas, not a string inside of an array: that one
// is an element, and may well have a comma in it.
func arrayFlattenValues(e *Env, _ any, args []any) (any, error) {
	values := make([]any, len(args))
	for i, v := range args {
		if s, ok := v.(string); ok {
			list, err := e.SplitCSV(s)
			if err != nil {
				return nil, err
			}
			v = list
		}
		values[i] = v
	}
	return e.flatten(values)
}

// flatten returns the elements of lists, however nested, in one new list.
func (e *Env) flatten(values []any) (any, error) {
	return e.appendFlat(make([]any, 0, len(values)), values, 0)
}

// appendFlat is flatten for lists that are depth levels deep.
func (e *Env) appendFlat(out, values []any, depth int) ([]any, error) {
	if err := e.Consume(1+len(values), value.ListPerStep); err != nil {
		return nil, err
	}
	if depth > syntax.MaxNesting {
		return nil, fmt.Errorf("the list nests over %d levels: %w", syntax.MaxNesting, value.ErrLimit)
	}
	for _, v := range values {
		if list, ok := v.([]any); ok {
			// One step for each list: empty ones add nothing that would
			// bound the work.
			err := e.Consume(1, 1)
			if err == nil {
				out, err = e.appendFlat(out, list, depth+1)
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		if len(out) >= value.MaxList {
			return nil, errListLong
		}
		out = append(out, v)
	}
	return out, nil
}

// arrayContainsCSV is the function, whose array may be a string with commas.
func arrayContainsCSV(e *Env, _ any, args []any) (any, error) {
	list, wanted := args[0], args[1]
	if s, ok := list.(string); ok {
		parts, err := e.SplitCSV(s)
		if err != nil {
			return nil, err
		}
		if value.KindOf(wanted)&(value.KindNumber|value.KindBool) != 0 {
			if wanted, err = e.Text(wanted); err != nil {
				return nil, err
			}
		}
		list = parts
	}
	return e.contains(asList(list), wanted)
}

// arrayContains is the method, whose array is a list.
func arrayContains(e *Env, _ any, args []any) (any, error) {
	return e.contains(args[0].([]any), args[1])
}

// contains reports whether an element equals a value.
func (e *Env) contains(list []any, value any) (any, error) {
	for _, v := range list {
		if same, err := e.Equal(v, value); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

// arraySize counts the elements.
func arraySize(_ *Env, _ any, args []any) (any, error) {
	return int64(len(asList(args[0]))), nil
}

// arrayIsEmpty reports whether there are none.
func arrayIsEmpty(_ *Env, _ any, args []any) (any, error) {
	return len(asList(args[0])) == 0, nil
}
