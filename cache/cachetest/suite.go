package cachetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// Subject is a tier under test.
type Subject struct {
	// Tier is the tier, empty.
	Tier cache.Tier

	// Settle waits until what was set is there to be got; nil means at once.
	Settle func()
}

// TierSuite runs what every tier must do. open returns a fresh tier.
func TierSuite(t *testing.T, open func(t *testing.T) Subject) {
	t.Helper()
	key := func(n byte) (k cache.Key) {
		k[0], k[31] = n, n
		return k
	}
	entry := func(n byte) *cache.Entry {
		return &cache.Entry{
			Found: true, FetchedAt: time.Unix(1_700_000_000+int64(n), 5).UTC(),
			Position: purgelog.Position{Millis: uint64(n), Serial: 7},
			Content:  []byte(fmt.Sprintf(`{"id":"%d"}`, n)), Value: fmt.Sprint(n), Cost: 700,
		}
	}
	absent := func() *cache.Entry { return &cache.Entry{FetchedAt: time.Unix(1_700_000_000, 0), Cost: 700} }
	ctx := context.Background()
	begin := func(t *testing.T) (cache.Tier, func()) {
		s := open(t)
		if s.Settle == nil {
			s.Settle = func() {}
		}
		return s.Tier, s.Settle
	}
	miss := func(t *testing.T, tier cache.Tier, k cache.Key) {
		t.Helper()
		if e, err := tier.Get(ctx, k); !errors.Is(err, cache.ErrMiss) || e != nil {
			t.Fatalf("got %v, %v; want a miss", e, err)
		}
	}

	t.Run("an empty tier misses", func(t *testing.T) {
		tier, _ := begin(t)
		miss(t, tier, key(1))
	})

	t.Run("what is set is got, under its own key only", func(t *testing.T) {
		tier, settle := begin(t)
		for n := byte(1); n <= 3; n++ {
			tier.Set(key(n), entry(n), time.Minute)
		}
		settle()
		for n := byte(1); n <= 3; n++ {
			got, err := tier.Get(ctx, key(n))
			if err != nil {
				t.Fatal(err)
			}
			want := entry(n)
			if !got.Found || !got.FetchedAt.Equal(want.FetchedAt) || got.Position != want.Position {
				t.Fatalf("got %+v", got)
			}
			if got.Value != want.Value && !bytes.Equal(got.Content, want.Content) {
				t.Fatalf("neither the value nor the content of %d", n)
			}
		}
		miss(t, tier, key(4))
	})

	t.Run("an absence is not a miss", func(t *testing.T) {
		tier, settle := begin(t)
		tier.Set(key(1), absent(), time.Minute)
		settle()
		if got, err := tier.Get(ctx, key(1)); err != nil || got.Found {
			t.Fatalf("%+v, %v", got, err)
		}
	})

	t.Run("the last one set is got, value or absence", func(t *testing.T) {
		tier, settle := begin(t)
		for _, e := range []*cache.Entry{entry(1), absent(), entry(2), entry(3), absent()} {
			tier.Set(key(1), e, time.Minute)
			settle()
			got, err := tier.Get(ctx, key(1))
			if err != nil || got.Found != e.Found || !got.FetchedAt.Equal(e.FetchedAt) {
				t.Fatalf("%+v, %v; want %+v", got, err, e)
			}
		}
	})

	t.Run("what is deleted is gone", func(t *testing.T) {
		tier, settle := begin(t)
		tier.Set(key(1), entry(1), time.Minute)
		tier.Set(key(2), absent(), time.Minute)
		tier.Set(key(3), entry(3), time.Minute)
		tier.Delete(key(1))
		tier.Delete(key(2))
		tier.Delete(key(9))
		settle()
		miss(t, tier, key(1))
		miss(t, tier, key(2))
		if _, err := tier.Get(ctx, key(3)); err != nil {
			t.Fatal(err)
		}
	})

	t.Run("what is not to be kept replaces what was", func(t *testing.T) {
		for _, keep := range []time.Duration{0, -time.Second} {
			tier, settle := begin(t)
			tier.Set(key(1), entry(1), time.Minute)
			tier.Set(key(1), absent(), keep)
			settle()
			miss(t, tier, key(1))
		}
	})

	t.Run("all at once", func(t *testing.T) {
		tier, settle := begin(t)
		var wg sync.WaitGroup
		for g := range byte(8) {
			wg.Go(func() {
				for i := range byte(50) {
					n := (g + i) % 16
					switch i % 3 {
					case 0:
						tier.Set(key(n), entry(n), time.Minute)
					case 1:
						tier.Set(key(n), absent(), time.Minute)
					}
					e, err := tier.Get(ctx, key(n))
					if err == nil && e.Found && !e.FetchedAt.Equal(entry(n).FetchedAt) {
						t.Errorf("got another key's entry under %d", n)
					}
					if err != nil && !errors.Is(err, cache.ErrMiss) && !errors.Is(err, cache.ErrUnavailable) {
						t.Error(err)
					}
					tier.Status()
				}
			})
		}
		wg.Wait()
		settle()
	})

	t.Run("the status names the tier and says that it is ready", func(t *testing.T) {
		tier, settle := begin(t)
		tier.Set(key(1), entry(1), time.Minute)
		settle()
		if s := tier.Status(); s.Name != tier.Name() || !s.Ready {
			t.Fatalf("%+v", s)
		}
	})

	t.Run("after close nothing is found, kept, or blocks", func(t *testing.T) {
		tier, settle := begin(t)
		tier.Set(key(1), entry(1), time.Minute)
		settle()
		for range 2 {
			if err := tier.Close(); err != nil {
				t.Fatal(err)
			}
		}
		tier.Set(key(2), entry(2), time.Minute)
		tier.Delete(key(1))
		for n := byte(1); n <= 2; n++ {
			if e, err := tier.Get(ctx, key(n)); err == nil {
				t.Fatalf("got %+v", e)
			}
		}
		if tier.Status().Ready {
			t.Fatal("ready after close")
		}
	})
}
