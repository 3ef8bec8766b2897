package issuer

import "sync/atomic"

// maxCrowd bounds the requests that wait for one answer of an issuer. Whoever
// forges tokens can make each of them wait while the issuer hangs; no honest
// crowd is as large.
const maxWaiters = 4096

// A crowd is the requests that wait for the same thing, at most limit.
type waiterLimit struct {
	limit   int32
	waiting atomic.Int32
}

// join takes a request in, if there is room.
func (c *waiterLimit) join() bool {
	if c.waiting.Add(1) > c.limit {
		c.waiting.Add(-1)
		return false
	}
	return true
}

func (c *waiterLimit) leave() { c.waiting.Add(-1) }
