package forward

import (
	"os"
	"strings"
	"testing"
)

// TestTheManualShowsWhatIsWritten renders the examples of docs/headers.md and
// looks for a line of the page that holds both the option and the outcome.
func TestTheManualShowsWhatIsWritten(t *testing.T) {
	text, err := os.ReadFile("../../docs/headers.md")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Split(string(text), "\n")
	mixed, escapes := list("a", "b c", int64(3)), list("dev,ops", "50%", `c\d`)
	const name, accents = "X-User-Groups", "Ærø & 日本"
	for _, tc := range []struct {
		option string
		d      HeaderDefinition
		claim  any
		lines  bool // the page shows names too
	}{
		{"list delimiter ,", HeaderDefinition{List: "delimiter"}, mixed, true},
		{`list delimiter "; "`, HeaderDefinition{List: "delimiter", Delimiter: "; "}, mixed, true},
		{"list json", HeaderDefinition{List: "json"}, mixed, true},
		{"list repeat", HeaderDefinition{List: "repeat"}, mixed, true},
		{"list first", HeaderDefinition{List: "first"}, mixed, true},
		{"count", HeaderDefinition{Count: true}, mixed, true},
		{"escape refuse", HeaderDefinition{Escape: "refuse"}, escapes, false},
		{"escape backslash", HeaderDefinition{Escape: "backslash"}, escapes, false},
		{"escape percent", HeaderDefinition{Escape: "percent"}, escapes, false},
		{"utf8", HeaderDefinition{Encode: "utf8"}, accents, false},
		{"ascii", HeaderDefinition{Encode: "ascii"}, accents, false},
		{"latin1", HeaderDefinition{Encode: "latin1"}, accents, false},
		{"percent", HeaderDefinition{Encode: "percent"}, accents, false},
		{"base64", HeaderDefinition{Encode: "base64"}, accents, false},
		{"base64url", HeaderDefinition{Encode: "base64url"}, accents, false},
		{"rfc2047", HeaderDefinition{Encode: "rfc2047"}, accents, false},
		{"rfc8187", HeaderDefinition{Encode: "rfc8187"}, accents, false},
		{"default nobody", HeaderDefinition{OnEmpty: "default", Default: "nobody"}, nil, true},
		{"on_overflow truncate_list", HeaderDefinition{MaxBytes: 20, OnOverflow: "truncate_list"}, groups(5), true},
		{"on_overflow split", HeaderDefinition{MaxBytes: 20, OnOverflow: "split"}, groups(5), true},
		{"CN=Domain Admins,OU=Groups,DC=example", HeaderDefinition{Value: "cn"}, "CN=Domain Admins,OU=Groups,DC=example", false},
		{`CN=Lovelace\, Ada,OU=People`, HeaderDefinition{Value: "cn"}, `CN=Lovelace\, Ada,OU=People`, false},
		{"uid=ada,cn=users,dc=example", HeaderDefinition{Value: "cn"}, "uid=ada,cn=users,dc=example", false},
		{`"ada"`, HeaderDefinition{}, "ada", false},
		{"9007199254740993", HeaderDefinition{}, int64(9007199254740993), false},
		{"0.1", HeaderDefinition{}, 0.1, false},
		{"3.0", HeaderDefinition{}, 3.0, false},
		{"1e21", HeaderDefinition{}, 1e21, false},
		{`["a", "b"]`, HeaderDefinition{}, list("a", "b"), false},
		{`{"city": "London"}`, HeaderDefinition{}, map[string]any{"city": "London"}, false},
	} {
		tc.d.Name = name
		var want []string
		r, err := mustCompile(t, header1(tc.d)).Render(map[string]any{"c": tc.claim})
		if err != nil {
			want = []string{"refused"}
		} else {
			for _, f := range r.Fields() {
				for _, v := range f.Values {
					if tc.lines {
						v = f.Name + ": " + v
					}
					want = append(want, "`"+v+"`")
				}
			}
		}
		if !holds(page, append(want, "`"+tc.option+"`")) {
			t.Errorf("no line shows that %s gives %q", tc.option, want)
		}
	}
	for _, preset := range namesOfPresets() {
		headers, err := Preset(preset)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range headers {
			want := []string{"| `" + h.Name + "` |", "`" + h.Claim + "`"}
			if h.Delimiter != "" {
				want = append(want, "delimiter `"+h.Delimiter+"`")
			}
			if !holds(page, want) {
				t.Errorf("no line shows %s of %s", h.Name, preset)
			}
		}
	}
	for name := range refusedNames {
		short := strings.TrimPrefix(name, "x-forwarded")
		if all := strings.ToLower(string(text)); !strings.Contains(all, "`"+name+"`") && !strings.Contains(all, "`"+short+"`") {
			t.Errorf("the page does not name the refused header %s", name)
		}
	}
}

// holds reports whether one line of the page is a table row with all parts.
func holds(page, parts []string) bool {
	for _, line := range page {
		all := strings.HasPrefix(line, "|")
		for _, p := range parts {
			all = all && strings.Contains(line, p)
		}
		if all {
			return true
		}
	}
	return false
}
