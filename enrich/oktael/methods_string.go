package oktael

// self is the receiver of a string method.
var self = parameter{name: "text", want: argText}

// stringMethods are the methods of texts in the Identity Engine dialect.
var stringMethods = []function{
	{
		name: "toUpperCase", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params: []parameter{self}, doc: "The text in upper case.", call: upperCase,
	},
	{
		name: "toLowerCase", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params: []parameter{self}, doc: "The text in lower case.", call: lowerCase,
	},
	{
		name: "substring", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params:   []parameter{self, {name: "start", want: argInt}, {name: "end", want: argInt}},
		optional: 1,
		doc:      "The characters from start, counted from 0, up to but not including end, or up to the text's own. Positions outside of the text are an error.",
		call:     substring,
	},
	{
		name: "replace", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params: []parameter{self, {name: "match", want: argText}, {name: "replacement", want: argText}},
		doc:    "The text with each occurrence of match replaced. Both are plain text, not patterns.",
		call:   replaceText,
	},
	{
		name: "replaceFirst", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params: []parameter{self, {name: "match", want: argText}, {name: "replacement", want: argText}},
		doc:    "The text with the first occurrence of match replaced.",
		call:   replaceFirst,
	},
	{
		name: "length", receiver: kindText, dialect: IdentityEngine, result: kindInt,
		params: []parameter{self}, doc: "How many characters the text has.", call: textLength,
	},
	{
		name: "removeSpaces", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params: []parameter{self}, doc: "The text without its spaces and other white space.", call: removeSpaces,
	},
	{
		name: "contains", receiver: kindText, dialect: IdentityEngine, result: kindBool,
		params: []parameter{self, searchText},
		doc:    "Whether the search text occurs in the text. Case matters.",
		call:   textContains,
	},
	{
		name: "substringBefore", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params: []parameter{self, searchText},
		doc:    "What stands before the first occurrence of the search text; the whole text where it does not occur.",
		call:   substringBefore,
	},
	{
		name: "substringAfter", receiver: kindText, dialect: IdentityEngine, result: kindText,
		params: []parameter{self, searchText},
		doc:    "What stands behind the first occurrence of the search text; the empty text where it does not occur.",
		call:   substringAfter,
	},
}
