package value

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/language"
	"golang.org/x/text/language/display"
	"golang.org/x/text/unicode/norm"
)

// Countries, for Iso3166Convert and parseCountryCode. The data are those of the
// Unicode project, so that no table has to be kept here; what ISO 3166-1 does not
// assign today is left out of them.

// Country is a country of ISO 3166-1, as the Unicode data (CLDR) of
// golang.org/x/text know it.
type Country struct{ region language.Region }

// Alpha2 returns the two-letter code.
func (c Country) Alpha2() string { return c.region.String() }

// Alpha3 returns the three-letter code.
func (c Country) Alpha3() string { return c.region.ISO3() }

// Numeric returns the numeric code, three digits.
func (c Country) Numeric() string { return fmt.Sprintf("%03d", c.region.M49()) }

// Name returns the English name.
func (c Country) Name() string { return display.English.Regions().Name(c.region) }

var errCountry = errors.New("unknown country")

// ParseCountry reads a country's two-letter, three-letter or numeric code or its
// English name, in any case.
func ParseCountry(text string) (Country, error) {
	s := strings.TrimSpace(text)
	switch {
	case s == "":
	case '0' <= s[0] && s[0] <= '9':
		// A number may have lost its leading zeros on the way.
		if n, err := strconv.Atoi(s); err == nil && len(s) <= 3 {
			if r, err := language.EncodeM49(n); err == nil && r.M49() == n && isCountry(r) {
				return Country{r}, nil
			}
		}
	case len(s) <= 3:
		if r, err := language.ParseRegion(s); err == nil && isCountry(r) && (len(s) != 2 || strings.EqualFold(r.String(), s)) {
			return Country{r}, nil
		}
	}
	if r, ok := countryNames()[plainName(s)]; ok {
		return Country{r}, nil
	}
	return Country{}, errCountry
}

// isCountry leaves out continents, groupings and codes without a number or
// a three-letter form, which ISO 3166-1 does not assign, and those that it has
// withdrawn: the data have another code in their place, or no name for them.
func isCountry(r language.Region) bool {
	return r.IsCountry() && r.M49() != 0 && r.ISO3() != "ZZZ" && len(r.String()) == 2 &&
		r.Canonicalize() == r && Country{r}.Name() != ""
}

// plainName is a country's name as it is compared: in lower case, without
// accents, and with "and" and the apostrophe as they are typed.
func plainName(name string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToLower(name)) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == '&':
			b.WriteString("and")
		case r == '’':
			b.WriteByte('\'')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// countryNames are the countries by plain English name. The table is made from
// the Unicode data when it is first asked for.
var countryNames = sync.OnceValue(func() map[string]language.Region {
	names := make(map[string]language.Region, 300)
	english := display.English.Regions()
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			r, err := language.ParseRegion(string([]rune{a, b}))
			if err != nil || !isCountry(r) || r.String() != string([]rune{a, b}) {
				continue
			}
			names[plainName(english.Name(r))] = r
		}
	}
	return names
})
