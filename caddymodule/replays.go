package caddymodule

import (
	"context"
	"errors"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// replays is the memory of used DPoP proofs of one configuration, for all its
// issuers, so that a change of an issuer's settings forgets none. Where there
// is Redis, its word counts; what this process remembers is kept beside it,
// because a reload may bring Redis or take it away.
type replays struct {
	local  *issuer.LocalReplayMemory // of all configurations
	client *redis.Client             // nil: memory only
}

// maxReplays bounds what this process remembers, of all issuers together.
const maxReplays = 1 << 18

// openProofs takes or makes this process's memory of used proofs.
func (a *App) openProofs() error {
	var err error
	a.proofs, err = acquire(&a.releases, "proofs", "", func() (*issuer.LocalReplayMemory, error) {
		return issuer.NewLocalReplayMemory(time.Now, maxReplays), nil
	}, nil)
	return err
}

// Seen reports whether a proof was used before, and remembers it.
func (m *replays) Seen(ctx context.Context, key [32]byte, life time.Duration) (bool, error) {
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
var _ issuer.ReplayMemory = (*replays)(nil)
