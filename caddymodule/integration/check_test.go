package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// exampleTests is a configuration whose policy has these test blocks. Its
// issuer and its Redis do not exist.
func exampleTests(t *testing.T, global, policy string) (file, storage string) {
	t.Helper()
	dir := t.TempDir()
	storage = filepath.Join(dir, "storage")
	text := fmt.Sprintf(`{
	auto_https off
	storage file_system %s
	token_enrich {
		issuer https://idp.example.com {
			name corp
			audience x
		}
		directory file %s/directory.yaml
		cache {
			redis redis://127.0.0.1:1
		}
		signing {
			issuer https://gateway.example.com
		}
		%s
	}
}
http://127.0.0.1:1 {
	token_enrich {
		name payroll
		app 0oa1payroll
		claim login user.login
		claim number 40
		claim list allow_list expression app.profile.groupallowlist
		claim fails user.login.length {
			scopes fail
		}
		require `+"`isMemberOfGroupName(\"IT\")`"+`
		header X-User login
		header X-List list {
			list json
		}
		token {
			audience payroll
		}
		%s
	}
	respond ok
}
`, storage, dir, global, policy)
	for name, content := range map[string]string{"directory.yaml": people, "Caddyfile": text} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "Caddyfile"), storage
}

// blockOf is one test block of a policy.
func blockOf(name, caller string, expect ...string) string {
	return "test " + name + " {\n" + caller + "\nexpect " + strings.Join(expect, "\nexpect ") + "\n}\n"
}

func TestCheckTriesTheTestsOfPolicies(t *testing.T) {
	for _, tc := range []struct {
		name, global, block string
		failed              []string // what the output says of each failure; none: it passes
	}{
		{"a text", "", blockOf("a", "subject 00u1ada", "claim login ada@example.com"), nil},
		{"a number", "", blockOf("a", "subject 00u1ada", "claim number 40"), nil},
		{"a list", "", blockOf("a", "subject 00u1ada", "claim list `[\"IT\"]`"), nil},
		{"a claim of the token", "", blockOf("a", "subject 00u1ada", "claim sub 00u1ada"), nil},
		{"a claim that is absent", "", blockOf("a", "subject 00u1ada", "claim none null"), nil},
		{"headers", "", blockOf("a", "subject 00u1ada\nissuer corp\nclient 0oa1payroll\nscope openid", "header x-user ada@example.com", "header X-List `[\"IT\"]`", "header X-None \"\""), nil},
		{"a user outside of the group", "", blockOf("a", "subject 00u2grace", "denied"), nil},
		{"an unknown user", "", blockOf("a", "subject nobody", "denied"), nil},
		{"a suspended user", "", blockOf("a", "subject 00u3alan", "denied"), nil},
		{"a client on its own behalf", "", blockOf("a", "client 0oa1payroll", "denied"), nil},
		{"a rule that ends in an error", "", blockOf("a", "subject 00u1ada\nscope fail", "denied"), nil},

		{"another text", "", blockOf("a", "subject 00u1ada", "claim login grace"), []string{"claim login: got another value (explain values shows it)"}},
		{"another text, shown", "explain values", blockOf("a", "subject 00u1ada", "claim login grace"), []string{`claim login: got "ada@example.com"`}},
		{"a number as a list", "", blockOf("a", "subject 00u1ada", "claim number [40]"), []string{"claim number: "}},
		{"another header", "", blockOf("a", "subject 00u1ada", "header X-User grace", "header X-List \"\""), []string{"header X-User: ", "header X-List: "}},
		{"allowed, not denied", "", blockOf("a", "subject 00u1ada", "denied"), []string{"allowed, want denied"}},
		{"denied, not allowed", "", blockOf("a", "subject 00u2grace", "claim login grace"), []string{"claim login: not allowed: denied: "}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			file, storage := exampleTests(t, tc.global, tc.block)
			o := caddyCommand(t, "check", "--config", file)
			if code := min(len(tc.failed), 1); o.code != code {
				t.Errorf("exit status %d, want %d: %s", o.code, code, o.stderr)
			}
			lines := strings.Split(strings.TrimSpace(o.stdout), "\n")
			if len(lines) != len(tc.failed)+1 {
				t.Fatalf("it says\n%s", o.stdout)
			}
			for i, want := range tc.failed {
				if want = `failed: policy payroll: test "a": ` + want; !strings.HasPrefix(lines[i], want) {
					t.Errorf("it says %q, want %q", lines[i], want)
				}
			}
			if want := fmt.Sprintf("%d of 1 test passed", 1-min(len(tc.failed), 1)); !strings.HasSuffix(lines[len(lines)-1], want) {
				t.Errorf("it ends with %q, want %q", lines[len(lines)-1], want)
			}
			if _, err := os.Stat(filepath.Join(storage, "token_enrich")); !os.IsNotExist(err) {
				t.Error("a command that only reads has written to the storage")
			}
			o = caddyCommand(t, "check", "--json", "--config", file, "--adapter", "caddyfile")
			var result struct {
				Tests []struct {
					Policy, Test string
					Passed       bool
					Failed       []string
				}
			}
			if err := json.Unmarshal([]byte(o.stdout), &result); err != nil || len(result.Tests) != 1 {
				t.Fatalf("--json gives %q: %v", o.stdout, err)
			}
			if r := result.Tests[0]; r.Policy != "payroll" || r.Test != "a" || r.Passed != (len(tc.failed) == 0) || len(r.Failed) != len(tc.failed) {
				t.Errorf("--json gives %+v", r)
			}
		})
	}
}

func TestExplainOfAFileWritesNothing(t *testing.T) {
	file, storage := exampleTests(t, "", "")
	o := caddyCommand(t, "explain", "--offline", "--config", file, "--issuer", "corp", "--subject", "00u1ada")
	o.wantCode(t, 0)
	if !strings.Contains(o.stdout, "policy payroll: allowed") || !strings.Contains(o.stdout, "signed token in header Authorization") {
		t.Errorf("it says %s", o.stdout)
	}
	if _, err := os.Stat(filepath.Join(storage, "token_enrich")); !os.IsNotExist(err) {
		t.Error("a command that only reads has written to the storage")
	}
}
