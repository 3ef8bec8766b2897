// Package readers tries what is left of a client's cookies and query against
// the parsers of the applications that read them: PHP, Python's http.cookies,
// Starlette, Werkzeug, Node's cookie and qs, Tomcat, Go, and ASP.NET Core by its
// published rules.
package readers

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
)

// What a text is.
const (
	cookies = 'c'
	query   = 'q'
)

var (
	//go:embed testdata/read.mjs
	nodeScript []byte
	//go:embed testdata/package-lock.json
	nodeLock []byte
)

// reading tells which names each reader found in one text.
type reading map[string][]string

// read has every reader read all texts, each program in one batch.
func read(t *testing.T, kind byte, texts ...string) map[string]reading {
	t.Helper()
	slices.Sort(texts)
	texts = slices.Compact(texts)
	all := make([]reading, len(texts))
	for i, text := range texts {
		all[i] = inProcess(kind, text)
	}
	python := batch(t, kind, texts, exec.CommandContext(t.Context(), "/usr/bin/python3", testdata(t, "read.py")))
	node := batch(t, kind, texts, nodeCommand(t))
	tomcat := batch(t, kind, texts, javaCommand(t))
	php := readPHP(t, kind, texts)
	byText := make(map[string]reading, len(texts))
	for i := range all {
		byText[texts[i]] = all[i]
		for _, more := range []reading{python[i], node[i], tomcat[i], php[i]} {
			maps.Copy(all[i], more)
		}
	}
	return byText
}

// inProcess is how Go and, by its rules, ASP.NET Core read a text.
func inProcess(kind byte, text string) reading {
	names := []string{}
	if kind == cookies {
		for _, c := range (&http.Request{Header: http.Header{"Cookie": {text}}}).Cookies() {
			names = append(names, c.Name)
		}
		return reading{"net/http": names, "ASP.NET Core": aspNetCookies(text)}
	}
	values, _ := url.ParseQuery(text) // with what it could not read left out, as Query does
	for name := range values {
		names = append(names, name)
	}
	return reading{"net/url": names}
}

// ours reports whether some reader found a name that folds to name, and which.
func (r reading) ours(name string) (reader string, found bool) {
	for reader, names := range r {
		for _, n := range names {
			if forward.Canonicalize(n) == forward.Canonicalize(name) {
				return reader, true
			}
		}
	}
	return "", false
}

func testdata(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// nodeCommand runs the script in a folder that has its packages.
func nodeCommand(t *testing.T) *exec.Cmd {
	t.Helper()
	dir := t.TempDir()
	script := filepath.Join(dir, "read.mjs")
	if err := os.WriteFile(script, nodeScript, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(enrichtest.NodeModules(t, nodeLock), filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	return exec.CommandContext(t.Context(), "node", script)
}

// javaCommand compiles and runs the program with Debian's Tomcat.
func javaCommand(t *testing.T) *exec.Cmd {
	t.Helper()
	var jars []string
	for _, name := range []string{"coyote", "util", "juli", "servlet-api"} {
		jars = append(jars, "/usr/share/java/tomcat10-"+name+".jar")
	}
	return exec.CommandContext(t.Context(), "java", "-cp", strings.Join(jars, ":"), testdata(t, "Read.java"))
}

// batch feeds all texts to one process and takes its answers.
func batch(t *testing.T, kind byte, texts []string, cmd *exec.Cmd) []reading {
	t.Helper()
	var in, complaints bytes.Buffer
	for _, text := range texts {
		fmt.Fprintf(&in, "%c%x\n", kind, text)
	}
	cmd.Stdin, cmd.Stderr = &in, &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd.Path, err, complaints.String())
	}
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(lines) != len(texts) {
		t.Fatalf("%s answered %d of %d", cmd.Path, len(lines), len(texts))
	}
	all := make([]reading, len(texts))
	for i, line := range lines {
		if err := json.Unmarshal(line, &all[i]); err != nil {
			t.Fatalf("%s answers %q: %v", cmd.Path, line, err)
		}
		for reader, names := range all[i] {
			all[i][reader] = unhex(t, names)
		}
	}
	return all
}

func unhex(t *testing.T, names []string) []string {
	t.Helper()
	text := make([]string, len(names))
	for i, name := range names {
		b, err := hex.DecodeString(name)
		if err != nil {
			t.Fatal(err)
		}
		text[i] = string(b)
	}
	return text
}

// readPHP asks PHP's own server, which reads requests as its other servers do.
// Bytes that no HTTP server lets through are passed over.
func readPHP(t *testing.T, kind byte, texts []string) []reading {
	t.Helper()
	addr := startPHP(t)
	all := make([]reading, len(texts))
	for i, text := range texts {
		sent := "GET / HTTP/1.0\r\nCookie: " + text + "\r\n\r\n"
		if kind == query {
			sent = "GET /?" + text + " HTTP/1.0\r\n\r\n"
		}
		if slices.ContainsFunc([]byte(text), func(c byte) bool {
			return kind == query && (c <= ' ' || c >= 0x7F) || c < ' ' && c != '\t' || c == 0x7F
		}) {
			continue
		}
		names := []string{}
		if err := json.Unmarshal(ask(t, addr, sent), &names); err != nil {
			t.Fatalf("PHP on %q: %v", text, err)
		}
		all[i] = reading{"PHP": unhex(t, names)}
	}
	return all
}

// startPHP starts PHP's server until the test ends.
func startPHP(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, "php", "-n", "-d", "max_input_vars=100000", "-S", addr, testdata(t, "read.php"))
	complaints, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started, drained := make(chan bool, 1), make(chan struct{})
	go func() {
		defer close(drained)
		lines := bufio.NewScanner(complaints)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "started") {
				select {
				case started <- true:
				default:
				}
			}
		}
		close(started)
	}()
	t.Cleanup(func() {
		cancel()
		<-drained
		_ = cmd.Wait()
	})
	if !<-started {
		t.Fatal("PHP's server does not start")
	}
	return addr
}

// ask sends one request and returns the answer's body.
func ask(t *testing.T, addr, request string) []byte {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatalf("PHP on %q: %v", request, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return body
}

// spaces is the white space of any script, with what frameworks trim besides,
// in UTF-8.
func spaces() []string {
	return strings.Split("\u0085,\u00a0,\u1680,\u180e,\u2000,\u2001,\u2002,\u2003,\u2004,\u2005,\u2006,\u2007,\u2008,\u2009,\u200a,\u200b,\u2028,\u2029,\u202f,\u205f,\u2060,\u3000,\ufeff", ",")
}

// pieces is every byte, every Unicode space and every byte percent-encoded.
func pieces() []string {
	all := spaces()
	for c := range 256 {
		all = append(all, string([]byte{byte(c)}), fmt.Sprintf("%%%02X", c))
	}
	return append(all, "", "  ", "%u005f", "[]", "$", "$Version=1;", "$Version=1,", "__Host-")
}
