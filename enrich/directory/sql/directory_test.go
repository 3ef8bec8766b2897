//go:build linux

package sql

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func TestSettingsThatAreWrongInThemselvesAreRefused(t *testing.T) {
	valid := Config{Driver: "postgres", DSN: "postgres://me:secret@127.0.0.1/x", UserQuery: "select $1"}
	for _, c := range []struct {
		name string
		set  func(*Config)
		want string // empty: accepted
	}{
		{"as they should be", func(*Config) {}, ""},
		{"another driver", func(c *Config) { c.Driver = "mysql" }, "must be postgres"},
		{"no DSN", func(c *Config) { c.DSN = "" }, "not a PostgreSQL connection string"},
		{"a DSN that is none", func(c *Config) { c.DSN = "postgres://me:secret@127.0.0.1:x/y" }, "not a PostgreSQL connection string"},
		{"no query", func(c *Config) { c.UserQuery = "" }, "user_query is required"},
		{"a query for everybody", func(c *Config) { c.UserQuery = "select 1" }, "user_query does not use $1"},
		{"groups for everybody", func(c *Config) { c.GroupsQuery = "select 1" }, "groups_query does not use $1"},
		{"an assignment to any app", func(c *Config) { c.AppUserQuery = "select $1" }, "app_user_query does not use $2"},
		{"a long query", func(c *Config) { c.UserQuery = "select $1 " + strings.Repeat(" ", maxQuery) }, "user_query is over"},
		{"a negative time-out", func(c *Config) { c.StatementTimeout = -1 }, "statement_timeout is negative"},
		{"too many connections", func(c *Config) { c.Connections = maxConnections + 1 }, "connections must be"},
		{"no TLS", func(c *Config) { c.DSN = "postgres://me:secret@db.example/x?sslmode=disable" }, "sslmode=verify-full"},
		{"TLS perhaps", func(c *Config) { c.DSN = "postgres://me:secret@db.example/x" }, "sslmode=verify-full"},
		{"TLS unverified", func(c *Config) { c.DSN = "postgres://me:secret@db.example/x?sslmode=require" }, "sslmode=verify-full"},
		{"one of two hosts unverified", func(c *Config) { c.DSN = "postgres://me:secret@127.0.0.1,db.example/x?sslmode=prefer" }, "sslmode=verify-full"},
		{"TLS verified", func(c *Config) { c.DSN = "postgres://me:secret@db.example/x?sslmode=verify-full" }, ""},
		{"TLS unverified on purpose", func(c *Config) { c.DSN, c.Plaintext = "postgres://me:secret@db.example/x", true }, ""},
		{"a socket", func(c *Config) { c.DSN = "host=/run/postgresql user=me" }, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := valid
			c.set(&config)
			d, err := New(config)
			if (c.want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Error("the error holds the password")
			}
			if d != nil {
				if strings.Contains(fmt.Sprintf("%+v", d.config), "secret") {
					t.Error("the directory keeps the password where it can be printed")
				}
				_ = d.Close()
			}
		})
	}
}

