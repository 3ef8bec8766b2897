// Package jsontree reads a configuration as decoded JSON without knowing the
// modules in it. What is missing or of another type reads as empty, so that a
// check of a configuration needs no error handling of its own.
package jsontree

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
)

// Object follows names from v into nested objects and returns the last one. It
// is nil where a name is missing or a value is not an object.
func Object(v any, names ...string) map[string]any {
	object, _ := v.(map[string]any)
	for _, name := range names {
		object, _ = object[name].(map[string]any)
	}
	return object
}

// List returns v as a list, nil where it is none.
func List(v any) []any {
	l, _ := v.([]any)
	return l
}

// Objects returns the members of a list as objects. A member that is no object
// is nil, so that indices stay those of the list.
func Objects(v any) []map[string]any {
	list := make([]map[string]any, 0, 4)
	for _, x := range List(v) {
		list = append(list, Object(x))
	}
	return list
}

// Strings returns the strings of a list. Members of other types are left out.
func Strings(v any) []string {
	var list []string
	for _, x := range List(v) {
		if s, ok := x.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// Of returns a Go value as it reads in JSON, nil where it cannot be encoded.
func Of(v any) (decoded any) {
	text, err := json.Marshal(v)
	if err != nil || json.Unmarshal(text, &decoded) != nil {
		return nil
	}
	return decoded
}

// Text returns a value as JSON, empty where it cannot be encoded. Names of
// objects are sorted, so that equal values have equal texts.
func Text(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// Ordered iterates over an object in the order of its names, so that a check
// reports the same in each run.
func Ordered(m map[string]any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}
