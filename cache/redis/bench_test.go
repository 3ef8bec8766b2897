package redis_test

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
)

// open seals nothing, to tell what sealing costs.
type open struct{ redis.Sealer }

func (open) Seal(_ [32]byte, plain []byte) ([]byte, error)  { return plain, nil }
func (open) Open(_ [32]byte, sealed []byte) ([]byte, error) { return sealed, nil }

func BenchmarkGet(b *testing.B) {
	server := cachetest.StartRedis(b)
	for name, sealer := range map[string]redis.Sealer{"sealed": ring(b, 1), "open": open{ring(b, 1)}} {
		b.Run(name, func(b *testing.B) {
			n := connect(b, redis.Config{URL: server.URL(), Timeout: cache.Duration(time.Second)},
				func(o *redis.Options) { o.Sealer = sealer })
			n.tier.Set(key(1), entry(strings.Repeat("x", 4096)), time.Hour)
			n.settle(b)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := n.tier.Get(b.Context(), key(1)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
