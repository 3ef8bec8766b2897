package cache

import "errors"

// ErrNotFound is what a load returns (wrapped or not) when the source said
// with authority that there is no such thing. It becomes a negative entry with
// a TTL of its own. Any other error is a failure and is never cached.
var ErrNotFound = errors.New("not found at the source")

// ErrMiss is what a tier answers where it holds nothing usable under a key.
var ErrMiss = errors.New("no entry in the cache tier")

// ErrUnavailable is returned where a shared tier or its log cannot be reached now. It
// never fails a look-up; it fails what has no other way, such as the replay
// memory.
var ErrUnavailable = errors.New("shared cache tier is unavailable")

// ErrUnsealed is returned where a shared tier held something under the key that does
// not open: edited, swapped, cut short, sealed under an unknown key, or of an
// older version. It counts as a miss.
var ErrUnsealed = errors.New("cache entry cannot be unsealed")

// ErrTooLarge is returned where the encoded value is over MaxEntry.
var ErrTooLarge = errors.New("value is over the size limit of a cache entry")

// ErrLoadTimeout is returned where a load did not end within the store's deadline.
var ErrLoadTimeout = errors.New("loading a cache entry timed out")

// ErrLoadPanicked is returned where a load panicked. Every request that waited for it
// gets this error; the next one loads again.
var ErrLoadPanicked = errors.New("loading a cache entry panicked")

// ErrBusy is returned where the store has MaxLoads loads under way already.
var ErrBusy = errors.New("too many cache loads under way")

// ErrClosed is returned where the store or the tier was closed.
var ErrClosed = errors.New("cache is closed")
