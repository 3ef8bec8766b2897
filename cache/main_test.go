package cache_test

import (
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

func TestMain(m *testing.M) { cachetest.Main(m) }
