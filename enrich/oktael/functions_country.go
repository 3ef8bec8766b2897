package oktael

var countryParameter = parameter{name: "country", want: argText}

// countryFunctions is the Iso3166Convert family of the Classic dialect.
var countryFunctions = []function{
	{
		name: "Iso3166Convert.toAlpha2", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{countryParameter},
		doc:    "The two-letter code of a country that is given by its two-letter, three-letter or numeric code, or by its English name. An unknown country is an error.",
		call:   ofCountry(country.alpha2),
	},
	{
		name: "Iso3166Convert.toAlpha3", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{countryParameter},
		doc:    "The three-letter code of a country; see Iso3166Convert.toAlpha2.",
		call:   ofCountry(country.alpha3),
	},
	{
		name: "Iso3166Convert.toNumeric", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{countryParameter},
		doc:    "The numeric code of a country, as a text of three digits; see Iso3166Convert.toAlpha2.",
		call:   ofCountry(country.numeric),
	},
	{
		name: "Iso3166Convert.toName", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{countryParameter},
		doc:    "The English name of a country; see Iso3166Convert.toAlpha2.",
		call:   ofCountry(country.name),
	},
}

var selfCountry = parameter{name: "country", want: argAny}

// countryMethods are the country codes of the Identity Engine dialect.
var countryMethods = []function{
	{
		name: "parseCountryCode", receiver: kindText, dialect: IdentityEngine, result: kindCountry,
		params: []parameter{{name: "text", want: argText}},
		doc:    "The country with this two-letter, three-letter or numeric code, or English name; as a result, its two-letter code. An unknown country is an error.",
		call: func(_ *env, _ any, args []any) (any, error) {
			c, err := parseCountry(args[0].(string))
			if err != nil {
				return nil, err
			}
			return c, nil
		},
	},
	{
		name: "toAlpha2", receiver: kindCountry, dialect: IdentityEngine, result: kindText,
		params: []parameter{selfCountry}, doc: "The country's two-letter code.", call: ofCountryValue(country.alpha2),
	},
	{
		name: "toAlpha3", receiver: kindCountry, dialect: IdentityEngine, result: kindText,
		params: []parameter{selfCountry}, doc: "The country's three-letter code.", call: ofCountryValue(country.alpha3),
	},
	{
		name: "toNumeric", receiver: kindCountry, dialect: IdentityEngine, result: kindText,
		params: []parameter{selfCountry}, doc: "The country's numeric code, as a text of three digits.", call: ofCountryValue(country.numeric),
	},
	{
		name: "toName", receiver: kindCountry, dialect: IdentityEngine, result: kindText,
		params: []parameter{selfCountry}, doc: "The country's English name.", call: ofCountryValue(country.name),
	},
}

func ofCountry(get func(country) string) call {
	return func(_ *env, _ any, args []any) (any, error) {
		c, err := parseCountry(args[0].(string))
		if err != nil {
			return nil, err
		}
		return get(c), nil
	}
}

func ofCountryValue(get func(country) string) call {
	return func(_ *env, _ any, args []any) (any, error) { return get(args[0].(country)), nil }
}
