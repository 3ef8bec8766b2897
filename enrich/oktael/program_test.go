package oktael

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

func TestReadsTellsWhatWillBeAskedFor(t *testing.T) {
	for expr, want := range map[string]Inputs{
		`1 + 1`:                              0,
		`user.email`:                         InputUser,
		`groups.![name]`:                     InputGroups,
		`isMemberOfGroup("x")`:               InputGroups,
		`user.isMemberOf({'group.id': 'x'})`: InputUser | InputGroups,
		`getFilteredGroups(app.profile.list, "group.name", 1)`: InputApp | InputGroups,
		`getFilteredGroups({"x"}, "user.email + org.name", 1)`: InputUser | InputOrg | InputGroups,
		`appuser.role`:                                     InputAppUser,
		`access.scope`:                                     InputAccess,
		`session.amr`:                                      InputSession,
		`token.sub + claims.x + request.path`:              InputToken | InputClaims | InputRequest,
		`user.getLinkedObject("manager").email`:            InputUser | InputLinked,
		`getManagerUser("active_directory").email`:         InputLinked,
		`getManagerAppUser("active_directory", "x").email`: InputLinked | InputAppUsers,
		`hasWorkdayUser()`:                                 InputAppUsers,
		`Time.now()`:                                       InputClock,
		`DateTime.now()`:                                   InputClock,
		`user.created.withinDays(1)`:                       InputUser | InputClock,
		`user.created.plusDays(1)`:                         InputUser,
		`something.else`:                                   InputVars,
		`false ? user.email : app.id`:                      InputUser | InputApp,
		`user.list.?[app == null]`:                         InputUser | InputApp,
		`user.list.![name]`:                                InputUser | InputVars,
	} {
		p, err := Compile(expr, Options{Inputs: AllInputs})
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		if p.Reads() != want {
			t.Errorf("%s reads %s, want %s", expr, p.Reads(), want)
		}
		// Exactly these are enough, and none of them can be missing.
		if _, err := Compile(expr, Options{Inputs: want}); err != nil {
			t.Errorf("%s: not allowed what it reads: %v", expr, err)
		}
	}
}

func TestNothingIsReadThatIsNotAllowed(t *testing.T) {
	for _, tc := range []struct {
		expr    string
		without Inputs
		says    string
	}{
		{`user.email`, InputUser, `"user" is not available here`},
		{`user.isMemberOf({'group.id': 'x'})`, InputGroups, "reads groups"},
		{`getFilteredGroups({"x"}, "user.email", 1)`, InputUser, `"user" is not available here`},
		{`getFilteredGroups({"x"}, "group.id", 1)`, InputGroups, "reads groups"},
		{`Time.now()`, InputClock, "reads the clock"},
		{`request.path`, InputRequest, `"request" is not available here`},
		{`something`, InputVars, "unknown name something"},
		{`getManagerUser("active_directory").a`, InputLinked, "reads linked objects"},
		{`hasDirectoryUser()`, InputAppUsers, "reads app users of other apps"},
		{`group.name`, InputVars, "second argument"},
	} {
		_, err := Compile(tc.expr, Options{Inputs: AllInputs &^ tc.without})
		if err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error is %v, want one that says %q", tc.expr, err, tc.says)
		}
	}
	if _, err := Compile("user", Options{}); err == nil {
		t.Error("the zero options let an expression read the user")
	}
}

