package file

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

const example = `users:
  - id: 00u1ada
    login: ada@example.com
    status: ACTIVE
    profile: { firstName: Ada, lastName: Lovelace, email: ada@example.com, department: Engineering }
    groups: [00gIT, 00gAll]
groups:
  - { id: 00gIT, type: OKTA_GROUP, profile: { name: IT, description: Information technology } }
  - { id: 00gAll, type: BUILT_IN, profile: { name: Everyone } }
apps:
  - id: 0oa1payroll
    clientId: payroll
    profile: { groupallowlist: [00gIT], maxLimit: 40 }
    users:
      - { id: 00u1ada, userName: ada, profile: { role: admin } }
`

func mustLoad(t testing.TB, text string) *Static {
	t.Helper()
	s, err := Load([]byte(text))
	if err != nil {
		t.Fatalf("loading: %v", err)
	}
	return s.Directory()
}

func TestExampleHoldsWhatItSays(t *testing.T) {
	d := mustLoad(t, example)
	p, err := d.Person(context.Background(), directorytest.Query("ADA@example.com"))
	if err != nil {
		t.Fatal(err)
	}
	want := &identity.Person{
		User: &identity.User{ID: "00u1ada", Login: "ada@example.com", Status: "ACTIVE", Profile: map[string]any{
			"firstName": "Ada", "lastName": "Lovelace", "email": "ada@example.com", "department": "Engineering",
		}},
		Groups: []identity.Group{
			{ID: "00gIT", Name: "IT", Type: "OKTA_GROUP", Profile: map[string]any{"name": "IT", "description": "Information technology"}},
			{ID: "00gAll", Name: "Everyone", Type: "BUILT_IN", Profile: map[string]any{"name": "Everyone"}},
		},
		GroupsKnown: true,
		AppUsers:    []identity.AppUser{{ID: "00u1ada", App: "0oa1payroll", UserName: "ada", Profile: map[string]any{"role": "admin"}}},
	}
	if !reflect.DeepEqual(p, want) {
		t.Errorf("person %+v, want %+v", p, want)
	}
	app, err := d.App(context.Background(), "payroll")
	if err != nil || app.Profile["maxLimit"] != int64(40) || !reflect.DeepEqual(app.Profile["groupallowlist"], []any{"00gIT"}) {
		t.Errorf("app %+v, %v", app, err)
	}
}

func TestValuesAreCanonical(t *testing.T) {
	const yaml = `users:
  - id: 0042
    login: 12345
    profile:
      small: 40
      negative: -7
      big: 12345678901234567890
      huge: 123456789012345678901234567890
      leading: 007
      underscores: 1_000
      hex: 0x1F
      real: 1.5
      whole: 1.0
      exponent: 1e3
      yes: yes
      truth: true
      date: 2026-03-01
      stamp: 2026-03-01T12:00:00Z
      nothing: null
      quoted: "42"
      list: [1, two, [3]]
      deep: { a: { b: [ { c: 1 } ] } }
      12: numeric key
`
	p, err := mustLoad(t, yaml).Person(context.Background(), directorytest.Query("0042"))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"small": int64(40), "negative": int64(-7), "big": json.Number("12345678901234567890"),
		"huge": json.Number("123456789012345678901234567890"), "leading": "007", "underscores": "1_000",
		"hex": int64(31), "real": 1.5, "whole": 1.0, "exponent": 1000.0, "yes": "yes", "truth": true,
		"date": "2026-03-01", "stamp": "2026-03-01T12:00:00Z", "nothing": nil, "quoted": "42",
		"list": []any{int64(1), "two", []any{int64(3)}},
		"deep": map[string]any{"a": map[string]any{"b": []any{map[string]any{"c": int64(1)}}}},
		"12":   "numeric key",
	}
	for name, w := range want {
		if got, has := p.User.Profile[name]; !has || !reflect.DeepEqual(got, w) {
			t.Errorf("%s = %#v, want %#v", name, got, w)
		}
	}
	if len(p.User.Profile) != len(want) {
		t.Errorf("%d attributes, want %d", len(p.User.Profile), len(want))
	}
	if p.User.ID != "0042" || p.User.Login != "12345" {
		t.Errorf("id %q and login %q are not as written", p.User.ID, p.User.Login)
	}
}

