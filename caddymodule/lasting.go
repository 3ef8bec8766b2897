package caddymodule

import (
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// lastingWriter looks at the answer's head: one that lasts, such as an event
// stream, must end with its token, also where the request did not ask for one.
type lastingWriter struct {
	caddyhttp.ResponseWriterWrapper

	gateway  *enrich.Gateway
	decision *enrich.Decision
	mark     uint64
	done     func()
}

// lastingTypes are media types of answers that go on until somebody ends them.
var lastingTypes = []string{"text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace", "application/grpc"}

// WriteHeader passes the head on. From then on, a lasting answer is looked
// after: what ends it is a deadline in the past for whatever still moves.
func (w *lastingWriter) WriteHeader(status int) {
	if status >= http.StatusOK && w.done == nil && w.decision.Principal != nil && lasts(w.Header().Get("Content-Type")) {
		control := http.NewResponseController(innermost(w.ResponseWriter))
		w.done = w.gateway.Streams.Late(w.gateway, w.decision, w.mark, func() {
			past := time.Unix(1, 0)
			_ = control.SetReadDeadline(past)
			_ = control.SetWriteDeadline(past)
		})
	}
	w.ResponseWriterWrapper.WriteHeader(status)
}

// innermost gives the server's own writer. Those around it are for the request's
// goroutine alone; its deadlines may be set from any.
func innermost(w http.ResponseWriter) http.ResponseWriter {
	for {
		outer, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return w
		}
		w = outer.Unwrap()
	}
}

// finish ends the watch, where there was one.
func (w *lastingWriter) finish() {
	if w.done != nil {
		w.done()
	}
}

func lasts(contentType string) bool {
	if contentType == "" {
		return false
	}
	for _, t := range lastingTypes {
		if len(contentType) >= len(t) && strings.EqualFold(contentType[:len(t)], t) {
			return true
		}
	}
	return false
}
