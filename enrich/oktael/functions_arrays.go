package oktael

import "fmt"

var arrayParameter = parameter{name: "array", want: argList, nullable: true}

// arrayFunctions is the Arrays family of the Classic dialect. A text with
// commas is accepted wherever an array is; null counts as an empty array.
// No function changes the array that it is given.
var arrayFunctions = []function{
	{
		name: "Arrays.add", dialect: Classic, result: kindList,
		params:    []parameter{arrayParameter, {name: "value", want: argAny, nullable: true}},
		onNullDoc: "a null array counts as empty; a null value is added",
		doc:       "The array with the value behind its elements.",
		call:      arrayAdd,
	},
	{
		name: "Arrays.remove", dialect: Classic, result: kindList,
		params:    []parameter{arrayParameter, {name: "value", want: argAny, nullable: true}},
		onNullDoc: "a null array counts as empty",
		doc:       "The array without the elements that equal the value.",
		call:      arrayRemove,
	},
	{
		name: "Arrays.clear", dialect: Classic, result: kindList,
		params:    []parameter{arrayParameter},
		onNullDoc: "an empty array",
		doc:       "An empty array.",
		call:      func(*env, any, []any) (any, error) { return []any{}, nil },
	},
	{
		name: "Arrays.get", dialect: Classic, result: kindAny,
		params:    []parameter{arrayParameter, {name: "position", want: argInt}},
		onNullDoc: "error, as with every position that the array lacks",
		doc:       "The element at a position, counted from 0. A position outside of the array is an error.",
		call:      arrayGet,
	},
	{
		name: "Arrays.flatten", dialect: Classic, result: kindList,
		params:    []parameter{{name: "values", want: argAny}},
		rest:      true,
		onNullDoc: "error; guard with != null or Arrays.isEmpty",
		doc:       "One array of all values, with the elements of arrays, however nested, in the arrays' place. A text with commas counts as an array.",
		call:      arrayFlattenValues,
	},
	{
		name: "Arrays.contains", dialect: Classic, result: kindBool,
		params:    []parameter{{name: "array", want: argElements, nullable: true}, {name: "value", want: argAny, nullable: true}},
		onNullDoc: "a null array contains nothing",
		doc:       "Whether an element equals the value. Case matters. Elements of a text with commas are compared with the value written as text.",
		call:      arrayContainsCSV,
	},
	{
		name: "Arrays.size", dialect: Classic, result: kindInt,
		params:    []parameter{arrayParameter},
		onNullDoc: "0",
		doc:       "How many elements the array has.",
		call:      arraySize,
	},
	{
		name: "Arrays.isEmpty", dialect: Classic, result: kindBool,
		params:    []parameter{arrayParameter},
		onNullDoc: "true",
		doc:       "Whether the array has no elements.",
		call:      arrayIsEmpty,
	},
	{
		name: "Arrays.toCsvString", dialect: Classic, result: kindText,
		params:    []parameter{arrayParameter},
		onNullDoc: "the empty text; null elements are left out",
		doc:       "The elements as one text with commas between them. Commas inside of elements are not escaped.",
		call: func(e *env, _ any, args []any) (any, error) {
			b, err := e.appendCSV(nil, asList(args[0]), ",")
			if err != nil {
				return nil, err
			}
			return string(b), e.consume(len(b), textPerStep)
		},
	},
}

var selfArray = parameter{name: "array", want: argList}

// arrayMethods are the methods of lists in the Identity Engine dialect.
var arrayMethods = []function{
	{
		name: "contains", receiver: kindList, dialect: IdentityEngine, result: kindBool,
		params: []parameter{selfArray, {name: "value", want: argAny, nullable: true}},
		doc:    "Whether an element equals the value. Case matters.",
		call:   arrayContains,
	},
	{
		name: "size", receiver: kindList, dialect: IdentityEngine, result: kindInt,
		params: []parameter{selfArray}, doc: "How many elements the array has.", call: arraySize,
	},
	{
		name: "isEmpty", receiver: kindList, dialect: IdentityEngine, result: kindBool,
		params: []parameter{selfArray}, doc: "Whether the array has no elements.", call: arrayIsEmpty,
	},
	{
		name: "add", receiver: kindList, dialect: IdentityEngine, result: kindList,
		params: []parameter{selfArray, {name: "value", want: argAny, nullable: true}},
		doc:    "The array with the value behind its elements.",
		call:   arrayAdd,
	},
	{
		name: "remove", receiver: kindList, dialect: IdentityEngine, result: kindList,
		params: []parameter{selfArray, {name: "value", want: argAny, nullable: true}},
		doc:    "The array without the elements that equal the value. The argument is a value, not a position.",
		call:   arrayRemove,
	},
	{
		name: "flatten", receiver: kindList, dialect: IdentityEngine, result: kindList,
		params: []parameter{selfArray},
		doc:    "The array with the elements of arrays inside of it, however nested, in those arrays' place.",
		call: func(e *env, _ any, args []any) (any, error) {
			return e.flatten(args[0].([]any))
		},
	},
}

