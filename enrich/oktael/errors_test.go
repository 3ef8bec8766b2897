package oktael

import (
	"errors"
	"os"
	"strings"
	"testing"
)

// TestErrorsPointAtTheFault reads testdata/errors.txt: blocks of a source,
// the caret under it and the message, parted by lines of dashes.
func TestErrorsPointAtTheFault(t *testing.T) {
	golden, err := os.ReadFile("testdata/errors.txt")
	if err != nil {
		t.Fatal(err)
	}
	c := testContexts(t)["ada"]
	for block := range strings.SplitSeq(strings.TrimSuffix(string(golden), "\n"), "\n----------\n") {
		source, shown, ok := strings.Cut(block, "\n==\n")
		if !ok {
			t.Fatalf("no == in block %q", block)
		}
		t.Run(source, func(t *testing.T) {
			p, err := Compile(source, Options{Inputs: AllInputs &^ InputVars, Claims: []string{"department", "roles"}})
			if err == nil {
				_, err = p.Eval(c)
			}
			var pointed interface {
				error
				Caret() string
			}
			if !errors.As(err, &pointed) {
				t.Fatalf("error is %v", err)
			}
			if got := pointed.Caret() + "\n" + pointed.Error(); got != shown {
				t.Errorf("got\n%s\nwant\n%s", got, shown)
			}
		})
	}
}

func TestMisspeltNamesGetTheNearestRightOne(t *testing.T) {
	for expr, want := range map[string]string{
		`String.toUpper('a')`:             `unknown function String.toUpper (did you mean "String.toUpperCase"?)`,
		`String.touppercase('a')`:         `unknown function String.touppercase (did you mean "String.toUpperCase"?)`,
		`String.contains('a', 'b')`:       `unknown function String.contains (did you mean "String.stringContains"?)`,
		`String.length('a')`:              `unknown function String.length (did you mean "String.len"?)`,
		`String.trim('a')`:                `unknown function String.trim`,
		`String.isEmpty('a')`:             `unknown function String.isEmpty (did you mean "Arrays.isEmpty"?)`,
		`Convert.toInteger('1')`:          `unknown function Convert.toInteger (did you mean "Convert.toInt"?)`,
		`Strin.len('x')`:                  `unknown function Strin.len (did you mean "String.len"?)`,
		`Sting.len('a')`:                  `unknown function Sting.len (did you mean "String.len"?)`,
		`Iso3166.toAlpha2('DE')`:          `unknown function Iso3166.toAlpha2 (did you mean "Iso3166Convert.toAlpha2"?)`,
		`len('a')`:                        `unknown function len (did you mean "String.len"?)`,
		`getFilterdGroups({'a'}, 'x', 1)`: `unknown function getFilterdGroups (did you mean "getFilteredGroups"?)`,
		`frobnicate(1)`:                   `unknown function frobnicate`,
		`'a'.upperCase()`:                 `unknown method upperCase (did you mean "toUpperCase"?)`,
		`'a'.frobnicate()`:                `unknown method frobnicate`,
	} {
		_, err := Compile(expr, Options{Inputs: AllInputs &^ InputVars})
		var e *Error
		if !errors.As(err, &e) || e.Msg != want {
			t.Errorf("%s: error is %v, want %q", expr, err, want)
		}
	}
}

