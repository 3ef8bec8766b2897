// Package token finds the access token of a request and takes it out again.
// It follows RFC 6750, section 2: a token is read only from the places that
// are listed, from exactly one of them, and only once; request bodies are
// never read. It checks nothing of the token but its length.
package token

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// DefaultMaxBytes is the longest token that is looked at where nothing else
// is configured: well above what providers issue, and small enough that a
// flood of long ones costs little.
const DefaultMaxBytes = 16 << 10

var (
	// ErrNone says that no listed place holds a token; a header with another
	// scheme than the expected one counts as none. The answer to it is 401
	// with a challenge and without an error code (RFC 6750, section 3.1).
	ErrNone = errors.New("request has no token")

	// ErrMalformedRequest says that two of the listed places hold a token, that
	// one does so twice, or that there is a scheme without a token: 400
	// invalid_request (RFC 6750, section 3.1).
	ErrMalformedRequest = errors.New("request has two tokens, or a scheme without a token")

	// ErrTooLong says that the token is longer than allowed: 401
	// invalid_token. The length is checked before anything else.
	ErrTooLong = errors.New("token is too long")
)

// errTwoCookies says that a cookie is there twice.
var errTwoCookies = fmt.Errorf("two cookies of one name: %w", ErrMalformedRequest)

// Found is a token together with the place it was found in.
type Found struct {
	// Token is the token's text, unverified.
	Token string

	// Scheme is the place's scheme, in the configured spelling; empty for
	// headers without one, cookies and query parameters.
	Scheme string

	// Place points into the list passed to Find.
	Place *Place
}

// Find looks through the listed places. detached holds, by canonical name, the
// values of headers that were taken out of the request before; they are read in
// place of the request's own. Nil means that none were. maxBytes bounds the
// token's length; 0 means DefaultMaxBytes. The error is ErrNone,
// ErrMalformedRequest or ErrTooLong. For a token in a header it does not
// allocate.
//
// Only a listed place can make a request malformed: a query token is left
// alone where no query is listed. What some application reads as a listed
// parameter (access.token, access_token[]) is a second token. Aliases of
// headers and cookies are gone by now, see forward.ReservedNames.Scrub.
func Find(r *http.Request, detached http.Header, places []Place, maxBytes int) (Found, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultMaxBytes
	}
	var found Found
	for i := range places {
		p := &places[i]
		var text string
		var err error
		switch p.Kind {
		case Header:
			text, err = inHeader(headerValues(r, detached, http.CanonicalHeaderKey(p.Name)), p.Scheme)
		case Cookie:
			text, err = ReadCookie(headerValues(r, detached, "Cookie"), p.Name)
		case Query:
			text, err = inQuery(r.URL, p.Name, maxBytes)
		}
		if err != nil {
			return Found{}, err
		}
		if text == "" {
			continue
		}
		if found.Place != nil {
			return Found{}, ErrMalformedRequest
		}
		found = Found{Token: text, Scheme: p.Scheme, Place: p}
	}
	if found.Place == nil {
		return Found{}, ErrNone
	}
	if len(found.Token) > maxBytes {
		return Found{}, ErrTooLong
	}
	return found, nil
}

// headerValues returns the values of a header, in or out of the request.
func headerValues(r *http.Request, detached http.Header, name string) []string {
	if values, ok := detached[name]; ok {
		return values
	}
	return r.Header[name]
}

// inHeader reads the token from a header's values. A header that is there twice
// is malformed whatever its values are: readers differ in which of them they
// take.
func inHeader(values []string, scheme string) (string, error) {
	switch len(values) {
	case 0:
		return "", nil
	case 1:
	default:
		return "", ErrMalformedRequest
	}
	v := values[0]
	if scheme == "" {
		return strings.Trim(v, " \t"), nil
	}
	v = strings.TrimLeft(v, " \t")
	if len(v) < len(scheme) || !strings.EqualFold(v[:len(scheme)], scheme) {
		return "", nil
	}
	rest := v[len(scheme):]
	if rest == "" {
		return "", ErrMalformedRequest
	}
	if rest[0] != ' ' {
		if httpguts.IsTokenRune(rune(rest[0])) {
			return "", nil // a longer scheme that begins alike
		}
		return "", ErrMalformedRequest
	}
	text := strings.Trim(rest, " \t")
	if text == "" {
		return "", ErrMalformedRequest
	}
	return text, nil
}

