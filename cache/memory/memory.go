// Package memory is the cache tier of one process: decoded values under a hard
// bound in bytes, with an admission policy that keeps a scan of one-off keys
// from driving out what is asked for often (W-TinyLFU).
package memory

import (
	"cmp"
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

// DefaultBytes is the bound where Options leaves it out: 256 MiB.
const DefaultBytes = 256 << 20

// MinBytes is the smallest useful bound; under it a single large entry would
// drive out all others.
const MinBytes = 1 << 20

// Absences have a bound of their own, a part of the whole, so that a run of
// unknown subjects drives out no value.
const (
	absentShare = 32
	maxAbsent   = 8 << 20
)

// Options configures a Tier.
type Options struct {
	// Bytes bounds what the tier holds, all counted. Zero means
	// DefaultBytes; less than MinBytes is an error.
	Bytes int64

	// Clock returns the time for Status; nil means time.Now.
	Clock func() time.Time
}

// Tier holds decoded entries. It is a cache.Tier.
type Tier struct {
	limit   int64
	found   *otter.Cache[cache.Key, *cache.Entry]
	absent  *otter.Cache[cache.Key, *cache.Entry]
	since   time.Time
	refused atomic.Uint64
	closed  atomic.Bool
}

// New returns an empty tier.
func New(o Options) (*Tier, error) {
	o.Bytes = cmp.Or(o.Bytes, DefaultBytes)
	if o.Bytes < MinBytes {
		return nil, fmt.Errorf("opening the memory tier: %d bytes is under the minimum of %d", o.Bytes, MinBytes)
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	absent := min(o.Bytes/absentShare, maxAbsent)
	t := &Tier{limit: o.Bytes, since: o.Clock()}
	var err error
	if t.found, err = bounded(o.Bytes - absent); err != nil {
		return nil, fmt.Errorf("opening the memory tier: %w", err)
	}
	if t.absent, err = bounded(absent); err != nil {
		return nil, fmt.Errorf("opening the memory tier: %w", err)
	}
	return t, nil
}

// bounded returns a map that evicts on the writer's own goroutine: eviction
// that lags behind would make the bound a soft one.
func bounded(limit int64) (*otter.Cache[cache.Key, *cache.Entry], error) {
	return otter.New(&otter.Options[cache.Key, *cache.Entry]{
		MaximumWeight: uint64(limit),
		Weigher:       func(_ cache.Key, e *cache.Entry) uint32 { return uint32(min(max(e.Cost, 1), maxCost)) },
		Executor:      func(run func()) { run() },
		// Under the lock of the bucket: it may not call the cache, and does not.
		OnAtomicDeletion: func(d otter.DeletionEvent[cache.Key, *cache.Entry]) { d.Value.Evicted() },
	})
}

// maxCost keeps an entry's cost in the 32 bits that the map weighs with.
const maxCost = 1 << 30

// Name is "memory".
func (t *Tier) Name() string { return cache.TierMemory }

// Get answers the entry under key or cache.ErrMiss.
func (t *Tier) Get(_ context.Context, key cache.Key) (*cache.Entry, error) {
	if t.closed.Load() {
		return nil, cache.ErrClosed
	}
	if e, ok := t.found.GetIfPresent(key); ok {
		return e, nil
	}
	if e, ok := t.absent.GetIfPresent(key); ok {
		return e, nil
	}
	return nil, cache.ErrMiss
}

// Set puts e under key. An entry that costs more than the whole bound is not
// held. What is held past keep goes when the room is needed.
func (t *Tier) Set(key cache.Key, e *cache.Entry, keep time.Duration) {
	if t.closed.Load() {
		return
	}
	into, other := t.found, t.absent
	if !e.Found {
		into, other = t.absent, t.found
	}
	other.Invalidate(key)
	if keep <= 0 || e.Cost > int64(into.GetMaximum()) {
		if keep > 0 {
			t.refused.Add(1)
		}
		into.Invalidate(key)
		e.Evicted()
		return
	}
	into.Set(key, e)
	if into.WeightedSize() > into.GetMaximum() {
		into.CleanUp()
	}
}

// Delete removes what is held under key.
func (t *Tier) Delete(key cache.Key) {
	if t.closed.Load() {
		return
	}
	t.found.Invalidate(key)
	t.absent.Invalidate(key)
}

// Status describes the tier.
func (t *Tier) Status() cache.TierStatus {
	s := cache.TierStatus{
		Name: cache.TierMemory, Ready: !t.closed.Load(), Since: t.since, Limit: t.limit, Refused: t.refused.Load(),
	}
	if s.Ready {
		s.Entries = int64(t.found.EstimatedSize() + t.absent.EstimatedSize())
		s.Bytes = int64(t.found.WeightedSize() + t.absent.WeightedSize())
	}
	return s
}

// Close empties the tier. Later calls find and keep nothing.
func (t *Tier) Close() error {
	if t.closed.CompareAndSwap(false, true) {
		t.found.InvalidateAll()
		t.absent.InvalidateAll()
	}
	return nil
}

// Interface guard.
var _ cache.Tier = (*Tier)(nil)
