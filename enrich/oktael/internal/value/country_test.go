package value

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
			c, err := ParseCountry(alpha2)
			if err != nil {
				continue
			}
			found++
			for _, text := range []string{alpha2, c.Alpha3(), c.Numeric(), c.Name(), strings.ToUpper(c.Name())} {
				if got, err := ParseCountry(text); err != nil || got.Alpha2() != alpha2 {
					t.Errorf("%s: %q is %s, %v", alpha2, text, got.Alpha2(), err)
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
		if got, err := ParseCountry(text); err == nil {
			t.Errorf("%s is %s", text, got.Alpha2())
		}
	}
	for n := range 1000 {
		code := fmt.Sprintf("%03d", n)
		if got, err := ParseCountry(code); err == nil && got.Numeric() != code {
			t.Errorf("%s is %s", code, got.Numeric())
		}
	}
}
