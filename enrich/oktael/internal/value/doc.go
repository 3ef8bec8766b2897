// Package value is the values of the language and what can be done with them:
// their kinds, their text, their order, arithmetic, countries and regular
// expressions.
//
// A value is a canonical one of package identity (nil, bool, string, int64,
// float64, json.Number for larger integers, []any, map[string]any), a pointer
// to one of the directory's objects, or a type of this package. Values are
// shared between evaluations and never changed.
//
// Whatever takes longer for a longer value is a method of Meter, which counts
// the steps of an evaluation down.
package value
