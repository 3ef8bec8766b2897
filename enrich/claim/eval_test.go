package claim

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// ada is a user with groups of every type, under an app with an allow list.
const ada = `{
	"user": {"id": "00u1ada", "login": "ada@example.com", "status": "ACTIVE",
		"profile": {"firstName": "Ada", "email": "ada@example.com", "department": "Engineering", "cleared": "", "tags": [], "level": 7}},
	"groups": [
		{"id": "00gIT", "type": "OKTA_GROUP", "profile": {"name": "IT", "description": "Information technology"}},
		{"id": "00gAll", "type": "BUILT_IN", "profile": {"name": "Everyone"}},
		{"id": "00gAD", "type": "APP_GROUP", "objectClass": ["okta:windows_security_principal"], "profile": {"name": "it-admins", "dn": "CN=it-admins"}},
		{"id": "00gHR", "type": "OKTA_GROUP", "profile": {"name": "HR"}}
	],
	"app": {"id": "0oa1payroll", "clientId": "0oa1payroll",
		"profile": {"groupallowlist": ["00gHR", "00gIT", "00gNot"], "csv": "00gHR, 00gAll", "one": "00gAD", "none": [], "numbers": [1], "maxLimit": 40, "nested": {"a": 1}}},
	"appuser": {"userName": "ada", "profile": {"role": "admin"}},
	"access": {"scope": ["openid", "groups"]},
	"token": {"sub": "00u1ada", "dept": "from the token"}
}`

