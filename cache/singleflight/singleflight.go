// Package singleflight lets callers that want the same thing share one call for
// it. It differs from golang.org/x/sync/singleflight in what its users need: the
// call runs under a context of its own, so that a caller that leaves cancels no
// other; each waiter leaves at the end of its own context; and whoever runs the
// call decides where, how long, and whether there is room for it.
package singleflight

import (
	"context"
	"sync"
)

// Group holds the calls under way, at most one for each key. The zero value is
// ready for use. All methods are safe for concurrent use.
type Group[K comparable, V any] struct {
	mu    sync.Mutex
	calls map[K]*Call[K, V]
}

// Call is one call and its result.
type Call[K comparable, V any] struct {
	group    *Group[K, V]
	key      K
	once     sync.Once
	finished chan struct{}
	value    V // set before finished is closed
	err      error
}

// Join returns the call under way for key. Where there is none, it makes one and
// hands it to start, which must see to it that Finish is called, now or later, on
// any goroutine. An error of start ends the call for all who have joined it.
func (g *Group[K, V]) Join(key K, start func(*Call[K, V]) error) (*Call[K, V], error) {
	g.mu.Lock()
	if c := g.calls[key]; c != nil {
		g.mu.Unlock()
		return c, nil
	}
	c := &Call[K, V]{group: g, key: key, finished: make(chan struct{})}
	if g.calls == nil {
		g.calls = make(map[K]*Call[K, V])
	}
	g.calls[key] = c
	g.mu.Unlock()
	if err := start(c); err != nil {
		var none V
		c.Finish(none, err, nil)
		return nil, err
	}
	return c, nil
}

// Current returns the call under way for key, or nil.
func (g *Group[K, V]) Current(key K) *Call[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.calls[key]
}

// Finish ends the call with its result. Only the first call of Finish counts, so
// that a deadline may end a call whose work goes on. Commit, if not nil, runs
// before the key is free again and before any waiter continues: the next caller
// finds what it stored.
func (c *Call[K, V]) Finish(value V, err error, commit func(V, error)) {
	c.once.Do(func() {
		if commit != nil {
			commit(value, err)
		}
		c.value, c.err = value, err
		c.group.mu.Lock()
		delete(c.group.calls, c.key)
		c.group.mu.Unlock()
		close(c.finished)
	})
}

// Done is closed when the call has ended.
func (c *Call[K, V]) Done() <-chan struct{} { return c.finished }

// Result returns the result of a call that has ended.
func (c *Call[K, V]) Result() (V, error) { return c.value, c.err }

// Wait returns the call's result, or the cause of ctx's end where that comes
// first.
func (c *Call[K, V]) Wait(ctx context.Context) (V, error) {
	select {
	case <-c.finished:
		return c.value, c.err
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
}
