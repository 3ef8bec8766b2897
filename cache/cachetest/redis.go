package cachetest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a real redis-server, a child of the test.
type Redis struct {
	// Addr is its host:port on loopback.
	Addr string

	t    testing.TB
	bin  string
	args []string
	dir  string
	cmd  *exec.Cmd
	done chan struct{}
}

// startTimeout is how long a server may take until it answers; it takes some
// tens of milliseconds on an idle machine.
const startTimeout = time.Minute

// StartRedis starts a server on a free loopback port, with further arguments
// for redis-server. It ends with the test.
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	return start(t, "redis-server", FreePort(t), append([]string{"--save", "", "--appendonly", "no"}, args...))
}

// StartTLSRedis starts a server that speaks TLS only and asks for a client
// certificate of the same authority.
func StartTLSRedis(t testing.TB, pki PKI, args ...string) *Redis {
	t.Helper()
	return start(t, "redis-server", FreePort(t), append([]string{
		"--save", "", "--appendonly", "no", "--tls-cert-file", pki.ServerCert, "--tls-key-file", pki.ServerKey,
		"--tls-ca-cert-file", pki.CA,
	}, args...))
}

// StartSentinel starts a Sentinel that watches the master under that name and
// needs no second one to agree.
func StartSentinel(t testing.TB, name string, master *Redis) *Redis {
	t.Helper()
	host, port, err := net.SplitHostPort(master.Addr)
	if err != nil {
		t.Fatal(err)
	}
	conf := filepath.Join(t.TempDir(), "sentinel.conf")
	text := fmt.Sprintf("sentinel monitor %s %s %s 1\nsentinel down-after-milliseconds %s 800\nsentinel failover-timeout %s 3000\n",
		name, host, port, name, name)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "redis-server", FreePort(t), []string{conf, "--sentinel"})
}

func start(t testing.TB, bin, port string, args []string) *Redis {
	t.Helper()
	path, err := exec.LookPath(bin)
	if err != nil {
		t.Fatalf("%s is needed for this test: install it (Debian: apt-get install redis-server)", bin)
	}
	// A configuration file comes first, options after it.
	base := []string{"--port", port, "--bind", "127.0.0.1"}
	if slices.Contains(args, "--tls-cert-file") {
		base = []string{"--port", "0", "--tls-port", port, "--bind", "127.0.0.1"}
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		base = append([]string{args[0]}, base...)
		args = args[1:]
	}
	r := &Redis{
		Addr: net.JoinHostPort("127.0.0.1", port), t: t, bin: path, dir: t.TempDir(),
		args: append(base, args...),
	}
	r.run()
	t.Cleanup(r.Kill)
	return r
}

func (r *Redis) run() {
	r.t.Helper()
	cmd := exec.CommandContext(context.Background(), r.bin, r.args...) // it ends by Kill
	cmd.Dir = r.dir
	out, err := os.OpenFile(filepath.Join(r.dir, "log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		r.t.Fatal(err)
	}
	defer out.Close()
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	r.cmd, r.done = cmd, done
	Eventually(r.t, startTimeout, "the server answers", func() bool {
		select {
		case <-done:
			text, _ := os.ReadFile(filepath.Join(r.dir, "log"))
			r.t.Fatalf("the server ended:\n%s", text)
		default:
		}
		return answers(r.Addr)
	})
}

// answers reports whether something that speaks Redis listens there, TLS or
// not: every server answers something, or closes what is not TLS.
func answers(addr string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	line, err := bufio.NewReader(conn).ReadString('\n')
	var timeout net.Error
	return strings.HasPrefix(line, "+") || strings.HasPrefix(line, "-NOAUTH") || strings.HasPrefix(line, "-NOPERM") ||
		err != nil && !(errors.As(err, &timeout) && timeout.Timeout())
}

// Pause stops the server without closing its connections: they are accepted
// and never answered.
func (r *Redis) Pause() {
	r.t.Helper()
	Halt(r.t, r.cmd.Process)
}

// Resume lets a paused server go on.
func (r *Redis) Resume() {
	r.t.Helper()
	if err := r.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		r.t.Fatal(err)
	}
}

// Kill ends the server at once; what it held is lost.
func (r *Redis) Kill() {
	_ = r.cmd.Process.Kill()
	<-r.done
}

// Restart starts a server that was killed, on the same port.
func (r *Redis) Restart() {
	r.t.Helper()
	r.run()
}

// URL is the server's redis:// URL.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Port is the server's port.
func (r *Redis) Port() string {
	_, port, _ := net.SplitHostPort(r.Addr)
	return port
}

// Eventually waits until what holds, for what goes on in another process. The
// deadline is generous and ends a broken test; it judges nothing.
func Eventually(t testing.TB, deadline time.Duration, what string, holds func() bool) {
	t.Helper()
	end := time.NewTimer(deadline)
	defer end.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-end.C:
			t.Fatalf("in %v it did not come about that %s", deadline, what)
		case <-tick.C:
		}
	}
}
