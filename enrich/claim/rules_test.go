package claim

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

func TestCompileRefusesAndNamesTheRule(t *testing.T) {
	list := &AllowList{IDs: []string{"00g1"}}
	filter := &GroupFilter{Match: "contains"}
	for _, tc := range []struct {
		name         string
		def          Definition
		field, error string
	}{
		{"a reserved name", Definition{Name: "sub", Expression: "user.id"}, "name", "reserved"},
		{"no name", Definition{Expression: "user.id"}, "name", "needs a name"},
		{"a name that is taken", Definition{Name: "first", Expression: "user.id"}, "name", "another rule"},
		{"nothing to compute", Definition{Name: "x"}, "", "one of expression, groups and allow_list"},
		{"two things to compute", Definition{Name: "x", Expression: "user.id", Groups: filter}, "", "one of expression"},
		{"a filter and a list", Definition{Name: "x", AllowList: list, Groups: filter}, "", "one of expression"},
		{"on_error", Definition{Name: "x", Expression: "1", OnError: "ignore"}, "on_error", "deny"},
		{"on_empty", Definition{Name: "x", Expression: "1", OnEmpty: "emitt"}, "on_empty", `did you mean "emit"`},
		{"status", Definition{Name: "x", Expression: "1", Status: "ACTIVE"}, "status", `did you mean "active"`},
		{"token", Definition{Name: "x", Expression: "1", Token: "identity"}, "token", "access"},
		{"dialect", Definition{Name: "x", Expression: "1", Dialect: "classical"}, "dialect", "classic"},
		{"dialect of a filter too", Definition{Name: "x", Groups: filter, Dialect: "classical"}, "dialect", "classic"},
		{"an empty scope", Definition{Name: "x", Expression: "1", Scopes: []string{"a", ""}}, "scopes", "is not a scope"},
		{"two scopes in one", Definition{Name: "x", Expression: "1", Scopes: []string{"a b"}}, "scopes", "is not a scope"},
		{"an expression that does not parse", Definition{Name: "x", Expression: "user."}, "expression", "^"},
		{"an unknown function", Definition{Name: "x", Expression: "String.lenn('a')"}, "expression", "String.len"},
		{"what belongs to the request", Definition{Name: "x", Expression: "request.path"}, "expression", "request"},
		{"a variable", Definition{Name: "x", Expression: "whatever"}, "expression", "whatever"},
		{"a group outside of an allow list", Definition{Name: "x", Expression: "group.name"}, "expression", "group"},
		{"the other dialect", Definition{Name: "x", Expression: "user.email.toUpperCase()", Dialect: "classic"}, "expression", "dialect"},
		{"an unknown claim", Definition{Name: "x", Expression: "claims.frist"}, "expression", `did you mean "first"`},
		{"its own claim", Definition{Name: "x", Expression: "claims.x"}, "expression", "no rule above"},
		{"a later claim", Definition{Name: "x", Expression: "claims.last"}, "expression", "no rule above"},
		{"a later claim, indexed", Definition{Name: "x", Expression: "claims['last']"}, "expression", "no rule above"},
		{"a list that is neither", Definition{Name: "x", AllowList: &AllowList{}}, "allow_list", "either ids or an expression"},
		{"a list that is both", Definition{Name: "x", AllowList: &AllowList{IDs: []string{"a"}, Expression: "user.x"}}, "allow_list", "either ids or an expression"},
		{"an empty id", Definition{Name: "x", AllowList: &AllowList{IDs: []string{"a", ""}}}, "allow_list.ids", "not a group id"},
		{"an id with a space", Definition{Name: "x", AllowList: &AllowList{IDs: []string{" a"}}}, "allow_list.ids", "not a group id"},
		{"too many ids", Definition{Name: "x", AllowList: &AllowList{IDs: make([]string, maxAllowList+1)}}, "allow_list.ids", "10000"},
		{"a list's expression", Definition{Name: "x", AllowList: &AllowList{Expression: "app.profile."}}, "allow_list.expression", "^"},
		{"a list of a later claim", Definition{Name: "x", AllowList: &AllowList{Expression: "claims.last"}}, "allow_list.expression", "no rule above"},
		{"a list's value", Definition{Name: "x", AllowList: &AllowList{IDs: []string{"a"}, Value: "group.name +"}}, "allow_list.value", "^"},
		{"a list's value of a variable", Definition{Name: "x", AllowList: &AllowList{IDs: []string{"a"}, Value: "grp.name"}}, "allow_list.value", "grp"},
		{"a list's value of the request", Definition{Name: "x", AllowList: &AllowList{IDs: []string{"a"}, Value: "request.path"}}, "allow_list.value", "request"},
		{"a list's limit", Definition{Name: "x", AllowList: &AllowList{IDs: []string{"a"}, Limit: -1}}, "allow_list.limit", "at least 1"},
		{"a list's on_limit", Definition{Name: "x", AllowList: &AllowList{IDs: []string{"a"}, OnLimit: "x"}}, "allow_list.on_limit", "truncate"},
		{"a filter", Definition{Name: "x", Groups: &GroupFilter{Match: "regex", Pattern: "(?!a)"}}, "groups.pattern", "look-ahead"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := Compile([]Definition{
				{Name: "first", Expression: "user.email"}, tc.def, {Name: "last", Expression: "user.email"},
			})
			var de *DefinitionError
			if !errors.As(err, &de) {
				t.Fatalf("error %v is not a DefinitionError", err)
			}
			if de.Rule != tc.def.Name || de.Index != 1 || de.Field != tc.field || !strings.Contains(err.Error(), tc.error) {
				t.Errorf("error %q (field %q), want field %q and … %s …", err, de.Field, tc.field, tc.error)
			}
			if strings.Contains(err.Error(), `"last"`) && !strings.Contains(tc.error, "last") {
				t.Errorf("the rule below is blamed: %v", err)
			}
		})
	}
}

