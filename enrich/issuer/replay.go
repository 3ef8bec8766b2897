package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// This file remembers the DPoP proofs that have been used.

// maxReplayEntries bounds the memory of used proofs of one issuer in this process:
// 2,000 proofs a second for two minutes, some 20 MB.
const maxReplayEntries = 1 << 18

// ErrReplayFull is a memory of used proofs without room for another. It is a
// failure, because evicting an entry would let its proof be used twice.
var ErrReplayFull = errors.New("memory of used proofs is full")

// ReplayMemory remembers the DPoP proofs that have been used (RFC 9449, section
// 11.1). It must be safe for concurrent use.
type ReplayMemory interface {
	// Seen reports whether key was seen before, and remembers it for ttl. It
	// returns false to the first caller of a key, and to that one only. An
	// error means that the memory cannot answer.
	Seen(ctx context.Context, key [32]byte, ttl time.Duration) (bool, error)
}

// LocalReplayMemory is a ReplayMemory of this process. It holds two generations of
// keys. Once the current one is as old as the longest ttl, the previous one is
// dropped as a whole, so that no key has to be searched for.
type LocalReplayMemory struct {
	clock func() time.Time
	max   int

	mu                sync.Mutex
	current, previous map[[32]byte]struct{}
	turned            time.Time
	longest           time.Duration
}

// NewLocalReplayMemory returns a memory of at most max keys.
func NewLocalReplayMemory(clock func() time.Time, max int) *LocalReplayMemory {
	return &LocalReplayMemory{clock: clock, max: max, current: make(map[[32]byte]struct{})}
}

// Seen implements ReplayMemory. Its only error is ErrReplayFull.
func (m *LocalReplayMemory) Seen(_ context.Context, key [32]byte, ttl time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	m.longest = max(m.longest, ttl)
	if m.turned.IsZero() || now.Before(m.turned) {
		// A clock that was set back must not drop entries too early.
		m.turned = now
	}
	if age := now.Sub(m.turned); age > m.longest {
		m.previous, m.current = m.current, make(map[[32]byte]struct{})
		if age > 2*m.longest {
			m.previous = nil
		}
		m.turned = now
	}
	_, young := m.current[key]
	_, elder := m.previous[key]
	if young || elder {
		return true, nil
	}
	if len(m.current)+len(m.previous) >= m.max {
		return false, ErrReplayFull
	}
	m.current[key] = struct{}{}
	return false, nil
}

// A replayGuard uses the gateway's memory. It uses the issuer's own as well if the
// configuration relies on it while the gateway's is down, and alone if the gateway
// has none.
type replayGuard struct {
	local           *LocalReplayMemory
	toleratesOutage bool // of the gateway's memory
}

func newReplayGuard(mode string, o Options) replayGuard {
	return replayGuard{local: NewLocalReplayMemory(o.Clock, maxReplayEntries), toleratesOutage: mode == replayLocal}
}

// use marks a proof as used for ttl. Shared is the gateway's memory, or nil. Errors
// wrap errReplay or errReplayMemory.
func (g *replayGuard) use(ctx context.Context, shared ReplayMemory, key [32]byte, ttl time.Duration) error {
	// The local memory is filled also while the gateway's works, because it must
	// know the earlier proofs when that fails.
	if shared == nil || g.toleratesOutage {
		seen, err := g.local.Seen(ctx, key, ttl)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", err, errReplayMemory)
		case seen:
			return errReplay
		}
	}
	if shared == nil {
		return nil
	}
	seen, err := shared.Seen(ctx, key, ttl)
	switch {
	case seen && err == nil:
		return errReplay
	case err != nil && !g.toleratesOutage:
		return fmt.Errorf("asking the shared memory of used proofs: %w", errReplayMemory)
	}
	return nil
}
