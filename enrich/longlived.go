package enrich

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// errRequestEnded is the cause with which the context of a long-lived request
// ends: its token has expired, its time limit is over, or token or user were
// denied or purged meanwhile.
var errRequestEnded = errors.New("the request outlived its decision")

// LongLived tracks requests that may outlive their tokens: upgraded connections,
// event streams, gRPC. They are decided once and could go on for days. Other
// requests are not tracked: they end by themselves.
type LongLived struct {
	mu       sync.Mutex
	live     map[*trackedRequest]struct{}
	watching bool // the goroutine of watch runs
}

// trackedRequest is one long-lived request.
type trackedRequest struct {
	gateway  *Gateway
	decision *Decision
	end      context.CancelCauseFunc
	until    time.Time // zero: no end of its own
	version  uint64    // of the purge log, as far as it has been checked
	names    []purgelog.NameHash
	nameless bool // some names are not known any more: any purge may mean it
}

// maxLongLived bounds the requests that are tracked at once; one more is
// refused, because it could not be ended when it has to be.
const maxLongLived = 100_000

// longLivedInterval is how often tracked requests are checked against the deny
// list and the purge log.
const longLivedInterval = time.Second

// NewLongLived returns an empty set.
func NewLongLived() *LongLived { return &LongLived{live: make(map[*trackedRequest]struct{})} }

// Track returns the request with a context that ends with the decision's token,
// or after limit (0: no other limit), or when the decision is denied or purged.
// Without a limit, requests that are not long-lived are returned as they are.
// done must be called when the request is over. Where maxLongLived requests are
// tracked, the error is a *Refusal.
//
// since is what PurgeVersion returned before the decision, so that a purge
// meanwhile counts.
func (g *Gateway) Track(r *http.Request, d *Decision, limit time.Duration, since uint64) (_ *http.Request, done func(), err error) {
	if limit == 0 && (d.Principal == nil || !isLongLived(r)) {
		return r, func() {}, nil
	}
	until := d.until()
	if limit > 0 {
		if end := g.Clock().Add(limit); until.IsZero() || end.Before(until) {
			until = end
		}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	stopTimer := func() {}
	if !until.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, until, errRequestEnded)
		stopTimer = stop
	}
	st := newTrackedRequest(g, d, since, cancel)
	st.until = until // the deadline above does not follow a clock that is set
	if !g.LongLived.add(st) {
		cancel(nil)
		stopTimer()
		return r, nil, refuse(KindUnavailable, errors.New("too many long-lived requests"))
	}
	return r.WithContext(ctx), func() {
		g.LongLived.remove(st)
		stopTimer()
		cancel(nil)
	}, nil
}

// TrackResponse tracks a request whose response turned out to be a streaming
// one, such as an event stream that the client did not ask for by name. Its
// context was made before, so end is called instead, from another goroutine, and
// again until the request is over: a writer may have moved its deadline
// meanwhile. since is as for Track. done must be called when the request is over.
func (g *Gateway) TrackResponse(d *Decision, since uint64, end func()) (done func()) {
	st := newTrackedRequest(g, d, since, func(error) { end() })
	st.until = d.until()
	if !g.LongLived.add(st) {
		end()
	}
	return func() { g.LongLived.remove(st) }
}

// PurgeVersion returns the version of the purge log. A decision that is made
// from now on takes all purges up to it into account.
func (g *Gateway) PurgeVersion() uint64 {
	if g.Log == nil {
		return 0
	}
	return g.Log.Version()
}

// newTrackedRequest returns a request that end ends, with the names that a purge
// may name its decision by.
func newTrackedRequest(g *Gateway, d *Decision, since uint64, end context.CancelCauseFunc) *trackedRequest {
	st := &trackedRequest{gateway: g, decision: d, end: end, version: since}
	if g.Log == nil || d.Principal == nil {
		return st
	}
	for i := range d.parts {
		names, ok := d.parts[i].Names()
		st.names = append(st.names, names...)
		st.nameless = st.nameless || !ok
	}
	return st
}

// isLongLived reports whether a request is an upgrade, for an event stream or
// gRPC.
func isLongLived(r *http.Request) bool {
	return isUpgrade(r) || strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") ||
		strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// add tracks a request, unless there are too many. With the first, watch starts.
func (s *LongLived) add(st *trackedRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Anonymous requests may take half of the places.
	if n := len(s.live); n >= maxLongLived || n >= maxLongLived/2 && st.decision.Principal == nil {
		return false
	}
	s.live[st] = struct{}{}
	if !s.watching {
		s.watching = true
		go s.watch()
	}
	return true
}

func (s *LongLived) remove(st *trackedRequest) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, st)
}

// watch ends the requests that are not valid any more, until none is left.
func (s *LongLived) watch() {
	ticker := time.NewTicker(longLivedInterval)
	defer ticker.Stop()
	for range ticker.C {
		s.mu.Lock()
		list := make([]*trackedRequest, 0, len(s.live))
		for st := range s.live {
			list = append(list, st)
		}
		if len(list) == 0 {
			s.watching = false
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
		for _, st := range list {
			if !st.valid() {
				st.end(errRequestEnded)
			}
		}
	}
}

// valid reports whether the token has not expired, the session has not ended, and
// neither the deny list nor the purge log names the decision.
func (st *trackedRequest) valid() bool {
	g, d := st.gateway, st.decision
	if d.Principal == nil {
		return true
	}
	if !st.until.IsZero() && !g.Clock().Before(st.until) || d.verified.Ended() {
		return false
	}
	if g.Denials != nil && g.Denials.Denied(g.Clock(), d.Principal.IssuedAt, d.denyNames...) {
		return false
	}
	if g.Log == nil {
		return true
	}
	if g.Log.Closed() {
		return false // a further denial would not be noticed
	}
	if st.nameless {
		return g.Log.Version() == st.version
	}
	version, ok := g.Log.ValidSince(st.version, func() ([]purgelog.NameHash, bool) { return st.names, true })
	st.version = version
	return ok
}
