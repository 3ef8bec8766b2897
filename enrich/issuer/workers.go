package issuer

import (
	"context"
	"sync"
)

// A lifetime owns the goroutines of an issuer. They work under its context
// and never under that of a request.
type workers struct {
	ctx    context.Context
	cancel context.CancelFunc

	mu      sync.Mutex
	stopped bool
	running sync.WaitGroup
}

func newWorkers() *workers {
	l := new(workers)
	l.ctx, l.cancel = context.WithCancel(context.Background())
	return l
}

// spawn runs f beside the caller, unless the lifetime is over.
func (l *workers) start(f func()) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return false
	}
	l.running.Go(f)
	return true
}

// end cancels what runs and waits for it.
func (l *workers) stop() {
	l.mu.Lock()
	l.stopped = true
	l.mu.Unlock()
	l.cancel()
	l.running.Wait()
}
