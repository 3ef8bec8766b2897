package issuer

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// maxReplayEntries bounds the memory of used proofs of one issuer in this
// process: 2,000 proofs a second for two minutes, some 20 MB.
const maxReplayEntries = 1 << 18

// ErrReplayFull says that the memory of used proofs has no room. Dropping
// an entry would let its proof be used twice, so this is a failure.
var ErrReplayFull = errors.New("memory of used proofs is full")

// ReplayMemory remembers the DPoP proofs that were used (RFC 9449, section
// 11.1).
type ReplayMemory interface {
	// Seen reports whether key was seen before and remembers it for life. The
	// first caller of a key, and only that one, is told false. An error means
	// that the memory cannot tell.
	Seen(ctx context.Context, key [32]byte, life time.Duration) (bool, error)
}

// LocalReplayMemory remembers in this process. It holds two generations of
// keys: once the younger is as old as the longest life, the elder is dropped
// whole, so that no key has to be looked for.
type LocalReplayMemory struct {
	clock func() time.Time
	max   int

	mu                sync.Mutex
	current, previous map[[32]byte]struct{}
	turned            time.Time
	longest           time.Duration
}

// NewLocalReplayMemory makes a memory of at most max keys.
func NewLocalReplayMemory(clock func() time.Time, max int) *LocalReplayMemory {
	return &LocalReplayMemory{clock: clock, max: max, current: make(map[[32]byte]struct{})}
}

// Seen implements ReplayMemory. Its only error is ErrReplayFull.
func (m *LocalReplayMemory) Seen(_ context.Context, key [32]byte, life time.Duration) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clock()
	m.longest = max(m.longest, life)
	if m.turned.IsZero() || now.Before(m.turned) {
		// A clock that was set back must not let entries go early.
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

// A replayGuard uses the gateway's memory, and the issuer's own where there is
// none or where the configuration relies on it while the gateway's is down.
type replayGuard struct {
	local           *LocalReplayMemory
	toleratesOutage bool // the gateway's
}

func newReplayGuard(mode string, o Options) replayGuard {
	return replayGuard{local: NewLocalReplayMemory(o.Clock, maxReplayEntries), toleratesOutage: mode == replayLocal}
}

// use marks a proof as used. shared is the gateway's memory, or nil.
func (g *replayGuard) use(ctx context.Context, shared ReplayMemory, key [32]byte, life time.Duration) error {
	// This one is kept also while the gateway's works: it must know the proofs
	// of before once it stands alone.
	if shared == nil || g.toleratesOutage {
		seen, err := g.local.Seen(ctx, key, life)
		switch {
		case err != nil:
			return fmt.Errorf("%w: %w", err, ErrReplayMemory)
		case seen:
			return ErrReplay
		}
	}
	if shared == nil {
		return nil
	}
	seen, err := shared.Seen(ctx, key, life)
	switch {
	case seen && err == nil:
		return ErrReplay
	case err != nil && !g.toleratesOutage:
		return fmt.Errorf("asking the shared memory of used proofs: %w", ErrReplayMemory)
	}
	return nil
}
