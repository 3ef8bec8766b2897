package cache

import "time"

// MaxEntry bounds the encoded size of one value, in bytes. A person with ten
// thousand groups fits; what is larger is a fault of the source.
const MaxEntry = 1 << 20

// Codec knows one kind of value. Its methods must be pure: the same value
// encodes to the same bytes, because a digest of them shows whether a refreshed
// value changed.
type Codec[V any] interface {
	// Encode returns the value's bytes, deterministically.
	Encode(V) ([]byte, error)

	// Decode reads what Encode wrote and refuses everything else. It must
	// not keep the slice.
	Decode([]byte) (V, error)

	// Cost estimates the value's size on the heap in bytes.
	Cost(V) int

	// Names lists the ids in the value that a purge may name. The ids that
	// the reader asked with are added by the cache.
	Names(V) []ID
}

// Bounded is met by a codec whose values say for how long they may be used,
// which shortens a reader's TTL and never makes it longer.
type Bounded[V any] interface {
	// Bound returns that time, counted from the fetch; false where the value
	// does not say. A value with a bound of zero answers those who waited for
	// it and is held in no tier.
	Bound(V) (time.Duration, bool)
}
