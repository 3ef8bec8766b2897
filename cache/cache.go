package cache

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// State says how fresh a value is.
type State uint8

const (
	// Fresh: within the reader's TTL.
	Fresh State = iota + 1
	// Stale: past that TTL, served because the source fails.
	Stale
)

// String returns the word that logs use.
func (s State) String() string {
	switch s {
	case Fresh:
		return "fresh"
	case Stale:
		return "stale"
	}
	return "none"
}

// Result is a value and what is known of it.
type Result[V any] struct {
	// Value is shared between requests and must not be changed. It is the
	// zero value where Found is false.
	Value V

	// Found is false where the source said with authority that there is no
	// such thing.
	Found bool

	// State says whether the value is fresh, or stale because the source
	// fails.
	State State

	// FetchedAt is when the value's fetch began.
	FetchedAt time.Time

	// Digest is the SHA-256 of the encoded value; equal digests mean equal
	// content. Zero for an absence.
	Digest [sha256.Size]byte

	// Tier is where the value came from: memory, redis or source.
	Tier string

	// Handle lets a decision made from the value ask later whether it is still valid.
	Handle Handle
}

// Cache is a view of a store for one kind of value. It holds nothing itself;
// any number of views may share a store, and views of one kind share entries.
//
// A key must stand for equal rights: whoever asks for it must be entitled to
// what any load for that key returns, because loads are shared.
type Cache[V any] struct {
	store *Store
	codec Codec[V]
}

// New returns a view of the store.
func New[V any](s *Store, codec Codec[V]) *Cache[V] {
	return &Cache[V]{store: s, codec: codec}
}

// maxAttempts bounds how often one call looks again because what it waited for
// was too old for its own TTLs, or was purged under way.
const maxAttempts = 4

// Get answers the value under key: from memory, from the shared tier, or from
// load, which runs once per key at a time under a context of its own (that of
// the first caller without its cancellation, with the store's deadline).
//
// names lists the ids that the caller asked with (subject, app id), so that a
// purge finds entries that hold other ids, or none; nil means there are none.
// names and load may run after the caller has left.
//
// The error is the load's (or ErrLoadTimeout, ErrLoadPanicked, ErrBusy,
// ErrTooLarge) where nothing usable is held, or the context's.
func (c *Cache[V]) Get(ctx context.Context, key Key, ttls TTLs, names func() []ID, load func(context.Context) (V, error)) (Result[V], error) {
	s := c.store
	arrived := s.log.Version()
	for attempt := 0; ; attempt++ {
		t := s.log.Ticks(s.log.Now())
		held := s.inMemory(ctx, key)
		if held != nil {
			if r, ok := c.serve(ctx, held, t, ttls, names, load); ok {
				return r, nil
			}
		}
		if attempt == 0 {
			s.observer.CacheRequest(TierMemory, OutcomeMiss)
		}
		l := ttls // its own copy: a hit allocates nothing
		call, err := s.calls.join(ctx, key,
			func(ctx context.Context) outcome { return c.fetch(ctx, key, &l, false, names, load) },
			func(out outcome) { s.commit(ctx, key, nil, &l, out) })
		if err != nil {
			return c.fallback(outcome{err: err}, held, &ttls)
		}
		select {
		case <-call.Done():
		case <-ctx.Done():
			return Result[V]{}, fmt.Errorf("waiting for a cache load: %w", context.Cause(ctx))
		}
		out, err := call.Result()
		if err != nil {
			return c.fallback(outcome{err: err}, held, &ttls)
		}
		if out.err != nil {
			return c.fallback(out, held, &ttls)
		}
		e := out.entry
		switch {
		case e.valid(s.log):
			fresh, _ := s.freshness(e, s.log.Ticks(s.log.Now()), &ttls)
			if fresh || out.loaded {
				return c.result(e, Fresh, out.tier), nil
			}
		case out.loaded && e.began >= arrived:
			// Purged after this request came: the answer is not kept, but
			// for this request it is the truth.
			return c.result(e, Fresh, out.tier), nil
		}
		if attempt+1 == maxAttempts {
			return Result[V]{}, ErrBusy
		}
	}
}

// DropIfPurged reports whether a purge since the fetch of a part's value names one
// of the ids: further names of what the value is about, which were not known
// when it was fetched. Such a value is let go of, so that a Get which asks with
// these names too loads it anew.
func (c *Cache[V]) DropIfPurged(p Handle, ids []ID) bool {
	if p.slot == nil {
		return false
	}
	s, e := c.store, p.slot.current.Load()
	if e.generation != p.generation || s.log.Version() == e.began && !e.shared {
		return false
	}
	names := s.keys.hashAll(ids)
	if !s.log.Purged(e.began, names) && !(e.shared && s.log.PurgedAfter(e.Position, names)) {
		return false
	}
	s.memory.Delete(p.slot.key)
	return true
}

