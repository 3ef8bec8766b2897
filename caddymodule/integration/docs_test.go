package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// checkout gives a folder with the examples below it, as a stranger who stands
// in the root of the repository sees them, and a program caddy to find there.
func checkout(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "examples"), os.DirFS("../../examples")); err != nil {
		t.Fatal(err)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := "#!/bin/sh\nexec " + self + " \"$@\"\n"
	if err := os.Mkdir(filepath.Join(root, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(root, "bin", "caddy"), []byte(script), 0o700); err != nil { // #nosec G306 -- a program
		t.Fatal(err)
	}
	return root
}

// shell runs commands as they stand in a document, and gives what they say.
func shell(t *testing.T, root, commands string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(patience(t), "sh", "-e", "-c", commands)
	cmd.Dir = root
	cmd.Env = []string{
		asCaddy + "=1", "HOME=" + root, "XDG_CONFIG_HOME=" + root, "XDG_DATA_HOME=" + root,
		"PATH=" + filepath.Join(root, "bin") + ":" + os.Getenv("PATH"),
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return stdout.String() + stderr.String(), err
}

// TestTheExamplesOwnWordsWork runs the commands in the first lines of each
// example: whoever tries it so has a configuration that loads, without a
// warning.
func TestTheExamplesOwnWordsWork(t *testing.T) {
	examples, err := filepath.Glob("../../examples/directories/*.Caddyfile")
	if err != nil {
		t.Fatal(err)
	}
	if len(examples) == 0 {
		t.Fatal("there are no examples")
	}
	root := checkout(t)
	for _, example := range examples {
		t.Run(filepath.Base(example), func(t *testing.T) {
			text, err := os.ReadFile(example)
			if err != nil {
				t.Fatal(err)
			}
			head, _, _ := strings.Cut(string(text), "\n{\n")
			_, commands, ok := strings.Cut(head, "# Try it from the root of the repository:\n#\n")
			if !ok {
				t.Fatal("its first lines do not say how to try it")
			}
			name := "examples/directories/" + filepath.Base(example)
			out, err := shell(t, root, strings.ReplaceAll(commands, "#   ", ""))
			if err != nil || !strings.Contains(out, name+" is valid: 1 policy, 0 warnings") {
				t.Errorf("%s\n\t%v\n%s", commands, err, out)
			}
		})
	}
}

// TestTheDocumentsConfigurationsLoad has each configuration of these pages
// checked, its tests included. One that shows a policy, or options of one, is
// put into a site. (The other pages are tried by tests of their own.)
func TestTheDocumentsConfigurationsLoad(t *testing.T) {
	root := checkout(t)
	for name, text := range map[string]string{
		"directory.yaml": "", "claims.json": `{"name": "department", "claimType": "RESOURCE", "valueType": "EXPRESSION", "value": "user.department", "status": "ACTIVE"}`,
	} {
		if text == "" {
			example, err := os.ReadFile("../../examples/directory.yaml")
			if err != nil {
				t.Fatal(err)
			}
			text = string(example)
		}
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, page := range []string{"README.md", "docs/reference.md", "docs/headers.md", "docs/from-okta.md", "docs/verify.md", "docs/login.md"} {
		text, err := os.ReadFile("../../" + page)
		if err != nil {
			t.Fatal(err)
		}
		blocks := regexp.MustCompile("(?s)\n *```caddyfile\n *(.*?\n) *```\n").FindAllStringSubmatch(string(text), -1)
		if len(blocks) == 0 {
			t.Errorf("%s shows no configuration", page)
		}
		for _, m := range blocks {
			if err := os.WriteFile(filepath.Join(root, "Caddyfile"), []byte(complete(m[1])), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := shell(t, root, "CLIENT_SECRET=x INTROSPECT_SECRET=x REDIS_PASSWORD=x caddy token-enrich check --config Caddyfile --adapter caddyfile")
			if err != nil {
				t.Errorf("%s: %v\n%s\n%s", page, err, m[1], out)
			}
		}
	}
}

// complete makes a whole configuration of what a document shows.
func complete(block string) string {
	word, _, _ := strings.Cut(block, " ")
	switch word {
	case "{\n\ttoken_enrich": // whole
		return block
	case "claim", "headers_from":
		block = "app.example.com {\ntoken_enrich {\n" + block + "}\nrespond ok\n}\n"
	case "token_enrich":
		block = "app.example.com {\n" + block + "respond ok\n}\n"
	case "reverse_proxy", "php_fastcgi":
		block = "app.example.com {\ntoken_enrich\n" + block + "}\n"
	}
	signing := ""
	if regexp.MustCompile(`(?m)^\t+token \{`).MatchString(block) {
		signing = "signing {\nissuer https://gateway.example.com\n}\n"
	}
	login := ""
	if regexp.MustCompile(`(?m)^\t+login corp\b`).MatchString(block) {
		login = "login {\nclient_id legacy-web\n}\n"
	}
	return `{
	token_enrich {
		issuer https://idp.example.com/oauth2/default {
			name corp
			audience api://legacy
			` + login + `
		}
		directory file ./directory.yaml
		` + signing + `
	}
}
` + block
}
