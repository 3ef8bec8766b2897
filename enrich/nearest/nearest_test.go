package nearest

import (
	"strings"
	"testing"
)

func TestWordFindsWhatWasMeantAndNothingElse(t *testing.T) {
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
		got, ok := Word(tc.wrong, words)
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("Word(%q) = %q, %v; want %q", tc.wrong, got, ok, tc.want)
		}
	}
}

func TestKinKnowsPartsOfANameToo(t *testing.T) {
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
		got, ok := Kin(tc.wrong, words)
		if got != tc.want || ok != (tc.want != "") {
			t.Errorf("Kin(%q) = %q, %v; want %q", tc.wrong, got, ok, tc.want)
		}
	}
}

func TestHintIsReadyToStandBehindAnError(t *testing.T) {
	if got := Hint("leway", []string{"leeway"}); got != ` (did you mean "leeway"?)` {
		t.Errorf("Hint = %q", got)
	}
	if got := Hint("banana", []string{"leeway"}); got != "" {
		t.Errorf("Hint = %q, want none", got)
	}
}
