//go:build linux

// What a query may not do (C34, D66), directly and behind a pooler.

package sql

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
)

// temptations are what a database offers to queries that would write.
func temptations() []string {
	return []string{
		"create table people(id text, login text)", "insert into people values ('ada', 'ada')", "grant all on people to reader",
		"create sequence numbers", "grant all on numbers to reader", "create schema elsewhere", "grant usage on schema elsewhere to reader",
		`create function write_person(who text) returns text language sql as $$ insert into people values (who, who) returning id $$`,
		`create function write_after_all(who text) returns text language plpgsql as $$ begin
			set transaction read write; insert into people values (who, who); return who; end $$`,
		`create procedure commit_and_write(who text) language plpgsql as $$ begin
			commit; set transaction read write; insert into people values (who, who); commit; end $$`,
		`create function complain(who text) returns text language plpgsql as $$ begin
			raise exception using errcode = '42501', message = 'not for ' || who, detail = 'told by ' || who; end $$`,
	}
}

// TestAQueryCannotWriteC34: whatever the text of a query is, and whichever way
// it goes, the database refuses what writes, in its own words.
func TestAQueryCannotWriteC34(t *testing.T) {
	p := startPostgres(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			name, dsn := p.database(t, temptations()...)
			dsn = w.to(t, p, name, dsn)
			for _, c := range []struct{ name, query, want string }{
				{"insert", "insert into people values ($1, $1) returning id", "cannot execute INSERT in a read-only transaction (SQLSTATE 25006)"},
				{"insert without returning", "insert into people values ($1, $1)", "SQLSTATE 25006"},
				{"insert in a part", "with w as (insert into people values ($1, $1) returning id) select id from w", "SQLSTATE 25006"},
				{"a function that writes", "select write_person($1) as id", "cannot execute INSERT in a read-only transaction (SQLSTATE 25006)"},
				{"explain analyze", "explain analyze insert into people values ($1, $1)", "SQLSTATE 25006"},
				{"a lock of a row", "select id from people where id = $1 for update", "SQLSTATE 25006"},
				{"a sequence", "select nextval('numbers')::text as login, $1 as id", "SQLSTATE 25006"},
				{"a table", "create table mine as select $1::text as id", "SQLSTATE 25006"},
				{"a temporary table", "create temporary table mine as select $1::text as id", "SQLSTATE 25006"},
				{"a cursor", "declare mine cursor for select id from people where id = $1", "returns no columns"},
				{"two statements", "select $1 as id; insert into people values ('x', 'x')", "cannot insert multiple commands into a prepared statement (SQLSTATE 42601)"},
				{"the transaction's end, then a write", "select $1 as id; commit; insert into people values ('x', 'x')", "SQLSTATE 42601"},
				{"the transaction's end", "commit -- $1", "bind message supplies 1 parameters"},
				{"the transaction's end and a new one", "commit and chain -- $1", "bind message supplies 1 parameters"},
				{"read write", "set transaction read write -- $1", "bind message supplies 1 parameters"},
				{"read write for the session", "set session characteristics as transaction read write -- $1", "bind message supplies 1 parameters"},
				{"read write by a function", "select set_config('transaction_read_only', 'off', true) as login, $1 as id", "must be set before any query (SQLSTATE 25001)"},
				{"a function that first sets read write", "select write_after_all($1) as id", "SQLSTATE 25001"},
				{"a procedure that commits", "call commit_and_write($1)", "invalid transaction termination (SQLSTATE 2D000)"},
				{"a block", "do 'begin commit; end' -- $1", "bind message supplies 1 parameters"},
				{"a prepared statement", "prepare write as insert into people values ('x', 'x') -- $1", "bind message supplies 1 parameters"},
				{"a listener", "listen news -- $1", "bind message supplies 1 parameters"},
				{"a parameter that is text", "select id from people where id = '$1'", "bind message supplies 1 parameters"},
				{"nothing", "-- $1", "bind message supplies 1 parameters"},
			} {
				t.Run(c.name, func(t *testing.T) {
					d, err := New(Config{Driver: "postgres", DSN: dsn, UserQuery: c.query, GroupsQuery: "select id from people where id = $1", Connections: 1})
					if err != nil {
						t.Fatal(err)
					}
					defer d.Close()
					for range 2 { // the connection is of use after a refusal
						_, err = look(t, d, "grace")
						if !errors.Is(err, directory.ErrRejected) || !strings.Contains(err.Error(), c.want) {
							t.Errorf("error %v, want %q", err, c.want)
						}
					}
					rejects(t, p, name)
				})
			}
		})
	}
}

// rejects checks that nobody was written.
func rejects(t *testing.T, p *postgres, database string) {
	t.Helper()
	var people, used int
	err := p.admin(t, database).QueryRowContext(t.Context(), `select (select count(*) from people), (select count(*) from numbers where is_called)`).Scan(&people, &used)
	if err != nil || people != 1 || used != 0 {
		t.Errorf("%d people, %d numbers drawn, %v; want one, as before", people, used, err)
	}
}

