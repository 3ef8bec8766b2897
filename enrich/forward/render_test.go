package forward

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
)

// render gives the field lines of one header, by name.
func render(t testing.TB, d HeaderDefinition, claims map[string]any) (map[string][]string, error) {
	t.Helper()
	r, err := mustCompile(t, header1(d)).Render(claims)
	if err != nil {
		return nil, err
	}
	h := map[string][]string{}
	r.Write(h)
	return h, nil
}

func list(elements ...any) []any { return elements }

func TestValuesAreWrittenAsConfigured(t *testing.T) {
	const h = "X-User"
	object := map[string]any{"b": list(int64(1), true, nil), "a": "ü\"\\\n"}
	for _, tc := range []struct {
		name  string
		d     HeaderDefinition
		claim any
		want  []string
	}{
		{"text", HeaderDefinition{}, "ada", []string{"ada"}},
		{"text with a comma that no list was declared for", HeaderDefinition{}, "Lovelace, Ada", []string{"Lovelace, Ada"}},
		{"true", HeaderDefinition{}, true, []string{"true"}},
		{"false is a value", HeaderDefinition{}, false, []string{"false"}},
		{"zero is a value", HeaderDefinition{}, int64(0), []string{"0"}},
		{"integer to the digit", HeaderDefinition{}, int64(9007199254740993), []string{"9007199254740993"}},
		{"smallest integer", HeaderDefinition{}, int64(math.MinInt64), []string{"-9223372036854775808"}},
		{"integer over 64 bits", HeaderDefinition{}, json.Number("18446744073709551617"), []string{"18446744073709551617"}},
		{"fraction", HeaderDefinition{}, 0.1, []string{"0.1"}},
		{"whole fraction", HeaderDefinition{}, 3.0, []string{"3"}},
		{"large fraction", HeaderDefinition{}, 1e20, []string{"100000000000000000000"}},
		{"exponent", HeaderDefinition{}, 1e21, []string{"1e+21"}},
		{"small fraction", HeaderDefinition{}, 1e-7, []string{"1e-07"}},
		{"date", HeaderDefinition{}, "2026-01-02T03:04:05Z", []string{"2026-01-02T03:04:05Z"}},
		{"time", HeaderDefinition{}, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), []string{"2026-01-02T03:04:05Z"}},
		{"a value that looks like a placeholder", HeaderDefinition{}, "{env.SECRET}", []string{"{env.SECRET}"}},

		{"list", HeaderDefinition{}, list("a", "b c", int64(3), true, 0.5), []string{"a,b c,3,true,0.5"}},
		{"list without its null elements", HeaderDefinition{}, list(nil, "a", nil), []string{"a"}},
		{"list with an empty element", HeaderDefinition{}, list("a", "", "b"), []string{"a,,b"}},
		{"another delimiter", HeaderDefinition{Delimiter: "; "}, list("a", "b"), []string{"a; b"}},
		{"repeat", HeaderDefinition{List: "repeat"}, list("a", "b"), []string{"a", "b"}},
		{"repeat of one", HeaderDefinition{List: "repeat"}, "a", []string{"a"}},
		{"repeat with an encoding that hides the comma", HeaderDefinition{List: "repeat", Encode: "percent"}, list("a,b", "c"), []string{"a%2Cb", "c"}},
		{"repeat, escaped", HeaderDefinition{List: "repeat", Escape: "backslash"}, list("a,b", `c\`), []string{`a\,b`, `c\\`}},
		{"first", HeaderDefinition{List: "first"}, list("a,b", "c"), []string{"a,b"}},
		{"first that is not null", HeaderDefinition{List: "first"}, list(nil, "b"), []string{"b"}},
		{"first of a text", HeaderDefinition{List: "first"}, "a", []string{"a"}},
		{"json list", HeaderDefinition{List: "json"}, list("a,b", int64(1), nil, 1.5, false), []string{`["a,b",1,null,1.5,false]`}},
		{"json object", HeaderDefinition{List: "json"}, object, []string{`{"a":"ü\"\\\u000a","b":[1,true,null]}`}},
		{"json text", HeaderDefinition{List: "json"}, "a", []string{`"a"`}},
		{"json number over 64 bits", HeaderDefinition{List: "json"}, list(json.Number("18446744073709551617")), []string{"[18446744073709551617]"}},
		{"json in ascii", HeaderDefinition{List: "json", Encode: "ascii"}, list("ü", "🙂"), []string{`["\u00fc","\ud83d\ude42"]`}},
		{"json in latin1", HeaderDefinition{List: "json", Encode: "latin1"}, list("ü日"), []string{"[\"\xfc\\u65e5\"]"}},
		{"json escapes controls and separators", HeaderDefinition{List: "json"}, list("\x00\x7f\u0085\u2028\u2029"), []string{`["\u0000\u007f\u0085\u2028\u2029"]`}},
		{"count", HeaderDefinition{Count: true}, list("a", nil, "b"), []string{"2"}},
		{"count of a text", HeaderDefinition{Count: true}, "a", []string{"1"}},

		{"backslash", HeaderDefinition{Escape: "backslash"}, list(`a,b`, `c\`), []string{`a\,b,c\\`}},
		{"backslash, delimiter of two", HeaderDefinition{Escape: "backslash", Delimiter: "::"}, list("a:", "b"), []string{`a\:::b`}},
		{"percent escape", HeaderDefinition{Escape: "percent"}, list("a,b", "50%", "c+d", " e "), []string{"a%2Cb,50%25,c%2Bd,%20e%20"}},
		{"percent escape leaves other characters", HeaderDefinition{Escape: "percent"}, list("ü b", "/?="), []string{"ü b,/?="}},
		{"percent escape of a long delimiter", HeaderDefinition{Escape: "percent", Delimiter: "é "}, list("aé", "b"), []string{"a%C3%A9é b"}},
		{"escape of a text makes it a list of one", HeaderDefinition{Escape: "backslash"}, "a,b", []string{`a\,b`}},

		{"utf8", HeaderDefinition{}, "Ærø 日本 🙂", []string{"Ærø 日本 🙂"}},
		{"latin1", HeaderDefinition{Encode: "latin1"}, "Ærø", []string{"\xc6r\xf8"}},
		{"percent", HeaderDefinition{Encode: "percent"}, "Æ b+c,~-._", []string{"%C3%86%20b%2Bc%2C~-._"}},
		{"percent hides controls", HeaderDefinition{Encode: "percent"}, "a\r\nX-User: admin", []string{"a%0D%0AX-User%3A%20admin"}},
		{"base64", HeaderDefinition{Encode: "base64"}, "ü?>", []string{"w7w/Pg=="}},
		{"base64url", HeaderDefinition{Encode: "base64url"}, "ü?>", []string{"w7w_Pg"}},
		{"rfc2047 leaves plain text", HeaderDefinition{Encode: "rfc2047"}, "Ada Lovelace", []string{"Ada Lovelace"}},
		{"rfc2047", HeaderDefinition{Encode: "rfc2047"}, "Ærø", []string{"=?UTF-8?b?w4Zyw7g=?="}},
		{"rfc2047 of what looks like it", HeaderDefinition{Encode: "rfc2047"}, "=?UTF-8?q?admin?=", []string{"=?UTF-8?B?PT9VVEYtOD9xP2FkbWluPz0=?="}},
		{"rfc8187", HeaderDefinition{Encode: "rfc8187"}, "£ and € rates", []string{"UTF-8''%C2%A3%20and%20%E2%82%AC%20rates"}},
		{"escape, then encode", HeaderDefinition{Escape: "percent", Encode: "percent"}, list("a,b", "c"), []string{"a%252Cb%2Cc"}},

		{"common name", HeaderDefinition{Value: "cn"}, list("CN=Domain Admins,OU=G,DC=x", "cn=b,dc=x"), []string{"Domain Admins,b"}},
		{"common names in JSON", HeaderDefinition{Value: "cn", List: "json"}, list("CN=a\\,b,DC=x"), []string{`["a,b"]`}},

		{"absent", HeaderDefinition{}, nil, nil},
		{"empty text", HeaderDefinition{}, "", nil},
		{"empty list", HeaderDefinition{}, list(), nil},
		{"list of nulls", HeaderDefinition{List: "json"}, list(nil), nil},
		{"list of one empty text", HeaderDefinition{}, list(""), nil},
		{"empty object", HeaderDefinition{List: "json"}, map[string]any{}, nil},
		{"empty as empty", HeaderDefinition{OnEmpty: "empty"}, nil, []string{""}},
		{"empty with a default", HeaderDefinition{OnEmpty: "default", Default: "no one"}, list(), []string{"no one"}},
		{"the default is encoded", HeaderDefinition{OnEmpty: "default", Default: "ü", Encode: "percent"}, nil, []string{"%C3%BC"}},
		{"count of an empty list", HeaderDefinition{Count: true, OnEmpty: "default", Default: "0"}, list(), []string{"0"}},
	} {
		got, err := render(t, tc.d, map[string]any{"c": tc.claim})
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		if !slices.Equal(got[h], tc.want) || tc.want == nil && len(got) > 0 {
			t.Errorf("%s: %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestValuesThatNoHeaderCanHoldAreRefused(t *testing.T) {
	for _, tc := range []struct {
		name  string
		d     HeaderDefinition
		claim any
		says  string
	}{
		{"object", HeaderDefinition{}, map[string]any{"a": "b"}, "list json"},
		{"list of objects", HeaderDefinition{}, list(map[string]any{"a": "b"}), "list json"},
		{"list of lists", HeaderDefinition{List: "first"}, list(list("a")), "list json"},
		{"count of an object", HeaderDefinition{Count: true}, map[string]any{"a": "b"}, "no elements to count"},
		{"delimiter in an element", HeaderDefinition{}, list("dev,admin"), "delimiter"},
		{"delimiter in a list of one", HeaderDefinition{List: "delimiter"}, "dev,admin", "delimiter"},
		{"delimiter that begins in an element", HeaderDefinition{Delimiter: "::"}, list("a:", "b"), "delimiter"},
		{"comma in a repeated line", HeaderDefinition{List: "repeat"}, list("dev,admin"), "comma"},
		{"space before an element", HeaderDefinition{}, list("a", " admin"), "white space"},
		{"space after an element", HeaderDefinition{Escape: "backslash"}, list("admin ", "b"), "white space"},
		{"no-break space around an element", HeaderDefinition{}, list("\u00a0admin"), "white space"},
		{"space before a text", HeaderDefinition{}, " a", "white space"},
		{"tab after a text", HeaderDefinition{}, "a\t", "white space"},
		{"tab in a text", HeaderDefinition{}, "a\tb", "control"},
		{"line end", HeaderDefinition{}, "a\r\nX-User: admin", "control"},
		{"NUL", HeaderDefinition{Encode: "ascii"}, "a\x00b", "control"},
		{"delete", HeaderDefinition{}, "a\x7fb", "control"},
		{"next line", HeaderDefinition{}, "a\u0085b", "control"},
		{"next line in latin1", HeaderDefinition{Encode: "latin1"}, "a\u0085b", "control"},
		{"line separator", HeaderDefinition{}, "a\u2028b", "control"},
		{"paragraph separator", HeaderDefinition{}, "a\u2029b", "control"},
		{"ascii", HeaderDefinition{Encode: "ascii"}, "é", "ASCII"},
		{"latin1", HeaderDefinition{Encode: "latin1"}, "€", "8859-1"},
		{"not a number", HeaderDefinition{}, math.NaN(), "cannot be written as text"},
		{"a kind that no claim has", HeaderDefinition{}, struct{}{}, "cannot be written as text"},
		{"no distinguished name", HeaderDefinition{Value: "cn"}, "admins", "distinguished name"},
		{"the container's common name", HeaderDefinition{Value: "cn"}, "uid=ada,cn=users,dc=x", "distinguished name"},
		{"a number for a distinguished name", HeaderDefinition{Value: "cn"}, int64(1), "distinguished name"},
	} {
		_, err := render(t, tc.d, map[string]any{"c": tc.claim})
		if !errors.Is(err, errRefused) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), `"X-User"`) {
			t.Errorf("%s: %v, want it refused, with the header and %q", tc.name, err, tc.says)
		}
	}
	for encode := range decoders {
		if _, err := render(t, HeaderDefinition{Encode: encode}, map[string]any{"c": "a\xffb"}); !errors.Is(err, errRefused) {
			t.Errorf("%s takes text that is not UTF-8 (%v)", encode, err)
		}
		if _, err := render(t, HeaderDefinition{Encode: encode, List: "json"}, map[string]any{"c": "a\xffb"}); !errors.Is(err, errRefused) {
			t.Errorf("%s takes JSON that is not UTF-8 (%v)", encode, err)
		}
	}
}

func TestEmptyClaimsThatAreDenied(t *testing.T) {
	for _, v := range []any{nil, "", list(), list(nil), list(""), map[string]any{}} {
		for encode := range decoders {
			_, err := render(t, HeaderDefinition{Encode: encode, OnEmpty: "deny"}, map[string]any{"c": v})
			var he *headerError
			if !errors.Is(err, errEmptyDenied) || !errors.As(err, &he) || he.Header != "X-User" {
				t.Errorf("%s: %#v: %v", encode, v, err)
			}
		}
	}
}

// vectors are claim values that have broken header writers.
func vectors(t testing.TB) []string {
	t.Helper()
	text, err := os.ReadFile("testdata/claim_values.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Values []string }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Values) < 30 {
		t.Fatalf("only %d vectors", len(file.Values))
	}
	return file.Values
}

func TestHostileValuesAreRefusedOrReadBack(t *testing.T) {
	for _, d := range allForms() {
		d.MaxBytes = 40_000
		def := header1(d)
		def.Budget = 64 << 10
		c := mustCompile(t, def)
		for _, v := range vectors(t) {
			for _, elements := range [][]any{{v}, {"a", v}, {v, "b"}, {"a", v, "b"}} {
				roundTrip(t, c, d, elements)
			}
			// A plain text, without any list declared.
			if d.List == "" && d.Delimiter == "" && d.Escape == "" {
				roundTripText(t, c, d, v)
			}
		}
	}
}

// allForms is every way to write a list.
func allForms() []HeaderDefinition {
	var out []HeaderDefinition
	for encode := range decoders {
		for _, escape := range []string{"", "backslash", "percent"} {
			for _, delimiter := range []string{"", ";", ", ", "::", "|"} {
				out = append(out, HeaderDefinition{Encode: encode, Escape: escape, Delimiter: delimiter})
			}
			out = append(out, HeaderDefinition{Encode: encode, List: "repeat", Escape: escape})
		}
		out = append(out, HeaderDefinition{Encode: encode, List: "json"})
	}
	return out
}

// roundTrip renders a list of texts and reads it back as the application
// would, if it was not refused.
func roundTrip(t *testing.T, c *HeaderPlan, d HeaderDefinition, elements []any) {
	t.Helper()
	want := make([]string, len(elements))
	for i, e := range elements {
		want[i] = e.(string)
	}
	r, err := c.Render(map[string]any{"c": elements})
	if err != nil {
		if !errors.Is(err, errRefused) && !errors.Is(err, errTooLarge) && !errors.Is(err, errBudget) {
			t.Errorf("%+v %q: %v", d, want, err)
		}
		return
	}
	fields := r.Fields()
	if len(fields) == 0 {
		if len(want) != 1 || want[0] != "" {
			t.Errorf("%+v: %q is left out", d, want)
		}
		return
	}
	safe(t, fields)
	lines := fields[0].Values
	if d.List != "repeat" {
		if len(lines) != 1 {
			t.Fatalf("%+v %q: %d lines", d, want, len(lines))
		}
		if err := read(d, lines[0], want); err != nil {
			t.Errorf("%+v: %q is written as %q: %v", d, want, lines, err)
		}
		return
	}
	if len(lines) != len(want) {
		t.Fatalf("%+v %q: %d lines", d, want, len(lines))
	}
	for i, line := range lines {
		if err := read(d, line, want[i:i+1]); err != nil {
			t.Errorf("%+v: %q is written as %q: %v", d, want[i], line, err)
		}
	}
}

func roundTripText(t *testing.T, c *HeaderPlan, d HeaderDefinition, text string) {
	t.Helper()
	r, err := c.Render(map[string]any{"c": text})
	if err != nil {
		if !errors.Is(err, errRefused) {
			t.Errorf("%+v %q: %v", d, text, err)
		}
		return
	}
	fields := r.Fields()
	if text == "" {
		if len(fields) != 0 {
			t.Errorf("%+v writes %v for nothing", d, fields)
		}
		return
	}
	safe(t, fields)
	for _, decode := range decoders[or(d.Encode, "utf8")] {
		got, err := decode(overTheWire(fields[0].Values[0]))
		if err != nil || got != text {
			t.Errorf("%+v: %q reads back as %q (%v)", d, text, got, err)
		}
	}
}

// safe checks that no field line can become two, or lose a part.
func safe(t testing.TB, fields []Field) {
	t.Helper()
	for _, f := range fields {
		for _, line := range f.Values {
			for i := range len(line) {
				if line[i] < 0x20 || line[i] == 0x7f {
					t.Errorf("%s holds the control character %#x", f.Name, line[i])
				}
			}
			if overTheWire(line) != line {
				t.Errorf("%s has white space at an end", f.Name)
			}
		}
	}
}

func TestErrorsHoldNoValues(t *testing.T) {
	const secret = "hunter2"
	for _, d := range []HeaderDefinition{{}, {Value: "cn"}, {Encode: "ascii"}, {MaxBytes: 3}, {List: "repeat"}, {Count: true}, {List: "first"}} {
		for _, v := range []any{secret + "\n", list(secret + ",x"), map[string]any{secret: secret}, secret + "ü", list(list(secret))} {
			if _, err := render(t, d, map[string]any{"c": v}); err != nil && strings.Contains(err.Error(), secret) {
				t.Errorf("%+v: the error tells the value: %v", d, err)
			}
		}
	}
	c := mustCompile(t, Definition{HeadersFrom: []HeadersFrom{{Prefix: "X-User-"}}})
	for _, claims := range []map[string]any{{"a.b": secret, "a-b": secret}, {strings.Repeat("n", 300): secret}, {"a": secret + "\r"}} {
		if _, err := c.Render(claims); err == nil || strings.Contains(err.Error(), secret) {
			t.Errorf("%v", err)
		}
	}
}

func TestHeadersFromClaims(t *testing.T) {
	claims := map[string]any{
		"email": "ada@example.com", "groups": list("a", "b"), "address": map[string]any{"city": "London"},
		"https://example.com/roles": list(map[string]any{"n": int64(1)}), "preferred_username": "ada", "gone": nil,
	}
	c := mustCompile(t, Definition{
		Headers:     []HeaderDefinition{{Name: "X-Claim-Email", Claim: "preferred_username"}},
		HeadersFrom: []HeadersFrom{{Prefix: "X-Claim-"}, {Prefix: "Acme_", Claims: []string{"email", "gone"}}},
	})
	r, err := c.Render(claims)
	if err != nil {
		t.Fatal(err)
	}
	h := map[string][]string{}
	r.Write(h)
	want := map[string]string{
		"X-Claim-Email": "ada", "X-Claim-Groups": "a,b", "X-Claim-Address": `{"city":"London"}`,
		"X-Claim-Https---Example.com-Roles": `[{"n":1}]`, "X-Claim-Preferred_username": "ada", "Acme_email": "ada@example.com",
	}
	for name, value := range want {
		if len(h[name]) != 1 || h[name][0] != value {
			t.Errorf("%s = %q, want %q", name, h[name], value)
		}
	}
	if len(h) != len(want) {
		t.Errorf("writes %q", h)
	}
	for range 5 { // in the same order each time
		again, err := c.Render(claims)
		if err != nil {
			t.Fatal(err)
		}
		for i, f := range again.Fields() {
			if f.Name != r.Fields()[i].Name {
				t.Errorf("field %d is %s and was %s", i, f.Name, r.Fields()[i].Name)
			}
		}
	}
	if _, err := c.Render(map[string]any{"a.b": "1", "A_B": "2"}); !errors.Is(err, errRefused) {
		t.Errorf("two claims that give one header: %v", err)
	}
}