// asList reads a nullable array.
func asList(v any) []any {
	list, _ := v.([]any)
	return list
}

func arrayAdd(_ *env, _ any, args []any) (any, error) {
	list := asList(args[0])
	if len(list) >= MaxList {
		return nil, errListLong
	}
	out := make([]any, len(list)+1)
	copy(out, list)
	out[len(list)] = args[1]
	return out, nil
}

var errListLong = fmt.Errorf("the list has over %d elements: %w", MaxList, ErrLimit)

func arrayRemove(e *env, _ any, args []any) (any, error) {
	list := asList(args[0])
	out := make([]any, 0, len(list))
	for _, v := range list {
		same, err := e.equal(v, args[1])
		if err != nil {
			return nil, err
		}
		if !same {
			out = append(out, v)
		}
	}
	return out, nil
}

func arrayGet(_ *env, _ any, args []any) (any, error) {
	list, at := asList(args[0]), args[1].(int64)
	if at < 0 || at >= int64(len(list)) {
		return nil, errNoElement
	}
	return list[at], nil
}

// arrayFlattenValues flattens its arguments. Only an argument that is itself
// a text is read as one with commas, not a text inside of an array: that one
// is an element, and may well have a comma in it.
func arrayFlattenValues(e *env, _ any, args []any) (any, error) {
	values := make([]any, len(args))
	for i, v := range args {
		if s, ok := v.(string); ok {
			list, err := e.splitCSV(s)
			if err != nil {
				return nil, err
			}
			v = list
		}
		values[i] = v
	}
	return e.flatten(values)
}

func (e *env) flatten(values []any) (any, error) {
	return e.appendFlat(make([]any, 0, len(values)), values, 0)
}

func (e *env) appendFlat(out, values []any, depth int) ([]any, error) {
	if err := e.consume(1+len(values), listPerStep); err != nil {
		return nil, err
	}
	if depth > MaxNesting {
		return nil, fmt.Errorf("the list nests over %d levels: %w", MaxNesting, ErrLimit)
	}
	for _, v := range values {
		if list, ok := v.([]any); ok {
			// One step for each list: empty ones add nothing that would
			// bound the work.
			err := e.consume(1, 1)
			if err == nil {
				out, err = e.appendFlat(out, list, depth+1)
			}
			if err != nil {
				return nil, err
			}
			continue
		}
		if len(out) >= MaxList {
			return nil, errListLong
		}
		out = append(out, v)
	}
	return out, nil
}

func arrayContainsCSV(e *env, _ any, args []any) (any, error) {
	list, value := args[0], args[1]
	if s, ok := list.(string); ok {
		parts, err := e.splitCSV(s)
		if err != nil {
			return nil, err
		}
		if kindOf(value)&(kindNumber|kindBool) != 0 {
			if value, err = e.text(value); err != nil {
				return nil, err
			}
		}
		list = parts
	}
	return e.contains(asList(list), value)
}

func arrayContains(e *env, _ any, args []any) (any, error) {
	return e.contains(args[0].([]any), args[1])
}

func (e *env) contains(list []any, value any) (any, error) {
	for _, v := range list {
		if same, err := e.equal(v, value); same || err != nil {
			return same, err
		}
	}
	return false, nil
}

func arraySize(_ *env, _ any, args []any) (any, error) {
	return int64(len(asList(args[0]))), nil
}

func arrayIsEmpty(_ *env, _ any, args []any) (any, error) {
	return len(asList(args[0])) == 0, nil
}
