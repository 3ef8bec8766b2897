package issuer

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/singleflight"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// This file keeps the key set of an issuer: when it is fetched, how long it is used,
// and what the keys that it lacks may cost.

const (
	// maxUnknownKeys bounds the remembered key ids that no set had.
	maxUnknownKeys = 256
	// unknownKeyIntervals is for how many key_min_interval an unknown key id is
	// remembered. One client with an old token then does not cause a fetch in
	// each, and yet a key that is published late, or again, is soon found.
	unknownKeyIntervals = 2
	// maxRetry is the longest pause between two attempts while the key
	// server is down.
	maxRetry = 5 * time.Minute
)

// A keyState is the key set in use. It is never changed.
type keyState struct {
	set       *jose.KeySet
	version   uint64
	confirmed time.Time // the last fetch with this content
}

// A fetchCall is one fetch under way. An issuer has one key set, hence the empty key.
type fetchCall = singleflight.Call[struct{}, *jose.KeySet]

// errNoFetch starts no fetch: key_min_interval forbids one, or the issuer has been
// stopped.
var errNoFetch = errors.New("no fetch of keys now")

// A keySource keeps an issuer's key set. One call at a time fetches it, no sooner than
// key_min_interval after the start of the one before, and under a deadline of its own,
// not that of a request. The last good set is used until it is older than
// key_max_stale. A keySource is safe for concurrent use.
type keySource struct {
	load     func(context.Context) (*jose.KeySet, error)
	clock    func() time.Time
	rand     io.Reader
	log      *slog.Logger
	observer Observer
	name     string

	refresh, minInterval, maxStale, timeout time.Duration

	state   atomic.Pointer[keyState]
	waiting waiterLimit // for a call

	workers     *workers
	background  context.Context // of the background refresh; ends with stopRefresh or the workers
	stopRefresh context.CancelFunc

	calls singleflight.Group[struct{}, *jose.KeySet]

	mu       sync.Mutex
	started  time.Time // of the last call
	unknown  map[string]time.Time
	running  bool
	failed   error // of the last call that ended
	failures int   // in a row
	since    time.Time
	fetches  uint64
	errors   uint64
}

func newKeySource(c Config, o Options, w *workers) *keySource {
	background, cancel := context.WithCancel(w.ctx)
	return &keySource{
		clock: o.Clock, rand: o.Rand, log: o.Logger, observer: o.Observer, name: c.Name,
		workers: w, background: background, stopRefresh: cancel, waiting: waiterLimit{limit: maxWaiters},
		refresh: time.Duration(c.KeyRefresh), minInterval: time.Duration(c.KeyMinInterval), maxStale: time.Duration(c.KeyMaxStale), timeout: time.Duration(c.Timeout),
	}
}

// loadNow loads a set in the foreground, for one that needs no network.
func (s *keySource) loadNow() error {
	set, err := s.fetch()
	if err != nil {
		return err
	}
	s.commit(set, nil)
	return nil
}

// valid returns the key set if it was confirmed within key_max_stale, else nil.
func (s *keySource) valid(now time.Time) *keyState {
	st := s.state.Load()
	if st == nil || now.Sub(st.confirmed) > s.maxStale {
		return nil
	}
	return st
}

// ready returns the key set. If there is none, it waits for a fetch. If the set is
// due for a refresh, it begins a fetch and does not wait. Errors wrap
// errKeysUnavailable, or are those of the context.
func (s *keySource) ready(ctx context.Context, now time.Time) (*keyState, error) {
	st := s.valid(now)
	if st != nil {
		if now.Sub(st.confirmed) > s.refresh+s.refresh/10 {
			s.join(now) //nolint:contextcheck // the fetch serves all who wait, under a deadline of its own
		}
		return st, nil
	}
	// No call may mean that one has ended just now.
	if f := s.join(now); f != nil { //nolint:contextcheck // the fetch serves all who wait, under a deadline of its own
		if err := s.wait(ctx, f); err != nil {
			return nil, err
		}
	}
	if st := s.valid(s.clock()); st != nil {
		return st, nil
	}
	return nil, errKeysUnavailable
}

// newer fetches, if it may, in search of a key that st lacks, and returns a later key
// set, or nil if st is the newest. Errors wrap errKeysUnavailable if fetching fails,
// or are those of the context. An empty kid means a token without one.
func (s *keySource) newer(ctx context.Context, st *keyState, kid string, now time.Time) (*keyState, error) {
	s.mu.Lock()
	if until, ok := s.unknown[kid]; ok && now.Before(until) && s.failed == nil {
		s.mu.Unlock()
		return nil, nil //nolint:nilnil // as documented: there is none, and that is no fault
	}
	f := s.joinLocked(now) //nolint:contextcheck // the fetch serves all who wait, under a deadline of its own
	failed := s.failed
	s.mu.Unlock()
	switch {
	case f != nil:
		if err := s.wait(ctx, f); err != nil {
			return nil, err
		}
		if _, err := f.Result(); err != nil {
			return nil, errKeysUnavailable
		}
	case failed != nil:
		return nil, errKeysUnavailable
	}
	next := s.valid(s.clock())
	if next == nil {
		return nil, errKeysUnavailable
	}
	if f != nil && kid != "" && !next.set.Has(kid) {
		s.remember(kid, now)
	}
	if next.version == st.version {
		return nil, nil //nolint:nilnil // as documented: there is none, and that is no fault
	}
	return next, nil
}

