package login

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestTheDocumentHasEveryOutcome compares the table of outcomes in docs/login.md,
// and the status of the page beside each, with the code.
func TestTheDocumentHasEveryOutcome(t *testing.T) {
	text, err := os.ReadFile("../../docs/login.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(text), "| outcome | page | cause |\n")
	if !found {
		t.Fatal("the document has no table of outcomes")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	said := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| (\\d*) ?\\|").FindAllStringSubmatch(table, -1) {
		said[m[1]] = m[2]
	}
	for i, o := range outcomes {
		status := ""
		if outcome(i) != outcomeOK {
			status = strconv.Itoa(o.message.Status())
		}
		if got, there := said[o.word]; !there || got != status {
			t.Errorf("outcome %s: the document says %q, want %q", o.word, got, status)
		}
		delete(said, o.word)
	}
	for word := range said {
		t.Errorf("the document has an outcome %s that no login has", word)
	}
}
