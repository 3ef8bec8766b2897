package library

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// documented matches `expression` → `value` on the page that documents the
// language.
var documented = regexp.MustCompile("`([^`]+)` → `([^`]+)`")

// The page has an entry for every function: its signature, what it does, what
// null does to it, and an example that calls it.
func TestReferenceNamesEveryFunction(t *testing.T) {
	page, err := os.ReadFile("../../../../docs/expressions.md")
	if err != nil {
		t.Fatal(err)
	}
	// An entry is a list item that begins with the signature; its lines are joined.
	rows := make(map[string]string)
	signature := ""
	for line := range strings.Lines(string(page)) {
		if entry, ok := strings.CutPrefix(line, "- `"); ok {
			signature, _, _ = strings.Cut(entry, "`: ")
		} else if !strings.HasPrefix(line, "  ") {
			signature = ""
		}
		if signature != "" {
			rows[signature] = strings.TrimSpace(rows[signature] + " " + strings.TrimSpace(line))
		}
	}
	for _, s := range Functions(t) {
		row, ok := rows[s.String()]
		if !ok {
			t.Errorf("%s is not on the page", s)
			continue
		}
		if s.Doc == "" || !strings.Contains(row, s.Doc) {
			t.Errorf("%s: the page does not say %q", s, s.Doc)
		}
		if !strings.Contains(row, "("+s.Result+")") {
			t.Errorf("%s: the page does not say that it returns %s", s, s.Result)
		}
		if s.Receiver == "" && s.OnNull != "" && !strings.Contains(row, " Null: "+s.OnNull+". `") {
			t.Errorf("%s: the page does not say what null returns: %s", s, s.OnNull)
		}
		called := false
		for _, e := range documented.FindAllStringSubmatch(row, -1) {
			called = called || strings.Contains(e[1], s.Name+"(")
		}
		if !called {
			t.Errorf("%s has no example", s)
		}
	}
}

// What the tables of the families say must hold together.
func TestFunctionTables(t *testing.T) {
	seen := make(map[string]bool)
	for _, s := range Functions(t) {
		key := s.Receiver + "." + s.Name
		if seen[key] {
			t.Errorf("%s stands in the tables twice", s)
		}
		seen[key] = true
		if !strings.HasSuffix(s.Doc, ".") || s.Result == "" {
			t.Errorf("%s: doc %q, result %q", s, s.Doc, s.Result)
		}
		if s.Instead != "" && tables.static[s.Instead] == nil {
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
	for name, overloads := range tables.methods {
		var kinds value.Kinds
		for _, f := range overloads {
			if kinds&f.Receiver != 0 {
				t.Errorf("%s: two methods of one kind", name)
			}
			kinds |= f.Receiver
			if len(overloads) > 1 && f.Prepare != nil {
				t.Errorf("%s: an overloaded method cannot prepare", name)
			}
		}
	}
}
