package directories

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// blocks gives the fenced blocks of the manual that are in a language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/directories.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, m := range regexp.MustCompile("(?s)\n```"+language+"\n(.*?)\n```\n").FindAllStringSubmatch(string(text), -1) {
		out = append(out, m[1])
	}
	return out
}

// TestTheManualsCaddyfilesAreUnderstood proves that every option which the
// manual names exists under that name, and that it shows every kind.
func TestTheManualsCaddyfilesAreUnderstood(t *testing.T) {
	shown := map[string]bool{}
	for _, block := range blocks(t, "caddyfile") {
		if strings.Contains(block, "<kind>") {
			// What every kind has: required and optional exclude each other.
			block = strings.Replace(block, "<kind> [<argument>]", "file ./a", 1)
			block = regexp.MustCompile(`(?m)^\trequired .*$`).ReplaceAllString(block, "")
		}
		config, _, err := adapt(t, []byte("{\n\ttoken_enrich {\n"+block+"\n\t}\n}\n"))
		if err != nil {
			t.Errorf("%s\n\t%v", block, err)
			continue
		}
		for _, kind := range kinds() {
			shown[kind] = shown[kind] || strings.Contains(string(config), `"kind":"`+kind+`"`)
		}
	}
	for _, kind := range kinds() {
		if !shown[kind] {
			t.Errorf("the manual does not show %s", kind)
		}
	}
}

// TestTheManualsOwnKindCompiles builds the kind that the manual writes.
func TestTheManualsOwnKindCompiles(t *testing.T) {
	code := blocks(t, "go")
	if len(code) != 1 {
		t.Fatalf("%d blocks of Go", len(code))
	}
	dir := t.TempDir()
	source := filepath.Join(dir, "hr.go")
	if err := os.WriteFile(source, []byte(code[0]+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{filepath.Join(root, "docs", "hr", "hr.go"): source}})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "overlay.json"), overlay, 0o600); err != nil {
		t.Fatal(err)
	}
	build := exec.CommandContext(t.Context(), "go", "build", "-overlay", filepath.Join(dir, "overlay.json"), "./docs/hr") // #nosec G204
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
