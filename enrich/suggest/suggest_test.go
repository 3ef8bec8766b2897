package suggest

import (
	"strings"
	"testing"
)

func TestClosestFindsTheWordAndNothingElse(t *testing.T) {
	words := []string{"audience", "algorithms", "leeway", "key_refresh", "ttl"}
	for _, tc := range []struct{ wrong, want string }{
		{"audiance", "audience"},
		{"Audience", "audience"},
		{"lewway", "leeway"},
		{"key_refersh", "key_refresh"},
		{"tll", "ttl"},
		{"", ""},
		{"banana", ""},
		{"x", ""},
		{strings.Repeat("audience", 100), ""},
	} {
		got, ok := Closest(tc.wrong, words)
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("Closest(%q) = %q, %v; want %q", tc.wrong, got, ok, tc.want)
		}
	}
}

func TestClosestNameKnowsPartsOfANameToo(t *testing.T) {
	words := []string{"toUpperCase", "toLowerCase", "len", "stringContains", "contains", "toInt"}
	for _, tc := range []struct{ wrong, want string }{
		{"toUpercase", "toUpperCase"},
		{"toUpper", "toUpperCase"},
		{"lowerCase", "toLowerCase"},
		{"length", "len"},
		{"toInteger", "toInt"},
		{"containsText", "contains"}, // not stringContains, which shares less
		{"to", ""},
		{"trim", ""},
		{"", ""},
		{strings.Repeat("len", 100), ""},
	} {
		got, ok := ClosestName(tc.wrong, words)
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("ClosestName(%q) = %q, %v; want %q", tc.wrong, got, ok, tc.want)
		}
	}
}

func TestDidYouMeanCanBeAppendedToAnError(t *testing.T) {
	if got := DidYouMean("leway", []string{"leeway"}); got != ` (did you mean "leeway"?)` {
		t.Errorf("DidYouMean = %q", got)
	}
	if got := DidYouMean("banana", []string{"leeway"}); got != "" {
		t.Errorf("DidYouMean = %q, want none", got)
	}
}
