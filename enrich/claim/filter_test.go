package claim

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// named makes groups of these names; ids are g0, g1, ….
func named(names ...string) []identity.Group {
	groups := make([]identity.Group, len(names))
	for i, n := range names {
		groups[i] = identity.Group{ID: fmt.Sprintf("g%d", i), Name: n, Type: identity.GroupTypeOkta}
	}
	return groups
}

func chosen(t *testing.T, f GroupFilter, groups []identity.Group) []string {
	t.Helper()
	c, field, err := compileFilter(&f)
	if err != nil {
		t.Fatalf("%s: %v", field, err)
	}
	var choice GroupChoice
	values, err := c.choose(groups, &choice)
	if err != nil {
		t.Fatal(err)
	}
	if choice.Considered != len(groups) || len(choice.Kept) != len(values) {
		t.Errorf("considered %d of %d, kept %q", choice.Considered, len(groups), choice.Kept)
	}
	names := []string{}
	for _, v := range values {
		names = append(names, v.(string))
	}
	return names
}

func TestFilterMatchesNamesAsOktaDoes(t *testing.T) {
	for _, tc := range []struct {
		match, pattern string
		in, out        []string
	}{
		// The rows of Okta's reference.
		{MatchStartsWith, "group1", []string{"group123", "Group123", "group1"}, []string{"MyGroup123", "group", "", "xgroup1"}},
		{MatchEquals, "group1", []string{"group1", "Group1", "GROUP1"}, []string{"group123", "MyGroup1", "", "group"}},
		{MatchContains, "group1", []string{"MyGroup123", "group1", "GROUP1"}, []string{"group 1", "", "group"}},
		{MatchRegex, "^[a-z0-9_-]{3,16}$", []string{"abc", "a-b_c9"}, []string{"ab", "Abc", "abcdefghijklmnopq"}},
		{MatchRegex, ".*", []string{"Everyone", "a b"}, []string{""}},
		{MatchRegex, ".*groupA.*|.*groupB.*", []string{"my groupA", "groupB2"}, []string{"groupC", "GroupA"}},
		// A regular expression matches the whole name, alternatives included.
		{MatchRegex, "app", []string{"app"}, []string{"apps", "my app", "App", "app\n"}},
		{MatchRegex, "a|ab|abc", []string{"a", "ab", "abc"}, []string{"abcd", "xa"}},
		{MatchRegex, "(?i)app-.*", []string{"APP-x", "app-"}, []string{"my app-x"}},
		{MatchRegex, "(?m)a$", []string{"a"}, []string{"a\nb"}},
		// Plain operators know no wildcards.
		{MatchStartsWith, "app.*", []string{"app.*x"}, []string{"appx"}},
		{MatchContains, "[", []string{"a[b"}, []string{"ab"}},
		// Simple folding, beyond ASCII too.
		{MatchStartsWith, "straße", []string{"STRAßE 7", "straẞe"}, []string{"strasse"}},
		{MatchEquals, "KELVIN", []string{"\u212Aelvin", "kelvin"}, []string{"kelvi"}},
		{MatchEquals, "\u017Fales", []string{"Sales", "sales"}, nil},
		{MatchContains, "ÉCOLE", []string{"grande école", "École"}, []string{"ecole"}},
		{MatchContains, "ς", []string{"ΟΔΟΣ", "οδος", "οδοσ"}, []string{"οδο"}},
		{MatchStartsWith, "дом", []string{"Домен"}, []string{"до"}},
		// The empty pattern.
		{MatchStartsWith, "", []string{"x", "\xff"}, []string{""}},
		{MatchContains, "", []string{"x", " "}, []string{""}},
		// Names that are not UTF-8 match by what of them is.
		{MatchStartsWith, "app", []string{"APP\xff"}, []string{"\xffapp"}},
		{MatchContains, "app", []string{"\xffAPP\xff"}, []string{"ap\xffp"}},
	} {
		f := GroupFilter{Match: tc.match, Pattern: tc.pattern}
		if got := chosen(t, f, named(append(slices.Clone(tc.in), tc.out...)...)); !slices.Equal(got, tc.in) {
			t.Errorf("%s %q chose %q, want %q", tc.match, tc.pattern, got, tc.in)
		}
	}
}

func TestFilterKeepsOrderAndDuplicates(t *testing.T) {
	groups := named("b", "a", "B", "a")
	if got := chosen(t, GroupFilter{Match: MatchRegex, Pattern: "[ab]"}, groups); !slices.Equal(got, []string{"b", "a", "a"}) {
		t.Errorf("names = %q", got)
	}
	if got := chosen(t, GroupFilter{Match: MatchStartsWith, Pattern: "B", Value: ValueID}, groups); !slices.Equal(got, []string{"g0", "g2"}) {
		t.Errorf("ids = %q", got)
	}
}

