package page

import (
	"strings"
	"testing"
	"unicode"
)

func TestEveryLanguageHasEveryText(t *testing.T) {
	check := func(what string, lang int, text, placeholder string) {
		t.Helper()
		if text == "" || strings.TrimSpace(text) != text {
			t.Errorf("%s in %s: %q", what, tags[lang], text)
		}
		if want := strings.Count(placeholder, "{"); strings.Count(text, "{") != want || strings.Count(text, "}") != want || strings.Count(text, providerPlace) != want {
			t.Errorf("%s in %s has other placeholders than %q: %q", what, tags[lang], placeholder, text)
		}
		if strings.ContainsAny(text, "<>&") || strings.ContainsFunc(text, unicode.IsControl) {
			t.Errorf("%s in %s has markup: %q", what, tags[lang], text)
		}
		// What stands before a double sign in French does not break.
		if tags[lang].String() == "fr" && (strings.Contains(text, " ?") || strings.Contains(text, " ;") || strings.Contains(text, " :") || strings.Contains(text, " !")) {
			t.Errorf("%s in French may break before a sign: %q", what, text)
		}
	}
	for lang := range languageCount {
		for m, w := range words {
			check(Message(m).String()+" title", lang, w[lang].title, "")
			check(Message(m).String()+" text", lang, w[lang].text, "")
		}
		for i, l := range labels {
			placeholder := ""
			if Label(i) == SignInWith {
				placeholder = providerPlace
			}
			check("label", lang, l[lang], placeholder)
		}
		check("button", lang, button[lang], "")
		check("error ID", lang, errorLabel[lang], "")
	}
}

// TestNoTextIsThatOfAnotherLanguage finds a text that was copied and not
// translated, and a message that says what another one says.
func TestNoTextIsThatOfAnotherLanguage(t *testing.T) {
	seen := map[string]string{}
	for m, w := range words {
		for lang := range languageCount {
			where := Message(m).String() + " in " + tags[lang].String()
			if other, twice := seen[w[lang].text]; twice {
				t.Errorf("%s and %s have one text", where, other)
			}
			seen[w[lang].text] = where
		}
	}
}

func TestEveryMessageHasItsFacts(t *testing.T) {
	names := map[string]bool{}
	for m, f := range facts {
		if f.name == "" || names[f.name] || f.status < 200 || f.status > 599 || f.file == "" {
			t.Errorf("message %d: %+v", m, f)
		}
		names[f.name] = true
	}
}