// refresh fetches a value anew behind the request, unless another request does so
// already. It never waits.
func (c *Cache[V]) refresh(ctx context.Context, sl *slot, ttls TTLs, names func() []ID, load func(context.Context) (V, error)) {
	s := c.store
	if s.closed.Load() || !sl.refreshing.CompareAndSwap(false, true) {
		return
	}
	started := s.calls.refresh(ctx, sl.key,
		func(ctx context.Context) outcome { return c.fetch(ctx, sl.key, &ttls, true, names, load) },
		func(out outcome) { s.commit(ctx, sl.key, sl, &ttls, out) })
	if !started {
		sl.refreshing.Store(false)
	}
}

// serve answers from a held entry where that is enough, and starts a refresh
// behind the request where one is due.
func (c *Cache[V]) serve(ctx context.Context, e *Entry, t int64, ttls TTLs, names func() []ID, load func(context.Context) (V, error)) (Result[V], bool) {
	s := c.store
	if e.evicted || s.closed.Load() {
		return Result[V]{}, false
	}
	fresh, stale := s.freshness(e, t, &ttls)
	switch {
	case fresh:
		if e.Found && e.slot.refreshDue(t, time.Duration(t-e.fetched), &ttls) {
			c.refresh(ctx, e.slot, ttls, names, load)
		}
		outcome := OutcomeHit
		if !e.Found {
			outcome = OutcomeNegative
		}
		s.observer.CacheRequest(TierMemory, outcome)
		return c.result(e, Fresh, TierMemory), true
	case stale:
		// While the source fails, requests do not wait for it one after
		// another: one asks behind them all.
		retryAt := e.slot.retryAt.Load()
		if retryAt == 0 || t >= retryAt+int64(retryGrace) {
			return Result[V]{}, false
		}
		if t >= retryAt {
			c.refresh(ctx, e.slot, ttls, names, load)
		}
		s.observer.CacheRequest(TierMemory, OutcomeStale)
		return c.result(e, Stale, TierMemory), true
	}
	return Result[V]{}, false
}

// fallback answers after a failed load: a stale value where the reader's TTLs
// allow one, else the error.
func (c *Cache[V]) fallback(out outcome, held *Entry, ttls *TTLs) (Result[V], error) {
	s := c.store
	t := s.log.Ticks(s.log.Now())
	for _, e := range []*Entry{held, out.entry} {
		if e == nil || e.evicted {
			continue
		}
		tier := TierMemory
		if e == out.entry {
			tier = out.tier
		}
		switch fresh, stale := s.freshness(e, t, ttls); {
		case fresh:
			return c.result(e, Fresh, tier), nil
		case stale:
			s.observer.CacheRequest(tier, OutcomeStale)
			return c.result(e, Stale, tier), nil
		}
	}
	return Result[V]{}, out.err
}

// result turns an entry into a result.
func (c *Cache[V]) result(e *Entry, state State, tier string) Result[V] {
	r := Result[V]{
		Found: e.Found, State: state, FetchedAt: e.FetchedAt, Digest: e.digest, Tier: tier,
	}
	if e.Found {
		r.Value, _ = e.Value.(V)
	}
	if e.slot != nil {
		r.Handle = Handle{slot: e.slot, generation: e.generation, stale: state == Stale}
	}
	return r
}

// fetch is one load: the shared tier, then the source.
func (c *Cache[V]) fetch(ctx context.Context, key Key, ttls *TTLs, refresh bool, names func() []ID, load func(context.Context) (V, error)) outcome {
	s := c.store
	closed := s.closed.Load()
	held := s.inMemory(ctx, key)
	if held != nil && !refresh && !held.evicted && !closed {
		// Another load may have committed it just before this one was set up.
		if fresh, _ := s.freshness(held, s.log.Ticks(s.log.Now()), ttls); fresh {
			return outcome{entry: held, tier: TierMemory}
		}
	}
	var asked []purgelog.NameHash
	if names != nil {
		asked = s.keys.hashAll(names())
	}
	var stale *Entry
	if s.shared != nil && !closed {
		e := c.fromShared(ctx, key, held, asked)
		if e != nil {
			t := s.log.Ticks(s.log.Now())
			fresh, past := s.freshness(e, t, ttls)
			switch {
			case fresh && !(refresh && time.Duration(t-e.fetched) >= ttls.RefreshAfter):
				return outcome{entry: e, tier: s.shared.Name()}
			case past:
				stale = e
			}
		}
	}
	out := c.fromSource(ctx, asked, load)
	if out.err != nil {
		out.entry = stale
		if stale != nil {
			out.tier = s.shared.Name()
		}
	}
	return out
}