// ReadCookie returns the value of the cookie of that name among the values of Cookie
// header fields. HTTP/2 and 3 may spread cookies over several (RFC 9113, section
// 8.2.3). An empty cookie is one that was cleared, and counts as none. Two of them are
// an error that wraps ErrMalformedRequest: a sibling domain may have set one (RFC 6265,
// section 8.6).
func ReadCookie(lines []string, name string) (string, error) {
	text, count := "", 0
	for _, line := range lines {
		for line != "" {
			var pair string
			pair, line, _ = strings.Cut(line, ";")
			if v, ok := cookieValue(pair, name); ok {
				text = v
				count++
			}
		}
	}
	if count > 1 {
		return "", errTwoCookies
	}
	return text, nil
}

// cookieValue returns the value of one name=value pair if it has that name.
// One pair of surrounding quotes is not part of the value (RFC 6265, section
// 4.1.1).
func cookieValue(pair, name string) (string, bool) {
	n, v, ok := strings.Cut(pair, "=")
	if !ok || strings.Trim(n, " \t") != name {
		return "", false
	}
	v = strings.Trim(v, " \t")
	if len(v) > 1 && v[0] == '"' && v[len(v)-1] == '"' {
		v = v[1 : len(v)-1]
	}
	return v, true
}

// inQuery reads the token from the query parameter of that name, however the
// name is percent-encoded. A parameter that an application could take for it is
// malformed: it would be read in the token's place.
func inQuery(u *url.URL, name string, maxBytes int) (string, error) {
	if u == nil {
		return "", nil
	}
	raw, count := "", 0
	for rest := u.RawQuery; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		switch value, as := readParameter(pair, name); as {
		case itself:
			raw = value
			count++
		case alias:
			return "", ErrMalformedRequest
		case another:
		}
	}
	if count > 1 {
		return "", ErrMalformedRequest
	}
	// Three bytes of an encoded value become one at most.
	if len(raw) > 3*maxBytes {
		return "", ErrTooLong
	}
	text, err := url.QueryUnescape(raw)
	if err != nil {
		return "", ErrMalformedRequest
	}
	return text, nil
}

// reading is what applications may read a parameter as.
type reading uint8

const (
	another reading = iota // none reads it as the place
	itself                 // all do
	alias                  // some do
)

// readParameter returns what the text between two ampersands is: the parameter of
// that name with its value, one that some application takes for it, or another.
// Old readers end a parameter at a semicolon too.
func readParameter(pair, name string) (value string, as reading) {
	encoded, value, _ := strings.Cut(pair, "=")
	if isAlias(encoded, name) {
		as = alias
		if isParameter(encoded, name) {
			as = itself
		}
	}
	if strings.IndexByte(pair, ';') < 0 {
		return value, as
	}
	for first := true; pair != ""; first = false {
		var part string
		part, pair, _ = strings.Cut(pair, ";")
		encoded, _, _ := strings.Cut(part, "=")
		if (!first || as != itself) && isAlias(encoded, name) {
			return value, alias
		}
	}
	return value, as
}

// isParameter reports whether an encoded parameter name means name.
func isParameter(encoded, name string) bool {
	if encoded == name {
		return true
	}
	// Without an escape there is nothing to decode.
	if strings.IndexByte(encoded, '%') < 0 && strings.IndexByte(encoded, '+') < 0 {
		return false
	}
	// Decoding never lengthens, and shortens to a third at most.
	if len(encoded) > 3*len(name) {
		return false
	}
	decoded, err := url.QueryUnescape(encoded)
	return err == nil && decoded == name
}
