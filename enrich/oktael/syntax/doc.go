// Package syntax reads the text of an expression into a tree.
//
// The grammar is that of Okta's Expression Language, which is a part of the
// Spring Expression Language with forms of its own: texts between either kind
// of quotes, lists {a, b}, maps {k: v}, operators as symbols or words (&& and
// AND), calls on a family (String.len(s)) and on a value (s.length()), safe
// navigation (a?.b), projection (a.![b]) and selection (a.?[b]). Both of
// Okta's dialects share it. Sources:
// https://developer.okta.com/docs/reference/okta-expression-language/ and
// https://developer.okta.com/docs/reference/okta-expression-language-in-identity-engine/.
//
// The package is the lowest of the language: it knows no values, no functions
// and no inputs. Its Error, with line, column and caret, serves the compiler
// above it as well.
package syntax
