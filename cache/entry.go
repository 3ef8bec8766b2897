package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// Entry is what a tier holds under one key. It is immutable once it has been
// handed over.
type Entry struct {
	// Found is false for an authoritative absence.
	Found bool

	// FetchedAt is when the fetch began.
	FetchedAt time.Time

	// Position is the place in the purge log at which the fetch began.
	Position purgelog.Position

	// Content is the encoded value. Only entries on their way to or from a
	// shared tier have it.
	Content []byte

	// Value is the decoded value. Only entries of a memory tier have it.
	Value any

	// Cost is the size on the heap in bytes, all counted.
	Cost int64

	digest  [sha256.Size]byte
	bounded bool          // the value itself says for how long it may be used,
	bound   time.Duration // which is this, see Bounded
	fetched int64         // ticks of FetchedAt on this node's timeline
	began   uint64        // version of the log when the fetch began, or when it was read
	shared  bool          // read from a shared tier
	checked atomic.Uint64 // version of the log at which the names were checked

	slot       *slot
	generation uint64
	requested  []purgelog.NameHash // what the reader asked with
	lookup     func() []purgelog.NameHash
	names      atomic.Pointer[[]purgelog.NameHash]
	evicted    bool // a tombstone: the tier dropped the value
}

// entryOverhead is what an entry costs beside its value: the entry, its slot
// and the tier's own bookkeeping. Measured, not computed; see the tests.
const entryOverhead = 640

// Evicted records that the entry's tier dropped it by itself. What a decision
// remembers of it stays, the value is released. Tiers of this process call
// it for what they evict.
func (e *Entry) Evicted() {
	if e.slot != nil {
		e.slot.current.CompareAndSwap(e, e.tombstone())
	}
}

// tombstone is the entry without its value.
func (e *Entry) tombstone() *Entry {
	s := &Entry{
		Found: e.Found, FetchedAt: e.FetchedAt, Position: e.Position,
		digest: e.digest, bounded: e.bounded, bound: e.bound, fetched: e.fetched, began: e.began, shared: e.shared,
		slot: e.slot, generation: e.generation, evicted: true,
	}
	s.checked.Store(e.checked.Load())
	return s
}

// freshFor is how long the entry is fresh for a reader.
func (e *Entry) freshFor(ttls *TTLs) time.Duration {
	limit := ttls.freshFor(e.Found)
	if e.bounded {
		limit = min(limit, e.bound)
	}
	return limit
}

// nameHashes lists the names that a purge may find the entry by. They are hashed
// when the log first moves past the entry, which for most entries is never.
func (e *Entry) nameHashes() ([]purgelog.NameHash, bool) {
	if e.evicted {
		return nil, false
	}
	if p := e.names.Load(); p != nil {
		return *p, true
	}
	list := e.requested
	if e.lookup != nil {
		list = append(slices.Clip(list), e.lookup()...)
	}
	e.names.Store(&list)
	return list, true
}

// valid reports whether no purge since the last check names the entry.
func (e *Entry) valid(l *purgelog.Log) bool {
	checked := e.checked.Load()
	version, ok := l.ValidSince(checked, e.nameHashes)
	if ok && version != checked {
		e.checked.Store(version)
	}
	return ok
}

// entryVersion is the first byte of an encoded entry.
const entryVersion = 1

// entryHead is the length of what precedes the content: version, flags,
// fetch time, position.
const entryHead = 1 + 1 + 8 + 16

// MaxEncodedEntry bounds an encoded entry, in bytes.
const MaxEncodedEntry = entryHead + MaxEntry

// errEntry is returned for bytes that are not an entry.
var errEntry = errors.New("not a cache entry")

// AppendBinary appends the entry's encoding for a shared tier to b.
func (e *Entry) AppendBinary(b []byte) ([]byte, error) {
	if len(e.Content) > MaxEntry {
		return b, ErrTooLarge
	}
	var flags byte
	if e.Found {
		flags = 1
	} else if len(e.Content) != 0 {
		return b, fmt.Errorf("encoding an absence with content: %w", errEntry)
	}
	b = append(b, entryVersion, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(e.FetchedAt.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, e.Position.Millis)
	b = binary.BigEndian.AppendUint64(b, e.Position.Serial)
	return append(b, e.Content...), nil
}

// DecodeEntry reads what AppendBinary wrote and refuses everything else. The
// entry keeps the slice.
func DecodeEntry(b []byte) (*Entry, error) {
	switch {
	case len(b) < entryHead:
		return nil, fmt.Errorf("decoding %d bytes: %w", len(b), errEntry)
	case len(b) > MaxEncodedEntry:
		return nil, ErrTooLarge
	case b[0] != entryVersion:
		return nil, fmt.Errorf("decoding version %d: %w", b[0], errEntry)
	case b[1] > 1:
		return nil, fmt.Errorf("decoding flags %#x: %w", b[1], errEntry)
	case b[1] == 0 && len(b) > entryHead:
		return nil, fmt.Errorf("decoding an absence with content: %w", errEntry)
	}
	return &Entry{
		Found:     b[1] == 1,
		FetchedAt: time.Unix(0, int64(binary.BigEndian.Uint64(b[2:]))),
		Position: purgelog.Position{
			Millis: binary.BigEndian.Uint64(b[10:]),
			Serial: binary.BigEndian.Uint64(b[18:]),
		},
		Content: b[entryHead:],
	}, nil
}
