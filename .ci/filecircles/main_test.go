package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCircles measures a module of its own: a, b and c form a circle, by a
// method, a field and a constant; d depends on them and is outside.
func TestCircles(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module example.com/circle\n\ngo 1.26.0\n",
		"a.go":      "package circle\n\ntype A struct{ b *B }\n\nfunc (a *A) Run() int { return a.b.n }\n",
		"b.go":      "package circle\n\ntype B struct{ n int }\n\nconst limit = third\n",
		"c.go":      "package circle\n\nconst third = 3\n\nfunc run(a *A) int { return a.Run() }\n",
		"d.go":      "package circle\n\nvar _ = run\n\nvar _ = limit\n",
		"a_test.go": "package circle\n\nvar _ A = A{}\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(dir)
	for _, test := range []struct {
		limit, large int
		want         string
	}{
		{3, 0, "  3 of   4 files  example.com/circle\n"},
		{2, 1, "  3 of   4 files  example.com/circle  more than 2: a.go b.go c.go\n"},
	} {
		var out strings.Builder
		large, err := run(t.Context(), &out, "", nil, test.limit, false)
		if err != nil || large != test.large || out.String() != test.want {
			t.Errorf("limit %d: %d too large, %v, and\n%s", test.limit, large, err, out.String())
		}
	}
}

func TestEdgesNameWhatTiesFiles(t *testing.T) {
	var out strings.Builder
	writeEdges(&out, []string{"a.go", "b.go"}, map[string]map[string][]string{
		"a.go": {"b.go": {"y", "x"}, "c.go": {"z"}}, "b.go": {"a.go": {"w"}},
	})
	if want := "      a.go -> b.go: x y\n      b.go -> a.go: w\n"; out.String() != want {
		t.Errorf("got\n%s", out.String())
	}
}
