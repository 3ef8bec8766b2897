package claim

import (
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// claimJSON is a claim that is good in every member; change replaces members,
// and one that is changed to an empty text is taken away.
func claimJSON(t testing.TB, change map[string]string) string {
	t.Helper()
	m := map[string]json.RawMessage{
		"name": json.RawMessage(`"dept"`), "status": json.RawMessage(`"ACTIVE"`), "claimType": json.RawMessage(`"RESOURCE"`),
		"valueType": json.RawMessage(`"EXPRESSION"`), "value": json.RawMessage(`"user.department"`),
		"conditions": json.RawMessage(`{"scopes":[]}`), "alwaysIncludeInToken": json.RawMessage(`true`),
	}
	for k, v := range change {
		if v == "" {
			delete(m, k)
		} else {
			m[k] = json.RawMessage(v)
		}
	}
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

var oktaTypes = []string{"OKTA_GROUP", "BUILT_IN"}

// Each form that Okta's documents know of a claim.
func TestImportTakesEveryFormOfAClaim(t *testing.T) {
	groups := func(filterType, value string) string {
		return claimJSON(t, map[string]string{"name": `"groups"`, "valueType": `"GROUPS"`, "group_filter_type": `"` + filterType + `"`, "value": value})
	}
	dept := Definition{Name: "dept", Expression: "user.department"}
	for _, tc := range []struct {
		name, text, kind string
		want             []Definition
	}{
		{
			"an expression as one sends it, with a scope",
			`{ "name": "dept", "status": "ACTIVE", "claimType": "RESOURCE", "valueType": "EXPRESSION",
			   "value": "user.department", "conditions": { "scopes": ["hr:read"] }, "alwaysIncludeInToken": true }`, "access",
			[]Definition{{Name: "dept", Expression: "user.department", Scopes: []string{"hr:read"}}},
		},
		{
			"a groups claim as Okta answers it, with what is read-only",
			`{ "id": "ocl1a2b3c4D5e6F7g8h9", "name": "groups", "status": "ACTIVE", "claimType": "IDENTITY", "valueType": "GROUPS",
			   "group_filter_type": "STARTS_WITH", "value": "App-", "conditions": { "scopes": ["groups"] },
			   "system": false, "alwaysIncludeInToken": false, "apiResourceId": null,
			   "_links": { "self": { "href": "https://ex.okta.com/api/v1/authorizationServers/aus1/claims/ocl1a2b3c4D5e6F7g8h9",
			                         "hints": { "allow": ["GET","PUT","DELETE"] } } } }`, "id",
			[]Definition{{Name: "groups", Scopes: []string{"groups"}, Groups: &GroupFilter{Match: "starts_with", Pattern: "App-", Types: oktaTypes}}},
		},
		{"without a kind, access tokens' claims", claimJSON(t, nil), "", []Definition{dept}},
		{"a list of one", `[` + claimJSON(t, nil) + `]`, "access", []Definition{dept}},
		{
			"a list in its order", `[` + claimJSON(t, map[string]string{"name": `"b"`}) + `,` + claimJSON(t, map[string]string{"name": `"a"`}) + `]`, "access",
			[]Definition{{Name: "b", Expression: "user.department"}, {Name: "a", Expression: "user.department"}},
		},
		{
			"one name for both kinds of token",
			`[` + claimJSON(t, nil) + `,` + claimJSON(t, map[string]string{"claimType": `"IDENTITY"`, "value": `"user.division"`}) + `]`, "id",
			[]Definition{{Name: "dept", Expression: "user.division"}},
		},
		{
			"one name, active once",
			`[` + claimJSON(t, map[string]string{"status": `"INACTIVE"`}) + `,` + claimJSON(t, nil) + `]`, "access",
			[]Definition{dept},
		},
		{"any scope, by no conditions", claimJSON(t, map[string]string{"conditions": ""}), "", []Definition{dept}},
		{"any scope, by null conditions", claimJSON(t, map[string]string{"conditions": "null"}), "", []Definition{dept}},
		{"any scope, by empty conditions", claimJSON(t, map[string]string{"conditions": "{}"}), "", []Definition{dept}},
		{"any scope, by null scopes", claimJSON(t, map[string]string{"conditions": `{"scopes":null}`}), "", []Definition{dept}},
		{
			"several scopes", claimJSON(t, map[string]string{"conditions": `{"scopes":["a","b"]}`}), "",
			[]Definition{{Name: "dept", Expression: "user.department", Scopes: []string{"a", "b"}}},
		},
		{"not always in the token", claimJSON(t, map[string]string{"alwaysIncludeInToken": "false"}), "", []Definition{dept}},
		{"without alwaysIncludeInToken", claimJSON(t, map[string]string{"alwaysIncludeInToken": ""}), "", []Definition{dept}},
		{"a null group_filter_type", claimJSON(t, map[string]string{"group_filter_type": "null"}), "", []Definition{dept}},
		{
			"a name that is a URI", claimJSON(t, map[string]string{"name": `"http://example.com/is_root"`}), "",
			[]Definition{{Name: "http://example.com/is_root", Expression: "user.department"}},
		},
		{
			"the longest expression", claimJSON(t, map[string]string{"value": `"'` + strings.Repeat("é", 1022) + `'"`}), "",
			[]Definition{{Name: "dept", Expression: "'" + strings.Repeat("é", 1022) + "'"}},
		},
		{"starts with", groups("STARTS_WITH", `"group1"`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "starts_with", Pattern: "group1", Types: oktaTypes}}}},
		{"equals", groups("EQUALS", `"group1"`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "equals", Pattern: "group1", Types: oktaTypes}}}},
		{"contains", groups("CONTAINS", `"group1"`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "contains", Pattern: "group1", Types: oktaTypes}}}},
		{"regex", groups("REGEX", `".*"`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "regex", Pattern: ".*", Types: oktaTypes}}}},
		{
			"regex between slashes", groups("REGEX", `"/^[a-z0-9_-]{3,16}$/"`), "",
			[]Definition{{Name: "groups", Groups: &GroupFilter{Match: "regex", Pattern: "^[a-z0-9_-]{3,16}$", Types: oktaTypes}}},
		},
		{"regex with one slash", groups("REGEX", `"/a"`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "regex", Pattern: "/a", Types: oktaTypes}}}},
		{"slashes elsewhere stay", groups("EQUALS", `"/a/"`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "equals", Pattern: "/a/", Types: oktaTypes}}}},
		{"blank starts with", groups("STARTS_WITH", `""`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "starts_with", Types: oktaTypes}}}},
		{"blank equals", groups("EQUALS", `""`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "starts_with", Types: oktaTypes}}}},
		{"blank contains", groups("CONTAINS", `" "`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "starts_with", Types: oktaTypes}}}},
		{"blank regex", groups("REGEX", `""`), "", []Definition{{Name: "groups", Groups: &GroupFilter{Match: "starts_with", Types: oktaTypes}}}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, notes, err := Import([]byte(tc.text), tc.kind)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tc.want) || len(notes) != 0 {
				t.Errorf("Import = %+v, notes %v\nwant %+v", got, notes, tc.want)
			}
		})
	}
}

