package issuer

import "sync/atomic"

// maxCrowd bounds the requests that wait for one answer of an issuer. Whoever
// forges tokens can make each of them wait while the issuer hangs; no honest
// crowd is as large.
const maxCrowd = 4096

// A crowd is the requests that wait for the same thing, at most limit.
type crowd struct {
	limit int32
	n     atomic.Int32
}

// join takes a request in, if there is room.
func (c *crowd) join() bool {
	if c.n.Add(1) > c.limit {
		c.n.Add(-1)
		return false
	}
	return true
}

func (c *crowd) leave() { c.n.Add(-1) }
