// Package oauthclient is the gateway as a client of OAuth and OpenID Connect
// servers, and of any API that is protected by them: an HTTP client that keeps
// to one origin and bounds every answer, and the ways in which a client proves
// who it is.
//
// Issuers, directories and logins share it. It knows none of them.
package oauthclient
