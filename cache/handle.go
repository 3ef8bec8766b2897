package cache

import (
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// slot is one key's place in this process. Entries come and go in it; cached
// decisions hold on to the slot.
type slot struct {
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
// decisions made from it stay valid. An entry older than the current one is not
// taken.
func (c *slot) put(e *Entry) bool {
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
		e.slot = c
		if c.current.CompareAndSwap(old, e) {
			return true
		}
	}
}

// Handle is what a decision keeps of one value that it was made from. The zero
// Handle is never valid. Parts are small and copied freely.
type Handle struct {
	slot       *slot
	generation uint64
	stale      bool
}

// Valid reports whether the value still has the content that the decision was
// made from, is as fresh as it was then (a decision from a fresh value ends
// when that becomes stale, and the other way round), is not purged, and is
// confirmed by the log. It costs a few nanoseconds as long as the log has not
// moved. refreshDue says that the value should be fetched anew behind the
// request, which a Get does that waits for nothing; once one has begun, it is
// reported to no other caller.
func (p Handle) Valid(now time.Time, ttls *TTLs) (ok, refreshDue bool) {
	c := p.slot
	if c == nil {
		return false, false
	}
	e := c.current.Load()
	if e.generation != p.generation {
		return false, false
	}
	s := c.store
	t := s.log.Ticks(now)
	age, limit := time.Duration(t-e.fetched), e.freshFor(ttls)
	if p.stale {
		if age < limit || age >= limit+ttls.StaleIfError || t >= c.retryAt.Load() {
			return false, false
		}
	} else if age >= limit {
		return false, false
	}
	if !s.log.Confirmed(t, e.fetched, ttls.UnconfirmedMax) || !e.valid(s.log) || s.closed.Load() {
		return false, false
	}
	return true, !p.stale && e.Found && c.refreshDue(t, age, ttls)
}

// refreshDue reports whether an entry of that age is to be fetched anew behind
// the requests, and no request does so yet.
func (c *slot) refreshDue(t int64, age time.Duration, ttls *TTLs) bool {
	if ttls.RefreshAfter <= 0 || ttls.RefreshAfter >= ttls.Fresh {
		return false
	}
	after := ttls.RefreshAfter + ttls.RefreshAfter/1024*time.Duration(c.jitter)
	return age >= after && !c.refreshing.Load() && t >= c.retryAt.Load()
}

// Names lists the names by which a purge may mean the value; ok is false where
// the tier has let the value go and they are not known any more.
func (p Handle) Names() (names []purgelog.NameHash, ok bool) {
	if p.slot == nil {
		return nil, false
	}
	return p.slot.current.Load().nameHashes()
}
