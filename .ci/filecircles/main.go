// Filecircles reports, for each package, the largest set of files that all
// depend on one another, and fails where it has more files than the limit.
//
// A file depends on another file of its package when it refers to anything that
// the other declares, the methods and fields of a type included. Test files do
// not count. In a circle nothing can be read, tested or moved by itself, so a
// large one means that a package holds several concerns that are tied together.
//
// Usage: filecircles [-max n] [-edges] [packages]
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

func main() {
	limit := flag.Int("max", 12, "the largest circle allowed, in files")
	edges := flag.Bool("edges", false, "list what ties the files of each circle that is too large")
	tags := flag.String("tags", "", "build tags")
	flag.Parse()
	patterns := flag.Args()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	large, err := run(context.Background(), os.Stdout, *tags, patterns, *limit, *edges)
	if err != nil {
		fmt.Fprintln(os.Stderr, "filecircles:", err)
		os.Exit(2)
	}
	if large > 0 {
		os.Exit(1)
	}
}

// listed is what `go list -json` says of a package.
type listed struct {
	ImportPath string
	Dir        string
	Export     string
	GoFiles    []string
	DepOnly    bool
}

// run writes one line for each package that has a circle and returns how many
// circles are larger than limit.
func run(ctx context.Context, out io.Writer, tags string, patterns []string, limit int, edges bool) (large int, err error) {
	packages, err := list(ctx, tags, patterns)
	if err != nil {
		return 0, err
	}
	exports := make(map[string]string, len(packages))
	for _, p := range packages {
		exports[p.ImportPath] = p.Export
	}
	for _, p := range packages {
		if p.DepOnly || len(p.GoFiles) < 2 {
			continue
		}
		files, uses, err := references(p, exports)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.ImportPath, err)
		}
		circle := largestCircle(files, uses)
		if len(circle) < 2 {
			continue
		}
		verdict := ""
		if len(circle) > limit {
			large++
			verdict = fmt.Sprintf("  more than %d: %s", limit, strings.Join(circle, " "))
		}
		fmt.Fprintf(out, "%3d of %3d files  %s%s\n", len(circle), len(files), p.ImportPath, verdict)
		if edges && verdict != "" {
			writeEdges(out, circle, uses)
		}
	}
	return large, nil
}

func list(ctx context.Context, tags string, patterns []string) ([]listed, error) {
	args := append([]string{"list", "-export", "-deps", "-tags", tags, "-json=ImportPath,Dir,Export,GoFiles,DepOnly"}, patterns...)
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Stderr = os.Stderr
	answer, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w", err)
	}
	var packages []listed
	for decoder := json.NewDecoder(bytes.NewReader(answer)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, fmt.Errorf("reading go list: %w", err)
		}
		packages = append(packages, p)
	}
}

// references type-checks the package and returns its files and, for each file,
// the names it uses from each of the others.
func references(p listed, exports map[string]string) ([]string, map[string]map[string][]string, error) {
	fset := token.NewFileSet()
	var parsed []*ast.File
	for _, name := range p.GoFiles {
		f, err := parser.ParseFile(fset, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, nil, err
		}
		parsed = append(parsed, f)
	}
	open := func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data for %s", path)
		}
		return os.Open(exports[path])
	}
	info := &types.Info{Uses: map[*ast.Ident]types.Object{}}
	config := types.Config{Importer: importer.ForCompiler(fset, "gc", open)}
	pkg, err := config.Check(p.ImportPath, fset, parsed, info)
	if err != nil {
		return nil, nil, err
	}
	uses := make(map[string]map[string][]string)
	for ident, object := range info.Uses {
		if object.Pkg() != pkg || !object.Pos().IsValid() {
			continue
		}
		from := filepath.Base(fset.Position(ident.Pos()).Filename)
		to := filepath.Base(fset.Position(object.Pos()).Filename)
		if from == to {
			continue
		}
		if uses[from] == nil {
			uses[from] = make(map[string][]string)
		}
		if !slices.Contains(uses[from][to], ident.Name) {
			uses[from][to] = append(uses[from][to], ident.Name)
		}
	}
	return p.GoFiles, uses, nil
}

// largestCircle returns the largest strongly connected component, sorted.
func largestCircle(files []string, uses map[string]map[string][]string) []string {
	reach := make(map[string]map[string]bool, len(files))
	for _, f := range files {
		reach[f] = reachable(f, uses)
	}
	var largest []string
	for _, f := range files {
		circle := []string{f}
		for _, g := range files {
			if f != g && reach[f][g] && reach[g][f] {
				circle = append(circle, g)
			}
		}
		if len(circle) > len(largest) {
			largest = circle
		}
	}
	sort.Strings(largest)
	return largest
}

func reachable(from string, uses map[string]map[string][]string) map[string]bool {
	seen := map[string]bool{}
	open := []string{from}
	for len(open) > 0 {
		f := open[len(open)-1]
		open = open[:len(open)-1]
		for g := range uses[f] {
			if !seen[g] {
				seen[g] = true
				open = append(open, g)
			}
		}
	}
	return seen
}

func writeEdges(out io.Writer, circle []string, uses map[string]map[string][]string) {
	for _, from := range circle {
		for _, to := range circle {
			if names := uses[from][to]; len(names) > 0 {
				sort.Strings(names)
				fmt.Fprintf(out, "      %s -> %s: %s\n", from, to, strings.Join(names, " "))
			}
		}
	}
}