func TestWarningsNameWhatIsProbablyNotMeant(t *testing.T) {
	for expr, want := range map[string][]string{
		`user.email + '!'`:                                              {"1:6: user.email may be null"},
		`'a' + user.x + app.profile.y`:                                  {"1:12: user.x may be null", "1:28: app.profile.y may be null"},
		`user['x'] + '!'`:                                               {"1:5: user.x may be null"},
		`user.login + user.id + '!'`:                                    nil,
		`(user.x ?: '') + '!'`:                                          nil,
		`user.x != null ? user.x + '!' : ''`:                            nil,
		`user.x == null ? '' : user.x + '!'`:                            nil,
		`null != user.x AND true ? user.x + '!' : ''`:                   nil,
		`user.x == null OR user.y == null ? '' : user.x + user.y + '!'`: nil,
		`!(user.x == null) ? user.x + '!' : ''`:                         nil,
		`user.x == 'a' ? user.x + '!' : ''`:                             nil,
		`user.x != null AND user.x + '!' == 'a!'`:                       nil,
		`user.x != '' ? user.x + '!' : ''`:                              {"1:21: user.x may be null"},
		`user.x != null ? '' : user.x + '!'`:                            {"1:28: user.x may be null"},
		`user.x != null OR true ? user.x + '!' : ''`:                    {"1:31: user.x may be null"},
		`user.n - 1`:                 nil,
		`String.toUpperCase(user.x)`: nil,
		`'a' == 1`:                   {"1:5: a string and a number are never equal"},
		`1 == 1.0`:                   nil,
		`user.x == 1`:                nil,
		`null == 'a'`:                {"1:6: null and a string are never equal"},
		`getFilteredGroups({'a'}, "'x' + group.description", 1)`: {"1:39: group.description may be null"},

		// Null shows through what gives null for null.
		`'a' + String.toUpperCase(user.x)`:                        {"1:31: user.x may be null and with it String.toUpperCase"},
		`toLowerCase(substring(user.x, 0, 1)) + '.' + user.login`: {"1:28: user.x may be null and with it substring"},
		`'a' + String.len(user.x)`:                                nil,
		`'a' + String.toUpperCase(user.x ?: '')`:                  nil,
		`user.x == null ? '' : 'a' + toUpperCase(user.x)`:         nil,
		`'a' + (user.x ?: user.y)`:                                {"1:23: user.y may be null"},
		`'a' + (user.x == null ? user.y : user.x)`:                {"1:30: user.y may be null"},
		`'a' + getManagerUser('active_directory').lastName`:       {"1:42: lastName may be null"},
		`'a' + groups.![name].size()`:                             nil,

		`user.getGroups({'group.type': 'OKTAGROUP'})`:               {"1:31: unknown group type \"OKTAGROUP\" (want OKTA_GROUP, APP_GROUP or BUILT_IN) (did you mean \"OKTA_GROUP\"?)"},
		`user.isMemberOf({'group.type': {'APP_GROUP', 'builtin'}})`: {"1:46: unknown group type \"builtin\" (want OKTA_GROUP, APP_GROUP or BUILT_IN) (did you mean \"BUILT_IN\"?)"},
	} {
		p, err := Compile(expr, Options{Inputs: AllInputs})
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		var got []string
		for _, w := range p.Warnings() {
			text, _, _ := strings.Cut(w.String(), ", which")
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s warns %q, want %q", expr, got, want)
		}
	}
}

func TestTruncateOverLimitKeepsTheFirst(t *testing.T) {
	c := testContexts(t)["ada"]
	for expr, want := range map[string]any{
		`getFilteredGroups({"00gAd1", "00gRes", "00gAll"}, "group.id", 2)`: []any{"00gAll", "00gRes"},
		`getFilteredGroups({"00gRes"}, "group.id", 2)`:                     []any{"00gRes"},
		`Groups.startsWith("OKTA", "", 1)`:                                 []any{"Everyone"},
		`Groups.endsWith("OKTA", "s", 1)`:                                  []any{"Research Users"},
	} {
		p, err := Compile(expr, Options{Inputs: AllInputs, TruncateOverLimit: true})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Eval(c); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s = %v, %v; want %v", expr, got, err, want)
		}
	}
}

func TestEvalBoolTakesNothingButTrueAndFalse(t *testing.T) {
	for expr, want := range map[string]string{`1 == 1`: "true", `1 == 2`: "false", `'true'`: "error", `null`: "error", `1`: "error"} {
		p, err := Compile(expr, Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := "error"
		if b, err := p.EvalBool(nil); err == nil && b {
			got = "true"
		} else if err == nil {
			got = "false"
		} else if e := (*EvalError)(nil); !errors.As(err, &e) {
			t.Errorf("%s: error is %T", expr, err)
		}
		if got != want {
			t.Errorf("%s is %s, want %s", expr, got, want)
		}
	}
}

func TestWhatCanNeverBeWantedIsRefusedAtLoad(t *testing.T) {
	for _, tc := range []struct {
		expr  string
		wants ResultType
		says  string // empty: it compiles
	}{
		{`5`, ResultBool, "1:1: the condition is a number, not true or false"},
		{`user.x + 'a'`, ResultBool, "1:8: the condition is a string, not true or false"},
		{`null`, ResultBool, "1:1: the condition is null, not true or false"},
		{`groups.![name]`, ResultBool, "1:7: the condition is a list, not true or false"},
		{`true ? 'yes' : 'no'`, ResultBool, "1:6: the condition is a string, not true or false"},
		{`user.x`, ResultBool, ""},
		{`user.x ?: false`, ResultBool, ""},
		{`user.x matches 'a' AND true`, ResultBool, ""},
		{`5`, ResultIDs, "1:1: want a list of ids here, not a number"},
		{`user.x == 'a'`, ResultIDs, "1:8: want a list of ids here, not true or false"},
		{`user`, ResultIDs, "1:1: want a list of ids here, not null or a user"},
		{`app.profile.list`, ResultIDs, ""},
		{`'a,b'`, ResultIDs, ""},
		{`app == null ? {} : app.profile.list`, ResultIDs, ""},
		{`5`, ResultAny, ""},
	} {
		_, err := Compile(tc.expr, Options{Inputs: AllInputs, Result: tc.wants})
		got := ""
		if e := (*Error)(nil); errors.As(err, &e) {
			got = e.Error()
		}
		if got != tc.says || (err == nil) != (tc.says == "") {
			t.Errorf("%s for %d: error is %v, want %q", tc.expr, tc.wants, err, tc.says)
		}
	}
}

func TestAProgramIsSharedByGoroutines(t *testing.T) {
	contexts := testContexts(t)
	p, err := Compile(`getFilteredGroups({"00gRes", "00gAd1"}, app.profile.shows, 9).![toUpperCase()].?[length() > 0].contains(user.word) ? 1 : user.firstName matches ('A' + '.*')`, Options{Inputs: AllInputs})
	if err != nil {
		t.Fatal(err)
	}
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 50 {
				if v, err := p.Eval(contexts["ada"]); err != nil || v != true {
					t.Errorf("got %v, %v", v, err)
					return
				}
			}
		})
	}
	wait.Wait()
}

