package caddymodule

import (
	goflag "flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRouteMessages loads the sites at the head of each golden file and compares
// the whole text of the error, or of the warnings, with what stands below (P65,
// P66). The flag update of the adaptation tests writes it.
func TestRouteMessages(t *testing.T) {
	const separator = "----------\n"
	files, err := filepath.Glob(filepath.Join("testdata", "routes", "*.caddyfiletest"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%d golden files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source, want, ok := strings.Cut(string(text), separator)
			if !ok {
				t.Fatal("no line of ten dashes")
			}
			warnings, err := loadSites(t, source)
			got := ""
			for _, w := range warnings {
				got += "warning: " + w + "\n"
			}
			if err != nil {
				var rest string
				for _, kind := range []error{errRoutes, errLogins} {
					if _, after, ok := strings.Cut(err.Error(), kind.Error()); ok {
						rest = kind.Error() + after
						break
					}
				}
				if rest == "" {
					t.Fatal(err)
				}
				got = "error: " + rest + "\n"
			}
			if f := goflag.Lookup("update"); f != nil && f.Value.String() == "true" {
				if err := os.WriteFile(file, []byte(source+separator+got), 0o600); err != nil {
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