func TestCaretShowsTheLineAndCutsLongOnes(t *testing.T) {
	for name, tc := range map[string]struct{ source, want string }{
		"second line":   {"1 +\n  usr.x", "  usr.x\n  ^"},
		"tab kept":      {"1 +\n\tusr.x", "\tusr.x\n\t^"},
		"windows lines": {"1 +\r\n usr.x\r\n", " usr.x\n ^"},
		"characters":    {"'äöü' + usr", "'äöü' + usr\n        ^"},
		"long line": {
			"'" + strings.Repeat("a", 200) + "' + usr + '" + strings.Repeat("b", 200) + "'",
			"…" + strings.Repeat("a", 56) + "' + usr + '" + strings.Repeat("b", 53) + "…\n" + strings.Repeat(" ", 61) + "^",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Compile(tc.source, Options{Inputs: InputUser})
			var e *Error
			if !errors.As(err, &e) {
				t.Fatalf("error is %v", err)
			}
			if got := e.Caret(); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestErrorsSayWhatCausedThem(t *testing.T) {
	contexts := testContexts(t)
	for _, tc := range []struct {
		in, expr string
		want     error
	}{
		{"unknown groups", `isMemberOfGroup("x")`, ErrGroupsUnknown},
		{"unknown groups", `groups.![name]`, ErrGroupsUnknown},
		{"unknown groups", `user.getGroups()`, ErrGroupsUnknown},
		{"unknown groups", `Groups.contains("OKTA", "", 1)`, ErrGroupsUnknown},
		{"unknown groups", `getFilteredGroups({"x"}, "group.id", 1)`, ErrGroupsUnknown},
		{"ada", `Groups.contains("OKTA", "", 1)`, ErrTooManyGroups},
		{"ada", `getFilteredGroups({"00gRes", "00gAdm"}, "group.id", 1)`, ErrTooManyGroups},
		{"ada", `user.manager.name`, ErrNull},
		{"ada", `getFilteredGroups({"00gRes"}, app.profile.shows + ".x.y", 1)`, nil},
		{"nobody", `user.email`, ErrNull},
	} {
		p, err := Compile(tc.expr, Options{Inputs: AllInputs})
		if err != nil {
			t.Fatal(err)
		}
		_, err = p.Eval(contexts[tc.in])
		if err == nil {
			t.Errorf("%s: no error", tc.expr)
		}
		if tc.want != nil && !errors.Is(err, tc.want) {
			t.Errorf("%s: %v is not %v", tc.expr, err, tc.want)
		}
	}
}

// What a person's record holds is nobody's business who reads a log.
func TestErrorsNeverRepeatValues(t *testing.T) {
	const secret = "s3cr3t"
	c := &Context{GroupsKnown: true}
	in, err := DecodeContext([]byte(`{"user":{"id":"s3cr3t","profile":{"a":"s3cr3t","n":53,"l":["s3cr3t"],"m":{"s3cr3t":"s3cr3t"},
		"re":"(s3cr3t","expr":"group.s3cr3t.x","bad":"s3cr3t(","deep":"group.name + s3cr3t"}},
		"groups":[{"id":"g","profile":{"name":"s3cr3t"}}]}`))
	if err != nil {
		t.Fatal(err)
	}
	*c = *in
	for _, expr := range []string{
		`user.a.x`, `user.a[99]`, `user.l[99]`, `user.m + ''`, `user.a + 1 - 1`, `user.a < 1`, `Convert.toInt(user.a)`, `Convert.toNum(user.a)`,
		`Iso3166Convert.toName(user.a)`, `Time.fromIso8601ToUnix(user.a)`, `Time.fromUnixToIso8601(user.a)`, `Time.fromWindowsToIso8601(user.a)`,
		`Time.fromStringToIso8601(user.a, 'yyyy')`, `Time.fromIso8601ToString('2020-01-01', user.a)`, `Time.now(user.a)`,
		`user.a.toInteger()`, `user.a.parseCountryCode()`, `user.a.parseStringTime()`, `user.a.parseStringTime(user.a)`, `'x' matches user.re`,
		`isMemberOfGroupNameRegex(user.re)`, `getFilteredGroups({"g"}, user.expr, 1)`, `getFilteredGroups({"g"}, user.bad, 1)`,
		`getFilteredGroups({"g"}, user.deep, 1)`, `user.getInternalProperty(user.a)`, `user.getGroups(user.m)`, `user.getGroups({user.a: 'x'})`,
		`user.isMemberOf({'group.profile.name': 'x', 'operator': user.a})`, `getManagerUser(user.a)`, `user.a ? 1 : 2`, `!user.a`, `-user.a`,
		`String.substring(user.a, 99, 100)`, `String.substring('x', user.a, 1)`, `Arrays.get(user.l, 99)`, `{user.l: 1}`, `Arrays.size(user.m)`,
	} {
		p, err := Compile(expr, Options{Inputs: AllInputs})
		if err != nil {
			t.Errorf("%s: load: %v", expr, err)
			continue
		}
		_, err = p.Eval(c)
		var e *EvalError
		if !errors.As(err, &e) {
			t.Errorf("%s: error is %v", expr, err)
			continue
		}
		if strings.Contains(e.Error()+e.Caret(), secret) {
			t.Errorf("%s: the error repeats what the profile holds: %v", expr, e)
		}
	}
}
