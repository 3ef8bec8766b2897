package rest

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// keepOf gives how long an answer may be used by its own Cache-Control (RFC
// 9111, section 4.2), or nil where that says nothing: not beyond max-age, less
// the time that it spent in caches on the way, and with no-store or no-cache
// not without asking again.
func keepOf(h http.Header) *time.Duration {
	var keep *time.Duration
	for name, value := range directives(h) {
		var allowed time.Duration
		switch name {
		case "no-store", "no-cache":
		case "max-age", "s-maxage":
			// What cannot be read has expired (section 4.2.1).
			allowed = max(seconds(value)-seconds(h.Get("Age")), 0)
		default:
			continue
		}
		if keep == nil || allowed < *keep {
			keep = &allowed
		}
	}
	return keep
}

// has reports whether Cache-Control has a directive.
func has(h http.Header, wanted string) bool {
	for name := range directives(h) {
		if name == wanted {
			return true
		}
	}
	return false
}

// directives gives the names, in lower case, and values of Cache-Control.
func directives(h http.Header) func(yield func(name, value string) bool) {
	return func(yield func(name, value string) bool) {
		for _, line := range h.Values("Cache-Control") {
			for directive := range strings.SplitSeq(line, ",") {
				name, value, _ := strings.Cut(directive, "=")
				if !yield(strings.ToLower(strings.TrimSpace(name)), strings.Trim(value, ` "\t`)) {
					return
				}
			}
		}
	}
}

// seconds reads a count of seconds; one that is none is zero, and one beyond
// 31 bits the largest (section 1.2.2).
func seconds(text string) time.Duration {
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 31)
	if err != nil && !errors.Is(err, strconv.ErrRange) {
		return 0
	}
	return time.Duration(n) * time.Second
}