// TestADSNCannotChangeHowQueriesAreSentC34: the simple protocol would take
// several statements in one text, and put parameters into the text.
func TestADSNCannotChangeHowQueriesAreSentC34(t *testing.T) {
	p := startPostgres(t)
	name, dsn := p.database(t, temptations()...)
	for _, parameter := range []string{
		"default_query_exec_mode=simple_protocol", "default_query_exec_mode=exec", "default_query_exec_mode=cache_describe",
		"default_transaction_read_only=off", "statement_cache_capacity=0", "options=-c%20default_transaction_read_only%3Doff",
	} {
		d, err := New(Config{Driver: "postgres", DSN: dsn + "&" + parameter, UserQuery: "select $1 as id; commit; insert into people values ('x', 'x')"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := look(t, d, "grace"); !errors.Is(err, directory.ErrRejected) {
			t.Errorf("%s: %v", parameter, err)
		}
		_ = d.Close()
		rejects(t, p, name)
	}
}

// TestALookUpIsOneReadOnlyTransactionC34: all its queries see one snapshot,
// with the settings that shape values, whichever way it goes, and
// many at once through few connections.
func TestALookUpIsOneReadOnlyTransactionC34(t *testing.T) {
	const state = `now()::text || ' ' || current_setting('transaction_read_only') || ' ' || current_setting('transaction_isolation')
		|| ' ' || current_setting('statement_timeout') || ' ' || current_setting('IntervalStyle') || ' ' || current_setting('DateStyle') || ' ' || current_setting('TimeZone')`
	p := startPostgres(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			name, dsn := p.database(t, "create type mood as enum ('good')")
			connections := 4
			if w.mode == "session" {
				connections = 1 // the pooler has one, and lends it for as long as a client stays
			}
			d, err := New(Config{
				Driver: "postgres", DSN: w.to(t, p, name, dsn), StatementTimeout: 2500 * time.Millisecond, Connections: connections,
				UserQuery: "select $1 as id, " + state + " as state, array['good']::mood[] as moods", GroupsQuery: "select " + state + " as name where $1 = 'ada'",
			})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			var wg sync.WaitGroup
			for range 8 {
				wg.Go(func() {
					person, err := look(t, d, "ada")
					if err != nil {
						t.Errorf("look-up: %v", err)
						return
					}
					of := person.User.Profile["state"].(string)
					if !strings.HasSuffix(of, " on repeatable read 2500ms postgres ISO, MDY UTC") {
						t.Errorf("the transaction is %q", of)
					}
					if moods, _ := person.User.Profile["moods"].([]any); len(moods) != 1 || moods[0] != "good" {
						t.Errorf("moods %v", person.User.Profile["moods"])
					}
					if len(person.Groups) != 1 || person.Groups[0].Name != of {
						t.Errorf("groups %v were read in another transaction than %q", person.Groups, of)
					}
				})
			}
			wg.Wait()
		})
	}
}

// TestALookUpLeavesNothingInTheSessionC34: a pooler hands the session to
// others, so that what a query set or locked must be gone, also after a failure.
func TestALookUpLeavesNothingInTheSessionC34(t *testing.T) {
	const reaches = `select set_config('search_path', 'elsewhere', false) as path, set_config('statement_timeout', '1', false) as timeout,
		set_config('transaction_isolation', current_setting('transaction_isolation'), false) as isolation, pg_advisory_lock(7)::text as lock, $1 as id`
	p := startPostgres(t)
	for _, w := range ways()[1:] {
		for _, c := range []struct{ name, query string }{
			{"a query that sets and locks", reaches},
			{"and fails", reaches + `, 1/(random()*0)::int as nothing`},
			{"and gives too many rows", reaches + ` from generate_series(1, 3)`},
		} {
			t.Run(w.name+", "+c.name, func(t *testing.T) {
				name, dsn := p.database(t, temptations()...)
				dsn = w.to(t, p, name, dsn)
				d, err := New(Config{Driver: "postgres", DSN: dsn, UserQuery: c.query, Connections: 1})
				if err != nil {
					t.Fatal(err)
				}
				_, _ = look(t, d, "ada") // whatever comes of it
				if w.mode == "session" {
					// The session is the gateway's own until it leaves.
					if _, err := look(t, d, "ada"); err != nil && strings.Contains(err.Error(), "57014") {
						t.Errorf("the next look-up has another's time-out: %v", err)
					}
				}
				if n := locks(t, p, name); n != 0 {
					t.Errorf("%d advisory locks are held after a look-up", n)
				}
				_ = d.Close()

				settings, err := pgx.ParseConfig(dsn)
				if err != nil {
					t.Fatal(err)
				}
				settings.DefaultQueryExecMode = pgx.QueryExecModeExec
				conn, err := pgx.ConnectConfig(t.Context(), settings)
				if err != nil {
					t.Fatal(err)
				}
				defer conn.Close(t.Context())
				var path, timeout, readOnly string
				row := conn.QueryRow(t.Context(), `select current_setting('search_path'), current_setting('statement_timeout'), current_setting('transaction_read_only')`)
				if err := row.Scan(&path, &timeout, &readOnly); err != nil || path != `"$user", public` || timeout != "0" || readOnly != "off" {
					t.Errorf("another client finds search_path %s, statement_timeout %s, read only %s, %v", path, timeout, readOnly, err)
				}
			})
		}
	}
}

