package oktael

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"
)

var (
	inputText  = parameter{name: "input", want: argText}
	searchText = parameter{name: "search", want: argText}
)

// stringFunctions is the String family of the Classic dialect, with the bare
// names that it replaced.
var stringFunctions = append([]function{
	{
		name: "String.append", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText, {name: "suffix", want: argText}},
		doc:    "The input with the suffix behind it.",
		call:   func(e *env, _ any, args []any) (any, error) { return e.concatenate(args[0], args[1]) },
	},
	{
		name: "String.join", dialect: Classic, result: kindText,
		params:    []parameter{{name: "separator", want: argText}, {name: "strings", want: argAny, nullable: true}},
		rest:      true,
		onNullDoc: "null strings are left out; a null separator is an error",
		doc:       "The strings with the separator between them. A list among them counts as its elements.",
		call:      joinStrings,
	},
	{
		name: "String.len", dialect: Classic, result: kindInt, onNull: nullZero,
		params: []parameter{inputText},
		doc:    "How many characters the input has.",
		call:   textLength,
	},
	{
		name: "String.removeSpaces", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText},
		doc:    "The input without its spaces and other white space.",
		call:   removeSpaces,
	},
	{
		name: "String.replace", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText, {name: "match", want: argText}, {name: "replacement", want: argText}},
		doc:    "The input with each occurrence of match replaced. Both are plain text, not patterns; an empty match changes nothing.",
		call:   replaceText,
	},
	{
		name: "String.replaceFirst", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText, {name: "match", want: argText}, {name: "replacement", want: argText}},
		doc:    "The input with the first occurrence of match replaced.",
		call:   replaceFirst,
	},
	{
		name: "String.startsWith", dialect: Classic, result: kindBool, onNull: nullFalse,
		params: []parameter{inputText, {name: "prefix", want: argText}},
		doc:    "Whether the input begins with the prefix. Case matters.",
		call: func(_ *env, _ any, args []any) (any, error) {
			return strings.HasPrefix(args[0].(string), args[1].(string)), nil
		},
	},
	{
		name: "String.stringContains", dialect: Classic, result: kindBool, onNull: nullFalse,
		params: []parameter{inputText, searchText},
		doc:    "Whether the search text occurs in the input. Case matters.",
		call:   textContains,
	},
	{
		name: "String.stringSwitch", dialect: Classic, result: kindText | kindNull,
		params: []parameter{
			{name: "input", want: argText, nullable: true},
			{name: "default", want: argText, nullable: true},
			{name: "keyValuePairs", want: argText, nullable: true},
		},
		rest:      true,
		onNullDoc: "a null input gives the default",
		doc:       "The value behind the first key, in the order of the arguments, that occurs in the input; the default where none does.",
		prepare:   pairsOnly,
		call:      stringSwitch,
	},
	{
		name: "String.substring", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText, {name: "start", want: argInt}, {name: "end", want: argInt}},
		doc:    "The characters from start, counted from 0, up to but not including end. Positions outside of the input are an error.",
		call:   substring,
	},
	{
		name: "String.substringAfter", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText, searchText},
		doc:    "What stands behind the first occurrence of the search text; the empty text where it does not occur.",
		call:   substringAfter,
	},
	{
		name: "String.substringBefore", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText, searchText},
		doc:    "What stands before the first occurrence of the search text; the whole input where it does not occur.",
		call:   substringBefore,
	},
	{
		name: "String.toUpperCase", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText},
		doc:    "The input in upper case.",
		call:   upperCase,
	},
	{
		name: "String.toLowerCase", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText},
		doc:    "The input in lower case.",
		call:   lowerCase,
	},
}, bareStringFunctions...)

// bareStringFunctions are the deprecated names without a family.
var bareStringFunctions = []function{
	{
		name: "toUpperCase", dialect: Classic, result: kindText, onNull: nullNull, params: []parameter{inputText},
		doc: "The input in upper case.", instead: "String.toUpperCase", call: upperCase,
	},
	{
		name: "toLowerCase", dialect: Classic, result: kindText, onNull: nullNull, params: []parameter{inputText},
		doc: "The input in lower case.", instead: "String.toLowerCase", call: lowerCase,
	},
	{
		name: "substringBefore", dialect: Classic, result: kindText, onNull: nullNull, params: []parameter{inputText, searchText},
		doc: "As String.substringBefore.", instead: "String.substringBefore", call: substringBefore,
	},
	{
		name: "substringAfter", dialect: Classic, result: kindText, onNull: nullNull, params: []parameter{inputText, searchText},
		doc: "As String.substringAfter.", instead: "String.substringAfter", call: substringAfter,
	},
	{
		name: "substring", dialect: Classic, result: kindText, onNull: nullNull,
		params: []parameter{inputText, {name: "start", want: argInt}, {name: "end", want: argInt}},
		doc:    "As String.substring.", instead: "String.substring", call: substring,
	},
}

