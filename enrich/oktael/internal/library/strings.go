package library

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// Functions of strings. Positions and lengths count characters.

// Parameters that several functions have.
var (
	inputText  = Param{Name: "input", Want: argText}
	searchText = Param{Name: "search", Want: argText}
)

// stringFunctions is the String family of the Classic dialect, with the bare
// names that it replaced.
var stringFunctions = append([]Function{
	// The input with the suffix appended.
	{
		Name: "String.append", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText, {Name: "suffix", Want: argText}},
		Call:   func(e *Env, _ any, args []any) (any, error) { return e.Concatenate(args[0], args[1]) },
	},
	// The strings with the separator between them. A list among them counts as
	// its elements.
	// Null: null strings are omitted; a null separator is an error.
	{
		Name: "String.join", Dialect: syntax.Classic, Result: value.KindText,
		Params: []Param{{Name: "separator", Want: argText}, {Name: "strings", Want: argAny, Nullable: true}},
		Rest:   true,
		Call:   joinStrings,
	},
	// How many characters the input has.
	{
		Name: "String.len", Dialect: syntax.Classic, Result: value.KindInt, OnNull: NullZero,
		Params: []Param{inputText}, Call: ofText(characters),
	},
	// The input without its spaces and other white space.
	{
		Name: "String.removeSpaces", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText}, Call: ofText(removeSpaces),
	},
	// The input with each occurrence of match replaced. Both are plain strings, not
	// patterns; an empty match changes nothing.
	{
		Name: "String.replace", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText, {Name: "match", Want: argText}, {Name: "replacement", Want: argText}},
		Call:   replaceText,
	},
	// The input with the first occurrence of match replaced.
	{
		Name: "String.replaceFirst", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText, {Name: "match", Want: argText}, {Name: "replacement", Want: argText}},
		Call:   replaceFirst,
	},
	// Whether the input begins with the prefix. Case matters.
	{
		Name: "String.startsWith", Dialect: syntax.Classic, Result: value.KindBool, OnNull: NullFalse,
		Params: []Param{inputText, {Name: "prefix", Want: argText}}, Call: ofTexts(strings.HasPrefix),
	},
	// Whether the search string occurs in the input. Case matters.
	{
		Name: "String.stringContains", Dialect: syntax.Classic, Result: value.KindBool, OnNull: NullFalse,
		Params: []Param{inputText, searchText}, Call: ofTexts(strings.Contains),
	},
	// The value after the first key, in the order of the arguments, that occurs
	// in the input; the default if none does.
	// Null: a null input returns the default.
	{
		Name: "String.stringSwitch", Dialect: syntax.Classic, Result: value.KindText | value.KindNull,
		Params: []Param{
			{Name: "input", Want: argText, Nullable: true},
			{Name: "default", Want: argText, Nullable: true},
			{Name: "keyValuePairs", Want: argText, Nullable: true},
		},
		Rest:    true,
		Prepare: pairsOnly,
		Call:    stringSwitch,
	},
	// The characters from start, counted from 0, up to but not including end.
	// Positions outside the input are an error.
	{
		Name: "String.substring", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText, {Name: "start", Want: argInt}, {Name: "end", Want: argInt}}, Call: substring,
	},
	// The part after the first occurrence of the search string; the empty string
	// if it does not occur.
	{
		Name: "String.substringAfter", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText, searchText}, Call: ofTexts(after),
	},
	// The part before the first occurrence of the search string; the whole input
	// if it does not occur.
	{
		Name: "String.substringBefore", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText, searchText}, Call: ofTexts(before),
	},
	// The input in upper case.
	{
		Name: "String.toUpperCase", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText}, Call: ofText(upperCase),
	},
	// The input in lower case.
	{
		Name: "String.toLowerCase", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText}, Call: ofText(lowerCase),
	},
}, bareStringFunctions...)

// bareStringFunctions are the deprecated names without a family.
var bareStringFunctions = []Function{
	// The input in upper case.
	// Deprecated: use String.toUpperCase.
	{
		Name: "toUpperCase", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull, Params: []Param{inputText},
		Call: ofText(upperCase),
	},
	// The input in lower case.
	// Deprecated: use String.toLowerCase.
	{
		Name: "toLowerCase", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull, Params: []Param{inputText},
		Call: ofText(lowerCase),
	},
	// As String.substringBefore.
	// Deprecated: use String.substringBefore.
	{
		Name: "substringBefore", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull, Params: []Param{inputText, searchText},
		Call: ofTexts(before),
	},
	// As String.substringAfter.
	// Deprecated: use String.substringAfter.
	{
		Name: "substringAfter", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull, Params: []Param{inputText, searchText},
		Call: ofTexts(after),
	},
	// As String.substring.
	// Deprecated: use String.substring.
	{
		Name: "substring", Dialect: syntax.Classic, Result: value.KindText, OnNull: NullNull,
		Params: []Param{inputText, {Name: "start", Want: argInt}, {Name: "end", Want: argInt}}, Call: substring,
	},
}

