package login

import (
	"net/http"
	"strings"
)

// This file tells what in a browser made a request: a person who goes to a page, or
// one of the page's own parts. Fetch Metadata says so; older browsers do not send it.

// Request is a class of requests, by what can be done with an answer that begins a
// login.
type Request uint8

const (
	// Call is a request whose answer a person does not see as a page: a script's, an
	// image's, a frame's, a prefetch, or that of a client that is no browser.
	Call Request = iota

	// Navigation is a GET or HEAD request for the page of a tab.
	Navigation

	// FormPost is a navigation with a body, which a redirect would lose.
	FormPost

	// WebSocket is a request for another protocol or a tunnel.
	WebSocket
)

// String returns the class's name.
func (c Request) String() string {
	switch c {
	case Navigation:
		return "navigation"
	case FormPost:
		return "form post"
	case WebSocket:
		return "websocket"
	case Call:
	}
	return "call"
}

// Classify returns the class of a request. With Fetch Metadata (Sec-Fetch-Mode and
// Sec-Fetch-Dest) only what navigates a whole tab is a navigation. Without it, a GET or
// HEAD request is one that accepts text/html by name, and a POST request one that also
// has the content type of a form; X-Requested-With makes either a call. A prefetch is
// a call: it must not begin logins.
func Classify(r *http.Request) Request {
	h := r.Header
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case r.Method == http.MethodConnect || len(h["Upgrade"]) > 0:
		return WebSocket
	case isPrefetch(r):
		return Call
	case len(h["Sec-Fetch-Mode"]) > 0 || len(h["Sec-Fetch-Dest"]) > 0:
		if only(h, "Sec-Fetch-Mode") != "navigate" || only(h, "Sec-Fetch-Dest") != "document" {
			return Call
		}
	case len(h["X-Requested-With"]) > 0 || !acceptsHTML(h["Accept"]):
		return Call
	case !reads && (r.Method != http.MethodPost || !isForm(only(h, "Content-Type"))):
		return Call
	}
	if reads {
		return Navigation
	}
	return FormPost
}

// Initiator is who made a browser send a request.
type Initiator uint8

const (
	// InitiatorUnknown is where the browser does not say.
	InitiatorUnknown Initiator = iota

	// InitiatorSame is this site, or the person, who typed the address or chose a
	// bookmark.
	InitiatorSame

	// InitiatorOther is another site, be it a sibling.
	InitiatorOther
)

// InitiatorOf returns who made a browser send a request to that origin: by
// Sec-Fetch-Site, or without it by the Origin header (RFC 6454, section 7).
func InitiatorOf(r *http.Request, origin Origin) Initiator {
	h := r.Header
	switch {
	case len(h["Sec-Fetch-Site"]) > 0:
		switch only(h, "Sec-Fetch-Site") {
		case "same-origin":
			return InitiatorSame
		case "none":
			if only(h, "Sec-Fetch-User") == "?1" {
				return InitiatorSame
			}
			return InitiatorUnknown // an application of the device opened the address
		}
		return InitiatorOther
	case len(h["Origin"]) > 0:
		if origin.is(only(h, "Origin")) {
			return InitiatorSame
		}
		return InitiatorOther
	}
	return InitiatorUnknown
}

// is reports whether a text is the origin as browsers write it.
func (o Origin) is(text string) bool {
	scheme, host, ok := strings.Cut(text, "://")
	return ok && scheme == o.scheme && host == o.host
}

// only returns the value of a header that is there once, else an empty text.
func only(h http.Header, canonical string) string {
	if v := h[canonical]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// isPrefetch reports whether a browser asks before the person has.
func isPrefetch(r *http.Request) bool {
	return prefetches(r.Header["Sec-Purpose"]) || prefetches(r.Header["Purpose"])
}

// prefetches reports whether a Sec-Purpose or Purpose header names a prefetch, with or
// without parameters such as prerender.
func prefetches(values []string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			purpose, _, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(purpose), "prefetch") {
				return true
			}
		}
	}
	return false
}

// acceptsHTML reports whether an Accept header (RFC 9110, section 12.5.1) names
// text/html, and not with a weight of zero.
func acceptsHTML(values []string) bool {
	for _, v := range values {
		for part := range strings.SplitSeq(v, ",") {
			mediaType, parameters, _ := strings.Cut(part, ";")
			if strings.EqualFold(strings.TrimSpace(mediaType), "text/html") && !weighsNothing(parameters) {
				return true
			}
		}
	}
	return false
}

// weighsNothing reports whether a media range's parameters hold a weight of zero.
func weighsNothing(parameters string) bool {
	for p := range strings.SplitSeq(parameters, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(p), "=")
		if ok && strings.EqualFold(name, "q") {
			return strings.HasPrefix(value, "0") && strings.Trim(value, "0.") == ""
		}
	}
	return false
}

// isForm reports whether a content type is one that a form without script sends
// (HTML, section 4.10.21.4).
func isForm(contentType string) bool {
	mediaType, _, _ := strings.Cut(contentType, ";")
	mediaType = strings.TrimSpace(mediaType)
	return strings.EqualFold(mediaType, "application/x-www-form-urlencoded") ||
		strings.EqualFold(mediaType, "multipart/form-data") || strings.EqualFold(mediaType, "text/plain")
}