func TestFilterTypesNarrow(t *testing.T) {
	groups := []identity.Group{
		{ID: "1", Name: "okta", Type: identity.GroupTypeOkta},
		{ID: "2", Name: "app", Type: identity.GroupTypeApp},
		{ID: "3", Name: "everyone", Type: identity.GroupTypeBuiltIn},
		{ID: "4", Name: "untold"},
	}
	for _, tc := range []struct {
		types []string
		want  []string
	}{
		{nil, []string{"okta", "app", "everyone", "untold"}},
		{[]string{"OKTA_GROUP"}, []string{"okta"}},
		{[]string{"BUILT_IN", "OKTA_GROUP"}, []string{"okta", "everyone"}},
		{[]string{"OKTA_GROUP", "APP_GROUP", "BUILT_IN"}, []string{"okta", "app", "everyone"}},
	} {
		if got := chosen(t, GroupFilter{Match: MatchContains, Types: tc.types}, groups); !slices.Equal(got, tc.want) {
			t.Errorf("types %q chose %q, want %q", tc.types, got, tc.want)
		}
	}
}

func TestMoreMatchesThanTheLimitAreAnErrorOrCutOff(t *testing.T) {
	groups := named("a1", "b", "a2", "a3")
	for _, tc := range []struct {
		limit     int
		onLimit   string
		want      []string
		truncated int
		err       error
	}{
		{0, "", []string{"g0", "g2", "g3"}, 0, nil},
		{3, "error", []string{"g0", "g2", "g3"}, 0, nil},
		{2, "", []string{"g0", "g2", "g3"}, 0, oktael.ErrTooManyGroups},
		{2, "error", []string{"g0", "g2", "g3"}, 0, oktael.ErrTooManyGroups},
		{2, "truncate", []string{"g0", "g2"}, 1, nil},
		{1, "truncate", []string{"g0"}, 2, nil},
		{4, "truncate", []string{"g0", "g2", "g3"}, 0, nil},
	} {
		c, _, err := compileFilter(&GroupFilter{Match: MatchStartsWith, Pattern: "a", Limit: tc.limit, OnLimit: tc.onLimit})
		if err != nil {
			t.Fatal(err)
		}
		var choice GroupChoice
		_, err = c.choose(groups, &choice)
		if !errors.Is(err, tc.err) || !slices.Equal(choice.Kept, tc.want) || choice.Truncated != tc.truncated {
			t.Errorf("limit %d %s: kept %v, truncated %d, error %v; want %v, %d, %v",
				tc.limit, tc.onLimit, choice.Kept, choice.Truncated, err, tc.want, tc.truncated, tc.err)
		}
	}
}

func TestFilterRefusesWhatCannotBeMeant(t *testing.T) {
	for _, tc := range []struct {
		filter      GroupFilter
		field, text string
	}{
		{GroupFilter{Pattern: "a"}, "groups.match", "must be starts_with, equals, contains or regex"},
		{GroupFilter{Match: "start_with", Pattern: "a"}, "groups.match", `did you mean "starts_with"`},
		{GroupFilter{Match: "STARTS_WITH", Pattern: "a"}, "groups.match", `did you mean "starts_with"`},
		{GroupFilter{Match: MatchEquals}, "groups.pattern", "equals no group name"},
		{GroupFilter{Match: MatchRegex}, "groups.pattern", ".* for every group"},
		{GroupFilter{Match: MatchContains, Pattern: "\xff"}, "groups.pattern", "UTF-8"},
		{GroupFilter{Match: MatchContains, Pattern: strings.Repeat("é", 1025)}, "groups.pattern", "1024 characters"},
		{GroupFilter{Match: MatchContains, Types: []string{"OKTA"}}, "groups.types", `unknown value "OKTA" (want OKTA_GROUP, APP_GROUP or BUILT_IN)`},
		{GroupFilter{Match: MatchContains, Types: []string{""}}, "groups.types", "must be OKTA_GROUP, APP_GROUP or BUILT_IN"},
		{GroupFilter{Match: MatchContains, Value: "nam"}, "groups.value", `did you mean "name"`},
		{GroupFilter{Match: MatchContains, Limit: -1}, "groups.limit", "at least 1"},
		{GroupFilter{Match: MatchContains, OnLimit: "cut"}, "groups.on_limit", "truncate"},
	} {
		_, field, err := compileFilter(&tc.filter)
		if err == nil || field != tc.field || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%+v: %s: %v; want %s: … %s …", tc.filter, field, err, tc.field, tc.text)
		}
	}
	if _, _, err := compileFilter(&GroupFilter{Match: MatchContains, Pattern: strings.Repeat("é", 1024)}); err != nil {
		t.Errorf("a pattern of just 1,024 characters: %v", err)
	}
}

