package oktael

import (
	"errors"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// reference is the page that documents the language.
const reference = "../../docs/expressions.md"

func readReference(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// example matches `expression` → `value` on the page.
var example = regexp.MustCompile("`([^`]+)` → `([^`]+)`")

// Every example on the page gives what the page says.
func TestReferenceExamples(t *testing.T) {
	page := readReference(t)
	_, record, found := strings.Cut(page, "```json\n")
	record, _, closed := strings.Cut(record, "\n```")
	if !found || !closed {
		t.Fatal("the page has no record")
	}
	c, err := DecodeContext([]byte(record))
	if err != nil {
		t.Fatal(err)
	}
	examples := example.FindAllStringSubmatch(page, -1)
	if len(examples) < 150 {
		t.Errorf("only %d examples found", len(examples))
	}
	for _, e := range examples {
		source, want := e[1], e[2]
		p, err := Compile(source, Options{Roots: AllRoots})
		var got any
		if err == nil {
			got, err = p.Eval(c)
		}
		if want == "error" {
			if err == nil {
				t.Errorf("%s gives %v, the page says it fails", source, got)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		value, err := identity.DecodeJSON([]byte(want))
		if err != nil {
			t.Errorf("%s: the page's value %s: %v", source, want, err)
			continue
		}
		if f, ok := got.(float64); ok && f == float64(int64(f)) {
			got = int64(f) // JSON writes 1500.0 as 1500
		}
		if !reflect.DeepEqual(got, value) {
			t.Errorf("%s gives %#v, the page says %s", source, got, want)
		}
	}
}

// Every function stands on the page with its signature, what it does and what
// null does to it, beside an example that calls it.
func TestReferenceNamesEveryFunction(t *testing.T) {
	rows := make(map[string]string)
	for line := range strings.Lines(readReference(t)) {
		if cells := strings.Split(line, " | "); len(cells) > 2 && strings.HasPrefix(line, "| `") {
			rows[strings.Trim(cells[0], "|` ")] = line
		}
	}
	for _, s := range Functions() {
		row, ok := rows[s.String()]
		if !ok {
			t.Errorf("%s is not on the page", s)
			continue
		}
		if s.Doc == "" || !strings.Contains(row, s.Doc) {
			t.Errorf("%s: the page does not say %q", s, s.Doc)
		}
		if !strings.Contains(row, "("+s.Result+")") {
			t.Errorf("%s: the page does not say that it gives %s", s, s.Result)
		}
		if s.Receiver == "" && s.OnNull != "" && !strings.Contains(row, "| "+s.OnNull+" |") {
			t.Errorf("%s: the page does not say what null gives: %s", s, s.OnNull)
		}
		called := false
		for _, e := range example.FindAllStringSubmatch(row, -1) {
			called = called || strings.Contains(e[1], s.Name+"(")
		}
		if !called {
			t.Errorf("%s has no example", s)
		}
	}
}

// The bounds on the page are those of the code.
func TestReferenceNamesTheBounds(t *testing.T) {
	page := readReference(t)
	for _, bound := range []struct {
		value int
		text  string
	}{
		{DefaultMaxLength, "4,096 bytes"},
		{MaxNesting, "64 levels"},
		{DefaultMaxSteps, "| 10,000; reading"},
		{MaxText, "65,536 bytes"},
		{MaxList, "10,000 elements"},
		{MaxResult, "100,000 values"},
		{maxResultText >> 20, "4 MiB of text"},
		{identity.MaxDepth, "32 levels"},
		{MaxRegex, "1,000 bytes"},
		{maxRegexSize, "10,000 instructions"},
		{maxGroupDepth, "group expressions | 2 |"},
	} {
		if !strings.Contains(page, bound.text) {
			t.Errorf("the page does not say %q", bound.text)
		}
		digits := strings.Map(func(r rune) rune {
			if r < '0' || r > '9' {
				return -1
			}
			return r
		}, bound.text)
		if want := string(mustText(t, int64(bound.value))); digits != want {
			t.Errorf("the page says %q, the code %s", bound.text, want)
		}
	}
}

func mustText(t *testing.T, v any) []byte {
	t.Helper()
	b, err := new(meter).appendText(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What the tables of the families say must hold together.
func TestFunctionTables(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Functions() {
		key := s.Receiver + "." + s.Name
		if seen[key] {
			t.Errorf("%s stands in the tables twice", s)
		}
		seen[key] = true
		if !strings.HasSuffix(s.Doc, ".") || s.Result == "" {
			t.Errorf("%s: doc %q, result %q", s, s.Doc, s.Result)
		}
		if s.Instead != "" && library.static[s.Instead] == nil {
			t.Errorf("%s: instead %s does not exist", s, s.Instead)
		}
		required := true
		for i, p := range s.Params {
			if !p.Optional && !required {
				t.Errorf("%s: a required parameter stands behind an optional one", s)
			}
			required = required && !p.Optional
			if p.Repeated && i != len(s.Params)-1 {
				t.Errorf("%s: only the last parameter repeats", s)
			}
		}
	}
	// Overloads of one method are told apart by the receiver alone, and what
	// is prepared for one must not be taken for another's.
	for name, overloads := range library.methods {
		var kinds kinds
		for _, f := range overloads {
			if kinds&f.receiver != 0 {
				t.Errorf("%s: two methods of one kind", name)
			}
			kinds |= f.receiver
			if len(overloads) > 1 && f.prepare != nil {
				t.Errorf("%s: an overloaded method cannot prepare", name)
			}
		}
	}
	var e *Error
	if _, err := Compile("Strin.len('x')", Options{}); !errors.As(err, &e) || !strings.Contains(e.Msg, "String.len") {
		t.Errorf("error is %v", err)
	}
}
