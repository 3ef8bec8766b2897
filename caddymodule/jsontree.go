package caddymodule

import (
	"encoding/json"
	"iter"
	"maps"
	"slices"
)

// A configuration as JSON, looked at without knowing the modules in it: what
// is missing or of another type is empty.

// routesOf gives the routes of a list.
func routesOf(v any) []map[string]any {
	list := make([]map[string]any, 0, 4)
	for _, r := range asList(v) {
		list = append(list, asObject(r))
	}
	return list
}

// object follows names into nested objects; what is not there is empty.
func object(v any, names ...string) map[string]any {
	for _, name := range names {
		v = asObject(v)[name]
	}
	return asObject(v)
}

func asObject(v any) map[string]any {
	m, _ := v.(map[string]any)
	return m
}

func asList(v any) []any {
	l, _ := v.([]any)
	return l
}

func asStrings(v any) []string {
	var list []string
	for _, x := range asList(v) {
		if s, ok := x.(string); ok {
			list = append(list, s)
		}
	}
	return list
}

// textOf gives a value as JSON.
func textOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return string(text)
}

// ordered goes through an object in the order of its names, so that a check
// says the same every time.
func ordered(m map[string]any) iter.Seq2[string, any] {
	return func(yield func(string, any) bool) {
		for _, name := range slices.Sorted(maps.Keys(m)) {
			if !yield(name, m[name]) {
				return
			}
		}
	}
}
