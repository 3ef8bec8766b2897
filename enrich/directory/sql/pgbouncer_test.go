//go:build linux

// A real PgBouncer before the tests' PostgreSQL, in session and transaction
// mode, for what has to hold behind a pooler.

package sql

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// startParameters are those that decide in a session whether a query may
// write, how long it runs and what values look like.
const startParameters = "default_transaction_read_only,statement_timeout,idle_in_transaction_session_timeout,IntervalStyle,bytea_output,extra_float_digits"

// startPgbouncer starts a pooler in a mode, with one connection for each
// database, and returns its address. Start-up parameters that are not ignored
// are refused.
func startPgbouncer(t testing.TB, p *postgres, mode, ignored string) string {
	t.Helper()
	const program = "/usr/sbin/pgbouncer"
	if _, err := os.Stat(program); err != nil {
		t.Fatal("PgBouncer is needed: apt-get install pgbouncer")
	}
	address := cachetest.FreeAddr(t)
	_, port, _ := net.SplitHostPort(address)
	_, behind, _ := net.SplitHostPort(p.address)
	folder, err := os.MkdirTemp("", "pgbouncer") // the account may not enter the test's own
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(folder) })
	settings, users := filepath.Join(folder, "pgbouncer.ini"), filepath.Join(folder, "users")
	for name, text := range map[string]string{
		users: fmt.Sprintf("\"reader\" \"%s\"\n\"postgres\" \"%s\"\n", password, superPassword),
		settings: fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
			"auth_type = scram-sha-256\nauth_file = %s\npool_mode = %s\ndefault_pool_size = 1\nignore_startup_parameters = %s\n", behind, port, users, mode, ignored),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{folder, settings, users} {
		if err := os.Chown(name, p.uid, -1); err != nil {
			t.Fatal(err)
		}
	}
	run := exec.CommandContext(context.Background(), program, settings)
	run.SysProcAttr, run.Dir = p.account, folder
	var log bytes.Buffer
	run.Stderr = &log
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = run.Process.Signal(syscall.SIGTERM)
		_ = run.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
		if err == nil {
			_ = conn.Close()
			return address
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			t.Fatalf("PgBouncer does not answer: %v\n%s", err, &log)
		}
	}
}

// way is how a look-up reaches the database.
type way struct{ name, mode, ignored string }

func ways() []way {
	return []way{
		{"directly", "", ""},
		{"through a pooler in session mode", "session", ""},
		{"through a pooler in transaction mode", "transaction", ""},
		{"through a pooler that ignores start-up parameters", "transaction", startParameters},
	}
}

// to returns a DSN that goes this way to the database of dsn.
func (w way) to(t testing.TB, p *postgres, database, dsn string) string {
	t.Helper()
	if w.mode == "" {
		return dsn
	}
	return fmt.Sprintf("postgres://reader:%s@%s/%s?sslmode=disable", password, startPgbouncer(t, p, w.mode, w.ignored), database)
}
