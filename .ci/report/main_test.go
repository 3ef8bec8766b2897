package main

import (
	"context"
	"strings"
	"testing"
)

func TestTheSummaryCountsAndASkipIsAFailure(t *testing.T) {
	const p = `"Package":"example.com/p"`
	for name, c := range map[string]struct {
		events  []string
		good    bool
		closing string
		says    []string
	}{
		"all is well": {
			events:  []string{`{"Action":"pass",` + p + `,"Test":"TestA"}`, `{"Action":"pass",` + p + `,"Test":"TestA/b"}`, `{"Action":"pass",` + p + `,"Elapsed":1.5}`},
			good:    true,
			closing: "2 passed, 0 failed, 0 skipped",
			says:    []string{"ok    example.com/p (2 tests, 1.5 s)"},
		},
		"a failing test shows its output, and its package is not counted again": {
			events:  []string{`{"Action":"output",` + p + `,"Test":"TestA","Output":"got 1\n"}`, `{"Action":"fail",` + p + `,"Test":"TestA"}`, `{"Action":"fail",` + p + `}`},
			closing: "0 passed, 1 failed, 0 skipped",
			says:    []string{"----- FAIL example.com/p TestA\ngot 1", "failed: example.com/p TestA"},
		},
		"a skipped test fails the run": {
			events:  []string{`{"Action":"pass",` + p + `,"Test":"TestA"}`, `{"Action":"skip",` + p + `,"Test":"TestB"}`, `{"Action":"pass",` + p + `}`},
			closing: "1 passed, 0 failed, 1 skipped",
			says:    []string{"skipped, which counts as a failure: example.com/p TestB"},
		},
		"a package without tests is no skipped test": {
			events:  []string{`{"Action":"skip",` + p + `}`, `{"Action":"pass",` + p + `,"Test":"TestA"}`},
			good:    true,
			closing: "1 passed, 0 failed, 0 skipped",
		},
		"a package that does not build": {
			events: []string{
				`{"ImportPath":"example.com/p [example.com/p.test]","Action":"build-output","Output":"undefined: x\n"}`,
				`{"ImportPath":"example.com/p [example.com/p.test]","Action":"build-fail"}`, `{"Action":"fail",` + p + `}`,
			},
			closing: "0 passed, 1 failed, 0 skipped",
			says:    []string{"undefined: x"},
		},
		"a test that was stopped shows what it said, and one that had passed does not": {
			events: []string{
				`{"Action":"output",` + p + `,"Test":"TestA","Output":"fine\n"}`, `{"Action":"pass",` + p + `,"Test":"TestA"}`,
				`{"Action":"output",` + p + `,"Test":"TestB","Output":"panic: test timed out\n"}`, `{"Action":"fail",` + p + `}`,
			},
			closing: "1 passed, 1 failed, 0 skipped",
			says:    []string{"----- UNFINISHED example.com/p TestB\npanic: test timed out"},
		},
		"no test at all": {closing: "0 passed, 0 failed, 0 skipped"},
		"what is no event is passed on": {
			events:  []string{"go: downloading something", `{"Action":"pass",` + p + `,"Test":"TestA"}`},
			good:    true,
			closing: "1 passed, 0 failed, 0 skipped",
			says:    []string{"go: downloading something"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			if good := summarise(strings.NewReader(strings.Join(c.events, "\n")), &out); good != c.good {
				t.Errorf("good: %v", good)
			}
			if !strings.HasSuffix("\n"+out.String(), "\n"+c.closing+"\n") {
				t.Errorf("closing line missing:\n%s", out.String())
			}
			for _, s := range c.says {
				if !strings.Contains(out.String(), s) {
					t.Errorf("says nothing of %q:\n%s", s, out.String())
				}
			}
		})
	}
}

func TestRunMakesEventsOfACommand(t *testing.T) {
	var events, out strings.Builder
	if !run(context.Background(), &events, "good", []string{"sh", "-c", "echo fine"}) {
		t.Error("a good command failed")
	}
	if run(context.Background(), &events, "bad", []string{"sh", "-c", "echo broken; exit 3"}) {
		t.Error("a bad command passed")
	}
	if summarise(strings.NewReader(events.String()), &out) {
		t.Error("the summary is good")
	}
	for _, s := range []string{"ok    good", "----- FAIL checks bad\nbroken", "exit status 3", "1 passed, 1 failed, 0 skipped\n"} {
		if !strings.Contains(out.String(), s) {
			t.Errorf("says nothing of %q:\n%s", s, out.String())
		}
	}
	if strings.Contains(out.String(), "fine") {
		t.Error("a good command's output is shown")
	}
}