func joinStrings(e *env, _ any, args []any) (any, error) {
	separator, err := e.text(args[0])
	if err != nil {
		return nil, err
	}
	b, err := e.appendCSV(nil, flattened(args[1:]), separator)
	if err != nil {
		return nil, err
	}
	return string(b), e.consume(len(b), textPerStep)
}

// flattened puts the elements of lists in the lists' place, one level deep.
// It gives the values themselves where there are no lists among them.
func flattened(values []any) []any {
	n, lists := 0, false
	for _, v := range values {
		if l, ok := v.([]any); ok {
			n, lists = n+len(l), true
		} else {
			n++
		}
	}
	if !lists {
		return values
	}
	out := make([]any, 0, n)
	for _, v := range values {
		if l, ok := v.([]any); ok {
			out = append(out, l...)
		} else {
			out = append(out, v)
		}
	}
	return out
}

func textLength(_ *env, _ any, args []any) (any, error) {
	return int64(utf8.RuneCountInString(args[0].(string))), nil
}

func removeSpaces(_ *env, _ any, args []any) (any, error) {
	return strings.Join(strings.Fields(args[0].(string)), ""), nil
}

func replaceText(e *env, _ any, args []any) (any, error) {
	return e.replace(args[0].(string), args[1].(string), args[2].(string), -1)
}

func replaceFirst(e *env, _ any, args []any) (any, error) {
	return e.replace(args[0].(string), args[1].(string), args[2].(string), 1)
}

// replace replaces up to n occurrences, all of them with -1. How long the
// result will be is known before it is made.
func (e *env) replace(s, match, replacement string, n int) (any, error) {
	if match == "" {
		return s, nil
	}
	count := strings.Count(s, match)
	if n >= 0 {
		count = min(count, n)
	}
	size := len(s) + count*(len(replacement)-len(match))
	if size > MaxText {
		return nil, fmt.Errorf("the text is longer than %d bytes: %w", MaxText, ErrLimit)
	}
	if err := e.consume(size, textPerStep); err != nil {
		return nil, err
	}
	return strings.Replace(s, match, replacement, n), nil
}

func textContains(_ *env, _ any, args []any) (any, error) {
	return strings.Contains(args[0].(string), args[1].(string)), nil
}

// pairsOnly refuses a key without a value.
func pairsOnly(c checker, name *syntaxNode, args []*syntaxNode) (any, error) {
	if len(args)%2 != 0 {
		return nil, c.Fail(name.offset, "String.stringSwitch needs a value behind each key")
	}
	return nil, nil
}

func stringSwitch(e *env, _ any, args []any) (any, error) {
	input, ok := args[0].(string)
	if !ok {
		return args[1], nil
	}
	if err := e.consume(len(input)*len(args), textPerStep); err != nil {
		return nil, err
	}
	for i := 2; i+1 < len(args); i += 2 {
		if key, ok := args[i].(string); ok && strings.Contains(input, key) {
			return args[i+1], nil
		}
	}
	return args[1], nil
}

func substring(_ *env, _ any, args []any) (any, error) {
	s, start := args[0].(string), args[1].(int64)
	if len(args) < 3 {
		from, _ := characterRange(s, start, -1)
		if from < 0 {
			return nil, errSubstring
		}
		return s[from:], nil
	}
	end := args[2].(int64)
	from, to := characterRange(s, start, end)
	if from < 0 || to < from {
		return nil, errSubstring
	}
	return s[from:to], nil
}

func substringAfter(_ *env, _ any, args []any) (any, error) {
	_, after, _ := strings.Cut(args[0].(string), args[1].(string))
	return after, nil
}

func substringBefore(_ *env, _ any, args []any) (any, error) {
	before, _, _ := strings.Cut(args[0].(string), args[1].(string))
	return before, nil
}

// upperCase and lowerCase follow Unicode's full mappings in no language's
// own, as Java's do in its root locale (ß becomes SS).
func upperCase(_ *env, _ any, args []any) (any, error) {
	return mapCase(args[0].(string), strings.ToUpper, cases.Upper), nil
}

func lowerCase(_ *env, _ any, args []any) (any, error) {
	return mapCase(args[0].(string), strings.ToLower, cases.Lower), nil
}

func mapCase(s string, ascii func(string) string, full func(language.Tag, ...cases.Option) cases.Caser) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return full(language.Und).String(s)
		}
	}
	return ascii(s)
}