// joinStrings leaves out null strings.
func joinStrings(e *Env, _ any, args []any) (any, error) {
	separator, err := e.Text(args[0])
	if err != nil {
		return nil, err
	}
	b, err := e.AppendCSV(nil, flattened(args[1:]), separator)
	if err != nil {
		return nil, err
	}
	return string(b), e.Consume(len(b), value.TextPerStep)
}

// flattened puts the elements of lists in the lists' place, one level deep.
// It returns the values themselves where there are no lists among them.
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

// ofText is the call of a function of one string.
func ofText[T any](f func(string) T) Call {
	return func(_ *Env, _ any, args []any) (any, error) { return f(args[0].(string)), nil }
}

// ofTexts is the call of a function of two strings.
func ofTexts[T any](f func(a, b string) T) Call {
	return func(_ *Env, _ any, args []any) (any, error) { return f(args[0].(string), args[1].(string)), nil }
}

// characters counts characters, where len counts bytes.
func characters(s string) int64 { return int64(utf8.RuneCountInString(s)) }

// removeSpaces removes all white space of Unicode.
func removeSpaces(s string) string { return strings.Join(strings.Fields(s), "") }

// after is empty where the search string does not occur.
func after(s, search string) string {
	_, rest, _ := strings.Cut(s, search)
	return rest
}

// before is the whole string where the search string does not occur.
func before(s, search string) string {
	start, _, _ := strings.Cut(s, search)
	return start
}

// upperCase follows Unicode's full mappings in no language's own, as Java's does
// in its root locale (ß becomes SS).
func upperCase(s string) string { return mapCase(s, strings.ToUpper, cases.Upper) }

// lowerCase is upperCase for lower case.
func lowerCase(s string) string { return mapCase(s, strings.ToLower, cases.Lower) }

// replaceText replaces each occurrence.
func replaceText(e *Env, _ any, args []any) (any, error) {
	return e.replace(args[0].(string), args[1].(string), args[2].(string), -1)
}

// replaceFirst replaces the first occurrence.
func replaceFirst(e *Env, _ any, args []any) (any, error) {
	return e.replace(args[0].(string), args[1].(string), args[2].(string), 1)
}

// replace replaces up to n occurrences, all of them with -1. How long the
// result will be is known before it is made.
func (e *Env) replace(s, match, replacement string, n int) (any, error) {
	if match == "" {
		return s, nil
	}
	count := strings.Count(s, match)
	if n >= 0 {
		count = min(count, n)
	}
	size := len(s) + count*(len(replacement)-len(match))
	if size > value.MaxText {
		return nil, fmt.Errorf("the string is longer than %d bytes: %w", value.MaxText, value.ErrLimit)
	}
	if err := e.Consume(size, value.TextPerStep); err != nil {
		return nil, err
	}
	return strings.Replace(s, match, replacement, n), nil
}

// pairsOnly refuses a key without a value.
func pairsOnly(c Checker, name *syntax.Node, args []*syntax.Node) (any, error) {
	if len(args)%2 != 0 {
		return nil, c.Fail(name.Offset, "String.stringSwitch needs a value after each key")
	}
	return nil, nil
}

// stringSwitch looks for keys inside of the input, in their order.
func stringSwitch(e *Env, _ any, args []any) (any, error) {
	input, ok := args[0].(string)
	if !ok {
		return args[1], nil
	}
	if err := e.Consume(len(input)*len(args), value.TextPerStep); err != nil {
		return nil, err
	}
	for i := 2; i+1 < len(args); i += 2 {
		if key, ok := args[i].(string); ok && strings.Contains(input, key) {
			return args[i+1], nil
		}
	}
	return args[1], nil
}

// substring counts characters. Only the method may leave the end out.
func substring(_ *Env, _ any, args []any) (any, error) {
	s, start := args[0].(string), args[1].(int64)
	if len(args) < 3 {
		from, _ := value.CharacterRange(s, start, -1)
		if from < 0 {
			return nil, value.ErrSubstring
		}
		return s[from:], nil
	}
	end := args[2].(int64)
	from, to := value.CharacterRange(s, start, end)
	if from < 0 || to < from {
		return nil, value.ErrSubstring
	}
	return s[from:to], nil
}

// mapCase takes the fast way for ASCII.
func mapCase(s string, ascii func(string) string, full func(language.Tag, ...cases.Option) cases.Caser) string {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return full(language.Und).String(s)
		}
	}
	return ascii(s)
}
