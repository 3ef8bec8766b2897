// Package oktael is Okta's Expression Language: the language in which Okta
// writes custom claims, groups claims and group allow lists. Both dialects,
// Classic and Identity Engine, are read by one grammar, so that the claims
// which people already have in Okta run unchanged.
//
// An expression is compiled and checked once, when the configuration loads
// (Compile), and evaluated for each decision (Program.Eval). Nothing here
// does I/O: what an expression may read stands in a Context, and
// Program.Reads tells beforehand which parts of it will be asked for.
//
// Expressions and the values that they work on may be hostile. Every
// evaluation ends within the bounds of limits.go, with ErrLimit where one is
// hit, and never panics.
package oktael
