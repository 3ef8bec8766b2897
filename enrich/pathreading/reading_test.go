package pathreading_test

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

func parse(tb testing.TB, target string) *url.URL {
	tb.Helper()
	u, err := url.ParseRequestURI(target)
	if err != nil {
		tb.Fatalf("%s: %v", target, err)
	}
	return u
}

// P55: every reading of the list, one by one and some of them together.
func TestReadingsOfAPath(t *testing.T) {
	for target, want := range map[string][]string{
		"/":                      {"/"},
		"/admin/x":               {"/admin/x"},
		"/admin/x/":              {"/admin/x/"},
		"/files/a%20b":           {"/files/a b"},
		"/search/%C3%A9":         {"/search/é"},
		"/search/%c3%a9":         {"/search/é"},
		"/a%2Cb":                 {"/a,b"},
		"/%61dmin":               {"/%61dmin", "/admin"},
		"/a%2Fb":                 {"/a%2Fb", "/a%2fb", "/a/b"},
		"/a%2fb":                 {"/a%2Fb", "/a%2fb", "/a/b"},
		"/a%5cb":                 {"/a%5Cb", "/a%5cb", `/a\b`, "/a/b"},
		"/a;x/b":                 {"/a;x/b", "/a/b"},
		"/a%3bx/b":               {"/a;x/b", "/a/b"},
		"/a/../b":                {"/a/../b", "/b"},
		"/a/./b":                 {"/a/./b", "/a/b"},
		"//a":                    {"//a", "/a", "/"},
		"//a/b":                  {"//a/b", "/a/b", "/b"},
		"///a:80/b":              {"///a:80/b", "/a:80/b", "/b"},
		`/\a/b`:                  {"/%5Ca/b", "/%5ca/b", `/\a/b`, "//a/b", "/a/b", "/b"},
		"/a//../b":               {"/a//../b", "/a/../b", "/a/b", "/b"},
		"/%2e%2e/a":              {"/%2E%2E/a", "/../a", "/%2e%2e/a", "/a"},
		"/Admin":                 {"/Admin", "/admin"},
		"/a.":                    {"/a.", "/a"},
		"/a%20/b":                {"/a /b", "/a/b"},
		"/a%0a":                  {"/a\n", "/a"},
		"/a%00/b":                {"/a\x00/b", "/a/b"},
		"/100%25":                {"/100%25", "/100%"},
		"/a%2561":                {"/a%2561", "/a%61", "/aa"},
		"/a%252fb":               {"/a%252fb", "/a%2fb", "/a/b", "/a%2Fb"},
		"/A;x":                   {"/A;x", "/A", "/a;x", "/a"},
		"/style.css;v=1":         {"/style.css;v=1", "/style.css"},
		"/.well-known/x..y/...z": {"/.well-known/x..y/...z"},
	} {
		got, err := pathreading.Of(parse(t, target), pathreading.All)
		if err != nil || len(got) == 0 || got[0] != want[0] {
			t.Errorf("%s: %q, %v; want %q first", target, got, err, want[0])
			continue
		}
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
}

// P55: a dot segment that not everybody sees is refused whatever chooses.
func TestHiddenDotSegmentsAreRefused(t *testing.T) {
	for _, target := range []string{
		"/a/..%2fb", "/a%2f..%2fb", "/a/..%5cb", "/a%5c..%5cb", "/a/..;/b", "/a/..;x=y/b", "/a/..%3bx/b", "/a/.;/b", "/a/%2e%2e;/b",
		"/a/%252e%252e/b", "/a/..%252fb", "/a/..%255cb", "/a/..%253bx/b", "/a/..%20/b", "/a/.../b", "/a/..%09/b", "/a/...;/b", "/a/%252e%252e%252fb",
		"/a/.%20/b", "/a/..;", "/a%2f..", "/a/..%2520/b",
		"/admin/users/1%2f..%2f..%2f..%2f..%2fx/delete",
	} {
		if err := pathreading.Check(parse(t, target)); !errors.Is(err, pathreading.ErrHiddenDots) {
			t.Errorf("%s: %v", target, err)
		}
		if list, err := pathreading.Of(parse(t, target), 0); !errors.Is(err, pathreading.ErrHiddenDots) || list != nil {
			t.Errorf("%s: %q, %v", target, list, err)
		}
	}
	for _, target := range []string{"/a/../b", "/a/./b", "/a/%2e%2e/b", "/a..;b/c", "/a%2fb", "/x..%2fy", "/..a/b", "/a/..b;c"} {
		if err := pathreading.Check(parse(t, target)); err != nil {
			t.Errorf("%s: %v", target, err)
		}
	}
	if err := pathreading.Check(parse(t, "x:http://app/admin")); !errors.Is(err, pathreading.ErrOpaque) && err != nil {
		t.Error(err)
	}
	if err := pathreading.Check(&url.URL{Scheme: "x", Opaque: "http://app/admin"}); !errors.Is(err, pathreading.ErrOpaque) {
		t.Error(err)
	}
}

// P55: servers differ in what they trim, and so in whether such a segment is one.
func TestBlankSegmentsAreRefused(t *testing.T) {
	for _, target := range []string{"/a/%20/b", "/%20", "/a/%00/b", "/a/%09%20./b", "/a/%20;x/b", "/a/%2520/b", "/a%2f%20%2fb"} {
		if list, err := pathreading.Of(parse(t, target), pathreading.All); !errors.Is(err, pathreading.ErrBlankSegment) {
			t.Errorf("%s: %q, %v", target, list, err)
		}
		if _, err := pathreading.Of(parse(t, target), pathreading.All&^pathreading.TrailingDots); err != nil {
			t.Errorf("%s without trailing dots: %v", target, err)
		}
	}
}

func TestReadingsAreBounded(t *testing.T) {
	if _, err := pathreading.Of(parse(t, `/A%2fB%5cC;d/%41.//x/../%2541%20/y`), pathreading.All); !errors.Is(err, pathreading.ErrTooMany) {
		t.Errorf("many readings: %v", err)
	}
	if _, err := pathreading.Of(parse(t, "/a;"+strings.Repeat("x", pathreading.MaxLength)), pathreading.All); !errors.Is(err, pathreading.ErrTooLong) {
		t.Errorf("a long path of two readings: %v", err)
	}
	long := "/" + strings.Repeat("x", pathreading.MaxLength)
	if list, err := pathreading.Of(parse(t, long), pathreading.All); err != nil || len(list) != 1 {
		t.Errorf("a long path of one reading: %d, %v", len(list), err)
	}
}

func TestANarrowedSetJudgesLess(t *testing.T) {
	for _, tc := range []struct {
		target string
		set    pathreading.Set
		want   []string
	}{
		{"/a/group%2Fproject/x", pathreading.All &^ pathreading.EncodedSlashes &^ pathreading.LetterCase, []string{"/a/group%2Fproject/x"}},
		{"/a/group%252Fproject", pathreading.DoubleDecoding, []string{"/a/group%252Fproject", "/a/group%2Fproject"}},
		{"/a;b", pathreading.EncodedSlashes, []string{"/a;b"}},
		{"/a//../b", 0, []string{"/b"}},
		{"/%61//x", 0, []string{"/%61/x", "/a/x"}},
		{"/A.", 0, []string{"/A."}},
		{`/a%5Cb`, pathreading.EncodedSlashes, []string{"/a%5Cb", `/a\b`}},
		{`/a%5Cb%2Fc`, pathreading.Backslashes, []string{"/a%5Cb%2Fc", `/a\b%2Fc`, "/a/b%2Fc"}},
	} {
		got, err := pathreading.Of(parse(t, tc.target), tc.set)
		if err != nil || !slices.Equal(got, tc.want) {
			t.Errorf("%s: %q, %v; want %q", tc.target, got, err, tc.want)
		}
	}
}

func TestNamesOfReadings(t *testing.T) {
	all := pathreading.Names()
	if got, err := pathreading.Parse(nil); err != nil || got != pathreading.All {
		t.Errorf("no names: %v, %v", got, err)
	}
	if got, err := pathreading.Parse(all[:1]); err != nil || got != pathreading.All {
		t.Errorf("all: %v, %v", got, err)
	}
	if got, err := pathreading.Parse(all[1:]); err != nil || got != pathreading.All || got.Missing() != nil {
		t.Errorf("each by its name: %v, %v", got, err)
	}
	if got, err := pathreading.Parse([]string{"parameters"}); err != nil || got != pathreading.Parameters || len(got.Missing()) != len(all)-2 {
		t.Errorf("one: %v, %v", got, err)
	}
	for _, list := range [][]string{{"parameter"}, {"parameters", "parameters"}, {"all", "parameters"}, {"parameters", "all"}, {""}} {
		if got, err := pathreading.Parse(list); err == nil {
			t.Errorf("%q is %v", list, got)
		}
	}
}

func TestLiteralsOfCapitals(t *testing.T) {
	for literal, want := range map[string]bool{
		"/admin/": true, "/Admin/": false, "GET": true, `^/x/\S+$`: true, `^/x/[A-Z]$`: false, `^/\\A`: false, "/é": true, "/É": false,
	} {
		if got := pathreading.FoldsLetters(literal); got != want {
			t.Errorf("%s: %t", literal, got)
		}
	}
}

// What a matcher is shown holds nothing that it would resolve, and the escapes
// of a reading are escapes in the raw path.
func TestURLOfAReading(t *testing.T) {
	const s = "\uE0D5"
	for reading, want := range map[string][2]string{
		"/":           {"/", ""},
		"/a/b/":       {"/a/b/", ""},
		"/a/../b":     {"/a/" + s + "/b", ""},
		"//a//":       {"/" + s + "/a/" + s + "/", ""},
		"/a/.":        {"/a/" + s, ""},
		"/a%2Fb c":    {"/a%2Fb c", "/a%2Fb%20c"},
		"/100%/..":    {"/100%/" + s, "/100%25/%EE%83%95"},
		"":            {"", ""},
		"*":           {"*", ""},
		"/a%2":        {"/a%2", "/a%252"},
		"/%2F%2E/x/;": {"/%2F%2E/x/;", "/%2F%2E/x/;"},
	} {
		if path, raw := pathreading.URL(reading); path != want[0] || raw != want[1] {
			t.Errorf("%q: %q and %q, want %q", reading, path, raw, want)
		}
	}
}

func TestASingleReadingAllocatesNothing(t *testing.T) {
	u := parse(t, "/files/a%20b/%c3%a9/style.css")
	if n := testing.AllocsPerRun(100, func() {
		if !pathreading.Single(u, pathreading.All) || pathreading.Check(u) != nil {
			t.Fatal("it has several readings")
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzReadings: no panic, bounded, no reading twice, the path as sent first,
// no dot segment hidden, and a path said to have a single reading has one.
func FuzzReadings(f *testing.F) {
	for _, target := range []string{"/", "*", "/a%2Fb;c/..//x.%20/%2541", "/A/%5c/%", "/a/../b/./c//", "//", "/..", `/\;.`, "/\xff%ff"} {
		f.Add(target, uint8(pathreading.All))
	}
	f.Fuzz(func(t *testing.T, target string, bits uint8) {
		set := pathreading.Set(bits) & pathreading.All
		u := &url.URL{Path: target}
		if parsed, err := url.ParseRequestURI(target); err == nil {
			u = parsed
		}
		list, err := pathreading.Of(u, set)
		if err != nil {
			if pathreading.Single(u, set) && u.Opaque == "" {
				t.Fatalf("a single reading is refused: %v", err)
			}
			return
		}
		if len(list) == 0 || len(list) > pathreading.MaxReadings {
			t.Fatalf("%d readings", len(list))
		}
		if pathreading.Single(u, set) && !slices.Equal(list, []string{u.Path}) {
			t.Fatalf("a single reading is %q", list)
		}
		if dots := "/" + list[0] + "/"; !set.Has(pathreading.DotSegments) && (strings.Contains(dots, "/../") || strings.Contains(dots, "/./")) {
			t.Fatalf("dot segments are left in %q", list)
		}
		for i, reading := range list {
			if slices.Contains(list[:i], reading) {
				t.Fatalf("%q twice", reading)
			}
			if len(reading) > 3*len(u.EscapedPath())+1 {
				t.Fatalf("%q is longer than %q", reading, target)
			}
			path, raw := pathreading.URL(reading)
			if strings.Contains("/"+path+"/", "/../") {
				t.Fatalf("%q is shown as %q", reading, path)
			}
			if _, err := url.PathUnescape(raw); err != nil {
				t.Fatalf("%q: raw path %q: %v", reading, raw, err)
			}
		}
	})
}
