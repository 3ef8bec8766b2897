//go:build linux

// The row of an answer is held to what was asked for (D64, D65): no way of
// comparing that a database has may make one user of two subjects.

package sql

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

// likenesses are columns with a value, the one subject that it is, and others
// that the database takes for it.
func likenesses() []struct {
	name, column, condition, value, subject string
	others                                  []string
} {
	long := strings.Repeat("x", 63)
	return []struct {
		name, column, condition, value, subject string
		others                                  []string
	}{
		{"char(n)", "char(10)", "id = $1", "ada", "ada", []string{"ada ", "ada   "}},
		{"a domain over char(n)", "padded", "id = $1", "ada", "ada", []string{"ada ", "ada   "}},
		{"integer", "int", "id = $1", "7", "7", []string{"007", "+7", " 7", "7 ", "07"}},
		{"bigint", "bigint", "id = $1", "9007199254740993", "9007199254740993", []string{"09007199254740993", "+9007199254740993"}},
		{"numeric", "numeric(10,2)", "id = $1", "7", "7", []string{"7.0", "7.00", "007", "7e0", "70e-1"}},
		{"float", "float8", "id = $1", "7", "7", []string{"7.0", "7e0", "07", "7.0000000000000000001"}},
		{
			"uuid", "uuid", "id = $1", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
			[]string{"A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}", "a0eebc999c0b4ef8bb6d6bb9bd380a11"},
		},
		{"citext", "citext", "id = $1", "ada", "ada", []string{"ADA", "Ada"}},
		{"a collation blind to case", "text collate caseless", "id = $1", "ada", "ada", []string{"ADA", "aDa"}},
		{"a collation blind to accents", "text collate accentless", "id = $1", "ada", "ada", []string{"ädà", "ADA", "\u00adada"}},
		{"lower", "text", "id = lower($1)", "ada", "ada", []string{"ADA"}},
		{"ilike", "text", "id ilike $1", "ada", "ada", []string{"ADA", "%", "a_a"}},
		{"trim", "text", "id = trim($1)", "ada", "ada", []string{" ada", "ada "}},
		{"a text that is cut", "text", "id = $1::varchar(3)", "ada", "ada", []string{"adam", "ada lovelace"}},
		{"a name that is cut", "name", "id = $1", long, long, []string{long + "y"}},
		{"a single character", `"char"`, "id = $1", "a", "a", []string{"ada"}},
		{"an address", "inet", "id = $1", "10.0.0.1", "10.0.0.1", []string{"10.0.0.1/32"}},
		{"a day", "date", "id = $1", "2026-03-01", "2026-03-01", []string{"2026-3-1", "March 1, 2026", "20260301"}},
		{"anything", "text", "$1::text is not null", "ada", "ada", []string{"grace", "7"}},
	}
}

func TestTwoSubjectsAreNeverOneUserD65(t *testing.T) {
	p := startPostgres(t)
	name, dsn := p.database(t, "create extension citext", "create domain padded as char(10)",
		"create collation caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false)",
		"create collation accentless (provider = icu, locale = 'und-u-ks-level1', deterministic = false)")
	for n, c := range likenesses() {
		t.Run(c.name, func(t *testing.T) {
			table := fmt.Sprintf("people%d", n)
			for _, statement := range []string{
				"create table " + table + "(id " + c.column + ")", "insert into " + table + " values ('" + c.value + "')", "grant select on " + table + " to reader",
			} {
				p.run(t, name, statement)
			}
			from := " from " + table + " where " + c.condition
			config := Config{
				Driver: "postgres", DSN: dsn,
				UserQuery: "select id, 'x' as kind" + from, GroupsQuery: "select id" + from, AppQuery: "select id" + from,
				AppUserQuery: "select 'ada' as user_name" + from + " and $2::text is not null",
			}
			d, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			config.SkipMatch = true
			lenient, err := New(config)
			if err != nil {
				t.Fatal(err)
			}
			defer lenient.Close()

			if p, err := look(t, d, c.subject); err != nil || p.User.ID != c.subject || len(p.Groups) != 1 || p.Groups[0].ID != c.subject {
				t.Errorf("the subject itself: %+v, %v", p, err)
			}
			if a, err := d.App(t.Context(), c.subject); err != nil || a.ID != c.subject {
				t.Errorf("the app itself: %+v, %v", a, err)
			}
			if _, err := d.AppUser(t.Context(), directorytest.Query(c.subject), c.subject); err != nil {
				t.Errorf("the assignment itself: %v", err)
			}
			for _, other := range c.others {
				// That the database takes it for the other shows with the
				// check left out.
				if _, err := look(t, lenient, other); err != nil {
					t.Errorf("%q is no likeness: %v", other, err)
				}
				if _, err := lenient.App(t.Context(), other); err != nil {
					t.Errorf("%q is no likeness of an app: %v", other, err)
				}
				if _, err := lenient.AppUser(t.Context(), directorytest.Query(other), other); err != nil {
					t.Errorf("%q has no assignment: %v", other, err)
				}
				if p, err := look(t, d, other); !errors.Is(err, directory.ErrForeign) {
					t.Errorf("%q: %+v, %v", other, p, err)
				}
				if a, err := d.App(t.Context(), other); !errors.Is(err, directory.ErrForeign) {
					t.Errorf("app %q: %+v, %v", other, a, err)
				}
				for _, pair := range [][2]string{{other, c.subject}, {c.subject, other}} {
					if u, err := d.AppUser(t.Context(), directorytest.Query(pair[0]), pair[1]); !errors.Is(err, directory.ErrForeign) {
						t.Errorf("the assignment of %q to %q: %+v, %v", pair[0], pair[1], u, err)
					}
				}
			}
		})
	}
}

