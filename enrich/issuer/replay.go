package issuer

import (
	"context"
	"time"
)

// ReplayMemory remembers the DPoP proofs that were used (RFC 9449, section
// 11.1).
type ReplayMemory interface {
	// Seen reports whether key was seen before and remembers it for life. The
	// first caller of a key, and only that one, is told false. An error means
	// that the memory cannot tell.
	Seen(ctx context.Context, key [32]byte, life time.Duration) (bool, error)
}
