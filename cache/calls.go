package cache

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// MaxLoads bounds the loads under way at once in one store; each holds a
// goroutine. It is far above what the directories' own limits let through.
const MaxLoads = 4096

// MaxRefreshes bounds the loads behind requests among them. A refresh that
// finds no room is skipped: the next hit asks again.
const MaxRefreshes = 256

// calls sees to it that one key is loaded once at a time. A load runs under
// a context of its own, so that a caller that leaves cancels no other.
type calls struct {
	timeout time.Duration
	logger  *slog.Logger

	mu        sync.Mutex
	byKey     map[Key]*call
	running   int
	refreshes int
}

// call is one load and what came of it.
type call struct {
	done     chan struct{}
	finished bool    // guarded by flights.mu
	outcome  outcome // set before done is closed
}

// outcome is the result of a load. With an error, the entry is a stale one that
// may serve in its place.
type outcome struct {
	entry  *Entry
	tier   string
	loaded bool // by the source, not found in a tier
	err    error
}

// join returns the call for key, and starts one where there is none. A
// refresh that finds a call or no room returns nil.
func (s *calls) join(ctx context.Context, key Key, refresh bool, run func(context.Context) outcome, commit func(outcome)) (*call, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.byKey[key]; c != nil {
		if refresh {
			return nil, nil //nolint:nilnil // nothing to wait for, nothing wrong
		}
		return c, nil
	}
	if s.running >= MaxLoads || refresh && s.refreshes >= MaxRefreshes {
		return nil, ErrBusy
	}
	s.running++
	if refresh {
		s.refreshes++
	}
	c := &call{done: make(chan struct{})}
	s.byKey[key] = c
	go s.run(ctx, key, c, refresh, run, commit)
	return c, nil
}

// run runs one load. A load that ignores its deadline is left behind: its
// waiters get an error, the key is free again, and what it returns later is
// dropped. Its place among the running ones stays taken until it returns.
func (s *calls) run(ctx context.Context, key Key, c *call, refresh bool, run func(context.Context) outcome, commit func(outcome)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.timeout)
	defer cancel()
	abandon := time.AfterFunc(s.timeout, func() {
		s.finish(key, c, outcome{err: ErrLoadTimeout}, commit)
	})
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
		s.finish(key, c, out, commit)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.running--
		if refresh {
			s.refreshes--
		}
	}()
	out = run(ctx)
}

// finish ends a call, unless it has ended. Its result is in place
// before the key is free again, so that the next caller finds it.
func (s *calls) finish(key Key, c *call, out outcome, commit func(outcome)) {
	s.mu.Lock()
	finished := c.finished
	c.finished = true
	s.mu.Unlock()
	if finished {
		return
	}
	commit(out)
	c.outcome = out
	s.mu.Lock()
	delete(s.byKey, key)
	s.mu.Unlock()
	close(c.done)
}
