package enrich

import (
	"net/http"
	"net/url"
	"path"
	"slices"
	"strings"
)

// This file holds what applications may make of a request's path: matchers and
// requirements judge it before they do.

// requestRoots is what requirements read as request.*. The path is the one that
// is forwarded, without dot segments and repeated slashes, because that is
// what the application will make of it. There is one for each reading of the
// path, and requirements must hold in all.
func requestRoots(r *http.Request, from Arrival) []map[string]any {
	readings := append([]string{r.URL.Path}, OtherReadings(r.URL.Path)...)
	roots := make([]map[string]any, len(readings))
	for i, reading := range readings {
		clean := path.Clean("/" + reading)
		if clean != "/" && strings.HasSuffix(reading, "/") {
			clean += "/"
		}
		roots[i] = map[string]any{"method": r.Method, "path": clean, "host": r.Host, "client_ip": from.ClientIP}
	}
	return roots
}

// CheckPath refuses a path that applications read in more than one way: Java's
// take "..;x" for "..", because what follows a semicolon is a parameter, and
// Windows' take a backslash for a slash. A matcher and a requirement would
// judge one path, and the application serve another. So they would of a target
// like "x:http://app/admin": to net/url it has no path, but something opaque,
// and a proxy puts that alone on the request line, which then reads
// "GET http://app/admin". Its error is a *Refusal.
func CheckPath(u *url.URL) error {
	if u.Opaque != "" {
		return AmbiguousPath()
	}
	path := u.Path
	if strings.IndexByte(path, ';') < 0 && strings.IndexByte(path, '\\') < 0 {
		return nil
	}
	ours, theirs := 0, 0
	for segment := range strings.SplitSeq(path, "/") {
		if isDots(segment) {
			ours++
		}
		for part := range strings.SplitSeq(segment, `\`) {
			if name, _, _ := strings.Cut(part, ";"); isDots(name) {
				theirs++
			}
		}
	}
	if ours != theirs {
		return AmbiguousPath()
	}
	return nil
}

func isDots(segment string) bool { return segment == "." || segment == ".." }

// AmbiguousPath is the *Refusal of a request whose path is one thing to a
// matcher and another to the application.
func AmbiguousPath() error { return refuse(KindMalformedRequest, ErrPath) }

// OtherReadings gives what applications make of a path that they part in
// another way than this gateway: Java's leave away what follows a semicolon in
// a segment, Windows' take a backslash for a slash. It is nil for a path that
// everybody reads alike.
func OtherReadings(path string) []string {
	var readings []string
	slashed := strings.ReplaceAll(path, `\`, "/")
	for _, reading := range []string{withoutParameters(path), slashed, withoutParameters(slashed)} {
		if reading != path && !slices.Contains(readings, reading) {
			readings = append(readings, reading)
		}
	}
	return readings
}

// withoutParameters cuts each segment of a path at its first semicolon.
func withoutParameters(path string) string {
	if strings.IndexByte(path, ';') < 0 {
		return path
	}
	segments := strings.Split(path, "/")
	for i, segment := range segments {
		segments[i], _, _ = strings.Cut(segment, ";")
	}
	return strings.Join(segments, "/")
}
