package library

import (
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// self is the receiver of a string method.
var self = Param{Name: "text", Want: argText}

// stringMethods are the methods of texts in the Identity Engine dialect.
var stringMethods = []Function{
	{
		Name: "toUpperCase", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self}, Doc: "The text in upper case.", Call: upperCase,
	},
	{
		Name: "toLowerCase", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self}, Doc: "The text in lower case.", Call: lowerCase,
	},
	{
		Name: "substring", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params:   []Param{self, {Name: "start", Want: argInt}, {Name: "end", Want: argInt}},
		Optional: 1,
		Doc:      "The characters from start, counted from 0, up to but not including end, or up to the text's own. Positions outside of the text are an error.",
		Call:     substring,
	},
	{
		Name: "replace", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, {Name: "match", Want: argText}, {Name: "replacement", Want: argText}},
		Doc:    "The text with each occurrence of match replaced. Both are plain text, not patterns.",
		Call:   replaceText,
	},
	{
		Name: "replaceFirst", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, {Name: "match", Want: argText}, {Name: "replacement", Want: argText}},
		Doc:    "The text with the first occurrence of match replaced.",
		Call:   replaceFirst,
	},
	{
		Name: "length", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindInt,
		Params: []Param{self}, Doc: "How many characters the text has.", Call: textLength,
	},
	{
		Name: "removeSpaces", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self}, Doc: "The text without its spaces and other white space.", Call: removeSpaces,
	},
	{
		Name: "contains", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindBool,
		Params: []Param{self, searchText},
		Doc:    "Whether the search text occurs in the text. Case matters.",
		Call:   textContains,
	},
	{
		Name: "substringBefore", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, searchText},
		Doc:    "What stands before the first occurrence of the search text; the whole text where it does not occur.",
		Call:   substringBefore,
	},
	{
		Name: "substringAfter", Receiver: value.KindText, Dialect: syntax.IdentityEngine, Result: value.KindText,
		Params: []Param{self, searchText},
		Doc:    "What stands behind the first occurrence of the search text; the empty text where it does not occur.",
		Call:   substringAfter,
	},
}
