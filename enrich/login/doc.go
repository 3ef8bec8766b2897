// Package login logs people in: OpenID Connect's code flow with PKCE, and a session
// in a sealed cookie. It is one more source of a verified identity and ends where a
// bearer token ends, at a principal; what reads principals does not know how the
// person came.
//
// A Site is what the policies of one origin share. A request with a session cookie
// is a Visit, which package enrich asks whom the session is for. Site.Refuse answers
// a request without a session: it sends a person's navigation to log in (navigation.go,
// refuse.go). Site.ServeHTTP answers the site's own endpoints (endpoints.go): the
// callback exchanges the code at a Provider (provider.go) and begins the session
// (session.go). Between the two, all that is known of a login is in its state and in
// the browser's cookie (transaction.go).
package login
