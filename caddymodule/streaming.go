package caddymodule

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// This file ends responses that outlive their token. Requests that announce that
// they last are tracked before they are passed on (enrich.Gateway.Track); the
// others are recognised here, when the response begins.

// streamingWriter is a response writer that recognises a streaming response,
// such as an event stream, by its header. Such a response must end with its
// token, also where the request did not ask for one. It sets the session's cookie
// when the response begins.
type streamingWriter struct {
	caddyhttp.ResponseWriterWrapper

	gateway      *enrich.Gateway
	decision     *enrich.Decision
	purgeVersion uint64             // of before the decision
	cancel       context.CancelFunc // of an HTTP/3 request
	done         func()
	visit        *visit // whose cookie is set, unless a shared cache may store the response
}

// cancellable returns the request for the handlers behind. Over HTTP/3, a
// deadline is noticed only while something is read or written, and an idle
// stream does neither: there the request can be cancelled as well.
func (w *streamingWriter) cancellable(r *http.Request) *http.Request {
	if r.ProtoMajor != 3 {
		return r
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(r.Context())
	return r.WithContext(ctx)
}

// streamingTypes are media types of responses without an end of their own.
var streamingTypes = []string{"text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace", "application/grpc"}

// WriteHeader passes the header on. A streaming response is tracked from then
// on, and ended by a deadline in the past for reads and writes.
func (w *streamingWriter) WriteHeader(status int) {
	if status >= http.StatusOK && w.done == nil && w.decision.Principal != nil && streams(w.Header().Get("Content-Type")) {
		control := http.NewResponseController(innermost(w.ResponseWriter))
		w.done = w.gateway.TrackResponse(w.decision, w.purgeVersion, func() {
			past := time.Unix(1, 0)
			_ = control.SetReadDeadline(past)
			_ = control.SetWriteDeadline(past)
			if w.cancel != nil {
				w.cancel()
			}
		})
	}
	if w.visit != nil && w.visit.setCookie != "" && status >= http.StatusOK {
		if keepsPrivate(status, w.Header()) {
			w.Header().Add("Set-Cookie", w.visit.setCookie)
		}
		w.visit.setCookie = ""
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// innermost returns the server's own writer. Its deadlines may be set from any
// goroutine; the writers around it may be used by the request's goroutine only.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// finish ends the tracking of the response.
func (w *streamingWriter) finish() {
	if w.done != nil {
		w.done()
	}
	if w.cancel != nil {
		w.cancel()
	}
}

// streams reports whether a response of that content type is a streaming one.
func streams(contentType string) bool {
	if contentType == "" {
		return false
	}
	for _, t := range streamingTypes {
		if len(contentType) >= len(t) && strings.EqualFold(contentType[:len(t)], t) {
			return true
		}
	}
	return false
}
