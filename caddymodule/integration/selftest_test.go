package integration

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// selftested writes a configuration with a directory and a token for it, and
// gives the arguments of a selftest.
func (w *world) selftested(site string) []string {
	w.t.Helper()
	dir := w.t.TempDir()
	config, token := filepath.Join(dir, "Caddyfile"), filepath.Join(dir, "token")
	w.write(config, w.caddyfile(site))
	w.write(token, w.token("00u1ada")+"\n")
	return []string{"selftest", "--config", config, "--token", token}
}

func TestSelftestCommandProvesAConfiguration(t *testing.T) {
	w := prepare(t)
	args := w.selftested(payroll + w.legacy.Addr() + "\n")
	got := caddyCommand(t, args...)
	got.wantCode(t, 0)
	if !strings.Contains(got.stdout, "nothing got through") || !strings.Contains(got.stdout, "spellings of 4 names") {
		t.Errorf("stdout: %s", got.stdout)
	}
	w.nothingReceived()
	if strings.Contains(got.stdout+got.stderr, "eyJ") {
		t.Error("the token is on the screen")
	}
	var v struct {
		Requests int
		Reached  int
		Accepted bool `json:"token_accepted"`
		Passed   []any
	}
	got = caddyCommand(t, append(args, "--json")...)
	got.wantCode(t, 0)
	if err := json.Unmarshal([]byte(got.stdout), &v); err != nil {
		t.Fatal(err)
	}
	if v.Requests == 0 || v.Reached == 0 || !v.Accepted || v.Passed == nil || len(v.Passed) != 0 {
		t.Errorf("%s", got.stdout)
	}
}

func TestSelftestCommandShowsWhatGotThrough(t *testing.T) {
	w := prepare(t)
	args := w.selftested(payroll + w.legacy.Addr() + "\n}\nhttp://other.example {\nreverse_proxy /early/* " + w.legacy.Addr() + "\n")
	got := caddyCommand(t, append(args, "--path", "/early/x")...)
	if got.code != 1 || !strings.Contains(got.stdout, "got through") || !strings.Contains(got.stdout, "/early/x") || !strings.Contains(got.stdout, w.legacy.Addr()) {
		t.Errorf("status %d\nstdout: %s\nstderr: %s", got.code, got.stdout, got.stderr)
	}
	w.nothingReceived()
}

func TestSelftestCommandRefusesWhatItCannotDo(t *testing.T) {
	w := prepare(t)
	args := w.selftested(payroll + w.legacy.Addr() + "\n")
	for _, tc := range []struct {
		name string
		args []string
		code int
		want string
	}{
		{"no configuration", []string{"selftest", "--token", args[4]}, 2, "--config"},
		{"no token", args[:3], 2, "--token"},
		{"a file that is not there", append(args[:3:3], "--token", filepath.Join(t.TempDir(), "none")), 1, "none"},
		{"an unknown site", append(args[:5:5], "--site", "nosuch.example"), 2, "127.0.0.1"},
		{"a path without a slash", append(args[:5:5], "--path", "x"), 2, "slash"},
		{"an argument", append(args[:5:5], "x"), 2, "flags only"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := caddyCommand(t, tc.args...)
			if got.code != tc.code || got.stdout != "" || !strings.Contains(got.stderr, "Error: ") || !strings.Contains(got.stderr, tc.want) {
				t.Errorf("status %d, want %d\nstdout: %s\nstderr: %s", got.code, tc.code, got.stdout, got.stderr)
			}
		})
	}
	t.Run("a token that is not accepted", func(t *testing.T) {
		w.write(args[4], "nonsense")
		got := caddyCommand(t, args...)
		if got.code != 1 || !strings.Contains(got.stderr, "the result is inconclusive") || !strings.Contains(got.stderr, "401") {
			t.Errorf("status %d, stderr: %s", got.code, got.stderr)
		}
	})
}