func TestWhichColumnHoldsTheSubjectD65(t *testing.T) {
	const (
		byDefault = "in none of the columns id, login: select what user_query compares with $1 under such a name, or name it in match"
		byMatch   = "in none of the columns upn, email: select what user_query compares with $1 under such a name, or name it in match"
	)
	for _, c := range []struct {
		name, columns, where string
		match                []string
		skip                 bool
		subject, want        string // empty: found
	}{
		{"the id", "id", "id = $1", nil, false, "1", ""},
		{"the login", "id, login", "login = $1", nil, false, "ada", ""},
		{"a login without an id", "login", "login = $1", nil, false, "ada", ""},
		{"the login as the id", "login as id", "login = $1", nil, false, "ada", ""},
		{"a login in capitals", "id, login", "login = lower($1)", nil, false, "ADA", byDefault},
		{"a login in capitals that match allows", "id, login", "login = lower($1)", []string{"login"}, false, "ADA", ""},
		{"neither", "email", "login = $1", nil, false, "ada", byDefault},
		{"another's id", "id, email", "login = $1", nil, false, "ada", byDefault},
		{"what match names", "id, email as upn", "email = $1", []string{"upn"}, false, "Ada@example.com", ""},
		{"what match does not name", "id, login", "login = $1", []string{"upn", "email"}, false, "ada", byMatch},
		{"an element of a list", "id, array['x', login] as names", "login = $1", []string{"names"}, false, "ada", ""},
		{"in the profile", "id, jsonb_build_object('upn', login) as profile", "login = $1", []string{"upn"}, false, "ada", ""},
		{"nothing, as is said", "email", "login = $1", nil, true, "ada", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := open(t, Config{UserQuery: "select " + c.columns + " from people where " + c.where, Match: c.match, SkipMatch: c.skip},
				"create table people(id int, login text, email text)", "insert into people values (1, 'ada', 'Ada@example.com')")
			p, err := look(t, d, c.subject)
			if (c.want == "") != (err == nil) || (c.want == "" && p.User.ID == "") {
				t.Errorf("%+v, %v; want %q", p, err, c.want)
			}
			if c.want != "" && (!errors.Is(err, directory.ErrForeign) || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error %v, want %q", err, c.want)
			}
		})
	}
}

// TestAnAssignmentOfSomebodyElsewhereIsFound: another directory may know the
// user; what is held to the subject is a row that is there.
func TestAnAssignmentOfSomebodyElsewhereIsFound(t *testing.T) {
	d := open(t, Config{
		UserQuery: "select $1 as id where false", AppQuery: "select $1 as id where false",
		AppUserQuery: "select $1 as user_name, $2 as app",
	})
	u, err := d.AppUser(t.Context(), directorytest.Query("ada"), "payroll")
	if err != nil || u.UserName != "ada" {
		t.Errorf("%+v, %v", u, err)
	}
}

// TestTwoRowsAreNobodyD64: of users, of apps and of assignments, and with the
// check left out.
func TestTwoRowsAreNobodyD64(t *testing.T) {
	const two = "select $1 as id from generate_series(1, 2)"
	for _, skip := range []bool{false, true} {
		d := open(t, Config{UserQuery: two, AppQuery: two, AppUserQuery: two + " where $2::text is not null", SkipMatch: skip})
		_, ofUser := look(t, d, "ada")
		_, ofApp := d.App(t.Context(), "payroll")
		_, ofAssignment := d.AppUser(t.Context(), directorytest.Query("ada"), "payroll")
		for what, err := range map[string]error{"user": ofUser, "app": ofApp, "assignment": ofAssignment} {
			if !errors.Is(err, directory.ErrAmbiguous) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
}

// TestALimitIsWarnedOfC32: what it keeps back is never seen.
func TestALimitIsWarnedOfC32(t *testing.T) {
	for query, want := range map[string]bool{
		"select id from t where id = $1":                                                     false,
		"select id from t where id = $1 limit 1":                                             true,
		"select id from t where id = $1 LIMIT 100;\n":                                        true,
		"select id from t where id = $1 limit 100 offset 1":                                  true,
		"select id from t where id = $1 order by id\nfetch first row only":                   true,
		"select id from t where id = $1 fetch next 5 rows only":                              true,
		"select id, (select name from d where d.id = t.d limit 1) from t where id = $1":      false,
		"select id from t where id = $1 and d in (select id from d order by id limit 5)":     false,
		"select limit_of, speed from t where id = $1 and kind = 'limit'":                     false,
		"select g.id from g join lateral (select 1 from x limit 1) y on true where g.u = $1": false,
	} {
		d, err := New(Config{Driver: "postgres", DSN: "postgres://localhost", UserQuery: query, GroupsQuery: "select $1"})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Warnings(); (len(got) == 1) != want || len(got) > 1 || (want && !strings.HasPrefix(got[0], "user_query ends in a limit")) {
			t.Errorf("%s: %q", query, got)
		}
	}
}
