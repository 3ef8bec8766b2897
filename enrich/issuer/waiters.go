package issuer

import "sync/atomic"

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