// open gives a directory over a database of its own.
func open(t testing.TB, c Config, statements ...string) *Directory {
	t.Helper()
	_, dsn := startPostgres(t).database(t, statements...)
	c.Driver, c.DSN = "postgres", dsn
	d, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// look asks for a subject within the patience of a test.
func look(t testing.TB, d *Directory, subject string) (*identity.Person, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return d.Person(ctx, directorytest.Query(subject))
}

func TestColumnsBecomeAttributes(t *testing.T) {
	d := open(t, Config{
		UserQuery: `select $1 as id, 'ADA' as login, 'suspended' as status,
		'2026-03-01 12:00:00+01'::timestamptz as created, '2026-03-02'::date as last_login,
		7::int2 as small, 9007199254740993 as big, 12345678901234567890::numeric as huge, 1.50::numeric as price,
		1.5::float8 as real, 'NaN'::float8 as nan, 'infinity'::numeric as endless, true as truth, false as lie, null::text as nothing, ''::text as empty,
		'2026-03-01 12:00:00.5+00'::timestamptz as at, '2026-03-01 12:00:00'::timestamp as local, 'infinity'::timestamptz as never,
		'2026-03-01'::date as day, '1 day 02:00:00'::interval as span, '10.0.0.1'::inet as address,
		'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid as uuid, '\x00ff'::bytea as raw, 'one'::mood as mood, '[1,5)'::int4range as range,
		array['a','b c','d"e\f,{}',null,'NULL',''] as texts, array[[1,2],[3,4]] as matrix, '[5:6]={1,2}'::int[] as moved, '{}'::int[] as none,
		array[true,false] as truths, array[1.5,2]::numeric[] as numbers, array['{"a":1}'::jsonb] as objects,
		array['2026-03-01 12:00:00+00'::timestamptz] as times, '{(1,1),(0,0);(3,3),(2,2)}'::box[] as boxes, '1 2'::int2vector as vector,
		array['one','two, too',null]::mood[] as moods, array[7,8]::floor[] as floors, '{}'::mood[] as no_moods, 'Ada'::nickname as nickname,
		'{"a":[1,{"b":12345678901234567890}],"c":1.5}'::jsonb as object, '[1,"x"]'::json as list, '"text"'::jsonb as word,
		'{"floor":3,"small":9}'::jsonb as profile`,
	}, `create type mood as enum ('one', 'two, too')`, `create domain floor as int`, `create domain nickname as text`)
	p, err := look(t, d, "ada")
	if err != nil {
		t.Fatal(err)
	}
	if u := p.User; u.ID != "ada" || u.Login != "ADA" || u.Status != identity.StatusSuspended || !u.Disabled() ||
		u.Created.Format(time.RFC3339) != "2026-03-01T11:00:00Z" || u.LastLogin.Format(time.DateOnly) != "2026-03-02" || p.GroupsKnown {
		t.Errorf("user %+v, groups known %v", u, p.GroupsKnown)
	}
	// C35: what the row has no column for, the directory does not say.
	if p.Unavailable != identity.FactLastUpdated|identity.FactPasswordChanged {
		t.Errorf("unavailable %v", p.Unavailable.Names())
	}
	want := map[string]any{
		"small": int64(7), "big": int64(9007199254740993), "huge": json.Number("12345678901234567890"), "price": 1.5, "real": 1.5,
		"nan": "NaN", "endless": "Infinity", "truth": true, "lie": false, "nothing": nil, "empty": "",
		"at": "2026-03-01T12:00:00.5Z", "local": "2026-03-01T12:00:00", "never": "infinity", "day": "2026-03-01",
		"span": "1 day 02:00:00", "address": "10.0.0.1", "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "raw": "AP8=", "mood": "one", "range": "[1,5)",
		"boxes": []any{"(1,1),(0,0)", "(3,3),(2,2)"}, "vector": "1 2",
		"texts": []any{"a", "b c", `d"e\f,{}`, nil, "NULL", ""}, "matrix": []any{[]any{int64(1), int64(2)}, []any{int64(3), int64(4)}},
		"moved": []any{int64(1), int64(2)}, "none": []any{}, "truths": []any{true, false}, "numbers": []any{1.5, int64(2)},
		"objects": []any{map[string]any{"a": int64(1)}}, "times": []any{"2026-03-01T12:00:00Z"},
		"moods": []any{"one", "two, too", nil}, "floors": []any{int64(7), int64(8)}, "no_moods": []any{}, "nickname": "Ada",
		"object": map[string]any{"a": []any{int64(1), map[string]any{"b": json.Number("12345678901234567890")}}, "c": 1.5},
		"list":   []any{int64(1), "x"}, "word": "text", "floor": int64(3),
	}
	for name, w := range want {
		if got, has := p.User.Profile[name]; !has || !reflect.DeepEqual(got, w) {
			t.Errorf("%s = %#v, want %#v", name, got, w)
		}
	}
	for name := range p.User.Profile {
		if _, has := want[name]; !has {
			t.Errorf("an attribute %s that nobody asked for", name)
		}
	}
}

func TestGroupsInTheirForms(t *testing.T) {
	for _, c := range []struct {
		name, user, groups string
		want               []identity.Group
		known              bool
		err                error
	}{
		{"none asked", "select $1 as id", "", nil, false, nil},
		{"an array", "select $1 as id, array['a','b'] as groups", "", []identity.Group{{ID: "a", Name: "a"}, {ID: "b", Name: "b"}}, true, nil},
		{"an empty array", "select $1 as id, '{}'::text[] as groups", "", []identity.Group{}, true, nil},
		{
			"an array of an enum", "select $1 as id, array['staff','it']::team[] as groups", "",
			[]identity.Group{{ID: "staff", Name: "staff"}, {ID: "it", Name: "it"}},
			true, nil,
		},
		{"a null array is not known", "select $1 as id, null::text[] as groups", "", nil, false, nil},
		{
			"objects", `select $1 as id, '[{"id":1,"name":"A","type":"OKTA_GROUP","x":2}]'::jsonb as groups`, "",
			[]identity.Group{{ID: "1", Name: "A", Type: "OKTA_GROUP", Profile: map[string]any{"x": int64(2)}}},
			true, nil,
		},
		{"a text for a list", "select $1 as id, 'a,b' as groups", "", nil, false, directory.ErrMalformed},
		{"numbers", "select $1 as id, array[1,2] as groups", "", []identity.Group{{ID: "1", Name: "1"}, {ID: "2", Name: "2"}}, true, nil},
		{"numbers in JSON", "select $1 as id, '[9007199254740993]'::jsonb as groups", "", []identity.Group{{ID: "9007199254740993", Name: "9007199254740993"}}, true, nil},
		{"half a number for a group", "select $1 as id, array[1.5] as groups", "", nil, false, directory.ErrMalformed},
		{"rows of one column", "select $1 as id", "select 'g' || length($1::text) as member", []identity.Group{{ID: "g3", Name: "g3"}}, true, nil},
		{
			"rows", "select $1 as id", `select 7 as id, 'Seven' as name, $1::text as owner, '{"description":"d"}'::json as profile`,
			[]identity.Group{{ID: "7", Name: "Seven", Profile: map[string]any{"owner": "ada", "description": "d"}}},
			true, nil,
		},
		{"no rows", "select $1 as id", "select 1 as id where $1::text is null", []identity.Group{}, true, nil},
		{"a row without id", "select $1 as id", "select null::text as id, $1::text as name", nil, false, directory.ErrMalformed},
		{"a subject that groups cannot take", "select $1::text as id", "select id from generate_series(1,2) id where id = $1", nil, false, directory.ErrRejected},
		{"too many", "select $1 as id", "select id from generate_series(1,10001) id where $1::text is not null", nil, false, directory.ErrTooLarge},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := look(t, open(t, Config{UserQuery: c.user, GroupsQuery: c.groups}, "create type team as enum ('staff', 'it')"), "ada")
			if !errors.Is(err, c.err) || (c.err == nil) != (err == nil) {
				t.Fatalf("error %v, want %v", err, c.err)
			}
			if c.err != nil {
				return
			}
			same := len(p.Groups) == len(c.want) && p.GroupsKnown == c.known
			for i := range c.want {
				same = same && p.Groups[i].ID == c.want[i].ID && p.Groups[i].Name == c.want[i].Name && p.Groups[i].Type == c.want[i].Type
				for name, v := range c.want[i].Profile {
					same = same && reflect.DeepEqual(p.Groups[i].Profile[name], v)
				}
			}
			if !same {
				t.Errorf("groups %+v known %v, want %+v known %v", p.Groups, p.GroupsKnown, c.want, c.known)
			}
		})
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for _, c := range []struct {
		name, user string
		want       error
		timeout    time.Duration // default where zero
	}{
		{"a status that is misspelt", "select $1 as id, 'SUSPENED' as status", directory.ErrMalformed, 0},
		{"a status that is no word", "select $1 as id, false as status", directory.ErrMalformed, 0},
		{"a status that is a list", "select $1 as id, array['SUSPENDED'] as status", directory.ErrMalformed, 0},
		{"a profile that is no object", "select $1 as id, '[1]'::jsonb as profile", directory.ErrMalformed, 0},
		{"two columns of one name", "select $1 as id, 1 as x, 2 as x", directory.ErrRejected, 0},
		{"a query that is none", "selekt $1", directory.ErrRejected, 0},
		{"a table that is missing", "select * from nobody where id = $1", directory.ErrRejected, 0},
		{"a table that may not be read", "select * from other.hidden where id = $1", directory.ErrRefused, 0},
		{"a query that writes", "insert into open values ($1) returning id", directory.ErrRejected, 0},
		{"two statements", "select $1; drop table open", directory.ErrRejected, 0},
		{"a query that takes long", "select $1 as id, pg_sleep(60)", directory.ErrTimeout, 100 * time.Millisecond},
		{"a subject that is no number", "select id from numbers where id = $1", directory.ErrNotFound, 0},
		{"a bad value in the database", "select id::int from open where $1::text is not null", directory.ErrRejected, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, Config{UserQuery: c.user, StatementTimeout: c.timeout},
				"create table open(id text)", "insert into open values ('x')", "grant all on open to reader", "create table numbers(id int)",
				"create schema other", "create table other.hidden(id text)", "grant usage on schema other to reader")
			_, err := look(t, d, "ada@example.com")
			if !errors.Is(err, c.want) || strings.Contains(err.Error(), "ada") {
				t.Errorf("error %v, want %v", err, c.want)
			}
			if errors.Is(err, directory.ErrNotFound) != errors.Is(c.want, directory.ErrNotFound) {
				t.Errorf("%v makes a user unknown", err)
			}
		})
	}
}