func TestJSONAndYAMLReadAlike(t *testing.T) {
	w := directorytest.NewWorld()
	text := worldJSON(t, w)
	fromJSON, err := parseJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	fromYAML, err := parseYAML([]byte(strings.ReplaceAll(string(text), "\t", "  ")))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(fromJSON.canonical(), fromYAML.canonical()) {
		t.Error("the two readings differ")
	}
}

func TestAliasesAndMergeKeys(t *testing.T) {
	d := mustLoad(t, `users:
  - &ada { id: ada, profile: &common { city: Paris, floor: 3 } }
  - id: eve
    profile: { <<: *common, floor: 4 }
  - id: bob
    profile: { <<: [ { floor: 9 }, *common ] }
`)
	for subject, floor := range map[string]int64{"ada": 3, "eve": 4, "bob": 9} {
		p, err := d.Person(context.Background(), directorytest.Query(subject))
		if err != nil || p.User.Profile["city"] != "Paris" || p.User.Profile["floor"] != floor {
			t.Errorf("%s: %+v, %v", subject, p, err)
		}
	}
}

func TestErrorsNameLineAndRightKey(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"misspelt key", "users:\n  - id: a\n    satus: ACTIVE\n", `line 3: unknown key "satus" in a user (did you mean "status"?)`},
		{"misspelt section", "user:\n  - id: a\n", `line 1: unknown key "user" in the file (did you mean "users"?)`},
		{"misspelt status", "users:\n  - { id: a, status: SUSPENED }\n", `line 2: status has an unknown value (did you mean "SUSPENDED"?)`},
		{"misspelt type", "groups:\n  - { id: a, type: OKTA_GRUOP }\n", `line 2: type has an unknown value (did you mean "OKTA_GROUP"?)`},
		{"duplicate user", "users:\n  - id: a\n  - id: b\n  - id: a\n", "line 4: duplicate user id, first in line 2"},
		{"duplicate group", "groups:\n  - id: g\n  - id: g\n", `line 3: duplicate group "g"`},
		{"duplicate app", "apps:\n  - id: g\n  - id: g\n", `line 3: duplicate app "g"`},
		{"duplicate key", "users:\n  - id: a\n    login: b\n    login: c\n", `line 4: duplicate key "login", first in line 3`},
		{"duplicate key in JSON", "{\"users\": [],\n\"users\": []}", `line 2: duplicate key "users", first in line 1`},
		{"unknown group", "users:\n  - { id: a, groups: [00gTI] }\ngroups:\n  - id: 00gIT\n", `line 2: no group has the id "00gTI" (did you mean "00gIT"?)`},
		{"unknown app user", "apps:\n  - id: x\n    users:\n      - id: nobody\n", "line 4: a user of an app is not a user of this file"},
		{"app user twice", "users: [{id: a}]\napps:\n  - id: x\n    users:\n      - id: a\n      - id: a\n", "line 6: duplicate user of an app"},
		{"unknown linked user", "users:\n  - id: a\n    linked: { manager: b }\n", "line 3: linked: no user has this id"},
		{"no id", "users:\n  - login: a\n", "line 2: a user has no id"},
		{"id with a control character", "users:\n  - id: \"a\\x00\"\n", "line 2: id is empty, too long or holds control characters"},
		{"truth as id", "users:\n  - id: true\n", "line 2: id must be a string: put it in quotes"},
		{"list for object", "users:\n  - [a]\n", "line 2: a user must be an object, not a list"},
		{"object for list", "users:\n  a: b\n", "line 2: users must be a list, not an object"},
		{"text for profile", "users:\n  - id: a\n    profile: b\n", "line 3: profile must be an object, not a string"},
		{"number without end", "users:\n  - id: a\n    profile: { x: .inf }\n", "line 3: a number is not finite or out of range"},
		{"tag of one's own", "users: !hello []\n", `line 1: unknown tag "!hello"`},
		{"two documents", "users: []\n---\nusers: []\n", "more than one YAML document"},
		{"two JSON values", "{\"users\":[]}\n{}", "line 2: more than one JSON value"},
		{"bad time", "users:\n  - { id: a, created: yesterday }\n", "line 2: created must be a time such as"},
		{"two names of a group", "groups:\n  - { id: g, name: a, profile: { name: b } }\n", `line 2: group "g" has a different name in its profile`},
		{"bad YAML", "users:\n  - id: [\n", "line 2: did not find expected node content"},
		{"bad JSON", "{\"users\": [\n{\"id\" \"a\"}]}", "line 2: not valid JSON"},
		{"not text", "users: \xff\xfe", "not UTF-8 text"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load([]byte(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q in it", err, c.want)
			}
		})
	}
}