// fromShared asks the shared tier. It answers nil for whatever is not usable
// at all: absent, unopenable, purged, or older than what this process held.
func (c *Cache[V]) fromShared(ctx context.Context, key Key, held *Entry, asked []purgelog.NameHash) *Entry {
	s := c.store
	if !s.waitForPurgeLog(ctx) {
		return nil // without the log no entry can be used
	}
	name := s.shared.Name()
	e, err := s.shared.Get(ctx, key)
	if err != nil {
		outcome := OutcomeError
		if errors.Is(err, ErrMiss) {
			outcome = OutcomeMiss
		}
		s.observer.CacheRequest(name, outcome)
		return nil
	}
	now := s.log.Now()
	age := now.Round(0).Sub(e.FetchedAt) // wall time: another node's clock
	if age < -maxSkew || held != nil && held.FetchedAt.Round(0).After(e.FetchedAt) {
		s.observer.CacheRequest(name, OutcomeRefused)
		return nil
	}
	e.fetched = s.log.Ticks(now) - int64(max(age, 0))
	e.requested, e.shared = asked, true
	if e.Found {
		v, err := c.codec.Decode(e.Content)
		if err != nil {
			s.shared.Delete(key)
			s.observer.CacheRequest(name, OutcomeRefused)
			return nil
		}
		c.fill(e, v)
	}
	e.Cost += entryOverhead
	list, _ := e.nameHashes()
	version, ok := s.log.ValidAt(e.Position, list)
	if !ok {
		s.observer.CacheRequest(name, OutcomeRefused)
		return nil
	}
	e.checked.Store(version)
	e.began = version
	e.Content = nil
	outcome := OutcomeHit
	if !e.Found {
		outcome = OutcomeNegative
	}
	s.observer.CacheRequest(name, outcome)
	return e
}

// waitForPurgeLog reports whether the log was read. A moment after the start it is
// worth waiting for the first reading.
func (s *Store) waitForPurgeLog(ctx context.Context) bool {
	if s.log.Loaded() {
		return true
	}
	timer := time.NewTimer(maxPurgeLogWait)
	defer timer.Stop()
	select {
	case <-s.log.Attempted():
	case <-timer.C:
	case <-ctx.Done():
	}
	return s.log.Loaded()
}

// fromSource asks the source.
func (c *Cache[V]) fromSource(ctx context.Context, asked []purgelog.NameHash, load func(context.Context) (V, error)) outcome {
	s := c.store
	now := s.log.Now()
	e := &Entry{
		FetchedAt: now, Position: s.log.Position(),
		fetched: s.log.Ticks(now), began: s.log.Version(), requested: asked, Cost: entryOverhead,
	}
	e.checked.Store(e.began)
	v, err := load(ctx)
	switch {
	case err == nil:
		e.Found = true
		if e.Content, err = c.codec.Encode(v); err == nil && len(e.Content) > MaxEntry {
			err = ErrTooLarge
		}
		if err != nil {
			s.observer.CacheRequest(TierSource, OutcomeError)
			return outcome{err: fmt.Errorf("encoding a cache entry: %w", err)}
		}
		c.fill(e, v)
		s.observer.CacheRequest(TierSource, OutcomeHit)
	case errors.Is(err, ErrNotFound):
		s.observer.CacheRequest(TierSource, OutcomeNegative)
	default:
		s.observer.CacheRequest(TierSource, OutcomeError)
		return outcome{err: err}
	}
	return outcome{entry: e, tier: TierSource, loaded: true}
}

// fill completes an entry that holds a value.
func (c *Cache[V]) fill(e *Entry, v V) {
	e.Value = v
	e.digest = sha256.Sum256(e.Content)
	if b, ok := c.codec.(Bounded[V]); ok {
		e.bound, e.bounded = b.Bound(v)
	}
	e.Cost += int64(max(0, c.codec.Cost(v)))
	// Names are hashed when they are first needed; that they then take room
	// is counted from the beginning.
	e.Cost += int64(len(e.requested)+len(c.codec.Names(v))) * int64(len(purgelog.NameHash{}))
	e.lookup = func() []purgelog.NameHash { return c.store.keys.hashAll(c.codec.Names(v)) }
}
