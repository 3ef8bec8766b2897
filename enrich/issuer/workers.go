package issuer

import (
	"context"
	"sync"
)

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