func TestEveryProblemIsToldAtOnceAndTheirNumberIsBounded(t *testing.T) {
	_, err := Load([]byte("users:\n" + strings.Repeat("  - login: a\n", 100)))
	if n := strings.Count(err.Error(), "has no id"); n != maxProblems {
		t.Errorf("%d problems told, want %d", n, maxProblems)
	}
}

func TestErrorsNameNobody(t *testing.T) {
	for _, text := range []string{
		"users:\n  - { id: ada@example.com }\n  - { id: ada@example.com }\n",
		"apps:\n  - { id: x, users: [ { id: ada@example.com } ] }\n",
		"users:\n  - { id: x, linked: { manager: ada@example.com } }\n",
		"users:\n  - { id: x, status: ada@example.com }\n",
		"users:\n  - { id: x, created: ada@example.com }\n",
	} {
		_, err := Load([]byte(text))
		if err == nil || strings.Contains(err.Error(), "ada@example.com") {
			t.Errorf("error %v", err)
		}
	}
}

func TestEmptyFiles(t *testing.T) {
	for _, text := range []string{"", " \n\t", "# a comment\n", "---\n", "null\n", "{}", "users:\n", "{\"users\": null}"} {
		if _, err := Load([]byte(text)); !errors.Is(err, errEmpty) {
			t.Errorf("%q: %v, want ErrEmpty", text, err)
		}
	}
	if _, err := Load([]byte("users: []\n")); err != nil {
		t.Errorf("a list that is said to be empty: %v", err)
	}
}

func TestBombsAreBounded(t *testing.T) {
	var laughs strings.Builder
	laughs.WriteString("users:\n  - id: a\n    profile:\n      a0: &a0 [" + strings.Repeat("x, ", 10) + "]\n")
	for i := 1; i < 12; i++ {
		fmt.Fprintf(&laughs, "      a%d: &a%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*a%d, ", i-1), 10))
	}
	for _, c := range []struct {
		name, text string
		want       error
	}{
		{"aliases of aliases", laughs.String(), errSize},
		{"nested YAML", "users:\n  - id: a\n    profile: {x: " + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + "}\n", nil},
		{"nested JSON", `{"users":[{"id":"a","profile":{"x":` + strings.Repeat("[", 2000) + strings.Repeat("]", 2000) + `}}]}`, nil},
		{"itself", "users: &u\n  - id: a\n    profile: { x: *u }\n", nil},
		{"size", strings.Repeat(" ", maxSize+1), errSize},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := Load([]byte(c.text))
			if err == nil || (c.want != nil && !errors.Is(err, c.want)) {
				t.Errorf("error %v, want %v", err, c.want)
			}
		})
	}
}

func TestTooManyGroupsForOneUser(t *testing.T) {
	groups := make([]string, directory.MaxGroups+1)
	var list strings.Builder
	for i := range groups {
		groups[i] = fmt.Sprintf("g%d", i)
		fmt.Fprintf(&list, "  - id: g%d\n", i)
	}
	_, err := Load([]byte("users:\n  - id: a\n    groups: [" + strings.Join(groups, ",") + "]\ngroups:\n" + list.String()))
	if err == nil || !strings.Contains(err.Error(), "over 10000 groups") {
		t.Errorf("error %v", err)
	}
}

