package caddymodule

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenenrich/caddy-token-enrich/enrich"
)

// streamingWriter looks at the answer's head: one that lasts, such as an event
// stream, must end with its token, also where the request did not ask for one.
type streamingWriter struct {
	caddyhttp.ResponseWriterWrapper

	gateway      *enrich.Gateway
	decision     *enrich.Decision
	purgeVersion uint64
	cancel       context.CancelFunc // of an HTTP/3 request
	done         func()
}

// ends gives the request as what answers it is to see it. HTTP/3 looks at
// deadlines only while it reads or writes, and an answer that says nothing does
// neither: there the request is cancelled as well.
func (w *streamingWriter) ends(r *http.Request) *http.Request {
	if r.ProtoMajor != 3 {
		return r
	}
	var ctx context.Context
	ctx, w.cancel = context.WithCancel(r.Context())
	return r.WithContext(ctx)
}

// streamingTypes are media types of answers that go on until somebody ends them.
var streamingTypes = []string{"text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace", "application/grpc"}

// WriteHeader passes the head on. From then on, a lasting answer is looked
// after: what ends it is a deadline in the past for whatever still moves.
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
func (w *streamingWriter) finish() {
	if w.done != nil {
		w.done()
	}
	if w.cancel != nil {
		w.cancel()
	}
}

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