func TestRegexMatchesTheWholeName(t *testing.T) {
	for _, tc := range []struct {
		pattern, name string
		want          bool
	}{
		{"a|ab", "ab", true},
		{"a|b", "ab", false},
		{"^a$", "a", true},
		{"(?i)A.*", "ab", true},
		{"(?m)a$", "a\nb", false},
		{`\Qa.b`, "a.b", true},
		{`\Qa.b`, "axb", false},
		{"a", "a\n", false},
	} {
		re, err := compileWhole(tc.pattern)
		if err != nil {
			t.Errorf("%s: %v", tc.pattern, err)
			continue
		}
		if got := re.MatchString(tc.name); got != tc.want {
			t.Errorf("%s matches %q: %v", tc.pattern, tc.name, got)
		}
	}
}

func TestRegexSaysWhatRE2Lacks(t *testing.T) {
	for _, tc := range []struct{ pattern, text string }{
		{"(?=a)b", "look-ahead"},
		{"(?!admin).*", "negative look-ahead"},
		{"(?<=a)b", "look-behind"},
		{"(?<!a)b", "negative look-behind"},
		{"(?>a)b", "atomic"},
		{"a*+", "possessive"},
		{"a++", "possessive"},
		{"a?+", "possessive"},
		{"a{2}+", "possessive"},
		{`(a)\1`, "back-reference"},
		{`(?<n>a)\k<n>`, "back-reference"},
		{`\u0041`, `\x{`},
		{`a\Z`, "whole text"},
		{"a)|(b", "unexpected )"},
		{"(a++", "possessive"},
		{"((a", "missing closing )"},
		{"[a", "missing closing ]"},
		{"*a++", "missing argument"},
		{"a{1001}", "repeat count"},
		{"(abcdefghijkl){1000}", "repeats too much"},
	} {
		_, err := compileWhole(tc.pattern)
		if err == nil || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v; want … %s …", tc.pattern, err, tc.text)
		}
	}
}

// randomName draws from letters whose folding is peculiar, so that equal and
// nearly equal names are common.
func randomName(r *rand.Rand, most int) string {
	letters := []rune("aAbBkK\u212AsS\u017FßẞéÉσςΣİiıIǅǆǄ .-")
	var b strings.Builder
	for range r.IntN(most + 1) {
		b.WriteRune(letters[r.IntN(len(letters))])
	}
	return b.String()
}

// The naive implementation compares rune by rune with the standard library's
// EqualFold at every place.
func naiveMatch(match, name, pattern string) bool {
	n, p := []rune(name), []rune(pattern)
	at := func(i int) bool {
		return i+len(p) <= len(n) && strings.EqualFold(string(n[i:i+len(p)]), pattern)
	}
	switch match {
	case MatchStartsWith:
		return at(0)
	case MatchEquals:
		return strings.EqualFold(name, pattern)
	case MatchContains:
		for i := 0; i+len(p) <= len(n); i++ {
			if at(i) {
				return true
			}
		}
		return false
	}
	re := regexp.MustCompile(pattern)
	re.Longest()
	loc := re.FindStringIndex(name)
	return loc != nil && loc[0] == 0 && loc[1] == len(name)
}

func TestFilterAgreesWithNaiveImplementation(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	matched := 0
	for range 20000 {
		names := make([]string, 1+r.IntN(6))
		for i := range names {
			names[i] = randomName(r, 6)
		}
		match := []string{MatchStartsWith, MatchEquals, MatchContains, MatchRegex}[r.IntN(4)]
		pattern := randomName(r, 3)
		if match == MatchRegex {
			pattern = "(?:" + regexp.QuoteMeta(pattern) + "|" + regexp.QuoteMeta(randomName(r, 2)) + ".?)*"
		}
		if pattern == "" && match == MatchEquals {
			continue
		}
		want := []string{}
		for _, n := range names {
			if n != "" && naiveMatch(match, n, pattern) {
				want = append(want, n)
			}
		}
		matched += len(want)
		if got := chosen(t, GroupFilter{Match: match, Pattern: pattern}, named(names...)); !slices.Equal(got, want) {
			t.Fatalf("%s %q of %q = %q, want %q", match, pattern, names, got, want)
		}
	}
	if matched < 1000 {
		t.Fatalf("only %d names matched: the test proves too little", matched)
	}
}

func TestFoldRuneGivesOneRuneForEachOrbit(t *testing.T) {
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if foldRune(r) != foldRune(unicode.SimpleFold(r)) {
			t.Fatalf("%U and %U fold apart", r, unicode.SimpleFold(r))
		}
		if !strings.EqualFold(string(r), string(foldRune(r))) {
			t.Fatalf("%U folds to %U", r, foldRune(r))
		}
	}
}