func TestImportLeavesOutAndSaysSo(t *testing.T) {
	sub := `{"id":"ocl0","name":"sub","status":"ACTIVE","claimType":"RESOURCE","valueType":"EXPRESSION",
		"value":"(appuser != null) ? appuser.userName : app.clientId","conditions":{"scopes":[]},"system":true,"alwaysIncludeInToken":true}`
	for _, tc := range []struct {
		name, text string
		claims     []string
		notes      []string
	}{
		{"Okta's own claim, reserved name and all", `[` + sub + `,` + claimJSON(t, nil) + `]`, []string{"dept"}, []string{"sub"}},
		{"valueType SYSTEM", `[` + claimJSON(t, map[string]string{"name": `"x"`, "valueType": `"SYSTEM"`}) + `,` + claimJSON(t, nil) + `]`, []string{"dept"}, []string{"x"}},
		{"an inactive one, in silence", `[` + claimJSON(t, map[string]string{"name": `"x"`, "status": `"INACTIVE"`}) + `,` + claimJSON(t, nil) + `]`, []string{"dept"}, nil},
		{"an inactive one with a reserved name", `[` + claimJSON(t, map[string]string{"name": `"sub"`, "status": `"INACTIVE"`}) + `,` + claimJSON(t, nil) + `]`, []string{"dept"}, nil},
		{"the other kind", `[` + claimJSON(t, map[string]string{"name": `"x"`, "claimType": `"IDENTITY"`}) + `,` + claimJSON(t, nil) + `]`, []string{"dept"}, nil},
		{"all of them", `[` + sub + `]`, nil, []string{"sub", ""}},
		{"nothing to leave out", `[]`, nil, []string{""}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			defs, notes, err := Import([]byte(tc.text), "access")
			if err != nil {
				t.Fatal(err)
			}
			var claims, noted []string
			for _, d := range defs {
				claims = append(claims, d.Name)
			}
			for _, n := range notes {
				noted = append(noted, n.Claim)
				if n.Text == "" {
					t.Error("a note without text")
				}
			}
			if !slices.Equal(claims, tc.claims) || !slices.Equal(noted, tc.notes) {
				t.Errorf("claims %q, notes on %q; want %q, %q", claims, noted, tc.claims, tc.notes)
			}
		})
	}
}

