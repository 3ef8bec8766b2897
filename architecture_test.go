package tokenenrich_test

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestTheDrawnImportGraphIsTheRealOne compares the graph in ARCHITECTURE.md with
// the packages' imports. It is drawn without the arrows that follow from others:
// where a imports b and b imports c, a's own import of c is left out.
func TestTheDrawnImportGraphIsTheRealOne(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	want := reduced(importGraph(t))
	if got := drawn(string(text)); !slices.Equal(got, want) {
		t.Errorf("ARCHITECTURE.md draws another graph; the real one is\n%s", strings.Join(want, "\n"))
	}
}

var arrow = regexp.MustCompile(`(?m)^ *(\w+) --> (\w+(?: & \w+)*)$`)

// drawn returns the arrows of the document's Mermaid graph, one line for each
// package that imports others.
func drawn(document string) []string {
	_, graph, _ := strings.Cut(document, "```mermaid\n")
	graph, _, _ = strings.Cut(graph, "```")
	var lines []string
	for _, m := range arrow.FindAllStringSubmatch(graph, -1) {
		to := strings.Split(m[2], " & ")
		slices.Sort(to)
		lines = append(lines, m[1]+" --> "+strings.Join(to, " & "))
	}
	slices.Sort(lines)
	return lines
}

// reduced returns the same for the packages that ship.
func reduced(graph []imported) []string {
	shipped := func(path string) bool {
		return matches("~/...", path) && !anyMatches(onlyForTests(), path) && !anyMatches([]string{"~/cmd/...", "~/bench/..."}, path)
	}
	id := func(path string) string {
		return strings.NewReplacer("/", "_", "-", "_").Replace(strings.TrimPrefix(path, module+"/"))
	}
	imports := map[string][]string{}
	for _, p := range graph {
		if shipped(p.ImportPath) {
			imports[p.ImportPath] = slices.DeleteFunc(slices.Clone(p.Imports), func(i string) bool { return !shipped(i) })
		}
	}
	// reaches reports whether one import or more lead from the one to the other.
	var reaches func(from, to string) bool
	reaches = func(from, to string) bool {
		return slices.ContainsFunc(imports[from], func(next string) bool { return next == to || reaches(next, to) })
	}
	var lines []string
	for _, from := range slices.Sorted(maps.Keys(imports)) {
		var to []string
		for _, i := range imports[from] {
			if !slices.ContainsFunc(imports[from], func(other string) bool { return other != i && reaches(other, i) }) {
				to = append(to, id(i))
			}
		}
		if len(to) > 0 {
			slices.Sort(to)
			lines = append(lines, fmt.Sprintf("%s --> %s", id(from), strings.Join(to, " & ")))
		}
	}
	slices.Sort(lines)
	return lines
}
