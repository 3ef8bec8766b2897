// Package object is how the directory's objects (users, groups, applications,
// assignments) look to an expression: what their properties are, and what they
// become in a result. The names are those of Okta's REST API.
package object
