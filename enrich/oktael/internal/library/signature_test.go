package library

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// What the page of the language must say of each function is written down
// here from the tables that the compiler and the evaluation read, and from the
// comments above their entries.

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

// argumentNames are the types of parameters as documentation names them.
var argumentNames = [...]string{
	argAny: "any", argText: "string", argList: "list", argInt: "integer", argMap: "map", argElements: "list", argNumeric: "string or number",
}

// nullDocs are the null rules in words.
var nullDocs = [...]string{NullFails: "error", NullNull: "null", NullFalse: "false", NullZero: "0"}

// comment is what the comment above an entry of the tables says.
type comment struct {
	// doc is what the function gives, and when it fails.
	doc string

	// onNull, behind "Null:", says more of null than the rule does.
	onNull string

	// instead, behind "Deprecated: use", is what to write.
	instead string
}

// receivers are the receivers of methods, as the tables write them.
var receivers = map[string]value.Kinds{
	"": 0, "KindList": value.KindList, "KindText": value.KindText, "KindNumber": value.KindNumber,
	"KindCountry": value.KindCountry, "KindTime": value.KindTime, "KindUser": value.KindUser,
}

func key(name string, receiver value.Kinds) string { return fmt.Sprintf("%s of %d", name, receiver) }

// tableComments reads the comments above the entries of the tables.
func tableComments(t testing.TB) map[string]comment {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	comments := make(map[string]comment)
	for _, name := range files {
		set := token.NewFileSet()
		file, err := parser.ParseFile(set, name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		above := make(map[int]string) // by the line behind the comment
		for _, group := range file.Comments {
			above[set.Position(group.End()).Line+1] = strings.Join(strings.Fields(group.Text()), " ")
		}
		ast.Inspect(file, func(n ast.Node) bool {
			table, ok := n.(*ast.CompositeLit)
			if !ok {
				return true
			}
			if a, ok := table.Type.(*ast.ArrayType); !ok || fmt.Sprint(a.Elt) != "Function" {
				return true
			}
			for _, entry := range table.Elts {
				name, receiver := describedBy(t, entry)
				text := above[set.Position(entry.Pos()).Line]
				var c comment
				text, c.instead, _ = strings.Cut(text, " Deprecated: use ")
				c.instead = strings.TrimSuffix(c.instead, ".")
				c.doc, c.onNull, _ = strings.Cut(text, " Null: ")
				c.onNull = strings.TrimSuffix(c.onNull, ".")
				comments[key(name, receiver)] = c
			}
			return true
		})
	}
	return comments
}

// describedBy returns the function that an entry of a table describes.
func describedBy(t testing.TB, entry ast.Expr) (name string, receiver value.Kinds) {
	t.Helper()
	text := func(e ast.Expr) string {
		s, err := strconv.Unquote(e.(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if call, ok := entry.(*ast.CallExpr); ok { // durationMethod
		return text(call.Args[0]), value.KindTime
	}
	for _, field := range entry.(*ast.CompositeLit).Elts {
		switch pair := field.(*ast.KeyValueExpr); fmt.Sprint(pair.Key) {
		case "Name":
			name = text(pair.Value)
		case "Receiver":
			ast.Inspect(pair.Value, func(n ast.Node) bool {
				if s, ok := n.(*ast.SelectorExpr); ok {
					kind, known := receivers[s.Sel.Name]
					if !known {
						t.Fatalf("%s has an unknown receiver %s", name, s.Sel.Name)
					}
					receiver |= kind
				}
				return true
			})
		}
	}
	return name, receiver
}

// Functions describes every function and method, sorted: functions first,
// then methods by receiver.
func Functions(t testing.TB) []Signature {
	comments := tableComments(t)
	var all []Signature
	for _, f := range tables.static {
		all = append(all, f.signature(comments[key(f.Name, f.Receiver)]))
	}
	for _, overloads := range tables.methods {
		for _, f := range overloads {
			all = append(all, f.signature(comments[key(f.Name, f.Receiver)]))
		}
	}
	slices.SortFunc(all, func(a, b Signature) int {
		return cmp.Or(strings.Compare(a.Receiver, b.Receiver), strings.Compare(a.Name, b.Name))
	})
	return all
}

func (f *Function) signature(c comment) Signature {
	s := Signature{
		Name: f.Name, Dialect: f.Dialect, Result: resultName(f.Result), OnNull: c.onNull,
		Reads: f.Reads, Instead: c.instead, Doc: c.doc,
	}
	params := f.Params
	if f.Receiver != 0 {
		s.Receiver = f.Receiver.String()
		params = params[1:]
	}
	for i, p := range params {
		s.Params = append(s.Params, Parameter{
			Name: p.Name, Type: argumentNames[p.Want],
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
