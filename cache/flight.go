package cache

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"sync"
	"time"
)

// MaxFlights bounds the loads under way at once in one store; each holds a
// goroutine. It is far above what the directories' own limits let through.
const MaxFlights = 4096

// MaxRefreshes bounds the loads behind requests among them. A refresh that
// finds no room is skipped: the next hit asks again.
const MaxRefreshes = 256

// flights sees to it that one key is loaded once at a time. A load runs under
// a context of its own, so that a caller that goes away takes nobody with it.
type flights struct {
	timeout time.Duration
	logger  *slog.Logger

	mu        sync.Mutex
	byKey     map[Key]*flight
	running   int
	refreshes int
}

// flight is one load and what came of it.
type flight struct {
	done    chan struct{}
	landed  bool    // guarded by flights.mu
	outcome outcome // set before done is closed
}

// outcome is what a load gives. With an error, the entry is a stale one that
// may serve in its place.
type outcome struct {
	entry  *Entry
	tier   string
	loaded bool // by the source, not found in a tier
	err    error
}

// join returns the flight for key, and starts it where there is none. A
// refresh that finds a flight or no room returns nil.
func (f *flights) join(ctx context.Context, key Key, refresh bool, run func(context.Context) outcome, land func(outcome)) (*flight, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fl := f.byKey[key]; fl != nil {
		if refresh {
			return nil, nil //nolint:nilnil // nothing to wait for, nothing wrong
		}
		return fl, nil
	}
	if f.running >= MaxFlights || refresh && f.refreshes >= MaxRefreshes {
		return nil, ErrBusy
	}
	f.running++
	if refresh {
		f.refreshes++
	}
	fl := &flight{done: make(chan struct{})}
	f.byKey[key] = fl
	go f.fly(ctx, key, fl, refresh, run, land)
	return fl, nil
}

// fly runs one load. A load that ignores its deadline is left behind: its
// waiters get an error, the key is free again, and what it returns later is
// dropped. Its place among the running ones stays taken until it returns.
func (f *flights) fly(ctx context.Context, key Key, fl *flight, refresh bool, run func(context.Context) outcome, land func(outcome)) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.timeout)
	defer cancel()
	abandon := time.AfterFunc(f.timeout, func() {
		f.finish(key, fl, outcome{err: ErrLoadTimeout}, land)
	})
	out := outcome{err: ErrLoadPanicked} // also for a load that ends its goroutine
	defer func() {
		abandon.Stop()
		if r := recover(); r != nil {
			out = outcome{err: ErrLoadPanicked}
			// The panic's value may hold what it stumbled over: only its
			// type is fit for a log.
			f.logger.Error("loading a cache entry panicked",
				"panic", fmt.Sprintf("%T", r), "stack", string(debug.Stack()))
		}
		f.finish(key, fl, out, land)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.running--
		if refresh {
			f.refreshes--
		}
	}()
	out = run(ctx)
}

// finish lands a flight, unless it has landed. What it brought is in place
// before the key is given free, so that whoever comes next finds it.
func (f *flights) finish(key Key, fl *flight, out outcome, land func(outcome)) {
	f.mu.Lock()
	landed := fl.landed
	fl.landed = true
	f.mu.Unlock()
	if landed {
		return
	}
	land(out)
	fl.outcome = out
	f.mu.Lock()
	delete(f.byKey, key)
	f.mu.Unlock()
	close(fl.done)
}
