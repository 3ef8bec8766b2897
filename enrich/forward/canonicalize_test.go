package forward

import (
	"net/http"
	"strings"
	"testing"
)

func TestFoldMakesOneNameOfAllSpellings(t *testing.T) {
	for _, name := range []string{
		"X-User-Groups", "x-user-groups", "X_USER_GROUPS", "x.user.groups", "X-User_Groups", "X^User~Groups", "x user groups",
	} {
		if got := Canonicalize(name); got != "x-user-groups" {
			t.Errorf("Canonicalize(%q) = %q", name, got)
		}
	}
	for _, other := range []string{"X-UserGroups", "X-User--Groups", "X-User-Group", "X-User-Groups-", "-X-User-Groups"} {
		if got := Canonicalize(other); got == "x-user-groups" {
			t.Errorf("Canonicalize(%q) takes another name for ours", other)
		}
	}
}

func TestAliasesTryEverySeparatorAndCase(t *testing.T) {
	const name = "X-User-Groups"
	aliases := Aliases(name)
	seen := make(map[string]bool)
	for _, a := range aliases {
		if Canonicalize(a) != Canonicalize(name) {
			t.Errorf("%q does not fold to the name", a)
		}
		if seen[a] {
			t.Errorf("%q is there twice", a)
		}
		seen[a] = true
		if !isFieldName(a) {
			t.Errorf("%q is no field name: a server would refuse the request", a)
		}
	}
	for _, sep := range "!#$%&'*+-.^_`|~" {
		for _, a := range []string{
			"X" + string(sep) + "User" + string(sep) + "Groups",
			"x-user" + string(sep) + "groups",
			"X" + string(sep) + "USER-GROUPS",
			"x" + string(sep) + "uSER" + string(sep) + "gROUPS",
		} {
			if !seen[a] {
				t.Errorf("%q is not tried", a)
			}
		}
	}
	if n := len(Aliases("Authorization")); n != 4 {
		t.Errorf("a name without separators has %d aliases, want its four cases", n)
	}
}

func TestFieldNamesAreTokens(t *testing.T) {
	for c := range 256 {
		name := "X" + string([]byte{byte(c)})
		// What net/http accepts on the wire is our measure.
		req, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://example.com/", nil)
		req.Header[name] = []string{"v"}
		var wire strings.Builder
		if err := req.Write(&wire); err != nil {
			t.Fatal(err)
		}
		written := strings.Contains(wire.String(), name+": v\r\n")
		if valid := isFieldName(name); valid != written {
			t.Errorf("byte %#x in a name: we say %v, net/http writes it: %v", c, valid, written)
		}
	}
	if isFieldName("") || isFieldName("X User") || isFieldName("X:") {
		t.Error("takes what is no name")
	}
}

func FuzzFold(f *testing.F) {
	for _, s := range []string{"X-User-Groups", "x_user.groups", "", "É-x", "SM_USER", strings.Repeat("A", 300)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, name string) {
		canonical := Canonicalize(name)
		if Canonicalize(canonical) != canonical {
			t.Fatalf("folding %q twice gives another name", name)
		}
		if len(canonical) != len(name) {
			t.Fatalf("folding %q changes its length", name)
		}
		for i := range len(canonical) {
			if c := canonical[i]; c != symbol && (c < '0' || '9' < c) && (c < 'a' || 'z' < c) {
				t.Fatalf("Canonicalize(%q) = %q holds a character that does not fold", name, canonical)
			}
		}
		if Canonicalize(strings.ToUpper(canonical)) != canonical || Canonicalize(strings.ReplaceAll(canonical, "-", "_")) != canonical {
			t.Fatalf("%q and its aliases fold apart", canonical)
		}
	})
}
