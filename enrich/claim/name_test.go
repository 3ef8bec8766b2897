package claim

import (
	"errors"
	"strings"
	"testing"
)

func TestReservedNamesAreRefusedInAnyCapitalisation(t *testing.T) {
	for _, name := range reserved {
		for _, n := range []string{name, strings.ToUpper(name), strings.ToUpper(name[:1]) + name[1:]} {
			if err := checkName(n); !errors.Is(err, errReserved) {
				t.Errorf("%q: %v", n, err)
			}
		}
	}
	// A decoder that folds case takes the long s for s.
	if err := checkName("\u017Fub"); !errors.Is(err, errReserved) {
		t.Errorf("sub with a long s: %v", err)
	}
}

func TestNamesThatPeopleUseAreFree(t *testing.T) {
	for _, name := range []string{
		"groups", "scope", "role", "roles", "username", "permissions", "group", "email", "login", "dept", "http://example.com/is_root",
		"urn:example:a b", "Abteilung-Größe", "client_ip", strings.Repeat("n", maxNameBytes),
	} {
		if err := checkName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
}

func TestNamesThatCannotBeMeantAreRefused(t *testing.T) {
	for _, name := range []string{"", strings.Repeat("n", maxNameBytes+1), "a\nb", "a\x00", "a\u0085b", "\xff", " a", "a "} {
		if checkName(name) == nil {
			t.Errorf("%q: no error", name)
		}
	}
}
