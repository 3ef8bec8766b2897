package pooled

import (
	"context"
	"errors"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// ReplayMemory is the memory of used DPoP proofs of one configuration, for all its
// issuers, so that a change of an issuer's settings forgets none. Where there
// is Redis, its answer counts; what this process remembers is kept beside it,
// because a reload may bring Redis or take it away.
type ReplayMemory struct {
	local  *issuer.LocalReplayMemory // of all configurations
	client *redis.Client             // nil: memory only
}

// maxReplays bounds what this process remembers, of all issuers together.
const maxReplays = 1 << 18

// NewReplayMemory returns the memory of a configuration. client is nil where there
// is no Redis.
func NewReplayMemory(local *issuer.LocalReplayMemory, client *redis.Client) *ReplayMemory {
	return &ReplayMemory{local: local, client: client}
}

// AcquireReplays acquires this process's memory of used proofs.
func AcquireReplays(r *Releases) (*issuer.LocalReplayMemory, error) {
	return Acquire(r, "proofs", "", func() (*issuer.LocalReplayMemory, error) {
		return issuer.NewLocalReplayMemory(time.Now, maxReplays), nil
	}, nil)
}

// Seen reports whether a proof was used before, and remembers it for life. It is an
// error that Redis cannot answer, because another node may have seen the proof.
func (m *ReplayMemory) Seen(ctx context.Context, key [32]byte, life time.Duration) (bool, error) {
	if m.client == nil {
		return m.local.Seen(ctx, key, life)
	}
	seen, err := m.client.Replays().Seen(ctx, key, life)
	if seen || err != nil {
		return seen, err
	}
	seen, err = m.local.Seen(ctx, key, life)
	if errors.Is(err, issuer.ErrReplayFull) {
		return false, nil // Redis has the room, and has answered
	}
	return seen, err
}

// Interface guard
var _ issuer.ReplayMemory = (*ReplayMemory)(nil)
