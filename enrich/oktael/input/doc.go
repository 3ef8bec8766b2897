// Package input is what an expression reads: the user with groups and
// applications, the token, the request and the clock.
//
// A caller of package oktael fills a Context from what it knows and hands it to
// each evaluation; the evaluation itself does no I/O. Set names the parts of a
// Context, so that a caller need not fetch what no expression reads. What is
// not known differs from what is not there: groups that are unknown, and facts
// that no source can say, are errors and never an empty list or null.
package input
