// Package library is the functions and methods of the language: one table for
// each family, and what they compute.
//
// An entry of a table describes a function once; the compiler checks calls
// against it and the evaluation calls it. The comment above an entry says what
// the function returns and when it fails; docs/expressions.md says the same,
// and a test compares the two. Behind "Null:" it says what null returns where the
// entry's rule alone does not.
//
// A new function is an entry in the table of its family and a row on that page.
// The functions know neither the compiler nor the tree's nodes: what they need
// of them they ask of a Checker and of an Env.
package library
