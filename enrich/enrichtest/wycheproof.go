package enrichtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// wycheproof is Project Wycheproof at the commit whose cases tests expect. The
// module is fetched by the test, as the Go project's own tests do, so that
// nobody who builds the gateway needs it.
const wycheproof = "github.com/C2SP/wycheproof@v0.0.0-20250901140545-b51abcfb8daf"

// Wycheproof reads a file of Project Wycheproof's test vectors into to.
func Wycheproof(tb testing.TB, name string, to any) {
	tb.Helper()
	cmd := exec.CommandContext(tb.Context(), "go", "mod", "download", "-json", wycheproof)
	cmd.Dir = tb.TempDir() // outside of any module: nothing is added to go.mod
	out, err := cmd.Output()
	if err != nil {
		tb.Fatalf("fetching the vectors: %v", err)
	}
	var module struct{ Dir string }
	if err := json.Unmarshal(out, &module); err != nil {
		tb.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(module.Dir, "testvectors_v1", name))
	if err != nil {
		tb.Fatal(err)
	}
	if err := json.Unmarshal(text, to); err != nil {
		tb.Fatal(err)
	}
}