func decode(t testing.TB, text string) *oktael.Context {
	t.Helper()
	c, err := oktael.DecodeContext([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func compile(t testing.TB, defs ...Definition) *Rules {
	t.Helper()
	r, err := Compile(defs)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// The table of Definition's doc comment, a row for every line and for the
// pairs whose order matters.
func TestDecisionTable(t *testing.T) {
	const idToken = "id token"
	for _, tc := range []struct {
		name   string
		def    Definition
		token  string
		skip   oktael.Inputs
		reason Reason
		want   any
	}{
		// INACTIVE: never, whatever else holds.
		{"active", Definition{Expression: "user.department", Status: "active"}, "", 0, Emitted, "Engineering"},
		{"inactive", Definition{Expression: "user.department", Status: "inactive"}, "", 0, Inactive, nil},
		{"inactive before an error", Definition{Expression: "app.nothing.x", Status: "inactive"}, "", 0, Inactive, nil},
		{"inactive before the scope", Definition{Expression: "user.department", Status: "inactive", Scopes: []string{"hr"}}, "", 0, Inactive, nil},

		// The kind of the token.
		{"any token", Definition{Expression: "'x'", Token: "any"}, idToken, 0, Emitted, "x"},
		{"access rule, access token", Definition{Expression: "'x'", Token: "access"}, "", 0, Emitted, "x"},
		{"access rule, ID token", Definition{Expression: "'x'", Token: "access"}, idToken, 0, OtherToken, nil},
		{"ID rule, access token", Definition{Expression: "'x'", Token: "id"}, "", 0, OtherToken, nil},
		{"ID rule, ID token", Definition{Expression: "'x'", Token: "id"}, idToken, 0, Emitted, "x"},

		// Scopes: none listed, one of them granted, none granted.
		{"any scope", Definition{Expression: "'x'", Scopes: []string{}}, "", 0, Emitted, "x"},
		{"the scope granted", Definition{Expression: "'x'", Scopes: []string{"groups"}}, "", 0, Emitted, "x"},
		{"one of the scopes granted", Definition{Expression: "'x'", Scopes: []string{"hr", "groups"}}, "", 0, Emitted, "x"},
		{"no scope granted", Definition{Expression: "'x'", Scopes: []string{"hr", "Groups"}}, "", 0, ScopeNotGranted, nil},
		{"the scope before an error", Definition{Expression: "app.nothing.x", Scopes: []string{"hr"}}, "", 0, ScopeNotGranted, nil},
		{"the scope before emit", Definition{Expression: "{}", OnEmpty: "emit", Scopes: []string{"hr"}}, "", 0, ScopeNotGranted, nil},

		// A directory that could not be asked.
		{"reads what failed", Definition{Expression: "user.department"}, "", oktael.InputUser, Skipped, nil},
		{"reads something else", Definition{Expression: "token.dept"}, "", oktael.InputUser | oktael.InputGroups, Emitted, "from the token"},
		{"a filter whose groups failed", Definition{Groups: &GroupFilter{Match: "contains"}}, "", oktael.InputGroups, Skipped, nil},
		{"an allow list whose groups failed", Definition{AllowList: &AllowList{IDs: []string{"00gIT"}}}, "", oktael.InputGroups, Skipped, nil},
		{"an allow list whose app failed", Definition{AllowList: &AllowList{Expression: "app.profile.groupallowlist"}}, "", oktael.InputApp, Skipped, nil},
		{"failed before an error", Definition{Expression: "app.nothing.x", OnError: "omit"}, "", oktael.InputApp, Skipped, nil},
		{"the scope before what failed", Definition{Expression: "user.department", Scopes: []string{"hr"}}, "", oktael.InputUser, ScopeNotGranted, nil},

		// Errors.
		{"an error, by default", Definition{Expression: "app.nothing.x"}, "", 0, Failed, nil},
		{"an error, denied", Definition{Expression: "app.nothing.x", OnError: "deny"}, "", 0, Failed, nil},
		{"an error, omitted", Definition{Expression: "app.nothing.x", OnError: "omit"}, "", 0, OmittedError, nil},
		{"an error, with emit", Definition{Expression: "app.nothing.x", OnError: "omit", OnEmpty: "emit"}, "", 0, OmittedError, nil},

		// Null is omitted always, empty lists by default, other empty values never.
		{"null", Definition{Expression: "user.nickName"}, "", 0, Null, nil},
		{"null with emit", Definition{Expression: "user.nickName", OnEmpty: "emit"}, "", 0, Null, nil},
		{"no group of that name", Definition{Expression: `Groups.startsWith("OKTA", "nobody", 10)`}, "", 0, Null, nil},
		{"an empty list, by default", Definition{Expression: "user.tags"}, "", 0, Empty, nil},
		{"an empty list, omitted", Definition{Expression: "{}", OnEmpty: "omit"}, "", 0, Empty, nil},
		{"an empty list, emitted", Definition{Expression: "{}", OnEmpty: "emit"}, "", 0, Emitted, []any{}},
		{"an empty string", Definition{Expression: "user.cleared"}, "", 0, Emitted, ""},
		{"an empty map", Definition{Expression: "{:}"}, "", 0, Emitted, map[string]any{}},
		{"a filter without a match", Definition{Groups: &GroupFilter{Match: "equals", Pattern: "x"}}, "", 0, Empty, nil},
		{"a filter without a match, emitted", Definition{Groups: &GroupFilter{Match: "equals", Pattern: "x"}, OnEmpty: "emit"}, "", 0, Emitted, []any{}},
		{"an allow list without a match", Definition{AllowList: &AllowList{IDs: []string{"x"}}}, "", 0, Empty, nil},
		{"an allow list without a match, emitted", Definition{AllowList: &AllowList{IDs: []string{"x"}}, OnEmpty: "emit"}, "", 0, Emitted, []any{}},

		// Values keep their JSON type.
		{"false", Definition{Expression: "1 == 2"}, "", 0, Emitted, false},
		{"an integer", Definition{Expression: "user.level"}, "", 0, Emitted, int64(7)},
		{"a fraction", Definition{Expression: "1.5"}, "", 0, Emitted, 1.5},
		{"a list", Definition{Expression: "access.scope"}, "", 0, Emitted, []any{"openid", "groups"}},
		{"a map", Definition{Expression: "{'a': 1}"}, "", 0, Emitted, map[string]any{"a": int64(1)}},
		{"text that looks like a placeholder", Definition{Expression: "'{env.SECRET}'"}, "", 0, Emitted, "{env.SECRET}"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			tc.def.Name = "dept"
			c := decode(t, ada)
			if tc.token == idToken {
				c.Token = map[string]any{"sub": "00u1ada", "nonce": "n"}
			}
			r := compile(t, tc.def)
			res, err := r.Eval(c, tc.skip)
			if (err != nil) != (tc.reason == Failed) {
				t.Fatalf("error %v", err)
			}
			if len(res.Outcomes) != 1 || res.Outcomes[0].Rule != "dept" || res.Outcomes[0].Reason != tc.reason {
				t.Fatalf("outcomes %+v, want %q", res.Outcomes, tc.reason)
			}
			if (res.Outcomes[0].Err != nil) != (tc.reason == Failed || tc.reason == OmittedError) {
				t.Errorf("outcome with error %v", res.Outcomes[0].Err)
			}
			got, emitted := res.Claims["dept"]
			if emitted != (tc.reason == Emitted) || !reflect.DeepEqual(got, tc.want) {
				t.Errorf("claim = %#v, emitted %v; want %#v", got, emitted, tc.want)
			}
			if !res.Computed["dept"] {
				t.Error("the rule does not replace the token's claim")
			}
			if res.Unknown["dept"] != (tc.reason == Skipped) {
				t.Errorf("unknown = %v", res.Unknown)
			}
		})
	}
}

func TestTokenKindFollowsTheClaimsOfIDTokens(t *testing.T) {
	for _, tc := range []struct {
		token map[string]any
		want  string
	}{
		{nil, TokenAccess},
		{map[string]any{"sub": "a", "scp": []any{"openid"}}, TokenAccess},
		{map[string]any{"nonce": "x"}, TokenID},
		{map[string]any{"at_hash": "x"}, TokenID},
		{map[string]any{"c_hash": "x"}, TokenID},
		{map[string]any{"token_use": "id"}, TokenID},
		{map[string]any{"token_use": "access"}, TokenAccess},
		{map[string]any{"token_use": true}, TokenAccess},
	} {
		if got := tokenKind(tc.token); got != tc.want {
			t.Errorf("%v is of kind %s, want %s", tc.token, got, tc.want)
		}
	}
}

func TestFailedRuleEndsTheEvaluation(t *testing.T) {
	r := compile(
		t, Definition{Name: "dept", Expression: "user.department"},
		Definition{Name: "broken", Expression: "user.firstName + app.nothing.secret"},
		Definition{Name: "role", Expression: "appuser.role"},
	)
	res, err := r.Eval(decode(t, ada), 0)
	var re *RuleError
	if !errors.As(err, &re) || re.Rule != "broken" || re.Index != 1 || re.Field != "expression" {
		t.Fatalf("error %#v", err)
	}
	var ee *oktael.EvalError
	if !errors.As(err, &ee) || ee.Line != 1 || ee.Offset < len("user.firstName + app") || !errors.Is(err, oktael.ErrNull) {
		t.Errorf("position and cause: %#v", ee)
	}
	for _, secret := range []string{"Ada", "ada@example.com", "00u1ada", "Engineering"} {
		if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells %q: %v", secret, err)
		}
	}
	if res.Claims != nil || len(res.Outcomes) != 2 || res.Outcomes[0].Reason != Emitted || res.Outcomes[1].Reason != Failed {
		t.Errorf("result %+v", res)
	}
}

func TestOmittedErrorLetsTheOthersGoOn(t *testing.T) {
	r := compile(
		t, Definition{Name: "broken", Expression: "app.nothing.x", OnError: "omit"},
		Definition{Name: "after", Expression: "claims.broken == null"},
	)
	res, err := r.Eval(decode(t, ada), 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"after": true}; !reflect.DeepEqual(res.Claims, want) {
		t.Errorf("claims %v, want %v", res.Claims, want)
	}
}

func TestComputedHoldsEveryRule(t *testing.T) {
	r := compile(
		t, Definition{Name: "a", Expression: "user.department"},
		Definition{Name: "b", Expression: "user.nickName"},
		Definition{Name: "c", Expression: "{}"},
		Definition{Name: "d", Expression: "'x'", Scopes: []string{"no"}},
		Definition{Name: "e", Expression: "'x'", Status: "inactive"},
		Definition{Name: "f", Expression: "app.nothing.x", OnError: "omit"},
		Definition{Name: "g", Expression: "'x'", Token: "id"},
	)
	res, err := r.Eval(decode(t, ada), oktael.InputAppUser)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range r.Names() {
		if !res.Computed[name] {
			t.Errorf("%s is not computed", name)
		}
	}
	if len(res.Computed) != 7 || len(res.Claims) != 1 || res.Unknown != nil {
		t.Errorf("result %+v", res)
	}
}

func TestRulesSeeTheClaimsAbove(t *testing.T) {
	c := decode(t, ada)
	c.Claims = map[string]any{"above": "from the caller"}
	r := compile(
		t, Definition{Name: "above", Expression: "user.department"},
		Definition{Name: "http://example.com/x", Expression: "'uri'"},
		Definition{Name: "below", Expression: "claims.above + '/' + claims['http://example.com/x']"},
		Definition{Name: "all", Expression: "claims"},
		Definition{Name: "after", Expression: "'later'"},
	)
	res, err := r.Eval(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := res.Claims["below"]; got != "Engineering/uri" {
		t.Errorf("below = %v", got)
	}
	// The claims as they stood, not the map itself, which would then hold itself.
	want := map[string]any{"above": "Engineering", "http://example.com/x": "uri", "below": "Engineering/uri"}
	if got := res.Claims["all"]; !reflect.DeepEqual(got, want) {
		t.Errorf("all = %v, want %v", got, want)
	}
	if c.Claims["above"] != "from the caller" || len(c.Claims) != 1 {
		t.Errorf("the caller's context was changed: %v", c.Claims)
	}
}

// What reads, through another claim, a directory that could not be asked is
// not to be had either: claims.groups would be null there and say "in no
// group".
func TestSkippingGoesThroughOtherClaims(t *testing.T) {
	r := compile(
		t, Definition{Name: "groups", Groups: &GroupFilter{Match: "contains"}},
		Definition{Name: "dept", Expression: "token.dept"},
		Definition{Name: "admin", Expression: "claims.groups != null"},
		Definition{Name: "twice", Expression: "claims.admin ? 'a' : 'b'"},
		Definition{Name: "other", Expression: "claims.dept"},
	)
	res, err := r.Eval(decode(t, ada), oktael.InputGroups)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"dept": "from the token", "other": "from the token"}; !reflect.DeepEqual(res.Claims, want) {
		t.Errorf("claims %v, want %v", res.Claims, want)
	}
	if want := map[string]bool{"groups": true, "admin": true, "twice": true}; !reflect.DeepEqual(res.Unknown, want) {
		t.Errorf("unknown %v, want %v", res.Unknown, want)
	}
}

func TestUnknownGroupsAreAnErrorAndNeverEmpty(t *testing.T) {
	for _, def := range []Definition{
		{Name: "g", Groups: &GroupFilter{Match: "contains"}},
		{Name: "g", Groups: &GroupFilter{Match: "contains"}, OnEmpty: "emit"},
		{Name: "g", AllowList: &AllowList{IDs: []string{"00gIT"}}},
		{Name: "g", AllowList: &AllowList{Expression: "{}"}},
		{Name: "g", Expression: "groups.![name]"},
	} {
		c := decode(t, ada)
		c.GroupsKnown = false
		_, err := compile(t, def).Eval(c, 0)
		if !errors.Is(err, oktael.ErrGroupsUnknown) {
			t.Errorf("%+v: %v", def, err)
		}
		def.OnError = "omit"
		res, err := compile(t, def).Eval(c, 0)
		if err != nil || len(res.Claims) != 0 || res.Outcomes[0].Reason != OmittedError || !res.Unknown["g"] {
			t.Errorf("%+v: %+v, %v", def, res, err)
		}
	}
}

// A client without a user is in no group, and that is known.
func TestClientHasNoGroups(t *testing.T) {
	c := &oktael.Context{GroupsKnown: true}
	r := compile(
		t, Definition{Name: "a", Groups: &GroupFilter{Match: "contains"}},
		Definition{Name: "b", AllowList: &AllowList{IDs: []string{"x"}}, OnEmpty: "emit"},
	)
	res, err := r.Eval(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]any{"b": []any{}}; !reflect.DeepEqual(res.Claims, want) {
		t.Errorf("claims %v, want %v", res.Claims, want)
	}
}

func TestOutcomesTellWhichGroupsWereKept(t *testing.T) {
	r := compile(
		t, Definition{Name: "filter", Groups: &GroupFilter{Match: "starts_with", Pattern: "it"}},
		Definition{Name: "cut", Groups: &GroupFilter{Match: "contains", Limit: 3, OnLimit: "truncate"}},
		Definition{Name: "list", AllowList: &AllowList{Expression: "app.profile.groupallowlist"}},
		Definition{Name: "over", AllowList: &AllowList{IDs: []string{"00gIT", "00gHR"}, Limit: 1}, OnError: "omit"},
		Definition{Name: "expression", Expression: "1"},
	)
	res, err := r.Eval(decode(t, ada), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []*GroupChoice{
		{Considered: 4, Kept: []string{"00gIT", "00gAD"}},
		{Considered: 4, Kept: []string{"00gIT", "00gAll", "00gAD"}, Truncated: 1},
		{Considered: 4, Listed: 3, Kept: []string{"00gIT", "00gHR"}},
		{Considered: 4, Listed: 2, Kept: []string{"00gIT", "00gHR"}},
		nil,
	}
	for i, o := range res.Outcomes {
		if !reflect.DeepEqual(o.Groups, want[i]) {
			t.Errorf("%s: %+v, want %+v", o.Rule, o.Groups, want[i])
		}
	}
	if !errors.Is(res.Outcomes[3].Err, oktael.ErrTooManyGroups) {
		t.Errorf("over: %v", res.Outcomes[3].Err)
	}
}

func TestRulesServeManyGoroutines(t *testing.T) {
	r := compile(
		t, Definition{Name: "dept", Expression: "user.department"},
		Definition{Name: "groups", Groups: &GroupFilter{Match: "regex", Pattern: ".*"}},
		Definition{Name: "apps", AllowList: &AllowList{Expression: "app.profile.groupallowlist", Value: "group.id + ':' + group.name"}},
		Definition{Name: "both", Expression: "claims.dept + claims.apps[0]"},
	)
	c := decode(t, ada)
	want, err := r.Eval(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				got, err := r.Eval(c, 0)
				if err != nil || !reflect.DeepEqual(got.Claims, want.Claims) {
					t.Errorf("claims %v, error %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestReadsTellsWhatRulesNeed(t *testing.T) {
	for _, tc := range []struct {
		def  Definition
		want oktael.Inputs
	}{
		{Definition{Expression: "'x'"}, 0},
		{Definition{Expression: "user.email"}, oktael.InputUser},
		{Definition{Expression: "Time.now()"}, oktael.InputClock},
		{Definition{Expression: "'x'", Scopes: []string{"a"}}, oktael.InputAccess},
		{Definition{Expression: "'x'", Token: "id"}, oktael.InputToken},
		{Definition{Groups: &GroupFilter{Match: "contains"}}, oktael.InputGroups},
		{Definition{AllowList: &AllowList{IDs: []string{"a"}}}, oktael.InputGroups},
		{Definition{AllowList: &AllowList{Expression: "app.profile.x"}}, oktael.InputGroups | oktael.InputApp},
		{Definition{AllowList: &AllowList{IDs: []string{"a"}, Value: "group.name + appuser.role"}}, oktael.InputGroups | oktael.InputAppUser},
	} {
		tc.def.Name = "x"
		if got := compile(t, tc.def).Reads(); got != tc.want {
			t.Errorf("%+v reads %s, want %s", tc.def, got, tc.want)
		}
	}
	r := compile(t, Definition{Name: "a", Expression: "user.email"}, Definition{Name: "b", Expression: "token.x"})
	if got := r.Reads(); got != oktael.InputUser|oktael.InputToken || !slices.Equal(r.Names(), []string{"a", "b"}) {
		t.Errorf("reads %s, names %q", got, r.Names())
	}
	none := compile(t)
	if res, err := none.Eval(&oktael.Context{}, 0); err != nil || len(res.Claims) != 0 || none.Reads() != 0 {
		t.Errorf("no rules: %+v, %v", res, err)
	}
}

func TestGroupsOfOneNameStayTwo(t *testing.T) {
	c := &oktael.Context{GroupsKnown: true, Groups: []identity.Group{{ID: "1", Name: "a"}, {ID: "2", Name: "a"}}}
	r := compile(
		t, Definition{Name: "filter", Groups: &GroupFilter{Match: "equals", Pattern: "A"}},
		Definition{Name: "list", AllowList: &AllowList{IDs: []string{"2", "1"}}},
	)
	res, err := r.Eval(c, 0)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range res.Claims {
		if !reflect.DeepEqual(v, []any{"a", "a"}) {
			t.Errorf("%s = %v", name, v)
		}
	}
}