func TestImportRefusesAndNamesTheClaim(t *testing.T) {
	for _, tc := range []struct {
		name         string
		change       map[string]string
		field, error string
	}{
		{"no name", map[string]string{"name": ""}, "name", "is required"},
		{"a null name", map[string]string{"name": "null"}, "name", "is required"},
		{"a name that is a number", map[string]string{"name": "7"}, "name", "must be a string"},
		{"a reserved name", map[string]string{"name": `"exp"`}, "name", "reserved"},
		{"no status", map[string]string{"status": ""}, "status", "must be "},
		{"a status in lower case", map[string]string{"status": `"active"`}, "status", `did you mean "ACTIVE"`},
		{"no claimType", map[string]string{"claimType": ""}, "claimType", "RESOURCE"},
		{"an unknown claimType", map[string]string{"claimType": `"ACCESS"`}, "claimType", `unknown value "ACCESS" (want RESOURCE or IDENTITY)`},
		{"an unknown valueType", map[string]string{"valueType": `"GROUP"`}, "valueType", `did you mean "GROUPS"`},
		{"no value", map[string]string{"value": ""}, "value", "expression is required"},
		{"a value that is no string", map[string]string{"value": "true"}, "value", "must be a string"},
		{"an expression that is too long", map[string]string{"value": `"` + strings.Repeat("é", 1025) + `"`}, "value", "1024"},
		{"an expression that does not compile", map[string]string{"value": `"Sting.len(user.email)"`}, "value", "1:1: unknown function Sting.len (did you mean \"String.len\"?)\nSting.len(user.email)\n^"},
		{"what only a mapping can read", map[string]string{"value": `"idpuser.email"`}, "value", "user name transforms"},
		{"a filter on an expression", map[string]string{"group_filter_type": `"REGEX"`}, "group_filter_type", "GROUPS only"},
		{"a groups claim without a filter", map[string]string{"valueType": `"GROUPS"`}, "group_filter_type", "must be "},
		{"an unknown filter", map[string]string{"valueType": `"GROUPS"`, "group_filter_type": `"STARTSWITH"`}, "group_filter_type", `did you mean "STARTS_WITH"`},
		{"the camel case that Okta refuses", map[string]string{"valueType": `"GROUPS"`, "groupFilterType": `"REGEX"`}, "groupFilterType", "write group_filter_type"},
		{"a groups claim without a value", map[string]string{"valueType": `"GROUPS"`, "group_filter_type": `"EQUALS"`, "value": ""}, "value", "matches every group"},
		{"look-ahead", map[string]string{"valueType": `"GROUPS"`, "group_filter_type": `"REGEX"`, "value": `"(?!admin).*"`}, "value", "look-ahead"},
		{"a class in a class", map[string]string{"valueType": `"GROUPS"`, "group_filter_type": `"REGEX"`, "value": `"[a-z&&[^b]]"`}, "value", "Java"},
		{"a pattern that is too long", map[string]string{"valueType": `"GROUPS"`, "group_filter_type": `"EQUALS"`, "value": `"` + strings.Repeat("x", 1025) + `"`}, "value", "1024"},
		{"an unknown member", map[string]string{"alwaysInclude": "true"}, "alwaysInclude", "is not a member of an Okta claim"},
		{"a member in another case", map[string]string{"claimtype": `"RESOURCE"`}, "claimtype", `did you mean "claimType"`},
		{"system that is no boolean", map[string]string{"system": `"true"`}, "system", "true or false"},
		{"alwaysIncludeInToken that is no boolean", map[string]string{"alwaysIncludeInToken": `1`}, "alwaysIncludeInToken", "true or false"},
		{"conditions that are a list", map[string]string{"conditions": `[]`}, "conditions", "is not an object"},
		{"an unknown condition", map[string]string{"conditions": `{"scopes":[],"clients":["a"]}`}, "conditions.clients", "not a supported condition"},
		{"scopes that are a string", map[string]string{"conditions": `{"scopes":"a b"}`}, "conditions.scopes", "list of strings"},
		{"a scope that is no string", map[string]string{"conditions": `{"scopes":["a",null]}`}, "conditions.scopes", "element 1"},
		{"two scopes in one", map[string]string{"conditions": `{"scopes":["a b"]}`}, "conditions.scopes", `"a b"`},
		{"an empty scope", map[string]string{"conditions": `{"scopes":[""]}`}, "conditions.scopes", "element 0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			good := claimJSON(t, map[string]string{"name": `"good"`})
			_, _, err := Import([]byte("["+good+","+claimJSON(t, tc.change)+"]"), "access")
			var de *DefinitionError
			if !errors.As(err, &de) {
				t.Fatalf("error %v is not a DefinitionError", err)
			}
			if de.Index != 1 || de.Field != tc.field || !strings.Contains(err.Error(), tc.error) {
				t.Errorf("error %q (claim %d, field %q), want field %q and … %s …", err, de.Index, de.Field, tc.field, tc.error)
			}
			if _, named := tc.change["name"]; !named && de.Rule != "dept" {
				t.Errorf("error names the claim %q", de.Rule)
			}
		})
	}
}

