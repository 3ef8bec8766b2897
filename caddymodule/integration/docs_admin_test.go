package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestTheReferencesAdminExamplesAreAnsweredSo makes the admin requests that the
// reference shows, and holds its status to the real one.
func TestTheReferencesAdminExamplesAreAnsweredSo(t *testing.T) {
	text, err := os.ReadFile("../../docs/reference.md")
	if err != nil {
		t.Fatal(err)
	}
	w := prepare(t)
	w.load(signingSite(w), w.issuerBlock("login {\nclient_id gateway\n}"), "directory file "+w.directory, w.signer())
	w.signed()
	requests := regexp.MustCompile(`(?m)^\$ curl -s -d '(.*)' localhost:2019(/\S+)\n(.*)$`).FindAllStringSubmatch(string(text), -1)
	if len(requests) < 4 {
		t.Fatalf("the reference shows %d requests", len(requests))
	}
	for _, m := range requests {
		if got := strings.TrimSpace(w.adminDo("POST", m[2], m[1]).body); got != m[3] {
			t.Errorf("%s %s is answered %s, not %s", m[2], m[1], got, m[3])
		}
	}

	_, after, _ := strings.Cut(string(text), "\n```json\n")
	block, _, _ := strings.Cut(after, "```")
	var shown any
	if err := json.Unmarshal([]byte(block), &shown); err != nil {
		t.Fatal(err)
	}
	wantSameMembers(t, "status", w.status(), shown)
}

// wantSameMembers fails the test where an example has members that the real
// thing lacks, at any depth.
func wantSameMembers(t *testing.T, where string, actual, shown any) {
	t.Helper()
	switch x := shown.(type) {
	case map[string]any:
		object, _ := actual.(map[string]any)
		for name, v := range x {
			if _, ok := object[name]; !ok {
				t.Errorf("%s has no member %s", where, name)
				continue
			}
			wantSameMembers(t, where+"."+name, object[name], v)
		}
	case []any:
		list, _ := actual.([]any)
		if len(list) == 0 {
			t.Errorf("%s is empty", where)
			return
		}
		wantSameMembers(t, where, list[0], x[0])
	}
}

// TestLinksBetweenTheDocumentsLead holds each link to a file, and each anchor to
// a heading of it.
func TestLinksBetweenTheDocumentsLead(t *testing.T) {
	pages, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, "../../README.md")
	code := regexp.MustCompile("(?s)\n *```.*?\n *```")
	prose := func(page string) string {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		return code.ReplaceAllString(string(text), "")
	}
	links := 0
	for _, page := range pages {
		for _, m := range regexp.MustCompile(`\]\(([^)\s]+)\)`).FindAllStringSubmatch(prose(page), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := page
			if file != "" {
				target = filepath.Join(filepath.Dir(page), file)
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: the link %s leads nowhere", page, m[1])
				continue
			}
			if anchor == "" || filepath.Ext(target) != ".md" {
				continue
			}
			found := false
			for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(prose(target), -1) {
				found = found || anchorOf(h[1]) == anchor
			}
			if !found {
				t.Errorf("%s: the link %s leads to no heading", page, m[1])
			}
		}
	}
	if links < 20 {
		t.Errorf("only %d links were found", links)
	}
}

// anchorOf is the anchor that GitHub makes of a heading.
func anchorOf(heading string) string {
	heading = strings.ToLower(regexp.MustCompile("[^A-Za-z0-9_ -]").ReplaceAllString(heading, ""))
	return strings.ReplaceAll(heading, " ", "-")
}
