package issuer

import (
	"context"
	"sync"
	"sync/atomic"
	"time"
)

// This file owns an issuer's goroutines and bounds the requests that wait for them.

// workers own the goroutines of an issuer, which work under their context and never
// under that of a request.
type workers struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
}

func newWorkers() *workers {
	w := new(workers)
	w.ctx, w.cancel = context.WithCancel(context.Background())
	return w
}

// start runs f on a goroutine of its own, and reports false once they are stopped.
func (w *workers) start(f func()) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false
	}
	w.running.Go(f)
	return true
}

// stop cancels the context and waits for all goroutines.
func (w *workers) stop() {
	w.mu.Lock()
	w.stopped = true
	w.mu.Unlock()
	w.cancel()
	w.running.Wait()
}

// maxWaiters bounds the requests that wait for an issuer. While it hangs, each forged
// token makes a request wait. Honest load stays far below.
const maxWaiters = 4096

// A waiterLimit bounds the requests that wait for the same thing at one time.
type waiterLimit struct {
	limit   int32
	waiting atomic.Int32
}

// join reports whether one more request may wait. If so, it must call leave.
func (w *waiterLimit) join() bool {
	if w.waiting.Add(1) > w.limit {
		w.waiting.Add(-1)
		return false
	}
	return true
}

// leave ends the wait of a request.
func (w *waiterLimit) leave() { w.waiting.Add(-1) }

// await waits until done is closed, for at most timeout. It returns late after that,
// or the error of ctx.
func await(ctx context.Context, done <-chan struct{}, timeout time.Duration, late error) error {
	t := time.NewTimer(timeout)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return late
	}
}