// remember records a key id that a set just fetched lacks, so that it causes no
// other fetch for a while.
func (s *keySource) remember(kid string, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unknown == nil {
		s.unknown = make(map[string]time.Time)
	}
	if len(s.unknown) >= maxUnknownKeys {
		maps.DeleteFunc(s.unknown, func(_ string, until time.Time) bool { return !now.Before(until) })
	}
	if len(s.unknown) < maxUnknownKeys {
		s.unknown[strings.Clone(kid)] = now.Add(unknownKeyIntervals * s.minInterval)
	}
}

// join returns the call under way, or starts one. It returns nil if key_min_interval
// forbids one now, or if the issuer has been stopped.
func (s *keySource) join(now time.Time) *fetchCall {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.joinLocked(now)
}

// joinLocked is join for a caller that holds the lock.
func (s *keySource) joinLocked(now time.Time) *fetchCall {
	f, err := s.calls.Join(struct{}{}, func(f *fetchCall) error {
		// A clock that was set back must not forbid fetches for as long.
		if d := now.Sub(s.started); !s.started.IsZero() && d >= 0 && d < s.minInterval {
			return errNoFetch
		}
		if !s.workers.start(func() { s.run(f) }) {
			return errNoFetch
		}
		s.started = now
		return nil
	})
	if err != nil {
		return nil
	}
	return f
}

// run makes a call and ends it.
func (s *keySource) run(f *fetchCall) {
	set, err := s.fetch()
	s.observer.KeysFetched(s.name, outcomeOf(err))
	if err == nil {
		s.observer.KeysSkipped(s.name, set.Skipped())
	}
	f.Finish(set, err, s.commit)
}

// fetch loads a set under a deadline of its own. A panic is a failed fetch:
// the call must end.
func (s *keySource) fetch() (set *jose.KeySet, err error) {
	defer func() {
		if p := recover(); p != nil {
			set, err = nil, fmt.Errorf("fetching keys: panic: %v", p)
		}
	}()
	ctx, cancel := context.WithTimeout(s.workers.ctx, s.timeout)
	defer cancel()
	return s.load(ctx)
}

// commit stores the result of a call. It logs when the state changes, not for each
// attempt.
func (s *keySource) commit(set *jose.KeySet, err error) {
	now := s.clock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	if err != nil {
		s.errors++
		if s.failures == 0 && s.workers.ctx.Err() == nil {
			s.since = now
			s.log.Warn("fetching the issuer's keys failed", "issuer", s.name, "outcome", outcomeOf(err), "error", err.Error())
		}
		s.failures++
		s.failed = err
		return
	}
	if s.failures > 0 {
		s.log.Info("fetching the issuer's keys works again", "issuer", s.name, "attempts", s.failures+1)
	}
	if s.failures > 0 || s.fetches == 1 {
		s.since = now
	}
	s.failures, s.failed = 0, nil
	next := &keyState{set: set, version: 1, confirmed: now}
	if st := s.state.Load(); st != nil {
		next.version = st.version
		if !st.set.Equal(set) {
			next.version++
			clear(s.unknown)
			s.log.Info("the issuer's keys changed", "issuer", s.name, "keys", set.Len(), "skipped", set.Skipped())
		}
	}
	s.state.Store(next)
	s.observer.KeysCurrent(s.name, now)
}

// wait waits for a call, no longer than a request may wait.
func (s *keySource) wait(ctx context.Context, f *fetchCall) error {
	if !s.waiting.join() {
		return fmt.Errorf("too many requests wait for keys: %w", errKeysUnavailable)
	}
	defer s.waiting.leave()
	if err := await(ctx, f.Done(), s.timeout, errKeysUnavailable); err != nil {
		return fmt.Errorf("waiting for keys: %w", err)
	}
	return nil
}

// start runs the background refresh until ctx ends, or stopRefresh or the workers end it.
func (s *keySource) start(ctx context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running {
		return
	}
	s.running = s.workers.start(func() {
		s.refreshLoop(ctx)
		s.mu.Lock()
		s.running = false
		s.mu.Unlock()
	})
}

func (s *keySource) refreshLoop(ctx context.Context) {
	for {
		pause := s.minInterval
		if f := s.join(s.clock()); f != nil { //nolint:contextcheck // the fetch serves all who wait, under a deadline of its own
			select {
			case <-f.Done():
			case <-ctx.Done():
				return
			case <-s.background.Done():
				return
			}
			pause = s.pause()
		}
		t := time.NewTimer(pause)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		case <-s.background.Done():
			t.Stop()
			return
		}
	}
}

// pause returns how long the background waits for its next fetch: key_refresh, or
// after failures a multiple of key_min_interval that doubles. Each is ±10 %, so that
// nodes that were started together do not fetch together.
func (s *keySource) pause() time.Duration {
	s.mu.Lock()
	failures := s.failures
	s.mu.Unlock()
	d := s.refresh
	if failures > 0 {
		d = min(s.minInterval<<min(failures-1, 16), s.refresh, maxRetry)
		d = max(d, s.minInterval)
	}
	return jitter(d, s.rand)
}

// jitter returns d ±10 %.
func jitter(d time.Duration, rand io.Reader) time.Duration {
	var b [8]byte
	if _, err := io.ReadFull(rand, b[:]); err != nil {
		return d
	}
	tenth := uint64(d / 10)
	return d - time.Duration(tenth) + time.Duration(binary.BigEndian.Uint64(b[:])%(2*tenth+1))
}
