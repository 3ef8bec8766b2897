package cache

import (
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// cell is one key's place in this process. Entries come and go in it; cached
// decisions hold on to the cell.
type cell struct {
	key     Key
	store   *Store
	current atomic.Pointer[Entry]

	// retryAt is when, after a failed load, the source may be asked again
	// (ticks). Until then a stale value serves without trying.
	retryAt atomic.Int64

	// refreshing says that a refresh is under way behind the requests.
	refreshing atomic.Bool

	// jitter moves RefreshAfter by up to ±10 % (in 1/1024), fixed per key
	// and node, so that neither keys nor nodes refresh all at once.
	jitter int64
}

// put makes e the current entry. Equal content keeps its generation, so that
// decisions made from it stand. An entry older than the current one is not
// taken.
func (c *cell) put(e *Entry) bool {
	for {
		old := c.current.Load()
		switch {
		case old == nil:
			e.generation = 1
		case old.fetched > e.fetched:
			return false
		case old.Found == e.Found && old.digest == e.digest:
			e.generation = old.generation
		default:
			e.generation = old.generation + 1
		}
		e.cell = c
		if c.current.CompareAndSwap(old, e) {
			return true
		}
	}
}

// Part is what a decision keeps of one value that it was made from. The zero
// Part is never valid. Parts are small and copied freely.
type Part struct {
	cell       *cell
	generation uint64
	stale      bool
}

// Valid reports whether the value still has the content that the decision was
// made from, is as fresh as it was then (a decision from a fresh value ends
// when that becomes stale, and the other way round), is not purged, and is
// confirmed by the log. It costs a few nanoseconds as long as the log has not
// moved. refreshDue says that the value should be fetched anew behind the
// request, which a Get does that waits for nothing; once one has begun, it is
// said to nobody else.
func (p Part) Valid(now time.Time, life *Life) (ok, refreshDue bool) {
	c := p.cell
	if c == nil {
		return false, false
	}
	e := c.current.Load()
	if e.generation != p.generation {
		return false, false
	}
	s := c.store
	t := s.log.Ticks(now)
	age, limit := time.Duration(t-e.fetched), e.limit(life)
	if p.stale {
		if age < limit || age >= limit+life.StaleIfError || t >= c.retryAt.Load() {
			return false, false
		}
	} else if age >= limit {
		return false, false
	}
	if !s.log.Confirmed(t, e.fetched, life.UnconfirmedMax) || !e.unpurged(s.log) || s.closed.Load() {
		return false, false
	}
	return true, !p.stale && e.Found && c.refreshDue(t, age, life)
}

// refreshDue reports whether an entry of that age is to be fetched anew behind
// the requests, and nobody does so yet.
func (c *cell) refreshDue(t int64, age time.Duration, life *Life) bool {
	if life.RefreshAfter <= 0 || life.RefreshAfter >= life.Fresh {
		return false
	}
	after := life.RefreshAfter + life.RefreshAfter/1024*time.Duration(c.jitter)
	return age >= after && !c.refreshing.Load() && t >= c.retryAt.Load()
}

// Names lists the names by which a purge may mean the value; ok is false where
// the tier has let the value go and they are not known any more.
func (p Part) Names() (names []purgelog.NameHash, ok bool) {
	if p.cell == nil {
		return nil, false
	}
	return p.cell.current.Load().allNames()
}
