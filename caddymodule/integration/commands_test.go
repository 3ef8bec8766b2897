package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// asCaddy in the environment makes the test's binary the caddy command, with
// the modules that cmd/caddy has: a node or a command is a process of its own
// without a second build.
const asCaddy = "TOKEN_ENRICH_TEST_AS_CADDY"

func init() {
	if os.Getenv(asCaddy) != "" {
		caddycmd.Main()
		os.Exit(0)
	}
}

// caddyProcess prepares the caddy command as a process of its own, which lasts
// as long as ctx at most.
func caddyProcess(ctx context.Context, t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), asCaddy+"=1", "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	return cmd
}

// outcome is what a command did.
type outcome struct {
	code           int
	stdout, stderr string
}

// caddyCommand runs caddy token-enrich with these arguments.
func caddyCommand(t *testing.T, args ...string) outcome {
	t.Helper()
	cmd := caddyProcess(patience(t), t, append([]string{"token-enrich"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return outcome{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// wantCode fails the test unless the command ended with a status; an error
// speaks on stderr and a result on stdout, never the other way round.
func (o outcome) wantCode(t *testing.T, code int) {
	t.Helper()
	if o.code != code {
		t.Errorf("exit status %d, want %d\nstdout: %s\nstderr: %s", o.code, code, o.stdout, o.stderr)
	}
	if code != 0 && (o.stdout != "" || !strings.HasPrefix(o.stderr, "Error: ")) {
		t.Errorf("a failure says on stdout %q and on stderr %q", o.stdout, o.stderr)
	}
	if strings.Contains(o.stderr, "panic") || strings.Contains(o.stderr, "goroutine") {
		t.Errorf("it panicked: %s", o.stderr)
	}
}

// keyInfo is what the keys endpoint and command show of a key.
type keyInfo struct {
	ID    string `json:"kid"`
	Alg   string `json:"alg"`
	State string `json:"state"`
	From  string `json:"signs_from"`
	Until string `json:"published_until"`
}

// states are the keys' states in their order.
func states(list []keyInfo) string {
	var all []string
	for _, k := range list {
		all = append(all, k.State)
	}
	return strings.Join(all, " ")
}

func keysOf(t *testing.T, text string) []keyInfo {
	t.Helper()
	var list []keyInfo
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("the keys are shown as %q: %v", text, err)
	}
	return list
}

// signingSite is a gateway whose application receives a signed token.
func signingSite(w *world) string {
	return `token_enrich_jwks
	token_enrich_ready /ready
	token_enrich {
		name payroll
		token {
			audience payroll
			ttl 1m
		}
	}
	reverse_proxy ` + w.legacy.Addr()
}

func TestKeysCommandListsAndRotates(t *testing.T) {
	w := prepare(t)
	w.load(signingSite(w), w.standard(), w.signer())
	w.signed()
	incoming := w.token("00u1ada")

	listed := caddyCommand(t, "keys", "list", "--json", "--address", w.admin)
	listed.wantCode(t, 0)
	before := keysOf(t, listed.stdout)
	if states(before) != "signing" || before[0].ID != thumbprint(t, w.published().Keys[0]) || before[0].Alg != "ES256" {
		t.Fatalf("the keys are %+v", before)
	}
	plain := caddyCommand(t, "keys", "list", "--address", w.admin)
	plain.wantCode(t, 0)
	if fields := strings.Fields(plain.stdout); len(fields) != 4 || fields[0] != before[0].ID || fields[2] != "signing" {
		t.Errorf("in words, the keys are %q", plain.stdout)
	}

	// A rotation publishes the next key and signs with the present one.
	rotated := caddyCommand(t, "keys", "rotate", "--json", "--address", w.admin)
	rotated.wantCode(t, 0)
	next := keysOf(t, rotated.stdout)
	if states(next) != "signing next" || next[0].ID != before[0].ID || next[1].From <= next[0].From {
		t.Fatalf("after the rotation the keys are %+v", next)
	}
	if set := w.published(); len(set.Keys) != 2 || set.Keys[0].KeyID != before[0].ID {
		t.Errorf("%d keys are published", len(set.Keys))
	}
	if kid := keyIDOf(t, w.tokenOf("Authorization", incoming)); kid != before[0].ID {
		t.Errorf("key %s signs before its time", kid)
	}
	again := caddyCommand(t, "keys", "rotate", "--address", w.admin)
	again.wantCode(t, 0)
	if n := strings.Count(again.stdout, "\n"); n != 2 {
		t.Errorf("a second rotation makes another key:\n%s", again.stdout)
	}

	// At once: the key that was on its way never signs.
	now := caddyCommand(t, "keys", "rotate", "--now", "--json", "--address", w.admin)
	now.wantCode(t, 0)
	after := keysOf(t, now.stdout)
	if states(after) != "signing retired" || after[1].ID != before[0].ID || after[0].ID == next[1].ID || after[1].Until == "" {
		t.Fatalf("after the rotation at once the keys are %+v", after)
	}
	fresh := w.tokenOf("Authorization", w.token("00u1ada"))
	if kid := keyIDOf(t, fresh); kid != after[0].ID {
		t.Errorf("key %s signs, want %s", kid, after[0].ID)
	}
	w.verified(fresh, "payroll")
	for _, o := range []outcome{listed, plain, rotated, again, now} {
		wantNoPrivatePart(t, o.stdout+o.stderr)
	}
	if text := w.logged(); !strings.Contains(text, `"endpoint":"/token_enrich/keys"`) {
		t.Error("the log does not say that the keys were changed through the admin endpoint")
	}
}

func TestCommandsFindTheAdminAddressInTheConfiguration(t *testing.T) {
	w := prepare(t)
	w.load(signingSite(w), w.standard(), w.signer())
	w.signed()
	file := w.directory + ".caddyfile"
	w.write(file, w.caddyfile(signingSite(w), w.standard(), w.signer()))
	o := caddyCommand(t, "keys", "list", "--config", file, "--adapter", "caddyfile")
	o.wantCode(t, 0)
	if !strings.Contains(o.stdout, w.published().Keys[0].KeyID) {
		t.Errorf("it lists %q", o.stdout)
	}
	for _, args := range [][]string{{"purge", "--all"}, {"deny", "--jti", "j1", "--issuer", "corp"}} {
		o := caddyCommand(t, append(args, "--address", w.admin, "--json")...)
		o.wantCode(t, 0)
		if answer := strings.TrimSpace(o.stdout); !strings.HasSuffix(answer, `"nodes":"this one"}`) || strings.Contains(answer, `"until":"20`) != (args[0] == "deny") {
			t.Errorf("%v answers %q", args, o.stdout)
		}
		o = caddyCommand(t, append(args, "--address", w.admin)...)
		o.wantCode(t, 0)
		if !strings.HasSuffix(o.stdout, "nodes: this one\n") {
			t.Errorf("%v says %q", args, o.stdout)
		}
	}
}

func TestCommandsThatFailSayWhyAndEndWithOne(t *testing.T) {
	w := prepare(t)
	w.load("respond ok", w.standard()) // no signing
	pem := enrichtest.KeyFile(t)
	for _, tc := range []struct {
		name string
		args []string
		want string
	}{
		{"nobody listens", []string{"keys", "list", "--address", cachetest.FreeAddr(t)}, "connect"},
		{"no signing", []string{"keys", "list", "--address", w.admin}, "signs no tokens"},
		{"no signing to rotate", []string{"keys", "rotate", "--address", w.admin, "--json"}, "signs no tokens"},
		{"an issuer that is not there", []string{"deny", "--user", "ada", "--issuer", "crop", "--address", w.admin}, "issuer"},
		{"an entry that is not there", []string{"undeny", "0123456789abcdef", "--address", w.admin}, "no such entry"},
		{"a configuration that is missing", []string{"keys", "list", "--config", pem + ".none"}, "none"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := caddyCommand(t, tc.args...)
			o.wantCode(t, 1)
			if !strings.Contains(o.stderr, tc.want) {
				t.Errorf("stderr does not speak of %q: %s", tc.want, o.stderr)
			}
		})
	}
	w.load(signingSite(w), w.standard(), w.signer("key_file "+pem))
	o := caddyCommand(t, "keys", "rotate", "--address", w.admin)
	o.wantCode(t, 1)
	if !strings.Contains(o.stderr, "files") {
		t.Errorf("keys of one's own are not rotated, and stderr says %s", o.stderr)
	}
}

func TestEvalNamesWhatTheDirectoryLacks(t *testing.T) {
	people := filepath.Join(t.TempDir(), "people.yaml")
	if err := os.WriteFile(people, []byte("users:\n  - { id: u1, login: ada }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"--user", "nope"}, `no user with the id or login "nope"`},
		{[]string{"--user", "ADA", "--app", "payrol"}, `no app with the id or client id "payrol"`},
	} {
		o := caddyCommand(t, append([]string{"eval", "--directory", people, "user.login"}, tc.args...)...)
		o.wantCode(t, 1)
		if !strings.Contains(o.stderr, tc.want) {
			t.Errorf("%q: stderr does not say %s: %s", tc.args, tc.want, o.stderr)
		}
	}
}

func TestMisuseEndsWithTwo(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"", "a command is required"},
		{"key list", `did you mean "keys"`},
		{"keys", "list or rotate"},
		{"keys lits", "list or rotate"},
		{"keys list now", "flags only"},
		{"keys rotate now", "flags only"},
		{"keys rotate --soon", "soon"},
		{"keys list --now", "now"},
		{"keys list --json=maybe", "json"},
		{"purge", "exactly one"},
		{"purge --user a --all", "exactly one"},
		{"deny --jti a", "--issuer"},
		{"deny --issuer corp", "exactly one"},
		{"deny a", "flags only"},
		{"deny --list --user a", "--list cannot be combined"},
		{"deny --list --for 2h", "--list cannot be combined"},
		{"deny --user a --issuer corp --for soon", "--for is not a duration"},
		{"deny --user a --issuer corp --for 0s", "--for is 0s; it must be from 1s to 720h"},
		{"deny --user a --issuer corp --for 1000h", "--for is 1000h; it must be from 1s to 720h"},
		{"deny --user a --issuer corp --reason \x1b[2J", "--reason: the reason has an unprintable character"},
		{"undeny", "exactly one"},
		{"undeny a b", "one entry"},
		{"undeny a --jti b", "exactly one"},
		{"undeny --sid a --jti b", "exactly one"},
		{"undeny a --issuer corp", "--issuer requires"},
		{"explain --token a --client b", "name a token"},
		{"explain --issuer corp --subject a --path /", "path requires site"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			o := caddyCommand(t, strings.Fields(tc.args)...)
			if tc.args == "" { // the help goes to stdout
				o.stdout = ""
			}
			o.wantCode(t, 2)
			if !strings.Contains(o.stderr, tc.want) {
				t.Errorf("stderr does not speak of %q: %s", tc.want, o.stderr)
			}
		})
	}
}

// admin asks the admin listener.
func (w *world) adminDo(method, path, body string, headers ...string) answer {
	w.t.Helper()
	site := *w
	site.addr, site.scheme, site.client = w.admin, "http", nil
	r := site.request(method, path, "", headers...)
	if body != "" {
		r.Body = io.NopCloser(strings.NewReader(body))
		r.ContentLength = int64(len(body))
		r.Header.Set("Content-Type", "application/json")
	}
	return site.send(r)
}

func TestKeysEndpointTakesNothingElse(t *testing.T) {
	w := prepare(t)
	w.load(signingSite(w), w.standard(), w.signer())
	w.signed()
	for _, tc := range []struct {
		name, method, path, body string
		headers                  []string
		code                     int
	}{
		{"another method", "DELETE", "keys", "", nil, 405},
		{"another path", "GET", "keys/private", "", nil, 404},
		{"no body", "POST", "keys", "", nil, 400},
		{"no JSON", "POST", "keys", "rotate", nil, 400},
		{"an unknown member", "POST", "keys", `{"rotate":true,"force":true}`, nil, 400},
		{"a member of another type", "POST", "keys", `{"rotate":"eyJhbGciOi"}`, nil, 400},
		{"rotate is false", "POST", "keys", `{"rotate":false,"now":true}`, nil, 400},
		{"two values", "POST", "keys", `{"rotate":true}{"rotate":true}`, nil, 400},
		{"a member twice", "POST", "keys", `{"rotate":true,"rotate":true}`, nil, 400},
		{"a member in another spelling", "POST", "keys", `{"Rotate":true}`, nil, 400},
		{"no object", "POST", "keys", `["eyJhbGciOi"]`, nil, 400},
		{"a page of another origin", "POST", "keys", `{"rotate":true}`, []string{"Sec-Fetch-Site", "cross-site"}, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := w.adminDo(tc.method, "/token_enrich/"+tc.path, tc.body, tc.headers...)
			wantStatus(t, got, tc.code)
			if strings.Contains(got.body, "eyJhbGciOi") {
				t.Errorf("the answer repeats what was sent: %s", got.body)
			}
			if tc.code == 405 && got.Header.Get("Allow") != "GET, POST" {
				t.Errorf("Allow is %q", got.Header.Get("Allow"))
			}
		})
	}
	if n := len(w.published().Keys); n != 1 {
		t.Errorf("%d keys are published, want one as before", n)
	}
}
