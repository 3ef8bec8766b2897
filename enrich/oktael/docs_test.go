package oktael

import (
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/object"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
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
		p, err := Compile(source, Options{Inputs: AllInputs})
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

// The bounds on the page are those of the code.
func TestReferenceNamesTheBounds(t *testing.T) {
	page := readReference(t)
	for _, bound := range []struct {
		value int
		text  string
	}{
		{DefaultMaxLength, "4,096 bytes"},
		{syntax.MaxNesting, "64 levels"},
		{DefaultMaxSteps, "| 10,000; reading"},
		{value.MaxText, "65,536 bytes"},
		{value.MaxList, "10,000 elements"},
		{object.MaxResult, "100,000 values"},
		{object.MaxResultText >> 20, "4 MiB of text"},
		{identity.MaxDepth, "32 levels"},
		{value.MaxRegex, "1,000 bytes"},
		{value.MaxRegexSize, "10,000 instructions"},
		{library.MaxGroupDepth, "group expressions | 2 |"},
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
	b, err := new(value.Meter).AppendText(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