// TestAnAnswerOverTheBoundIsNotReadToItsEnd: it costs its connection, and the
// next look-up has another.
func TestAnAnswerOverTheBoundIsNotReadToItsEnd(t *testing.T) {
	p := startPostgres(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			name, dsn := p.database(t)
			d, err := New(Config{
				Driver: "postgres", DSN: w.to(t, p, name, dsn), Connections: 1,
				UserQuery: `select $1 as id, repeat('x', 1000) as filler from generate_series(1, case $1 when 'ada' then 20000 else 1 end)`,
			})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if _, err := look(t, d, "ada"); !errors.Is(err, directory.ErrTooLarge) {
				t.Errorf("error %v", err)
			}
			if _, err := look(t, d, "grace"); err != nil {
				t.Errorf("the next look-up: %v", err)
			}
		})
	}
}

// locks counts the advisory locks in a database.
func locks(t *testing.T, p *postgres, database string) (n int) {
	t.Helper()
	err := p.admin(t, database).QueryRowContext(t.Context(),
		`select count(*) from pg_locks where locktype = 'advisory' and database = (select oid from pg_database where datname = current_database())`).Scan(&n)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestTheStatementTimeoutHoldsBehindAPoolerC34(t *testing.T) {
	p := startPostgres(t)
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			name, dsn := p.database(t)
			d, err := New(Config{
				Driver: "postgres", DSN: w.to(t, p, name, dsn), StatementTimeout: 100 * time.Millisecond,
				UserQuery: "select $1 as id", GroupsQuery: "select pg_sleep(60)::text as name, $1 as id",
			})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			if _, err := look(t, d, "ada"); !errors.Is(err, directory.ErrTimeout) || !strings.Contains(err.Error(), "canceling statement due to statement timeout (SQLSTATE 57014)") {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestTheDatabasesOwnWordsNameNobody: message and SQLSTATE are told, unless
// they may hold a value.
func TestTheDatabasesOwnWordsNameNobody(t *testing.T) {
	p := startPostgres(t)
	_, dsn := p.database(t, append(temptations(), "revoke all on people from reader", "insert into people values ('gräfin-lovelace', '1')")...)
	for _, c := range []struct{ name, query, want string }{
		{"a missing table", "select * from nobody where id = $1", `relation "nobody" does not exist (SQLSTATE 42P01)`},
		{"a wrong word", "selekt $1", `syntax error at or near "selekt" (SQLSTATE 42601)`},
		{"types that do not go together", "select id from people where length(id) = $1::text", "operator does not exist: integer = text (SQLSTATE 42883)"},
		{"a table that may not be read", "select * from elsewhere.people where id = $1", "SQLSTATE 42P01"},
		{"a value of the database", "select ('x' || login)::int from people where $1::text is not null", "SQLSTATE 22P02"},
		{"a division", "select 1/(length($1::text)-15)", "SQLSTATE 22012"},
		{"a complaint about the subject", "select complain($1) as id", "SQLSTATE 42501"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d, err := New(Config{Driver: "postgres", DSN: dsn, UserQuery: c.query})
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			_, err = look(t, d, "ada@example.com")
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			for _, word := range []string{"ada", "lovelace", "x1", "told by", "not for"} {
				if err != nil && strings.Contains(err.Error(), word) {
					t.Errorf("%v holds %q", err, word)
				}
			}
		})
	}
}

// TestAPoolersOwnWordsAreTold: a start-up parameter of the DSN's own is
// between the operator and the pooler.
func TestAPoolersOwnWordsAreTold(t *testing.T) {
	p := startPostgres(t)
	name, dsn := p.database(t)
	dsn = way{mode: "transaction"}.to(t, p, name, dsn) + "&search_path=elsewhere"
	d, err := New(Config{Driver: "postgres", DSN: dsn, UserQuery: "select $1 as id"})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if _, err = look(t, d, "ada"); !errors.Is(err, directory.ErrUnavailable) || !strings.Contains(err.Error(), "unsupported startup parameter: search_path (SQLSTATE 08P01)") {
		t.Errorf("error %v", err)
	}
}
