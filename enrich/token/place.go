package token

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// The kinds of places that may hold a token.
const (
	// Header is a request header, with a scheme (Authorization: Bearer …) or
	// without one (X-Token: …).
	Header = "header"
	// Cookie is a cookie of the Cookie header.
	Cookie = "cookie"
	// Query is a parameter of the URL's query. RFC 6750, section 2.3 advises
	// against it: such a token ends up in logs and histories.
	Query = "query"
)

// ErrPlace says that a Place in the configuration is invalid.
var ErrPlace = errors.New("invalid token source")

// Place is one place of the request where a token may be. Places that are not
// listed are not looked at, and bodies are never read.
type Place struct {
	// Where to look: "header", "cookie" or "query".
	Kind string `json:"kind"`

	// The name of the header (in any case), of the cookie (case matters) or
	// of the query parameter.
	Name string `json:"name"`

	// For a header: the authentication scheme in front of the token, such as
	// Bearer; a value with another scheme counts as no token. Empty means
	// that the whole value is the token; for Authorization a scheme is
	// required.
	Scheme string `json:"scheme,omitempty"`

	// Session says that the cookie holds the session of a login and not a token.
	// Such a place follows from a policy's login and is never listed.
	Session bool `json:"-"`
}

// DefaultPlaces returns the list for where none is configured, the place that
// RFC 6750, section 2.1 prescribes: the Authorization header with the scheme
// Bearer.
func DefaultPlaces() []Place {
	return []Place{{Kind: Header, Name: "Authorization", Scheme: "Bearer"}}
}

// Normalize checks the place and returns it with its header name in canonical
// case, so that Find need not rewrite it for each request. Its errors wrap
// ErrPlace.
func (p Place) Normalize() (Place, error) {
	switch p.Kind {
	case Header:
		if !httpguts.ValidHeaderFieldName(p.Name) {
			return p, fmt.Errorf("header name %q: %w", p.Name, ErrPlace)
		}
		p.Name = http.CanonicalHeaderKey(p.Name)
		if p.Name == "Cookie" {
			return p, fmt.Errorf("header Cookie: name the cookie instead: %w", ErrPlace)
		}
		if p.Scheme != "" && !httpguts.ValidHeaderFieldName(p.Scheme) {
			return p, fmt.Errorf("scheme %q: %w", p.Scheme, ErrPlace)
		}
		if p.Scheme == "" && p.Name == "Authorization" {
			return p, fmt.Errorf("header Authorization needs a scheme: %w", ErrPlace)
		}
	case Cookie:
		if !httpguts.ValidHeaderFieldName(p.Name) {
			return p, fmt.Errorf("cookie name %q: %w", p.Name, ErrPlace)
		}
	case Query:
		if p.Name == "" {
			return p, fmt.Errorf("query parameter without a name: %w", ErrPlace)
		}
		if !isAlias(p.Name, p.Name) || strings.ContainsAny(p.Name, "[]") {
			return p, fmt.Errorf("query parameter %q is ambiguous or longer than %d bytes: %w", p.Name, MaxNameBytes, ErrPlace)
		}
	default:
		return p, fmt.Errorf("unknown kind %q (want header, cookie or query): %w", p.Kind, ErrPlace)
	}
	if p.Kind != Query && len(p.Name) > MaxNameBytes {
		return p, fmt.Errorf("%s name of %d bytes, at most %d: %w", p.Kind, len(p.Name), MaxNameBytes, ErrPlace)
	}
	if p.Kind != Header && p.Scheme != "" {
		return p, fmt.Errorf("a scheme belongs to a header, not to a %s: %w", p.Kind, ErrPlace)
	}
	return p, nil
}

// Same reports whether two normalized places are one, so that a token there
// would be found twice.
func (p Place) Same(q Place) bool {
	return p.Kind == q.Kind && p.Name == q.Name && strings.EqualFold(p.Scheme, q.Scheme)
}

// String returns the place for a message, without anything of a request.
func (p Place) String() string {
	return strings.TrimRight(p.Kind+" "+p.Name+" "+p.Scheme, " ")
}
