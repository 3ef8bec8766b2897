package oktael

import (
	"errors"
	"maps"
	"reflect"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// FuzzCompileEval holds for any source and any attribute: no panic, errors of
// the documented types with positions inside of the source, results that are
// canonical, and the same result twice.
func FuzzCompileEval(f *testing.F) {
	for _, c := range testCases(f) {
		f.Add(c.Expr, "x")
	}
	for _, seed := range []string{
		`getFilteredGroups({"00gRes"}, user.fuzz, 3)`, `'a' matches user.fuzz`, `user.fuzz.parseStringTime(user.fuzz)`,
		`Time.fromStringToIso8601(user.fuzz, 'yyyy-MM-dd')`, `Arrays.flatten(user.fuzz, {user.fuzz}).![toUpperCase()]`,
		`user.created.plusDays(user.fuzz)`, `user.getGroups({'group.profile.name': user.fuzz}).?[name == user.fuzz]`,
		`isMemberOfGroupNameRegex(user.fuzz)`, `String.replace(user.fuzz, 'a', user.fuzz + user.fuzz)`, `user[user.fuzz]`,
		`Convert.toInt(user.fuzz) ^ Convert.toNum(user.fuzz)`, `user.fuzz.parseCountryCode().toName()`, `Time.now(user.fuzz, user.fuzz)`,
	} {
		for _, value := range []string{"group.id", "1", "-7.5", "2020-02-29", "(a|b)*", "", "\x00", "ß,İ", "9223372036854775807"} {
			f.Add(seed, value)
		}
	}
	base := testContexts(f)["ada"]
	f.Fuzz(func(t *testing.T, source, value string) {
		for _, d := range []Dialect{Either, Classic, IdentityEngine} {
			p, err := Compile(source, Options{Dialect: d, Inputs: AllInputs})
			if err != nil {
				var e *Error
				if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(source) || e.Line < 1 || e.Column < 1 || e.Caret() == "" {
					t.Fatalf("%q: error is %#v", source, err)
				}
				continue
			}
			c := *base
			user := *base.User
			user.Profile = map[string]any{"fuzz": value}
			maps.Copy(user.Profile, base.User.Profile)
			c.User = &user
			got, err := p.Eval(&c)
			if err != nil {
				var e *EvalError
				if !errors.As(err, &e) || e.Offset < 0 || e.Offset > len(source) || e.Caret() == "" {
					t.Fatalf("%q: error is %#v", source, err)
				}
				continue
			}
			if canonical, err := identity.Canonical(got); err != nil || !reflect.DeepEqual(canonical, got) {
				t.Fatalf("%q gave %#v, which is not canonical: %v", source, got, err)
			}
			c.Index = IndexGroups(c.Groups)
			if again, err := p.Eval(&c); err != nil || !reflect.DeepEqual(again, got) {
				t.Fatalf("%q gave %#v, then %#v, %v", source, got, again, err)
			}
		}
	})
}

// FuzzDecodeContext holds for any JSON: no panic, and every expression can be
// tried in what comes out.
func FuzzDecodeContext(f *testing.F) {
	f.Add([]byte(`{}`))
	f.Add([]byte(`{"user":{"id":"x","profile":{"a":[1,2,{"b":null}]}},"groups":[{"id":"g","source":{"id":"s"}}],"now":"2024-01-01T00:00:00Z"}`))
	f.Add([]byte(`{"user":null,"groups":null,"appusers":[{"app":"workday","x":1}],"access":{"scope":"a b"},"linked":{"manager":null}}`))
	f.Add([]byte(`{"app":{"id":"a","attributes":{"domain":"d"},"profile":null},"appuser":{"userName":"u"},"org":{},"vars":{"a":1}}`))
	var programs []*Program
	for _, source := range []string{
		`{user, app, appuser, org, session, token, claims, request, access}`, `groups`, `user.getGroups().![profile.name]`,
		`getManagerUser("active_directory")`, `findWorkdayUser()`, `user.created`,
	} {
		p, err := Compile(source, Options{Inputs: AllInputs})
		if err != nil {
			f.Fatal(err)
		}
		programs = append(programs, p)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := DecodeContext(text)
		if err != nil {
			return
		}
		for _, p := range programs {
			v, err := p.Eval(c)
			if err != nil {
				continue
			}
			if _, err := identity.Canonical(v); err != nil {
				t.Fatalf("%s: %v", p, err)
			}
		}
	})
}
