package redis

import (
	"context"
	"errors"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Replays remembers which proofs of possession were used (RFC 9449, section
// 11.1), for all nodes.
type Replays struct{ client *Client }

// Seen reports whether key was seen within ttl before, and remembers it. It
// is one SET NX PX. Where Redis cannot answer, the error is
// cache.ErrUnavailable and nothing is known: the caller decides whether that
// refuses the request.
func (r *Replays) Seen(ctx context.Context, key [32]byte, ttl time.Duration) (bool, error) {
	seen := false
	err := r.client.call(ctx, func(ctx context.Context) error {
		err := r.client.entries.SetArgs(ctx, r.client.name(key), "1", goredis.SetArgs{
			Mode: "NX", TTL: max(ttl, time.Millisecond),
		}).Err()
		if errors.Is(err, goredis.Nil) {
			seen = true
			return nil
		}
		return err
	})
	return seen, err
}
