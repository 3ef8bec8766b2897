// Command report turns the events of go test -json on standard input into a
// summary that a person can read: a line for each package, the whole output
// of what failed, and the totals as the closing line. It exits 1 where a test
// failed or was skipped (a skipped test proves nothing) or none ran.
//
//	go test -json ./... | report
//
// With arguments it runs a command and prints its outcome as such events, so
// that checks which are no Go tests stand in the same summary:
//
//	report run NAME COMMAND [ARGUMENT…]
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// event is one line of go test -json (see go doc cmd/test2json).
type event struct {
	Action     string
	Package    string  `json:",omitempty"`
	ImportPath string  `json:",omitempty"` // of a build, where Package is missing
	Test       string  `json:",omitempty"`
	Output     string  `json:",omitempty"`
	Elapsed    float64 `json:",omitempty"`
}

// checks is the package under which the outcomes of report run appear.
const checks = "checks"

func main() {
	if len(os.Args) >= 4 && os.Args[1] == "run" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		if !run(ctx, os.Stdout, os.Args[2], os.Args[3:]) {
			os.Exit(1)
		}
		return
	}
	if len(os.Args) > 1 {
		fmt.Fprintln(os.Stderr, "usage: report | report run NAME COMMAND [ARGUMENT…]")
		os.Exit(2)
	}
	if !summarise(os.Stdin, os.Stdout) {
		os.Exit(1)
	}
}

// run runs a command and writes its outcome as the events of one test.
func run(ctx context.Context, out io.Writer, name string, command []string) bool {
	began := time.Now()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	text, err := cmd.CombinedOutput()
	action := "pass"
	if err != nil {
		action = "fail"
		text = append(text, "\n"+err.Error()+"\n"...)
	}
	events := json.NewEncoder(out)
	_ = events.Encode(event{Action: "output", Package: checks, Test: name, Output: string(text)})
	_ = events.Encode(event{Action: action, Package: checks, Test: name, Elapsed: time.Since(began).Seconds()})
	return err == nil
}

// tally is what has been seen so far.
type tally struct {
	passed, failed, skipped int
	output                  map[string]*strings.Builder // by package and test
	failures                []string
	skips                   []string
	perPackage              map[string]int
}

// maxOutput bounds what is kept of one test; the rest of a runaway log tells
// nothing more.
const maxOutput = 64 << 10

func summarise(in io.Reader, out io.Writer) bool {
	t := &tally{output: map[string]*strings.Builder{}, perPackage: map[string]int{}}
	lines := bufio.NewReader(in)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) > 0 {
			var e event
			if json.Unmarshal(line, &e) == nil && e.Action != "" {
				t.take(out, e)
			} else {
				_, _ = out.Write(line)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Fprintln(out, "reading events:", err)
			return false
		}
	}
	return t.close(out)
}

func (t *tally) take(out io.Writer, e event) {
	pkg := e.Package
	if pkg == "" {
		pkg, _, _ = strings.Cut(e.ImportPath, " ")
	}
	key := strings.TrimSpace(pkg + " " + e.Test)
	switch e.Action {
	case "output", "build-output":
		b := t.output[key]
		if b == nil {
			b = &strings.Builder{}
			t.output[key] = b
		}
		if b.Len() < maxOutput {
			b.WriteString(e.Output)
		}
	case "pass":
		switch {
		case pkg == checks:
			t.passed++
			fmt.Fprintf(out, "ok    %s (%.1f s)\n", e.Test, e.Elapsed)
		case e.Test != "":
			t.passed++
			t.perPackage[pkg]++
		default:
			fmt.Fprintf(out, "ok    %s (%d tests, %.1f s)\n", short(pkg), t.perPackage[pkg], e.Elapsed)
		}
		delete(t.output, key)
	case "fail", "build-fail":
		t.fail(out, pkg, e.Test, key)
	case "skip":
		if e.Test != "" {
			t.skipped++
			t.skips = append(t.skips, key)
		}
		delete(t.output, key)
	}
}

// fail counts a failure. That of a package counts only where none of its
// tests did: it did not build, say, or it was stopped for taking too long, and
// then what it said is with the test that it was in.
func (t *tally) fail(out io.Writer, pkg, test, key string) {
	if test != "" {
		t.count(out, pkg, test, key)
		return
	}
	fmt.Fprintf(out, "FAIL  %s\n", short(pkg))
	inside := func(key string) bool { return key == pkg || strings.HasPrefix(key, pkg+" ") }
	if !slices.ContainsFunc(t.failures, inside) {
		t.count(out, pkg, "(package)", pkg)
	}
	for _, key := range slices.Sorted(maps.Keys(t.output)) {
		if inside(key) && key != pkg {
			fmt.Fprintf(out, "----- UNFINISHED %s\n", short(key))
			t.flush(out, key)
		}
	}
}

func (t *tally) count(out io.Writer, pkg, test, key string) {
	t.failed++
	t.failures = append(t.failures, key)
	fmt.Fprintf(out, "----- FAIL %s %s\n", short(pkg), test)
	t.flush(out, key)
}

// flush prints what a test said and forgets it.
func (t *tally) flush(out io.Writer, key string) {
	if b := t.output[key]; b != nil {
		fmt.Fprintln(out, strings.TrimRight(b.String(), "\n"))
		delete(t.output, key)
	}
}

func (t *tally) close(out io.Writer) bool {
	for _, key := range slices.Sorted(slices.Values(t.skips)) {
		fmt.Fprintln(out, "skipped, which counts as a failure:", short(key))
	}
	for _, key := range t.failures {
		fmt.Fprintln(out, "failed:", short(key))
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", t.passed, t.failed, t.skipped)
	return t.failed == 0 && t.skipped == 0 && t.passed > 0
}

// short leaves the module's own path away.
func short(pkg string) string {
	return strings.Replace(pkg, "github.com/tokenenrich/caddy-token-enrich", ".", 1)
}