// A result shares what it is made of with the record, which other requests
// read; no function may have written to it.
func TestEvaluationsChangeNothingTheyRead(t *testing.T) {
	contexts, fresh := testContexts(t), testContexts(t)
	for _, c := range testCases(t) {
		if p, err := Compile(c.Expr, c.options(t)); err == nil {
			_, _ = p.Eval(contexts[c.In])
		}
	}
	for name, c := range contexts {
		c.Now, fresh[name].Now = nil, nil
		if !reflect.DeepEqual(c, fresh[name]) {
			t.Errorf("the context %q was changed", name)
		}
	}
}

func TestProgramShowsItsSource(t *testing.T) {
	p, err := Compile(" user.email ", Options{Inputs: InputUser})
	if err != nil {
		t.Fatal(err)
	}
	if p.String() != " user.email " {
		t.Errorf("String is %q", p)
	}
}

func TestParseDialect(t *testing.T) {
	for text, want := range map[string]Dialect{"": Either, "classic": Classic, "identity_engine": IdentityEngine} {
		if got, err := ParseDialect(text); err != nil || got != want {
			t.Errorf("%q is %v, %v", text, got, err)
		}
	}
	for _, d := range []Dialect{Either, Classic, IdentityEngine} {
		if back, err := ParseDialect(d.String()); err != nil || back != d {
			t.Errorf("%v comes back as %v, %v", d, back, err)
		}
	}
	if _, err := ParseDialect("clasic"); err == nil || !strings.Contains(err.Error(), `did you mean "classic"`) {
		t.Errorf("error is %v", err)
	}
}

func TestClockIsReadFromTheContext(t *testing.T) {
	p, err := Compile("Time.now()", Options{Inputs: InputClock})
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	c := &Context{Now: func() time.Time { calls++; return time.Unix(0, 0) }}
	if v, err := p.Eval(c); err != nil || v != "1970-01-01T00:00:00.000Z" || calls != 1 {
		t.Errorf("got %v, %v after %d calls", v, err, calls)
	}
}

func TestDialectsReadTheUserDifferently(t *testing.T) {
	c := &Context{User: &identity.User{ID: "field", Status: "ACTIVE", Created: time.Unix(0, 0).UTC(), Profile: map[string]any{
		"id": "attribute", "created": "attribute", "status": nil,
	}}}
	for _, tc := range []struct {
		d          Dialect
		expr, want string
	}{
		{Classic, "user.id", "attribute"},
		{Classic, "user.created", "attribute"},
		{Either, "user.id", "attribute"},
		{Classic, "user.getInternalProperty('id')", "field"},
		{IdentityEngine, "user.id", "field"},
		{IdentityEngine, "user.created", "1970-01-01T00:00:00Z"},
		{IdentityEngine, "user.profile.id", "attribute"},
		{IdentityEngine, "user.status", "ACTIVE"},
	} {
		p, err := Compile(tc.expr, Options{Dialect: tc.d, Inputs: AllInputs})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := p.Eval(c); err != nil || got != tc.want {
			t.Errorf("%v: %s = %v, %v; want %s", tc.d, tc.expr, got, err, tc.want)
		}
	}
}
