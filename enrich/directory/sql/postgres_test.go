//go:build linux

package sql

import (
	"bytes"
	"context"
	dbsql "database/sql"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

const (
	superPassword = "super-password"
	password      = "reader-password-51c8"
)

// postgres is a real PostgreSQL server of its own.
type postgres struct {
	address string
	ca      string
	process *os.Process
	account *syscall.SysProcAttr // with which the server runs; it refuses to be root
	uid     int
	count   int
}

// server is brought up by the first test that needs it and ends with the
// package's tests; each test has a database of its own in it.
var server struct {
	once    sync.Once
	stop    func()
	p       *postgres
	problem error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if server.stop != nil {
		server.stop()
	}
	os.Exit(code)
}

func startPostgres(t testing.TB) *postgres {
	t.Helper()
	server.once.Do(func() { server.p, server.stop, server.problem = launch(cachetest.FreePort(t)) })
	if server.problem != nil {
		t.Fatal(server.problem)
	}
	return server.p
}

func launch(port string) (*postgres, func(), error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if len(found) == 0 {
		return nil, nil, fmt.Errorf("PostgreSQL is needed: apt-get install postgresql")
	}
	programs := filepath.Dir(found[len(found)-1])
	folder, err := os.MkdirTemp("", "postgres")
	if err != nil {
		return nil, nil, err
	}
	clean := func() { _ = os.RemoveAll(folder) }
	// The server refuses to run as root.
	attributes := &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	uid, gid := os.Getuid(), os.Getgid()
	if uid == 0 {
		account, err := user.Lookup("postgres")
		if err != nil {
			return nil, clean, fmt.Errorf("the account postgres is needed: apt-get install postgresql")
		}
		uid, _ = strconv.Atoi(account.Uid)
		gid, _ = strconv.Atoi(account.Gid)
		attributes.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	}
	p := &postgres{ca: filepath.Join(folder, "cert.pem"), account: attributes, uid: uid}
	key := filepath.Join(folder, "key.pem")
	if err := directorytest.WriteCertificate(p.ca, key); err != nil {
		return nil, clean, err
	}
	secret := filepath.Join(folder, "password")
	if err := os.WriteFile(secret, []byte(superPassword), 0o600); err != nil {
		return nil, clean, err
	}
	for _, path := range []string{folder, key, secret} {
		if err := os.Chown(path, uid, gid); err != nil {
			return nil, clean, err
		}
	}
	if err := os.Chmod(folder, 0o755); err != nil {
		return nil, clean, err
	}
	initdb := exec.CommandContext(context.Background(), filepath.Join(programs, "initdb"), "-D", filepath.Join(folder, "data"), "-U", "postgres",
		"-A", "scram-sha-256", "--pwfile="+secret, "--no-sync", "-E", "UTF8", "--locale=C")
	initdb.SysProcAttr, initdb.Dir = attributes, folder
	if out, err := initdb.CombinedOutput(); err != nil {
		return nil, clean, fmt.Errorf("initdb: %w\n%s", err, out)
	}
	p.address = net.JoinHostPort("127.0.0.1", port)
	run := exec.CommandContext(context.Background(), found[len(found)-1], "-D", filepath.Join(folder, "data"), "-p", port,
		"-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=100",
		"-c", "ssl=on", "-c", "ssl_cert_file="+p.ca, "-c", "ssl_key_file="+key)
	run.SysProcAttr, run.Dir = attributes, folder
	var log bytes.Buffer
	run.Stderr = &log
	if err := run.Start(); err != nil {
		return nil, clean, err
	}
	p.process = run.Process
	stop := func() {
		_ = p.process.Signal(syscall.SIGCONT)
		_ = p.process.Signal(syscall.SIGQUIT)
		_ = run.Wait()
		clean()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	db, err := dbsql.Open("pgx", p.dsn("postgres", "postgres", superPassword))
	if err != nil {
		return nil, stop, err
	}
	defer db.Close()
	for {
		if err = db.PingContext(ctx); err == nil {
			break
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return nil, stop, fmt.Errorf("PostgreSQL does not answer: %w\n%s", err, &log)
		}
	}
	_, err = db.ExecContext(ctx, `create role reader login password '`+password+`'`)
	return p, stop, err
}

func (p *postgres) dsn(database, name, secret string) string {
	return fmt.Sprintf("postgres://%s:%s@%s/%s?sslmode=verify-full&sslrootcert=%s", name, secret, p.address, database, p.ca)
}

// database makes a database, runs statements in it as its owner, and gives the
// reader's way to it.
func (p *postgres) database(t testing.TB, statements ...string) (name, dsn string) {
	t.Helper()
	p.count++
	name = fmt.Sprintf("test%d", p.count)
	admin := p.admin(t, "postgres")
	if _, err := admin.ExecContext(t.Context(), "create database "+name); err != nil {
		t.Fatal(err)
	}
	owner := p.admin(t, name)
	for _, s := range append(statements, "grant select on all tables in schema public to reader") {
		if _, err := owner.ExecContext(t.Context(), s); err != nil {
			t.Fatalf("%.60s: %v", s, err)
		}
	}
	return name, p.dsn(name, "reader", password)
}

func (p *postgres) admin(t testing.TB, database string) *dbsql.DB {
	t.Helper()
	db, err := dbsql.Open("pgx", p.dsn(database, "postgres", superPassword))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// run runs a statement as the database's owner.
func (p *postgres) run(t testing.TB, database, statement string) {
	t.Helper()
	if _, err := p.admin(t, database).ExecContext(t.Context(), statement); err != nil {
		t.Fatalf("%.60s: %v", statement, err)
	}
}

const schema = `
create table users(id text, login text, status text, "firstName" text, "lastName" text, email text, department text);
create table groups(id text primary key, name text);
create table members(user_id text, group_id text references groups, position int);
create table apps(id text primary key, client_id text, profile jsonb);
create table app_users(user_id text, app_id text references apps, user_name text, profile jsonb)`

// fill puts a world into the tables.
func (p *postgres) fill(t testing.TB, database string, w directorytest.World) {
	t.Helper()
	db := p.admin(t, database)
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback() }()
	do := func(query string, args ...any) {
		t.Helper()
		if _, err := tx.ExecContext(t.Context(), query, args...); err != nil {
			t.Fatal(err)
		}
	}
	asJSON := func(v any) string {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	for _, g := range w.Groups {
		do("insert into groups values ($1, $2)", g.ID, g.Name)
	}
	for _, u := range w.Users {
		f := u.Profile
		do("insert into users values ($1, $2, $3, $4, $5, $6, $7)", u.ID, u.Login, u.Status, f["firstName"], f["lastName"], f["email"], f["department"])
		for i, g := range u.Groups {
			do("insert into members values ($1, $2, $3)", u.ID, g, i)
		}
	}
	for _, a := range w.Apps {
		do("insert into apps values ($1, $2, $3)", a.ID, a.ClientID, asJSON(a.Profile))
		for _, u := range a.Users {
			do("insert into app_users values ($1, $2, $3, $4)", u.ID, a.ID, u.UserName, asJSON(u.Profile))
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}

// at gives a DSN with another address in it.
func (p *postgres) at(dsn, address string) string { return strings.Replace(dsn, p.address, address, 1) }