func TestImportTellsAllThatIsWrongAtOnce(t *testing.T) {
	_, _, err := Import([]byte("["+
		claimJSON(t, map[string]string{"name": `"a"`, "value": `"user."`})+","+
		claimJSON(t, map[string]string{"name": `"b"`})+","+
		claimJSON(t, map[string]string{"name": `"c"`, "status": `"ON"`})+","+
		claimJSON(t, map[string]string{"name": `"b"`})+"]"), "")
	for _, says := range []string{`claim "a": value: 1:6`, `claim "c": status`, `claim "b": name: duplicate active claim`} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("error %v does not say %s", err, says)
		}
	}
}

func TestImportRefusesTextsThatAreNotClaims(t *testing.T) {
	good := claimJSON(t, nil)
	for _, tc := range []struct{ name, text, error string }{
		{"nothing", "", "EOF"},
		{"half a claim", good[:20], "EOF"},
		{"null", "null", "neither a claim nor a list"},
		{"a string", `"dept"`, "neither a claim nor a list"},
		{"two claims one after the other", good + good, "one list"},
		{"text behind", good + "x", "one list"},
		{"a list in a list", "[[" + good + "]]", "is not an object"},
		{"null in a list", "[null]", "is not an object"},
		{"not UTF-8", "{\"name\":\"\xff\"}", "UTF-8"},
		{"two of a name", "[" + good + "," + good + "]", `"dept": name: duplicate active claim`},
		{"one member twice", `{"name":"a",` + good[1:], "twice"},
		{"one condition twice", claimJSON(t, map[string]string{"name": `"x"`, "conditions": ""})[:1] + `"conditions":{"scopes":["a"],"scopes":[]},` + claimJSON(t, map[string]string{"conditions": ""})[1:], "twice"},
		{"too many", "[" + strings.Repeat("0,", maxRules) + "0]", "more than 1000"},
		{"too long", strings.Repeat(" ", maxImportBytes) + good, "longer than"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, _, err := Import([]byte(tc.text), ""); err == nil || !strings.Contains(err.Error(), tc.error) {
				t.Errorf("error %v, want … %s …", err, tc.error)
			}
		})
	}
	if _, _, err := Import([]byte(good), "RESOURCE"); err == nil || !strings.Contains(err.Error(), "access") {
		t.Errorf("an unknown kind: %v", err)
	}
}

func FuzzImport(f *testing.F) {
	f.Add(claimJSON(f, nil), "access")
	f.Add("["+claimJSON(f, map[string]string{"claimType": `"IDENTITY"`, "valueType": `"GROUPS"`, "group_filter_type": `"REGEX"`, "value": `"/^a$/"`})+"]", "id")
	f.Add(`{"name":"sub","status":"ACTIVE","claimType":"RESOURCE","valueType":"EXPRESSION","value":"x","system":true}`, "")
	f.Add(`[{"name":"g","status":"ACTIVE","claimType":"RESOURCE","valueType":"GROUPS","group_filter_type":"CONTAINS","value":"[a&&[b]]"},[]]`, "")
	f.Add(`{"name":"a","name":"b"}`, "")
	f.Fuzz(func(t *testing.T, text, kind string) {
		defs, _, err := Import([]byte(text), kind)
		if err != nil {
			if defs != nil {
				t.Fatal("claims with an error")
			}
			return
		}
		seen := map[string]bool{}
		for _, d := range defs {
			if seen[d.Name] || checkName(d.Name) != nil {
				t.Fatalf("imported the name %q", d.Name)
			}
			seen[d.Name] = true
			switch {
			case d.Groups != nil && d.Expression == "":
				if _, _, err := compileFilter(d.Groups); err != nil {
					t.Fatalf("imported a filter that does not compile: %v", err)
				}
			case d.Groups != nil || d.Expression == "":
				t.Fatalf("imported %+v", d)
			}
			// What was imported can be written as configuration and read back.
			text, err := json.Marshal(d)
			var back Definition
			if err != nil || json.Unmarshal(text, &back) != nil || !reflect.DeepEqual(back, d) {
				t.Fatalf("%s does not read back as %+v", text, d)
			}
		}
	})
}
