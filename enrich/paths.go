package enrich

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/pathreading"
)

// This file holds what applications may read in the paths that a request names:
// matchers and requirements must come to one result for all of it.

// CheckPath refuses a request whose path, or whose destination, leads elsewhere
// in one reading, whatever chooses by it. Its error is a *Refusal.
func CheckPath(r *http.Request) error {
	if err := pathreading.Check(r.URL); err != nil {
		return ambiguousPath(err)
	}
	u, err := destination(r)
	if err == nil && u != nil {
		err = pathreading.Check(u)
	}
	if err != nil {
		return ambiguousPath(fmt.Errorf("the destination: %w", err))
	}
	return nil
}

// HasOnePath reports whether a request names one path, and that has one
// reading.
func HasOnePath(r *http.Request, set pathreading.Set) bool {
	return r.URL.Opaque == "" && !namesDestination(r) && pathreading.Single(r.URL, set)
}

// PathReadings returns the readings of the paths that a request names: the path
// as it was sent first, and those of the destination of MOVE and COPY last. Its
// error is a *Refusal.
func PathReadings(r *http.Request, set pathreading.Set) ([]string, error) {
	list, err := pathreading.Of(r.URL, set)
	if err != nil {
		return nil, ambiguousPath(err)
	}
	u, err := destination(r)
	if err != nil || u == nil {
		return list, ambiguousPath(err)
	}
	more, err := pathreading.Of(u, set)
	if err != nil {
		return nil, ambiguousPath(fmt.Errorf("the destination: %w", err))
	}
	return append(list, more...), nil
}

// DifferentPaths returns the *Refusal of a request that what, a matcher or a
// requirement, takes in one reading of its path and not in the other.
func DifferentPaths(what, takes, leaves string) error {
	return ambiguousPath(fmt.Errorf("%s matches %s but not %s", what, shownPath(takes), shownPath(leaves)))
}

// maxShownPath is how many bytes of a path a log line shows.
const maxShownPath = 256

// shownPath returns a path in quotation marks for a log line.
func shownPath(path string) string {
	if len(path) > maxShownPath {
		return fmt.Sprintf("%q…", path[:maxShownPath])
	}
	return fmt.Sprintf("%q", path)
}

// ambiguousPath returns the *Refusal for why a path is ambiguous, nil for nil.
func ambiguousPath(why error) error {
	if why == nil {
		return nil
	}
	return refuse(KindMalformedRequest, fmt.Errorf("%w: %w", ErrPath, why))
}

// namesDestination reports whether a request names a second path, to which it
// moves or copies what is at the first (RFC 4918, section 10.3). A header that
// overrides the method may make such a request of any.
func namesDestination(r *http.Request) bool {
	if len(r.Header["Destination"]) == 0 {
		return false
	}
	return strings.EqualFold(r.Method, "MOVE") || strings.EqualFold(r.Method, "COPY") || overridesMethod(r.Header)
}

// destination returns the URL that the header Destination names, or nil where
// the request has no use for one.
func destination(r *http.Request) (*url.URL, error) {
	if !namesDestination(r) {
		return nil, nil //nolint:nilnil // there is none
	}
	lines := r.Header["Destination"]
	if len(lines) > 1 {
		return nil, fmt.Errorf("%d Destination headers, want one", len(lines))
	}
	// Of //x/y, some would take x for a host.
	u, err := url.ParseRequestURI(lines[0])
	if err != nil || strings.HasPrefix(lines[0], "//") {
		return nil, errors.New("the Destination header is neither a URL nor a path")
	}
	return u, nil
}

// overridesMethod reports whether a header is there that applications take for
// the method, in any spelling that may reach them as one.
func overridesMethod(header http.Header) bool {
	for name := range header {
		switch len(name) {
		case len("x-http-method"), len("x-method-override"), len("x-http-method-override"):
			switch forward.Canonicalize(name) {
			case "x-http-method", "x-method-override", "x-http-method-override":
				return true
			}
		}
	}
	return false
}
