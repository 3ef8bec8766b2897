package oktael

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// testCase is one line of testdata/cases.jsonl: an expression, where it is
// evaluated, and what it gives or why it fails.
type testCase struct {
	It      string          `json:"it"`
	Expr    string          `json:"expr"`
	Dialect string          `json:"dialect"`
	In      string          `json:"in"`
	Want    json.RawMessage `json:"want"`
	Fails   string          `json:"fails"` // load or eval
	Says    string          `json:"says"`
}

func testContexts(t testing.TB) map[string]*Context {
	t.Helper()
	text, err := os.ReadFile("testdata/contexts.json")
	if err != nil {
		t.Fatal(err)
	}
	var raw map[string]json.RawMessage
	if err := json.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	contexts := make(map[string]*Context)
	for name, r := range raw {
		if contexts[name], err = DecodeContext(r); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return contexts
}

func testCases(t testing.TB) []testCase {
	t.Helper()
	text, err := os.ReadFile("testdata/cases.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var cases []testCase
	for line := range bytes.Lines(text) {
		var c testCase
		d := json.NewDecoder(bytes.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&c); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		cases = append(cases, c)
	}
	return cases
}

// options lets a case read everything, also variables: an unknown bare name
// is then one.
func (c *testCase) options(t testing.TB) Options {
	t.Helper()
	d, err := ParseDialect(c.Dialect)
	if err != nil {
		t.Fatal(err)
	}
	return Options{Dialect: d, Inputs: AllInputs}
}

func TestEachCaseGivesOrFailsAsItSays(t *testing.T) {
	contexts := testContexts(t)
	for _, c := range testCases(t) {
		t.Run(c.Dialect+" "+c.Expr, func(t *testing.T) {
			in, ok := contexts[c.In]
			if !ok {
				t.Fatalf("no context %q", c.In)
			}
			p, err := Compile(c.Expr, c.options(t))
			if c.Fails == "load" {
				checkFailure(t, c, err)
				return
			}
			if err != nil {
				t.Fatalf("load: %v", err)
			}
			got, err := p.Eval(in)
			if c.Fails == "eval" {
				var e *EvalError
				if err != nil && !errors.As(err, &e) {
					t.Errorf("error is %T", err)
				}
				checkFailure(t, c, err)
				return
			}
			if err != nil {
				t.Fatalf("eval: %v", err)
			}
			want, err := identity.DecodeJSON(c.Want)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %#v, want %#v (%s)", got, want, c.It)
			}
			if again, err := identity.Canonical(got); err != nil || !reflect.DeepEqual(again, got) {
				t.Errorf("the result is not canonical: %#v, %v", got, err)
			}
		})
	}
}

func checkFailure(t *testing.T, c testCase, err error) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one that says %q (%s)", c.Says, c.It)
	}
	if c.Says == "" || !strings.Contains(err.Error(), c.Says) {
		t.Errorf("error %q does not say %q", err, c.Says)
	}
}

// The index finds the same groups as going through them does.
func TestCasesGiveTheSameWithAnIndex(t *testing.T) {
	contexts := testContexts(t)
	tried := 0
	for _, c := range testCases(t) {
		p, err := Compile(c.Expr, c.options(t))
		if err != nil || p.Reads()&InputGroups == 0 {
			continue
		}
		tried++
		plain := contexts[c.In]
		indexed := *plain
		indexed.Index = IndexGroups(plain.Groups)
		want, wantErr := p.Eval(plain)
		got, err := p.Eval(&indexed)
		if !reflect.DeepEqual(got, want) || (err == nil) != (wantErr == nil) {
			t.Errorf("%s: with an index %v, %v; without %v, %v", c.Expr, got, err, want, wantErr)
		}
	}
	if tried < 50 {
		t.Errorf("only %d cases read groups", tried)
	}
}
