package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenenrich/caddy-token-enrich/caddymodule/standard"
)

var update = flag.Bool("update", false, "write what adaptation gives into the golden files; read the difference before keeping it")

// adaptSeparator stands in a golden file between the Caddyfile and what comes
// of it.
const adaptSeparator = "----------\n"

// TestAdaptation turns the Caddyfile at the head of each golden file into what
// stands below it: JSON, or the whole text of the error.
func TestAdaptation(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "adapt", "*.caddyfiletest"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatal("there are no golden files")
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source, want, ok := strings.Cut(string(text), adaptSeparator)
			if !ok {
				t.Fatal("no line of ten dashes")
			}
			got := adaptation(t, source)
			if *update {
				if err := os.WriteFile(file, []byte(source+adaptSeparator+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// adaptation gives indented JSON or an error's text. A Caddyfile that adapts
// is also formatted, and adapts to the same every time.
func adaptation(t *testing.T, source string) string {
	t.Helper()
	adapter := caddyconfig.GetAdapter("caddyfile")
	config, warnings, err := adapter.Adapt([]byte(source), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	for _, w := range warnings {
		t.Errorf("warning: %s", w.String())
	}
	if formatted := caddyfile.Format([]byte(source)); !bytes.Equal(formatted, []byte(source)) {
		t.Errorf("the Caddyfile is not formatted; formatted it is:\n%s", formatted)
	}
	for range 10 {
		again, _, err := adapter.Adapt([]byte(source), map[string]any{"filename": "Caddyfile"})
		if err != nil || !bytes.Equal(again, config) {
			t.Fatalf("a second adaptation differs: %s, %v", again, err)
		}
	}
	var out bytes.Buffer
	if err := json.Indent(&out, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}
