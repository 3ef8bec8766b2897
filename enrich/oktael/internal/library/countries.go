package library

import (
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// countryParameter is the parameter of the functions: a code or a name.
var countryParameter = Param{Name: "country", Want: argText}

// countryFunctions is the Iso3166Convert family of the Classic dialect.
var countryFunctions = []Function{
	// The two-letter code of a country named by its two-letter, three-letter or
	// numeric code, or by its English name. An unknown country is an error.
	{
		Name: "Iso3166Convert.toAlpha2", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{countryParameter}, Call: ofCountry(value.Country.Alpha2),
	},
	// The three-letter code of a country; see Iso3166Convert.toAlpha2.
	{
		Name: "Iso3166Convert.toAlpha3", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{countryParameter}, Call: ofCountry(value.Country.Alpha3),
	},
	// The numeric code of a country, as a string of three digits; see
	// Iso3166Convert.toAlpha2.
	{
		Name: "Iso3166Convert.toNumeric", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{countryParameter}, Call: ofCountry(value.Country.Numeric),
	},
	// The English name of a country; see Iso3166Convert.toAlpha2.
	{
		Name: "Iso3166Convert.toName", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{countryParameter}, Call: ofCountry(value.Country.Name),
	},
}

// selfCountry is the receiver of the methods.
var selfCountry = Param{Name: "country", Want: argAny}

// countryMethods are the country codes of the Identity Engine dialect.
var countryMethods = []Function{
	// The country with this two-letter, three-letter or numeric code, or English
	// name; as a result, its two-letter code. An unknown country is an error.
	{
		Name: "parseCountryCode", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindCountry,
		Params: []Param{{Name: "text", Want: argText}},
		Call: func(_ *Env, _ any, args []any) (any, error) {
			return value.ParseCountry(args[0].(string))
		},
	},
	// The country's two-letter code.
	{
		Name: "toAlpha2", Receiver: value.KindCountry, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfCountry}, Call: ofCountryValue(value.Country.Alpha2),
	},
	// The country's three-letter code.
	{
		Name: "toAlpha3", Receiver: value.KindCountry, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfCountry}, Call: ofCountryValue(value.Country.Alpha3),
	},
	// The country's numeric code, as a string of three digits.
	{
		Name: "toNumeric", Receiver: value.KindCountry, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfCountry}, Call: ofCountryValue(value.Country.Numeric),
	},
	// The country's English name.
	{
		Name: "toName", Receiver: value.KindCountry, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{selfCountry}, Call: ofCountryValue(value.Country.Name),
	},
}

// ofCountry reads a code of the country that a string names.
func ofCountry(get func(value.Country) string) Call {
	return func(_ *Env, _ any, args []any) (any, error) {
		c, err := value.ParseCountry(args[0].(string))
		if err != nil {
			return nil, err
		}
		return get(c), nil
	}
}

// ofCountryValue reads a code of a country.
func ofCountryValue(get func(value.Country) string) Call {
	return func(_ *Env, _ any, args []any) (any, error) { return get(args[0].(value.Country)), nil }
}
