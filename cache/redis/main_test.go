package redis_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// The driver asks a server that was away for a while once a second whether it
// is back, and notices a closed pool only then.
func TestMain(m *testing.M) {
	cachetest.Main(m, goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
