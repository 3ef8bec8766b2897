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

// ErrRequestEnded is the cause with which a long request's context ends when
// its token does, when max_connection is over, or when token or user were
// denied or purged meanwhile.
var ErrRequestEnded = errors.New("the request outlived its decision")

// LongLived holds requests that last to the life of their tokens: upgraded
// connections, event streams, gRPC. They are decided once and could go on for
// days. Short requests are not attended: they end by themselves.
type LongLived struct {
	mu       sync.Mutex
	live     map[*trackedRequest]struct{}
	watching bool // somebody looks after them
}

// trackedRequest is one long request.
type trackedRequest struct {
	gateway  *Gateway
	decision *Decision
	end      context.CancelCauseFunc
	until    time.Time // zero: no end of its own
	version  uint64    // of the purge log, as far as it has been looked at
	names    []purgelog.NameHash
	unnamed  bool // the names are not known any more: any purge may mean it
}

// MaxLongLived bounds the long requests that are attended at once; one more is
// refused, because it could not be ended when it has to be.
const MaxLongLived = 100_000

// longLivedInterval is how often live streams are held against deny list and purge
// log.
const longLivedInterval = time.Second

// NewLongLived makes an empty set.
func NewLongLived() *LongLived { return &LongLived{live: make(map[*trackedRequest]struct{})} }

// Attend gives the request a context that ends with the decision's token, or
// after limit (0: no other limit), or when the decision is denied or purged.
// Requests that are not long are given back as they are. done must be called
// when the request is over.
//
// since is what Mark gave before the decision: what was purged meanwhile counts.
func (g *Gateway) Track(r *http.Request, d *Decision, limit time.Duration, since uint64) (_ *http.Request, done func(), err error) {
	if limit == 0 && (d.Principal == nil || !isLong(r)) {
		return r, func() {}, nil
	}
	until := d.Until()
	if limit > 0 {
		if end := g.Clock().Add(limit); until.IsZero() || end.Before(until) {
			until = end
		}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	stopTimer := func() {}
	if !until.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadlineCause(ctx, until, ErrRequestEnded)
		stopTimer = stop
	}
	st := newTrackedRequest(g, d, since, cancel)
	st.until = until // the deadline above does not hear of a clock that is set
	if !g.LongLived.add(st) {
		cancel(nil)
		stopTimer()
		return r, nil, refuse(KindUnavailable, errors.New("too many long requests"))
	}
	return r.WithContext(ctx), func() {
		g.LongLived.remove(st)
		stopTimer()
		cancel(nil)
	}, nil
}

// Late attends a request whose answer turned out to last, such as an event
// stream that the client did not ask for by name. Its context was made long
// ago, so end is called instead, from another goroutine, and again until the
// request is over: a writer may have moved its deadline meanwhile.
// since is as for Attend.
func (g *Gateway) TrackResponse(d *Decision, since uint64, end func()) (done func()) {
	st := newTrackedRequest(g, d, since, func(error) { end() })
	st.until = d.Until()
	if !g.LongLived.add(st) {
		end()
	}
	return func() { g.LongLived.remove(st) }
}

// Mark is the place in the purge log up to which a decision that is made from
// now on has heard of everything.
func (g *Gateway) PurgeVersion() uint64 {
	if g.Log == nil {
		return 0
	}
	return g.Log.Version()
}

func newTrackedRequest(g *Gateway, d *Decision, since uint64, end context.CancelCauseFunc) *trackedRequest {
	st := &trackedRequest{gateway: g, decision: d, end: end, version: since}
	if g.Log == nil || d.Principal == nil {
		return st
	}
	for i := range d.parts {
		names, ok := d.parts[i].Names()
		st.names = append(st.names, names...)
		st.unnamed = st.unnamed || !ok
	}
	return st
}

// isLong reports whether a request is one that may last: an upgrade, an event
// stream, gRPC.
func isLong(r *http.Request) bool {
	return isUpgrade(r) || strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") ||
		strings.Contains(r.Header.Get("Accept"), "text/event-stream")
}

// add takes a stream in and begins to look after them with the first.
func (s *LongLived) add(st *trackedRequest) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Whoever comes without a token leaves half of the places to the others.
	if n := len(s.live); n >= MaxLongLived || n >= MaxLongLived/2 && st.decision.Principal == nil {
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

// watch ends what is denied or purged, until no stream is left.
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
				st.end(ErrRequestEnded)
			}
		}
	}
}

// valid reports whether neither deny list nor purge log name the decision.
func (st *trackedRequest) valid() bool {
	g, d := st.gateway, st.decision
	if d.Principal == nil {
		return true
	}
	if !st.until.IsZero() && !g.Clock().Before(st.until) {
		return false
	}
	if g.Denials != nil && g.Denials.Denied(g.Clock(), d.Principal.IssuedAt, d.denyNames...) {
		return false
	}
	if g.Log == nil {
		return true
	}
	if g.Log.Closed() {
		return false // a denial would not be heard of any more
	}
	if st.unnamed {
		return g.Log.Version() == st.version
	}
	version, ok := g.Log.ValidSince(st.version, func() ([]purgelog.NameHash, bool) { return st.names, true })
	st.version = version
	return ok
}
