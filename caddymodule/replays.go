package caddymodule

import (
	"context"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// replays is the memory of used DPoP proofs, one for all issuers, so that a
// change of an issuer's settings forgets none. Issuers outlive configurations,
// so it looks at each use for the Redis of the one that runs; without Redis,
// this process remembers by itself.
type replays struct {
	local *issuer.LocalReplayMemory
}

// maxReplays bounds what this process remembers, of all issuers together.
const maxReplays = 1 << 18

func newReplays() (*replays, error) {
	return &replays{local: issuer.NewLocalReplayMemory(time.Now, maxReplays)}, nil
}

// Seen reports whether a proof was used before, and remembers it.
func (m *replays) Seen(ctx context.Context, key [32]byte, life time.Duration) (bool, error) {
	if app, err := activeApp(); err == nil && app.store.remote != nil {
		if _, err := app.store.get(ctx); err != nil {
			return false, err
		}
		return app.store.client.Replays().Seen(ctx, key, life)
	}
	return m.local.Seen(ctx, key, life)
}

// Interface guard
var _ issuer.ReplayMemory = (*replays)(nil)
