package cache

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/singleflight"
)

// MaxLoads bounds the loads under way at once in one store; each holds a
// goroutine. It is far above what the directories' own limits let through.
const MaxLoads = 4096

// maxRefreshes bounds the loads behind requests among them. A refresh that
// finds no room is skipped: the next hit asks again.
const maxRefreshes = 256

// call is one load under way.
type call = singleflight.Call[Key, outcome]

// calls loads each key once at a time, each under a deadline of its own.
type calls struct {
	timeout time.Duration
	logger  *slog.Logger
	group   singleflight.Group[Key, outcome]

	mu        sync.Mutex
	running   int
	refreshes int
}

// outcome is the result of a load. With an error, the entry is a stale one that
// may serve in its place.
type outcome struct {
	entry  *Entry
	tier   string
	loaded bool // by the source, not found in a tier
	err    error
}

// join returns the call for key, and starts one where there is none and room for
// it. commit stores the result before another call for the key may begin.
func (s *calls) join(ctx context.Context, key Key, run func(context.Context) outcome, commit func(outcome)) (*call, error) {
	return s.group.Join(key, func(c *call) error { return s.start(ctx, c, false, run, commit) })
}

// refresh starts a call behind the requests and reports whether it did: not
// where one for the key is under way, or where there is no room.
func (s *calls) refresh(ctx context.Context, key Key, run func(context.Context) outcome, commit func(outcome)) bool {
	started := false
	_, err := s.group.Join(key, func(c *call) error {
		started = true
		return s.start(ctx, c, true, run, commit)
	})
	return started && err == nil
}

func (s *calls) start(ctx context.Context, c *call, refresh bool, run func(context.Context) outcome, commit func(outcome)) error {
	if !s.reserve(refresh) {
		return ErrBusy
	}
	go s.run(ctx, c, refresh, run, commit)
	return nil
}

// reserve takes one of the places for loads and reports whether there was one.
func (s *calls) reserve(refresh bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.running >= MaxLoads || refresh && s.refreshes >= maxRefreshes {
		return false
	}
	s.running++
	if refresh {
		s.refreshes++
	}
	return true
}

func (s *calls) release(refresh bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running--
	if refresh {
		s.refreshes--
	}
}

// run runs one load. A load that ignores its deadline is left behind: its
// waiters get an error, the key is free again, and what it returns later is
// dropped. Its place among the running ones stays taken until it returns.
func (s *calls) run(ctx context.Context, c *call, refresh bool, run func(context.Context) outcome, commit func(outcome)) {
	defer s.release(refresh)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	finish := func(out outcome) { c.Finish(out, nil, func(out outcome, _ error) { commit(out) }) }
	abandon := time.AfterFunc(s.timeout, func() { finish(outcome{err: ErrLoadTimeout}) })
	out := outcome{err: ErrLoadPanicked} // also for a load that ends its goroutine
	defer func() {
		abandon.Stop()
		if r := recover(); r != nil {
			out = outcome{err: ErrLoadPanicked}
			// The panic's value may hold what it stumbled over: only its
			// type is fit for a log.
			s.logger.Error("loading a cache entry panicked",
				"panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
		}
		finish(out)
	}()
	out = run(ctx)
}
