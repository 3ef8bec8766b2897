package oktael

import (
	"fmt"
	"strings"
	"testing"
)

// The data know withdrawn codes too, whose names are those of the countries of
// today: each name and code must lead to the one code that is in force.
func TestEveryCountryIsFoundByEachOfItsNames(t *testing.T) {
	found := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			alpha2 := string([]rune{a, b})
			c, err := parseCountry(alpha2)
			if err != nil {
				continue
			}
			found++
			for _, text := range []string{alpha2, c.alpha3(), c.numeric(), c.name(), strings.ToUpper(c.name())} {
				if got, err := parseCountry(text); err != nil || got.alpha2() != alpha2 {
					t.Errorf("%s: %q is %s, %v", alpha2, text, got.alpha2(), err)
				}
			}
		}
	}
	if found != 250 { // ISO 3166-1's 249, and Kosovo
		t.Errorf("%d countries, want 250", found)
	}
}

func TestWithdrawnCountryCodesAreUnknown(t *testing.T) {
	for _, text := range []string{"AN", "BU", "DD", "FX", "SU", "TP", "YD", "YU", "ZR", "ROM", "ZAR", "TMP", "230", "280", "736", "886"} {
		if got, err := parseCountry(text); err == nil {
			t.Errorf("%s is %s", text, got.alpha2())
		}
	}
	for n := range 1000 {
		code := fmt.Sprintf("%03d", n)
		if got, err := parseCountry(code); err == nil && got.numeric() != code {
			t.Errorf("%s is %s", code, got.numeric())
		}
	}
}
