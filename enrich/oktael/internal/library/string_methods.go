package library

import (
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// self is the receiver of a string method.
var self = Param{Name: "text", Want: argText}

// stringMethods are the methods of strings in the Identity Engine dialect.
var stringMethods = []Function{
	// The string in upper case.
	{
		Name: "toUpperCase", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self}, Call: ofText(upperCase),
	},
	// The string in lower case.
	{
		Name: "toLowerCase", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self}, Call: ofText(lowerCase),
	},
	// The characters from start, counted from 0, up to but not including end, or
	// up to the end of the string. Positions outside the string are an error.
	{
		Name: "substring", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params:   []Param{self, {Name: "start", Want: argInt}, {Name: "end", Want: argInt}},
		Optional: 1,
		Call:     substring,
	},
	// The string with each occurrence of match replaced. Both are plain strings, not
	// patterns.
	{
		Name: "replace", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, {Name: "match", Want: argText}, {Name: "replacement", Want: argText}}, Call: replaceText,
	},
	// The string with the first occurrence of match replaced.
	{
		Name: "replaceFirst", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, {Name: "match", Want: argText}, {Name: "replacement", Want: argText}}, Call: replaceFirst,
	},
	// How many characters the string has.
	{
		Name: "length", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindInt,
		Params: []Param{self}, Call: ofText(characters),
	},
	// The string without its spaces and other white space.
	{
		Name: "removeSpaces", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self}, Call: ofText(removeSpaces),
	},
	// Whether the search string occurs in the string. Case matters.
	{
		Name: "contains", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindBool,
		Params: []Param{self, searchText}, Call: ofTexts(strings.Contains),
	},
	// The part before the first occurrence of the search string; the whole
	// string if it does not occur.
	{
		Name: "substringBefore", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, searchText}, Call: ofTexts(before),
	},
	// The part after the first occurrence of the search string; the empty string
	// if it does not occur.
	{
		Name: "substringAfter", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, searchText}, Call: ofTexts(after),
	},
}
