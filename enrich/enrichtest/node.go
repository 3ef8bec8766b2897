package enrichtest

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Time that a server on Node gets: to answer first, on a machine that
// compiles beside it, and to end after it was asked to.
const (
	nodeStart = 60 * time.Second
	nodeStop  = 5 * time.Second
)

// maxNodeErrors bounds what is kept of a server's complaints.
const maxNodeErrors = 16 << 10

// NodeProgram is a server on Node that stands in for the other side in a test.
// Script is a module that prints a line beginning with READY when it answers
// and ends with its standard input; Lock is the package-lock.json that pins
// what it imports.
type NodeProgram struct {
	Name   string
	Script []byte
	Lock   []byte
	Env    []string
}

// StartNode runs a program until the test ends and returns what stood behind
// READY. The packages of each lock file in the repository are installed by
// ./test.sh; without them the test fails and says so.
func StartNode(tb testing.TB, program NodeProgram) string {
	tb.Helper()
	node, err := exec.LookPath("node")
	if err != nil {
		tb.Fatal("node is not on PATH: ./test.sh installs it or says how")
	}
	modules := NodeModules(tb, program.Lock)

	// Node looks for packages beside the script, so a folder of the test's own
	// holds the script and a link to the packages.
	dir := tb.TempDir()
	script := filepath.Join(dir, "server.mjs")
	if err := os.WriteFile(script, program.Script, 0o600); err != nil {
		tb.Fatalf("starting %s: %v", program.Name, err)
	}
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		tb.Fatalf("starting %s: %v", program.Name, err)
	}

	ctx, cancel := context.WithCancel(context.WithoutCancel(tb.Context()))
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Env = append(os.Environ(), program.Env...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = nodeStop
	complaints := &tail{}
	cmd.Stderr = complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		cancel()
		tb.Fatalf("starting %s: %v", program.Name, err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		cancel()
		tb.Fatalf("starting %s: %v", program.Name, err)
	}
	if err := cmd.Start(); err != nil {
		cancel()
		tb.Fatalf("starting %s: %v", program.Name, err)
	}
	ready := make(chan string, 1)
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		announce(stdout, ready)
	}()
	tb.Cleanup(func() {
		_ = stdin.Close()
		cancel()
		<-drained
		_ = cmd.Wait()
		if tb.Failed() {
			tb.Logf("%s said:\n%s", program.Name, complaints.String())
		}
	})
	timer := time.NewTimer(nodeStart)
	defer timer.Stop()
	select {
	case word, ok := <-ready:
		if !ok {
			tb.Fatalf("%s ended before it was ready", program.Name)
		}
		return word
	case <-timer.C:
		tb.Fatalf("%s was not ready within %v", program.Name, nodeStart)
	}
	return ""
}

// announce passes on what stands behind READY, once, and then reads on so
// that the program never waits for a reader. A program that ends first closes
// the channel.
func announce(out io.Reader, ready chan<- string) {
	defer close(ready)
	lines := bufio.NewScanner(out)
	told := false
	for lines.Scan() {
		word, found := strings.CutPrefix(lines.Text(), "READY")
		if found && !told {
			ready <- strings.TrimSpace(word)
			told = true
		}
	}
}

// NodeModules is the folder in which ./test.sh has installed what a lock file
// pins: one for each content of a lock file, below TOKEN_ENRICH_TOOLS or the
// user's cache. The test fails where it is missing.
func NodeModules(tb testing.TB, lock []byte) string {
	tb.Helper()
	sum := sha256.Sum256(lock)
	modules := filepath.Join(toolsFolder(), "npm-"+hex.EncodeToString(sum[:8]), "node_modules")
	if _, err := os.Stat(modules); err != nil {
		tb.Fatal("packages of a test server are missing: ./test.sh installs them")
	}
	return modules
}

// toolsFolder is where ./test.sh keeps what it installs.
func toolsFolder() string {
	if dir := os.Getenv("TOKEN_ENRICH_TOOLS"); dir != "" {
		return dir
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(cache, "token-enrich-tools")
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if over := t.buf.Len() - maxNodeErrors; over > 0 {
		t.buf.Next(over)
	}
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
