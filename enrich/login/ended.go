package login

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// defaultEnded is how many ended sessions are remembered by default.
const defaultEnded = 200_000

// Ended remembers on this node which sessions ended before their time. It is bounded:
// where too many ended, all sessions that began until then count as ended. It is safe
// for concurrent use.
type Ended struct {
	limit int

	// Every request with a session asks, so both are read without the lock.
	count atomic.Int64
	floor atomic.Int64 // sessions that began in this second or before have ended

	mu    sync.RWMutex
	until map[[idSize]byte]int64 // when the session would have ended anyway, in seconds
}

// NewEnded returns an empty list that remembers up to limit sessions; zero means
// 200,000.
func NewEnded(limit int) *Ended {
	if limit <= 0 {
		limit = defaultEnded
	}
	e := &Ended{limit: limit, until: make(map[[idSize]byte]int64)}
	e.floor.Store(math.MinInt64)
	return e
}

// End remembers that a session has ended, which would otherwise have lasted until that
// time. It reports whether the list was full of sessions that have not expired: it
// then forgets them, and every session that began until now counts as ended.
func (e *Ended) End(id [idSize]byte, until, now time.Time) (overflow bool) {
	if !now.Before(until) {
		return false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	last, known := e.until[id]
	if !known && len(e.until) >= e.limit {
		overflow = e.makeRoom(now)
	}
	e.until[id] = max(last, until.Unix())
	e.count.Store(int64(len(e.until)))
	return overflow
}

// makeRoom drops what has expired. Where that is less than an eighth, it forgets
// everything instead: the next sweep would be due too soon.
func (e *Ended) makeRoom(now time.Time) (overflow bool) {
	for id, until := range e.until {
		if until < now.Unix() {
			delete(e.until, id)
		}
	}
	if len(e.until) <= e.limit-max(e.limit/8, 1) {
		return false
	}
	clear(e.until)
	e.floor.Store(max(e.floor.Load(), now.Unix()))
	return true
}

// Has reports whether a session that began then has ended before its time.
func (e *Ended) Has(id [idSize]byte, began time.Time) bool {
	if began.Unix() <= e.floor.Load() {
		return true
	}
	if e.count.Load() == 0 {
		return false
	}
	e.mu.RLock()
	defer e.mu.RUnlock()
	_, ended := e.until[id]
	return ended
}

// Len returns how many sessions are remembered, expired ones among them.
func (e *Ended) Len() int { return int(e.count.Load()) }
