// Package oktael is Okta's Expression Language: the language in which Okta
// writes custom claims, groups claims and group allow lists. One grammar reads
// both dialects, Classic and Identity Engine, so that claims which exist in Okta
// run unchanged. The package can be used by itself.
//
// An expression is compiled and checked once, with Compile, and evaluated for
// each user, with Program.Eval. The package does no I/O. What an expression may
// read is in a Context, which the caller fills:
//
//   - User, Groups (with GroupsKnown), App, AppUser, Linked and AppUsers are
//     the types of package identity, in the shape of Okta's REST API. They may
//     come from Okta, LDAP, a database or a file.
//   - Token, Claims, Org, Session, Request and Vars are maps of canonical
//     values: nil, bool, string, int64, float64, json.Number, []any and
//     map[string]any. identity.Canonical and identity.DecodeJSON make them.
//   - Scopes are the granted scopes, Now is the clock. Both are optional.
//
// Options.Inputs says which of these an expression may read; the zero value
// allows none. Program.Reads says which it does read, so that a caller fetches
// no more. DecodeContext reads a Context from JSON, for tests and trials.
//
// What is not known is never taken for what is not there. An attribute that the
// user lacks is null; groups that are unknown, and facts that no source can say
// (Context.Unavailable), are errors.
//
// Expressions and the values that they work on may be hostile. Every evaluation
// ends within the bounds that docs/expressions.md lists, with ErrLimit
// where one is hit, and never panics. Errors have a position and hold no value
// that the expression worked on.
//
// The packages build on each other in this order: syntax (text to tree), input
// (what is read), internal/value (kinds, text, order, arithmetic),
// internal/object (properties of users and groups), internal/library (the
// functions) and this one, which compiles and evaluates. datetime holds times
// and their formats. Every function is described in docs/expressions.md.
package oktael
