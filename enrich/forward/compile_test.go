package forward

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

func header1(d HeaderDefinition) Definition {
	if d.Name == "" {
		d.Name = "X-User"
	}
	if d.Claim == "" {
		d.Claim = "c"
	}
	return Definition{Headers: []HeaderDefinition{d}}
}

func mustCompile(t testing.TB, d Definition, targets ...Target) *HeaderPlan {
	t.Helper()
	c, err := Compile(d, targets...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNamesThatClaimsMayNotHave(t *testing.T) {
	refused := []string{
		"Host", "Connection", "Proxy", "Transfer-Encoding", "TE", "Trailer", "Upgrade", "Content-Length", "Content-Type",
		"Content-Anything", "Cookie", "Set-Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
		"X-Forwarded-Port", "X-Forwarded-Prefix", "Forwarded", "Via", "X-Real-IP",
		"Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Proxy-Authenticate",
	}
	for _, name := range refused {
		for _, alias := range Aliases(name) {
			if _, err := Compile(header1(HeaderDefinition{Name: alias})); !errors.Is(err, errHeaderName) {
				t.Fatalf("%q is accepted (%v)", alias, err)
			}
		}
	}
	for _, name := range []string{"", "X User", "X:User", "X-Üser", "X\r\n", strings.Repeat("x", maxNameBytes+1)} {
		if _, err := Compile(Definition{Headers: []HeaderDefinition{{Name: name, Claim: "c"}}}); !errors.Is(err, errHeaderName) {
			t.Errorf("%q is accepted (%v)", name, err)
		}
	}
	for _, name := range []string{
		"X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups", "X-Forwarded-Preferred-Username",
		"SM_USER", "REMOTE_USER", "Contents", "Hosts", "X-Authorization",
	} {
		if _, err := Compile(header1(HeaderDefinition{Name: name})); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestTwoHeadersThatFoldToOneAreRefused(t *testing.T) {
	for _, d := range []Definition{
		{Headers: []HeaderDefinition{{Name: "X-User", Claim: "a"}, {Name: "X-User", Claim: "b"}}},
		{Headers: []HeaderDefinition{{Name: "X-User", Claim: "a"}, {Name: "x_user", Claim: "b"}}},
		{Headers: []HeaderDefinition{{Name: "X-User-Mail", Claim: "a"}}, HeadersFrom: []HeadersFrom{{Prefix: "X-User-", Claims: []string{"mail"}}}},
		{HeadersFrom: []HeadersFrom{{Prefix: "X-User-", Claims: []string{"a.b", "a_b"}}}},
		{HeadersFrom: []HeadersFrom{{Prefix: "X-User-"}, {Prefix: "X_User_"}}},
		{HeadersFrom: []HeadersFrom{{Prefix: "X-User-"}, {Prefix: "X-User-Mail-"}}},
		{Headers: []HeaderDefinition{{Name: "X-Groups", Claim: "a", OnOverflow: "split"}, {Name: "X_Groups_2", Claim: "b"}}},
	} {
		if _, err := Compile(d); !errors.Is(err, errHeaderName) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	for _, targets := range [][]Target{
		{{Header: "x_user"}},
		{{Header: "X-Token"}, {Header: "X_Token"}},
		{{Cookie: "token"}, {Cookie: "TOKEN"}},
	} {
		if _, err := Compile(header1(HeaderDefinition{}), targets...); !errors.Is(err, errHeaderName) {
			t.Errorf("targets %+v: %v", targets, err)
		}
	}
	mustCompile(t, header1(HeaderDefinition{Name: "X-Token"}), Target{Cookie: "X-Token"}) // another name space
}

func TestPrefixesThatWouldOwnTooMuch(t *testing.T) {
	for _, prefix := range []string{
		"", "X", "X-", "X_", "X--", "X---", "----", "Cont", "Content-", "Content-Type-", "Auth", "Cook", "X-Forwarded-", "x_forwarded_",
		"X-Fo", "Prox", "Proxy-", "X-Re", "Forw", "a b c", "X-Üser-", strings.Repeat("x", maxNameBytes+1),
	} {
		if _, err := Compile(Definition{HeadersFrom: []HeadersFrom{{Prefix: prefix}}}); !errors.Is(err, errHeaderName) {
			t.Errorf("%q is accepted (%v)", prefix, err)
		}
	}
	for _, prefix := range []string{"X-User-", "OIDC_CLAIM_", "Acme", "X-Forwarded-User-"} {
		mustCompile(t, Definition{HeadersFrom: []HeadersFrom{{Prefix: prefix}}})
	}
}

func TestOptionsThatContradictEachOther(t *testing.T) {
	for _, tc := range []struct {
		d    HeaderDefinition
		says string
	}{
		{HeaderDefinition{List: "json", Delimiter: ";"}, "list json and delimiter"},
		{HeaderDefinition{List: "json", Escape: "percent"}, "list json and escape"},
		{HeaderDefinition{List: "first", Escape: "refuse"}, "list first and escape"},
		{HeaderDefinition{List: "repeat", Delimiter: ";"}, "list repeat and delimiter"},
		{HeaderDefinition{List: "repeat", OnOverflow: "split"}, "list repeat and on_overflow split"},
		{HeaderDefinition{List: "first", OnOverflow: "truncate_list"}, "list first and on_overflow truncate_list"},
		{HeaderDefinition{Count: true, List: "first"}, "count and list first"},
		{HeaderDefinition{Count: true, Delimiter: ";"}, "count and delimiter"},
		{HeaderDefinition{Count: true, Escape: "percent"}, "count and escape"},
		{HeaderDefinition{Count: true, Value: "cn"}, "count and value cn"},
		{HeaderDefinition{Count: true, OnOverflow: "split"}, "count and on_overflow split"},
		{HeaderDefinition{Default: "x"}, "a default text and on_empty omit"},
		{HeaderDefinition{OnEmpty: "deny", Default: "x"}, "a default text and on_empty deny"},
		{HeaderDefinition{OnEmpty: "default"}, "on_empty default and an empty default"},
		{HeaderDefinition{OnEmpty: "default", Default: "ü", Encode: "ascii"}, "the default text contains a character outside ASCII"},
		{HeaderDefinition{OnEmpty: "default", Default: "a\nb"}, "the default text contains a control"},
		{HeaderDefinition{OnEmpty: "default", Default: "long", MaxBytes: 3}, "over max_bytes 3"},
		{HeaderDefinition{Delimiter: "\n"}, "the delimiter contains a control"},
		{HeaderDefinition{Delimiter: "；", Encode: "ascii"}, "the delimiter contains a character outside ASCII"},
		{HeaderDefinition{Delimiter: `\`, Escape: "backslash"}, "without a backslash"},
		{HeaderDefinition{Delimiter: "%", Escape: "percent"}, "escape percent needs"},
		{HeaderDefinition{Delimiter: "2", Escape: "percent"}, "escape percent needs"},
		{HeaderDefinition{MaxBytes: -1}, "max_bytes is negative"},
		{HeaderDefinition{MaxBytes: maxBudget + 1}, "max_bytes is over"},
		{HeaderDefinition{Encode: "utf-8"}, `unknown encode "utf-8" (did you mean "utf8"?)`},
		{HeaderDefinition{Encode: "base64-url"}, `did you mean "base64url"?`},
		{HeaderDefinition{Escape: "back-slash"}, `did you mean "backslash"?`},
		{HeaderDefinition{List: "JSON"}, `unknown list "JSON" (did you mean "json"?)`},
		{HeaderDefinition{OnEmpty: "ommit"}, `did you mean "omit"?`},
		{HeaderDefinition{OnOverflow: "truncate-list"}, `did you mean "truncate_list"?`},
		{HeaderDefinition{Value: "dn"}, `unknown value "dn"`},
	} {
		_, err := Compile(header1(tc.d))
		if err == nil || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), `"X-User"`) {
			t.Errorf("%+v: %v, want it to name the header and say %q", tc.d, err, tc.says)
		}
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("%+v: the error has several lines: %v", tc.d, err)
		}
	}
	if _, err := Compile(Definition{Headers: []HeaderDefinition{{Name: "X-User"}}}); err == nil || !strings.Contains(err.Error(), "no claim") {
		t.Errorf("a header without a claim: %v", err)
	}
	for _, budget := range []int{-1, maxBudget + 1} {
		if _, err := Compile(Definition{Budget: budget}); err == nil || !strings.Contains(err.Error(), "header_budget") {
			t.Errorf("budget %d: %v", budget, err)
		}
	}
	if _, err := Compile(Definition{Headers: make([]HeaderDefinition, maxHeaders+1)}); err == nil {
		t.Error("takes any number of headers")
	}
	mustCompile(t, header1(HeaderDefinition{Delimiter: "\n", Encode: "base64"})) // the encoding hides it
}

func TestTargetsMayHaveAuthorizationOnly(t *testing.T) {
	for _, good := range []Target{{Header: "Authorization"}, {Header: "authorization"}, {Header: "X-Token"}, {Cookie: "app_token"}} {
		mustCompile(t, Definition{}, good)
	}
	for _, bad := range []Target{
		{},
		{Header: "X-Token", Cookie: "t"},
		{Header: "Host"},
		{Header: "Cookie"},
		{Header: "Proxy-Authorization"},
		{Header: "X Token"},
		{Cookie: "a b"},
		{Cookie: "a=b"},
		{Cookie: strings.Repeat("c", maxNameBytes+1)},
	} {
		if _, err := Compile(Definition{}, bad); err == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestPresetsOwnTheirHeadersAndYieldToOthers(t *testing.T) {
	for _, name := range namesOfPresets() {
		c := mustCompile(t, Definition{Preset: name})
		if len(c.Reserved()) < 3 {
			t.Errorf("%s owns %v", name, c.Reserved())
		}
	}
	if _, err := Compile(Definition{Preset: "site_minder"}); err == nil || !strings.Contains(err.Error(), `did you mean "siteminder"?`) {
		t.Errorf("a misspelt preset: %v", err)
	}
	c := mustCompile(t, Definition{Preset: "siteminder", Headers: []HeaderDefinition{{Name: "Sm-User", Claim: "uid"}}})
	r, err := c.Render(map[string]any{
		"uid": "ada", "preferred_username": "not this", "dn": "uid=ada,ou=people,dc=example",
		"groups": []any{"cn=a,dc=x", "cn=b,dc=x"},
	})
	if err != nil {
		t.Fatal(err)
	}
	h := map[string][]string{}
	r.Write(h)
	want := map[string]string{
		"Sm-User": "ada", "SM_USERDN": "uid=ada,ou=people,dc=example", "SM_USERGROUPS": "cn=a,dc=x^cn=b,dc=x",
	}
	for name, value := range want {
		if len(h[name]) != 1 || h[name][0] != value {
			t.Errorf("%s = %q, want %q", name, h[name], value)
		}
	}
	if len(h) != len(want) {
		t.Errorf("writes %v", h)
	}
}

func TestClaimsThatHeadersFromCannotTellApart(t *testing.T) {
	c := mustCompile(t, Definition{
		Headers:     []HeaderDefinition{{Name: "X-User-Mail", Claim: "email"}},
		HeadersFrom: []HeadersFrom{{Prefix: "X-User-"}},
	})
	for _, names := range [][]string{{"a.b", "a-b"}, {"Dept", "dept"}, {"mail"}, {"M_A_I_L", "m.a.i.l"}, {strings.Repeat("n", maxNameBytes)}} {
		if err := c.CheckClaims(names); err == nil {
			t.Errorf("%q pass", names)
		}
	}
	if err := c.CheckClaims([]string{"email", "dept", "groups", "dept"}); err != nil {
		t.Error(err)
	}
}

func TestDefinitionIsItsJSON(t *testing.T) {
	const text = `{"preset":"remote_user","headers":[{"name":"X-Groups","claim":"groups","list":"delimiter","delimiter":"|",` +
		`"escape":"percent","encode":"ascii","on_empty":"default","default":"none","max_bytes":100,"on_overflow":"split",` +
		`"exact":true,"value":"cn"},{"name":"X-N","claim":"groups","count":true}],` +
		`"headers_from":[{"prefix":"X-User-","claims":["email"]}],"header_budget":4096}`
	var d Definition
	if err := json.Unmarshal([]byte(text), &d); err != nil {
		t.Fatal(err)
	}
	mustCompile(t, d)
	back, err := json.Marshal(d)
	if err != nil || string(back) != text {
		t.Errorf("%s\n(%v), want\n%s", back, err, text)
	}
}
