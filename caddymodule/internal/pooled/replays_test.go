package pooled

import (
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// Listeners take requests before Caddy has made their configuration the one that
// runs; a proof is used up on all nodes already then.
func TestProofsAreSharedBeforeAConfigurationRuns(t *testing.T) {
	server := cachetest.StartRedis(t)
	ring, err := seal.NewRing(nil, make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	node := func(room int) *ReplayMemory {
		client, err := redis.New(redis.Config{URL: server.URL(), Timeout: cache.Duration(5 * time.Second)}, redis.Options{Sealer: ring})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = client.Close() })
		return NewReplayMemory(issuer.NewLocalReplayMemory(time.Now, room), client)
	}
	// What this process may remember is bounded; Redis has the room.
	a, b := node(1), node(1)
	for n := range byte(3) {
		for i, m := range []*ReplayMemory{a, b, a} {
			if seen, err := m.Seen(t.Context(), [32]byte{n}, time.Minute); err != nil || seen != (i > 0) {
				t.Errorf("proof %d, time %d: seen %t, %v", n, i, seen, err)
			}
		}
	}
}