func TestSubjectsAreReadAsTheColumnsType(t *testing.T) {
	for column, subject := range map[string]string{"int": "42", "uuid": "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "varchar(40)": "42", "bigint": "42", "name": "42"} {
		d := open(t, Config{UserQuery: "select id from people where id = $1"},
			"create table people(id "+column+")", "insert into people values ('"+subject+"')")
		if p, err := look(t, d, subject); err != nil || p.User.ID != subject {
			t.Errorf("%s: %+v, %v", column, p, err)
		}
		if _, err := look(t, d, "' or 1=1 --"); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: %v", column, err)
		}
	}
}

func TestAnAppThatIsAnotherIsForeign(t *testing.T) {
	d := open(t, Config{UserQuery: "select $1 as id", AppQuery: "select 'one' as id, 'client' as client_id, array['g'] as allow where $1::text is not null"})
	for id, want := range map[string]error{"one": nil, "client": nil, "two": directory.ErrForeign} {
		a, err := d.App(t.Context(), id)
		if !errors.Is(err, want) || (want == nil && (a == nil || a.ID != "one" || !reflect.DeepEqual(a.Profile, map[string]any{"allow": []any{"g"}}))) {
			t.Errorf("%s: %+v, %v", id, a, err)
		}
	}
}

// TestARolesOwnSettingsDoNotChangeWhatAValueReads: those that shape the text
// form of values are the connection's.
func TestARolesOwnSettingsDoNotChangeWhatAValueReads(t *testing.T) {
	p := startPostgres(t)
	name, dsn := p.database(t)
	for _, setting := range []string{
		"bytea_output = 'escape'", "extra_float_digits = -10", "IntervalStyle = 'iso_8601'", "DateStyle = 'German'", "TimeZone = 'Asia/Tokyo'",
	} {
		p.run(t, name, `alter database "`+name+`" set `+setting)
	}
	d, err := New(Config{Driver: "postgres", DSN: dsn, UserQuery: `select $1 as id, convert_to('deadbeef', 'UTF8') as raw, 0.1234567::float8 as real,
		'1 day'::interval as span, '2026-03-01 12:00:00+00'::timestamptz as at`})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	got, err := look(t, d, "ada")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"raw": "ZGVhZGJlZWY=", "real": 0.1234567, "span": "1 day", "at": "2026-03-01T12:00:00Z"}
	if !reflect.DeepEqual(got.User.Profile, want) {
		t.Errorf("profile %v, want %v", got.User.Profile, want)
	}
}

