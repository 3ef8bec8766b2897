package grouplist

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
)

// TestATextThatMayHoldAListIsUnknown holds C33.
func TestATextThatMayHoldAListIsUnknown(t *testing.T) {
	for _, text := range []string{
		"a,b", "[admin, user]", "[admin]", "a;b", "a|b", "a b", "a\tb", "a\nb", `["a","b"]`, `{"a":1}`, "{a}", "(a)", "a, b", " a", "a ", "",
		"a\u3000b", "a\u00a0b", "a，b", "a、b", "a،b", "a；b", "CN=Admins,DC=example,DC=com", "a+b", "a#b", "a&b", "a*b", "a\x00b", "a\x1fb", "a\u200bb", "\xff", "a=b",
	} {
		if list, why := Read(text, ""); list != nil || why == "" {
			t.Errorf("%q is %q, %q", text, list, why)
		}
	}
	for _, text := range []string{
		"admin", "Łódź", "管理者", "e\u0301quipe", "a-b_c.d", "/staff/eu", "urn:mace:example.com:group:admin", `CORP\Admins`, "staff@example.com", "0042",
	} {
		if list, why := Read(text, ""); why != "" || !reflect.DeepEqual(list, []any{text}) {
			t.Errorf("%q is %q, %q", text, list, why)
		}
	}
}

func TestTheOptionSaysWhatATextIs(t *testing.T) {
	for _, c := range []struct {
		value     any
		delimiter string
		want      []any // nil: unknown
		told      bool  // and the reason is told
	}{
		{"a,b", ",", []any{"a", "b"}, false},
		{"[admin, user]", ",", []any{"admin", "user"}, false},
		{" [ admin ,, user ,] ", ",", []any{"admin", "user"}, false},
		{"Domain Users;Sales, EMEA", ";", []any{"Domain Users", "Sales, EMEA"}, false},
		{"a b  c", " ", []any{"a", "b", "c"}, false},
		{"a||b|c", "||", []any{"a", "b|c"}, false},
		{"admin", ",", []any{"admin"}, false},
		{"a,b", ", ", []any{"a", "b"}, false},
		{"", ",", []any{}, false},
		{"[]", ",", []any{}, false},
		{`["a","b"]`, ",", nil, true},
		{"['a', 'b']", ",", nil, true},
		{"[a],[b]", ",", nil, true},
		{"{a,b}", ",", nil, true},
		{`["a",{"id":"g1","name":"One"},7]`, JSON, []any{"a", map[string]any{"id": "g1", "name": "One"}, int64(7)}, false},
		{"[]", JSON, []any{}, false},
		{"a,b", JSON, nil, true},
		{`"a"`, JSON, nil, true},
		{`{"a":1}`, JSON, nil, true},
		{"null", JSON, nil, true},
		{"", JSON, nil, true},
		{"CN=Admins,DC=example,DC=com", None, []any{"CN=Admins,DC=example,DC=com"}, false},
		{"", None, nil, true},
		{nil, "", nil, false},
		{nil, ",", nil, false},
		{true, "", nil, true},
		{map[string]any{"a": "b"}, "", nil, true},
		// What is a list already stays one, but for texts that the delimiter parts.
		{[]any{"Sales, EMEA", "a"}, "", []any{"Sales, EMEA", "a"}, false},
		{[]any{"Sales, EMEA", int64(1)}, None, []any{"Sales, EMEA", int64(1)}, false},
		{[]any{`["a"]`}, JSON, []any{`["a"]`}, false},
		{[]any{"a,b", "c", int64(1)}, ",", []any{"a", "b", "c", int64(1)}, false},
		{[]any{`"a","b"`}, ",", nil, true},
		{[]any{}, "", []any{}, false},
	} {
		list, why := Read(c.value, c.delimiter)
		if !reflect.DeepEqual(list, c.want) || (why != "") != c.told {
			t.Errorf("%v with %q is %#v, %q; want %#v", c.value, c.delimiter, list, why, c.want)
		}
	}
}

func TestWhatCanBeNoDelimiterIsRefused(t *testing.T) {
	for delimiter, says := range map[string]string{
		"jsn": `did you mean "json"?`, "non": `did you mean "none"?`, "comma": "want a delimiter", "1": "want a delimiter", "[": "brackets", `"`: "quotes",
		",,,,,,,,,": "at most 8 bytes", "\xff": "want a delimiter",
	} {
		if err := Check(delimiter); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v, want %q", delimiter, err, says)
		}
	}
	for _, delimiter := range []string{"", JSON, None, ",", ";", " ", "|", "::", ", "} {
		if err := Check(delimiter); err != nil {
			t.Errorf("%q: %v", delimiter, err)
		}
	}
}

// FuzzRead proves that whatever a text holds, parts are found as they were
// joined, and that without the option what has a mark of a list is no group.
func FuzzRead(f *testing.F) {
	f.Add("admin", "user", ",")
	f.Add("[a", "b]", ";")
	f.Add(" ", "\u00a0", " ")
	f.Fuzz(func(t *testing.T, a, b, delimiter string) {
		if Check(delimiter) != nil {
			return
		}
		text := a + "," + b
		if list, why := Read(text, ""); list != nil || why == "" {
			t.Errorf("%q is %q", text, list)
		}
		whole, _ := json.Marshal([]string{a, b})
		var want []any
		if json.Unmarshal(whole, &want) != nil {
			return
		}
		if list, _ := Read(string(whole), JSON); !reflect.DeepEqual(list, want) {
			t.Errorf("%s is %q", whole, list)
		}
		if delimiter == "" || delimiter == JSON || delimiter == None {
			return
		}
		list, why := Read(text, delimiter)
		for _, v := range list {
			if s, ok := v.(string); !ok || s == "" || s != strings.TrimSpace(s) || strings.TrimSpace(delimiter) != "" && strings.Contains(s, strings.TrimSpace(delimiter)) {
				t.Errorf("%q with %q has the part %q", text, delimiter, v)
			}
		}
		if (list == nil) != (why != "") {
			t.Errorf("%q with %q is %v, %q", text, delimiter, list, why)
		}
	})
}
