//go:build linux

package sql

import (
	"io"
	"math"
	"net"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

type harness struct{}

const groupsQuery = `select g.id, g.name from users u join members m on m.user_id = u.id join groups g on g.id = m.group_id
	where u.login = $1 order by m.position`

func config(dsn string) Config {
	return Config{
		Driver: "postgres", DSN: dsn,
		UserQuery:    `select * from users where login = $1`,
		GroupsQuery:  groupsQuery,
		AppQuery:     `select * from apps where id = $1 or client_id = $1`,
		AppUserQuery: `select a.user_name, a.profile from app_users a join users u on u.id = a.user_id where u.login = $1 and a.app_id = $2`,
		Match:        []string{"login"},
	}
}

func (h harness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	p := startPostgres(t)
	if f == directorytest.Ambiguous {
		w.Users = append(w.Users, w.Users[0])
	}
	name, dsn := p.database(t, strings.Split(schema, ";")...)
	p.fill(t, name, w)
	c := config(dsn)
	switch f {
	case directorytest.Slow:
		// The server's first process takes no more connections; those that
		// the system takes for it are never answered.
		cachetest.Halt(t, p.process)
	case directorytest.Down:
		c.DSN = p.at(dsn, cachetest.FreeAddr(t))
	case directorytest.Broken:
		c.DSN = p.at(dsn, directorytest.Listen(t, func(conn net.Conn) { _, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n<html>") }))
	case directorytest.Refusing:
		c.DSN = strings.Replace(dsn, password, password+"x", 1)
	case directorytest.Cut:
		whole := make(chan int64, 1)
		c.DSN = p.at(dsn, directorytest.TruncatingProxy(t, p.address, math.MaxInt64, whole))
		d, err := New(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Person(t.Context(), h.Query(w.Users[0].User)); err != nil {
			t.Fatal(err)
		}
		_ = d.Close()
		c.DSN = p.at(dsn, directorytest.TruncatingProxy(t, p.address, <-whole-150, make(chan int64, 1)))
	case directorytest.Huge:
		if _, err := p.admin(t, name).ExecContext(t.Context(), `update users set department = repeat('x', 9000000)`); err != nil {
			t.Fatal(err)
		}
	case directorytest.Foreign:
		c.UserQuery = `select * from users where $1::text is not null order by id desc limit 1`
	default: // the data is as it should be, or holds the twin
	}
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

func (harness) Query(u identity.User) directory.Query { return directorytest.Query(u.Login) }

func (harness) Lacks() map[directorytest.Capability]string { return nil }

func (harness) Secret() string { return password }

func TestConformance(t *testing.T) { directorytest.Run(t, harness{}) }