func TestASubjectThatNamesTwoIsNobody(t *testing.T) {
	const text = `users:
  - { id: ada, login: one }
  - { id: two, login: ADA }
  - { id: three, login: shared, profile: { badge: 42, aliases: [x, y] } }
  - { id: four, login: Shared, profile: { badge: "42", aliases: [y, z] } }
`
	s, err := Load([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		match   []string
		subject string
		want    string // id, or empty for ambiguous
	}{
		{[]string{"id", "login"}, "ada", ""},
		{[]string{"id"}, "ada", "ada"},
		{[]string{"login"}, "ada", "two"},
		{[]string{"login"}, "SHARED", ""},
		{[]string{"badge"}, "42", ""},
		{[]string{"aliases"}, "x", "three"},
		{[]string{"aliases"}, "y", ""},
		{[]string{"aliases"}, "z", "four"},
	} {
		p, err := s.Directory(c.match...).Person(context.Background(), directorytest.Query(c.subject))
		switch {
		case c.want == "" && !errors.Is(err, directory.ErrAmbiguous):
			t.Errorf("%s by %v: %v, want ErrAmbiguous", c.subject, c.match, err)
		case c.want != "" && (err != nil || p.User.ID != c.want):
			t.Errorf("%s by %v: %v, want %s", c.subject, c.match, err, c.want)
		}
	}
	want := []string{
		"names shared by two users, which match neither: 2",
		`match names "nickname", which no user has`,
	}
	if got := s.Directory("id", "login", "nickname").Warnings(); !slices.Equal(got, want) {
		t.Errorf("warnings %q, want %q", got, want)
	}
}

func TestWhatIsHardlyMeantIsLogged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "people.yaml")
	if err := os.WriteFile(path, []byte("users:\n  - { id: a, login: kim }\n  - { id: b, login: KIM }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if _, err := New(Config{Path: path, Logger: slog.New(slog.NewTextHandler(&log, nil))}); err != nil {
		t.Fatal(err)
	}
	if got := log.String(); !strings.Contains(got, "level=WARN") || !strings.Contains(got, "names shared by two users") || strings.Contains(strings.ToLower(got), "kim") {
		t.Errorf("the log says %q", got)
	}
}

func TestOnlyASCIIFoldsInALogin(t *testing.T) {
	d := mustLoad(t, "users:\n  - { id: a, login: kim }\n  - { id: b, login: straße }\n")
	for _, subject := range []string{"\u212aim", "strasse", "STRASSE"} { // the Kelvin sign folds to k in Unicode
		if _, err := d.Person(context.Background(), directorytest.Query(subject)); !errors.Is(err, directory.ErrNotFound) {
			t.Errorf("%s: %v, want not found", subject, err)
		}
	}
	if _, err := d.Person(context.Background(), directorytest.Query("KIM")); err != nil {
		t.Errorf("KIM: %v", err)
	}
}

func TestLinkedObjects(t *testing.T) {
	d := mustLoad(t, "users:\n  - { id: a, linked: { manager: b } }\n  - { id: b, login: boss }\n")
	p, err := d.Person(context.Background(), directorytest.Query("a"))
	if err != nil || p.Linked["manager"] == nil || p.Linked["manager"].Login != "boss" {
		t.Errorf("person %+v, %v", p, err)
	}
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte(example))
	f.Add([]byte(`{"users":[{"id":"a","groups":["g"]}],"groups":[{"id":"g"}],"apps":[{"id":"x","users":[{"id":"a"}]}]}`))
	f.Add([]byte("users:\n  - &a { id: a, profile: { <<: *a } }\n"))
	f.Add([]byte("users: &u [ *u ]"))
	f.Add([]byte("users:\n - id: 0x1F\n   profile: {a: 1e999, b: 0o7, c: -0}\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		s, err := Load(text)
		if err != nil {
			return
		}
		d := s.Directory()
		for i := range s.users {
			u := &s.users[i].User
			if u.Profile != nil {
				if same, err := identity.Canonical(u.Profile); err != nil || !reflect.DeepEqual(same, any(u.Profile)) {
					t.Fatal("a profile is not canonical")
				}
			}
			p, err := d.Person(context.Background(), directorytest.Query(u.ID))
			if err == nil && p.User.ID != u.ID && !strings.EqualFold(p.User.Login, u.ID) {
				t.Fatal("a subject found somebody else")
			}
			if err != nil && !errors.Is(err, directory.ErrAmbiguous) {
				t.Fatalf("a user is not found by id: %v", err)
			}
		}
	})
}

func BenchmarkPerson(b *testing.B) {
	s, err := Load(worldJSON(b, directorytest.NewWorld()))
	if err != nil {
		b.Fatal(err)
	}
	d := s.Directory()
	for _, c := range []struct{ name, id string }{{"2 groups", directorytest.Ada}, {"1203 groups", directorytest.Busy}} {
		b.Run(c.name, func(b *testing.B) {
			q := directorytest.Query(c.id)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := d.Person(context.Background(), q); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoadUserWith2000Groups(b *testing.B) {
	w := directorytest.World{Users: []directorytest.User{{User: identity.User{ID: "a"}}}}
	for i := range 2000 {
		id := fmt.Sprintf("00g%06d", i)
		w.Groups = append(w.Groups, identity.Group{ID: id, Name: "Group " + id})
		w.Users[0].Groups = append(w.Users[0].Groups, id)
	}
	text := worldJSON(b, w)
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Load(text); err != nil {
			b.Fatal(err)
		}
	}
}
