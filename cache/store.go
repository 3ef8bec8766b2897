package cache

import (
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// Defaults of Options.
const (
	// DefaultLoadTimeout is the deadline of one load, all retries of the
	// source included.
	DefaultLoadTimeout = 10 * time.Second

	// DefaultRetryFloor is how long after a failed load a stale value serves
	// before the source is asked again.
	DefaultRetryFloor = time.Second
)

// retryGrace is how long after the minimum interval a stale value still serves at once,
// while the source is asked behind the request. A key that no request asked for in
// the meantime is loaded in the foreground: the source may be well again.
const retryGrace = 10 * time.Second

// maxPurgeLogWait is how long a look-up waits for the first reading of a shared
// log, without which a shared entry cannot be used.
const maxPurgeLogWait = 100 * time.Millisecond

// maxSkew is how far in the future another node's fetch may lie before its
// entry is taken for one without a usable time.
const maxSkew = time.Minute

// Options configures a Store.
type Options struct {
	// KeyDeriver hashes the names that a purge may use. Required.
	KeyDeriver *KeyDeriver

	// Memory holds decoded values in this process. Required.
	Memory Tier

	// Shared holds sealed entries for all nodes; nil means memory only.
	Shared Tier

	// Log knows what was purged; nil means a log of this node alone. A
	// shared tier needs a log that is shared as well. The store starts and
	// closes it.
	Log *purgelog.Log

	// KeepLog leaves the log open when the store is closed: it belongs to
	// an owner that outlives the store.
	KeepLog bool

	// Clock returns the time where Log is nil (a log brings its own); nil
	// means time.Now.
	Clock func() time.Time

	// Rand seeds this node's jitter; nil means crypto/rand.
	Rand io.Reader

	// Logger receives panics of loads; nil means none.
	Logger *slog.Logger

	// Observer counts requests; nil means none.
	Observer Observer

	// LoadTimeout is the deadline of one load; zero means
	// DefaultLoadTimeout.
	LoadTimeout time.Duration

	// RetryFloor is how long after a failed load a stale value serves before
	// the source is asked again; zero means DefaultRetryFloor.
	RetryFloor time.Duration
}

// Store owns tiers, log and flights. It is made to outlive configurations:
// whatever depends on one comes with each call.
type Store struct {
	keys     *KeyDeriver
	memory   Tier
	shared   Tier // nil: memory only
	log      *purgelog.Log
	keepLog  bool
	observer Observer
	calls    calls
	floor    time.Duration
	salt     uint64

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error
}

// NewStore returns a store. It touches no network.
func NewStore(o Options) (*Store, error) {
	if o.KeyDeriver == nil || o.Memory == nil {
		return nil, errors.New("opening a cache store: a key deriver and a memory tier are required")
	}
	if o.Log == nil {
		o.Log = purgelog.New(purgelog.Options{Clock: o.Clock, Logger: o.Logger, Observer: o.Observer})
	}
	if o.Shared != nil && !o.Log.Shared() {
		return nil, errors.New("opening a cache store: a shared tier needs a shared purge log")
	}
	o.Rand = cmp.Or(o.Rand, crand.Reader)
	var salt [8]byte
	if _, err := io.ReadFull(o.Rand, salt[:]); err != nil {
		return nil, fmt.Errorf("opening a cache store: reading random bytes: %w", err)
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.LoadTimeout <= 0 {
		o.LoadTimeout = DefaultLoadTimeout
	}
	if o.RetryFloor <= 0 {
		o.RetryFloor = DefaultRetryFloor
	}
	return &Store{
		keys: o.KeyDeriver, memory: o.Memory, shared: o.Shared, log: o.Log, keepLog: o.KeepLog,
		observer: observed(o.Observer),
		calls:    calls{timeout: o.LoadTimeout, logger: o.Logger},
		floor:    o.RetryFloor,
		salt:     binary.LittleEndian.Uint64(salt[:]),
	}, nil
}

// Start begins to follow the purge log, once.
func (s *Store) Start() { s.log.Start() }

// Log is the store's purge log.
func (s *Store) Log() *purgelog.Log { return s.log }

// Denials is the deny list that rides the purge log.
func (s *Store) Denials() *purgelog.DenyList { return s.log.Denials() }

// KeyDeriver makes the store's keys and names.
func (s *Store) KeyDeriver() *KeyDeriver { return s.keys }

// Purge makes every value unusable that carries one of the ids, on this node
// at once. The propagation says how far it got.
func (s *Store) Purge(ctx context.Context, ids ...ID) (purgelog.Propagation, error) {
	records := make([]purgelog.Record, 0, len(ids))
	for _, id := range ids {
		r := purgelog.Record{Name: s.keys.NameHash(id)}
		switch id.Kind {
		case UserID:
			r.Kind = purgelog.PurgeUser
		case GroupID:
			r.Kind = purgelog.PurgeGroup
		case AppID:
			r.Kind = purgelog.PurgeApp
		default:
			return purgelog.ThisNode, fmt.Errorf("purging an id of kind %d: not a log record", id.Kind)
		}
		records = append(records, r)
	}
	return s.log.Append(ctx, records...)
}

// PurgeAll makes every value unusable.
func (s *Store) PurgeAll(ctx context.Context) (purgelog.Propagation, error) {
	return s.log.Append(ctx, purgelog.Record{Kind: purgelog.PurgeAll})
}

// Status describes the store.
type Status struct {
	// Tiers are memory and, where there is one, the shared tier.
	Tiers []TierStatus `json:"tiers"`

	// Log is the purge log.
	Log purgelog.Status `json:"log"`
}

// Status describes the tiers and the log.
func (s *Store) Status() Status {
	st := Status{Tiers: []TierStatus{s.memory.Status()}, Log: s.log.Status()}
	if s.shared != nil {
		st.Tiers = append(st.Tiers, s.shared.Status())
	}
	return st
}

// Close ends the tiers, and the log unless it is kept, once. Requests that come later are
// answered by their loads alone.
func (s *Store) Close() error {
	s.closeOnce.Do(func() {
		s.closed.Store(true)
		var err error
		if !s.keepLog {
			err = s.log.Close()
		}
		if s.shared != nil {
			err = errors.Join(err, s.shared.Close())
		}
		s.closeErr = errors.Join(err, s.memory.Close())
	})
	return s.closeErr
}

// inMemory is the entry that this process holds under key, or nil.
func (s *Store) inMemory(ctx context.Context, key Key) *Entry {
	e, err := s.memory.Get(ctx, key)
	if err != nil {
		return nil
	}
	return e
}

// freshness reports what an entry is worth for a reader: fresh, or stale (past its
// TTL and inside stale-if-error), or neither.
func (s *Store) freshness(e *Entry, t int64, ttls *TTLs) (fresh, stale bool) {
	age, limit := time.Duration(t-e.fetched), e.freshFor(ttls)
	if age >= limit {
		if !e.Found || age >= limit+ttls.StaleIfError {
			return false, false
		}
		stale = true
	}
	if !s.log.Confirmed(t, e.fetched, ttls.UnconfirmedMax) || !e.valid(s.log) {
		return false, false
	}
	return !stale, stale
}

// newSlot makes the slot of a key that this process has not held before.
func (s *Store) newSlot(key Key) *slot {
	mixed := (binary.LittleEndian.Uint64(key[:8]) ^ s.salt) * 0x9e3779b97f4a7c15
	const tenth = 102 // of 1024
	return &slot{key: key, store: s, jitter: int64(mixed>>33%(2*tenth+1)) - tenth}
}

// commit puts the result of a load in its place. hint is the slot that asked
// for it, if one did: it may be another than the one held under the key, where
// the tier let that go in between.
func (s *Store) commit(ctx context.Context, key Key, hint *slot, ttls *TTLs, out outcome) {
	if hint != nil {
		defer hint.refreshing.Store(false)
	}
	held := s.inMemory(ctx, key)
	c := hint
	if held != nil {
		c = held.slot
	}
	t := s.log.Ticks(s.log.Now())
	if out.err != nil {
		if c != nil {
			c.retryAt.Store(t + int64(s.floor))
		}
		if hint != nil && hint != c {
			hint.retryAt.Store(t + int64(s.floor))
		}
	}
	e := out.entry
	if e != nil && e.bounded && e.bound <= 0 {
		return // its source wants it kept nowhere
	}
	if e == nil || s.closed.Load() || e == held || e.slot != nil || !e.valid(s.log) {
		return
	}
	if c == nil {
		c = s.newSlot(key)
		if out.err != nil {
			c.retryAt.Store(t + int64(s.floor))
		}
	}
	if hint != nil && hint != c {
		hint.put(e.tombstone())
		if out.err == nil {
			hint.retryAt.Store(0)
		}
	}
	content := e.Content
	e.Content = nil // memory holds the value itself
	if !c.put(e) {
		return
	}
	if out.err == nil {
		c.retryAt.Store(0)
	}
	keep := ttls.retainFor(e.Found)
	s.memory.Set(key, e, keep)
	if out.loaded && s.shared != nil && s.log.Loaded() {
		s.log.Retain(keep)
		s.shared.Set(key, &Entry{
			Found: e.Found, FetchedAt: e.FetchedAt, Position: e.Position, Content: content,
		}, keep)
	}
}