// TestAChangedTableFailsNobody: what a connection had prepared before the
// change is prepared anew.
func TestAChangedTableFailsNobody(t *testing.T) {
	p := startPostgres(t)
	name, dsn := p.database(t, "create table people(id text)", "insert into people values ('ada')")
	d, err := New(Config{
		Driver: "postgres", DSN: dsn, Connections: 1,
		UserQuery: "select * from people where id = $1", GroupsQuery: "select *, 'g' as name from people where id = $1",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	for i, change := range []string{"select 1", "alter table people add column floor int default 3", "alter table people alter column floor type text"} {
		p.run(t, name, change)
		if _, err := look(t, d, "ada"); err != nil {
			t.Errorf("after change %d: %v", i, err)
		}
	}
}

func TestAConnectionThatDiedIsReplaced(t *testing.T) {
	p := startPostgres(t)
	name, dsn := p.database(t)
	d, err := New(Config{Driver: "postgres", DSN: dsn, UserQuery: "select $1 as id", Connections: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	guarded, err := directory.NewResilient(d, directory.ResilientOptions{Name: "sql", Timeout: 20 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if _, err := guarded.Person(t.Context(), directorytest.Query("ada")); err != nil {
			t.Fatalf("look-up: %v", err)
		}
		if _, err := p.admin(t, "postgres").ExecContext(t.Context(), `select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = $1`, name); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	if _, err := d.Person(t.Context(), directorytest.Query("ada")); !errors.Is(err, directory.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
}

func TestNothingIsLeftBehind(t *testing.T) {
	_, dsn := startPostgres(t).database(t)
	defer cachetest.NothingLeft(t, goleak.IgnoreCurrent())
	d, err := New(Config{Driver: "postgres", DSN: dsn, UserQuery: "select $1 as id, pg_sleep(30)"})
	if err != nil {
		t.Fatal(err)
	}
	short, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
	defer cancel()
	if _, err := d.Person(short, directorytest.Query("ada")); !errors.Is(err, directory.ErrTimeout) {
		t.Errorf("error %v", err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestArraysThatAreNone(t *testing.T) {
	for _, text := range []string{"", "{", "}", "{a", "{a,", "{a,}", "{,a}", `{"a}`, `{"a"b}`, "{a}b", "[1:2]", strings.Repeat("{", 7) + "1" + strings.Repeat("}", 7)} {
		if v, err := decodeArray(text, ',', func(s string) (any, error) { return s, nil }); err == nil {
			t.Errorf("%q reads as %v", text, v)
		}
	}
}

func FuzzArray(f *testing.F) {
	f.Add("{1,\"b c\",NULL,{x}}")
	f.Add(`[1:2]={"\"",""}`)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := decodeArray(text, ',', func(s string) (any, error) { return s, nil })
		if err != nil {
			return
		}
		if _, err := identity.Canonical(v); err != nil {
			t.Fatal(err)
		}
		again, err := decodeArray(encodeArray(v.([]any)), ',', func(s string) (any, error) { return s, nil })
		if err != nil || !reflect.DeepEqual(v, again) {
			t.Fatalf("%q reads as %v, and written again as %v, %v", text, v, again, err)
		}
	})
}

// encodeArray writes an array as PostgreSQL does, with every text in quotes.
func encodeArray(list []any) string {
	parts := make([]string, len(list))
	for i, v := range list {
		switch x := v.(type) {
		case nil:
			parts[i] = "NULL"
		case []any:
			parts[i] = encodeArray(x)
		case string:
			parts[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(x) + `"`
		}
	}
	return "{" + strings.Join(parts, ",") + "}"
}

func BenchmarkPerson(b *testing.B) {
	p := startPostgres(b)
	name, dsn := p.database(b, strings.Split(schema, ";")...)
	p.fill(b, name, directorytest.NewWorld())
	d, err := New(config(dsn))
	if err != nil {
		b.Fatal(err)
	}
	defer d.Close()
	for _, c := range []struct{ name, subject string }{{"2 groups", "ada@example.com"}, {"1203 groups", "busy@example.com"}} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := look(b, d, c.subject); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestStatesAreThoseOfOkta(t *testing.T) {
	for _, s := range []string{identity.StatusActive, identity.StatusSuspended, identity.StatusDeprovisioned, identity.StatusLockedOut} {
		if !slices.Contains(directory.AccountStates(), s) {
			t.Errorf("%s is no state", s)
		}
	}
}
