package library

import (
	"cmp"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// What the page of the language must say of each function is written down
// here from the tables that the checker and the evaluator read.

// Parameter is one parameter of a function, as documentation shows it.
type Parameter struct {
	// Name is what messages call the argument.
	Name string

	// Type is any, text, list, integer or map. A text parameter also takes
	// what can be written as text, a list parameter also a text with commas,
	// an integer parameter also a text or number that is one.
	Type string

	// Optional parameters may be left out; a Repeated one may be given
	// several times.
	Optional, Repeated bool
}

// Signature describes one function or method.
type Signature struct {
	// Name is the full name of a function (String.len) or the bare name of a
	// method (length).
	Name string

	// Receiver is the kind of value that a method belongs to; empty for a
	// function.
	Receiver string

	// Dialect is where it may be used; Either means in both.
	Dialect syntax.Dialect

	Params []Parameter

	// Result is the kind of value that it gives.
	Result string

	// OnNull is what it gives for null.
	OnNull string

	// Reads are the roots that a call reads.
	Reads input.Set

	// Instead is what a deprecated function should be written as.
	Instead string

	// Doc says what it gives and when it fails.
	Doc string
}

// Functions describes every function and method, sorted: functions first,
// then methods by receiver.
func Functions() []Signature {
	var all []Signature
	for _, f := range tables.static {
		all = append(all, f.signature())
	}
	for _, overloads := range tables.methods {
		for _, f := range overloads {
			all = append(all, f.signature())
		}
	}
	slices.SortFunc(all, func(a, b Signature) int {
		return cmp.Or(strings.Compare(a.Receiver, b.Receiver), strings.Compare(a.Name, b.Name))
	})
	return all
}

func (f *Function) signature() Signature {
	s := Signature{
		Name: f.Name, Dialect: f.Dialect, Result: resultName(f.Result), OnNull: f.OnNullDoc,
		Reads: f.Reads, Instead: f.Instead, Doc: f.Doc,
	}
	params := f.Params
	if f.Receiver != 0 {
		s.Receiver = f.Receiver.String()
		params = params[1:]
	}
	for i, p := range params {
		s.Params = append(s.Params, Parameter{
			Name: p.Name, Type: arguments[p.Want].name,
			Optional: len(params)-i <= f.Optional, Repeated: f.Rest && i == len(params)-1,
		})
	}
	if s.OnNull == "" && len(f.Params) > 0 {
		s.OnNull = nullDocs[f.OnNull]
	}
	return s
}

// resultName is what a function gives in words; null stands last.
func resultName(k value.Kinds) string {
	var name string
	switch k &^ value.KindNull {
	case value.KindAny &^ value.KindNull:
		return "any"
	case value.KindInt:
		name = "an integer"
	default:
		name = (k &^ value.KindNull).String()
	}
	if k&value.KindNull != 0 {
		name += " or null"
	}
	return name
}

// String gives the signature in one line, as in
// "String.substring(input text, start integer, end integer)".
func (s Signature) String() string {
	var b strings.Builder
	if s.Receiver != "" {
		b.WriteString("(" + s.Receiver + ").")
	}
	b.WriteString(s.Name + "(")
	for i, p := range s.Params {
		if i > 0 {
			b.WriteString(", ")
		}
		if p.Optional {
			b.WriteByte('[')
		}
		b.WriteString(p.Name + " " + p.Type)
		if p.Repeated {
			b.WriteString("…")
		}
		if p.Optional {
			b.WriteByte(']')
		}
	}
	b.WriteByte(')')
	return b.String()
}