func TestCompileErrorDrawsACaret(t *testing.T) {
	_, err := Compile([]Definition{{Name: "dept", Expression: "user.department + String.lenn('a')"}})
	lines := strings.Split(err.Error(), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], `claim "dept": expression: 1:`) {
		t.Fatalf("error:\n%v", err)
	}
	if at := strings.Index(lines[2], "^"); lines[1] != "user.department + String.lenn('a')" || at != strings.Index(lines[1], "String") {
		t.Errorf("error:\n%v", err)
	}
	var oe *oktael.Error
	if !errors.As(err, &oe) || oe.Offset != 18 {
		t.Errorf("cause %#v", oe)
	}
}

// The position of an error in a value expression is the one in that
// expression.
func TestCompileErrorDrawsACaretInAValue(t *testing.T) {
	for _, tc := range []struct{ value, place, line, caret string }{
		{`group.name + grp.name`, "1:14: ", `group.name + grp.name`, `             ^`},
		{`'"' + "'" + grp.name`, "1:13: ", `'"' + "'" + grp.name`, `            ^`},
		{"group.name\n + grp.name", "2:4: ", " + grp.name", "   ^"},
	} {
		_, err := Compile([]Definition{{Name: "x", AllowList: &AllowList{IDs: []string{"a"}, Value: tc.value}}})
		if _, ok := errors.AsType[*oktael.Error](err); !ok {
			t.Fatalf("%s: %v", tc.value, err)
		}
		if text := err.Error(); !strings.HasPrefix(text, `claim "x": allow_list.value: `+tc.place) || !strings.HasSuffix(text, "\n"+tc.line+"\n"+tc.caret) {
			t.Errorf("%s:\n%s", tc.value, text)
		}
	}
}

func TestCompileFindsAllThatIsWrong(t *testing.T) {
	_, err := Compile([]Definition{
		{Name: "iss", Expression: "user.id"},
		{Name: "good", Expression: "user.id"},
		{Name: "bad", Expression: "user.id +"},
		{Name: "follows", Expression: "claims.bad"},
	})
	text := err.Error()
	if !strings.Contains(text, `claim "iss"`) || !strings.Contains(text, `claim "bad"`) || strings.Contains(text, "good") || strings.Contains(text, "follows") {
		t.Errorf("error:\n%v", err)
	}
	if _, err := Compile(make([]Definition, maxRules+1)); err == nil || strings.Contains(err.Error(), "needs a name") {
		t.Errorf("too many rules: %v", err)
	}
}

func TestWarningsNameTheRule(t *testing.T) {
	r := compile(
		t, Definition{Name: "a", Expression: "user.email"},
		Definition{Name: "b", Expression: "'x' + user.nickName"},
		Definition{Name: "c", AllowList: &AllowList{IDs: []string{"a"}, Value: "'x' + group.profile.dn"}},
	)
	w := r.Warnings()
	if len(w) != 2 || w[0].Rule != "b" || w[0].Field != "expression" || w[1].Rule != "c" || w[1].Field != "allow_list.value" || w[1].Column != len("'x' + group.profile.d") {
		t.Errorf("warnings %+v", w)
	}
}

func TestDefinitionReadsAsConfiguration(t *testing.T) {
	const text = `[
		{"name": "dept", "expression": "user.department", "scopes": ["hr"], "on_error": "omit", "on_empty": "emit",
		 "dialect": "classic", "status": "active", "token": "access"},
		{"name": "groups", "groups": {"match": "regex", "pattern": "App-.*", "types": ["OKTA_GROUP"], "value": "id", "limit": 100, "on_limit": "truncate"}},
		{"name": "static", "allow_list": {"ids": ["00g1", "00g2"], "value": "group.id", "limit": 40, "on_limit": "error"}},
		{"name": "dynamic", "allow_list": {"expression": "app.profile.groupallowlist"}}
	]`
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	var defs []Definition
	if err := d.Decode(&defs); err != nil {
		t.Fatal(err)
	}
	if _, err := Compile(defs); err != nil {
		t.Fatal(err)
	}
	out, err := json.Marshal(defs)
	if err != nil {
		t.Fatal(err)
	}
	var again, first any
	if json.Unmarshal(out, &again) != nil || json.Unmarshal([]byte(text), &first) != nil {
		t.Fatal("written configuration does not read")
	}
	a, _ := json.Marshal(again)
	b, _ := json.Marshal(first)
	if string(a) != string(b) {
		t.Errorf("written as %s\nread as %s", a, b)
	}
}
