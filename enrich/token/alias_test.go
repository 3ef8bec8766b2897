package token

import (
	"strings"
	"testing"
)

func TestCanonicalDoesWhatReadersDo(t *testing.T) {
	long := strings.Repeat("n", MaxNameBytes)
	for _, c := range []struct{ name, whole, cut string }{
		{"", "", ""},
		{"a", "a", "a"},
		{"Access_Token", "access-token", "access-token"},
		{"access.token", "access-token", "access-token"},
		{" \t\xa0a\u3000\x7f", "a", "a"},
		{"a b", "a-b", "a-b"},
		{"a[b]", "a-b-", "a"},
		{"[a]", "a-", "a"},
		{"]]a[", "a-", "a"},
		{"a [x", "a--x", "a"},
		{"a\x00b", "a-b", "a"},
		{"%61%5B%5D", "a--", "a"},
		{"%u0061%u3000", "a", "a"},
		{"%U0061", "a", "a"},
		{"%u61%6", "-u61-6", "-u61-6"},
		{"+a+", "a", "a"},
		{"%", "-", "-"},
		{"%%61", "-a", "-a"},
		{"[]", "", ""},
		{long, long, long},
		{long + "  ", long, long},
		{long + "[x]", "", long},
		{long + "n", "", ""},
		{strings.Repeat(" ", 1000) + "a", "a", "a"},
	} {
		var buf [MaxNameBytes]byte
		whole, cut := Canonical(buf[:], c.name)
		if string(buf[:whole]) != c.whole || string(buf[:cut]) != c.cut {
			t.Errorf("%q: %q and %q, want %q and %q", c.name, buf[:whole], buf[:cut], c.whole, c.cut)
		}
	}
}

// FuzzCanonical: a form is folded, fits, has no blank at its ends, and one of a
// name that needs nothing done is its fold.
func FuzzCanonical(f *testing.F) {
	for _, name := range []string{"access_token", "%61[", "a%u0020b", "\xa0a\u3000", "%", "a\x00"} {
		f.Add(name, uint8(20))
	}
	f.Fuzz(func(t *testing.T, name string, size uint8) {
		buf := make([]byte, size)
		whole, cut := Canonical(buf, name)
		if whole > len(buf) || cut > whole && whole != 0 {
			t.Fatalf("%q in %d bytes: %d and %d", name, size, whole, cut)
		}
		plain := name != "" && len(name) <= len(buf)
		for i := range len(name) {
			plain = plain && !IsBlank(name[i]) && !strings.ContainsRune("%+[]", rune(name[i]))
		}
		if plain && (whole != len(name) || cut != len(name)) {
			t.Errorf("%q: %d and %d of %d bytes", name, whole, cut, len(name))
		}
		for _, c := range buf[:max(whole, cut)] {
			if FoldByte(c) != c {
				t.Errorf("%q: %q is not folded", name, buf[:whole])
			}
		}
	})
}
