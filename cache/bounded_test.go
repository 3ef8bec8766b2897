package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
)

// selfBounded lets a person's note say how long it may be used.
type selfBounded struct{ cachetest.Codec }

func (selfBounded) Bound(p *person) (time.Duration, bool) {
	d, err := time.ParseDuration(p.Note)
	return d, err == nil
}

func TestAValueMayShortenItsLifeAndNotMakeItLonger(t *testing.T) {
	for note, fresh := range map[string]time.Duration{"": 5 * time.Minute, "90s": 90 * time.Second, "24h": 5 * time.Minute} {
		t.Run(note, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource("ada")
				src.people["ada"].Note = note
				life := cache.DefaultTTLs()
				life.RefreshAfter = 0
				_, rigs, _ := pair(t, src)
				for _, r := range rigs {
					r.Cache = cache.New(r.store, selfBounded{})
				}
				part := rigs[0].must("ada", life).Handle
				rigs[1].must("ada", life) // from the shared tier, as old
				time.Sleep(fresh - 1)
				for n, r := range rigs {
					if r.must("ada", life); src.calls.Load() != 1 {
						t.Errorf("node %d asked again", n)
					}
				}
				if ok, _ := part.Valid(time.Now(), &life); !ok {
					t.Error("what was made of it does not stand")
				}
				time.Sleep(time.Nanosecond)
				if ok, _ := part.Valid(time.Now(), &life); ok {
					t.Error("what was made of it stands on")
				}
				src.fail(errDown)
				if res := rigs[1].must("ada", life); res.State != cache.Stale {
					t.Errorf("state %v while the source fails", res.State)
				}
			})
		})
	}
}

func TestAValueWithoutAnyTimeIsHeldNowhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		src.people["ada"].Note = "0s"
		net, rigs, _ := pair(t, src)
		r, other := rigs[0], rigs[1]
		for _, x := range rigs {
			x.Cache = cache.New(x.store, selfBounded{})
		}
		life := cache.DefaultTTLs()
		for n, x := range []*rig{r, r, other} {
			res := x.must("ada", life)
			if res.State != cache.Fresh || res.Value.ID != "ada" || src.calls.Load() != int64(n+1) {
				t.Errorf("%+v after %d calls", res, src.calls.Load())
			}
			if ok, _ := res.Handle.Valid(time.Now(), &life); ok {
				t.Error("what was made of it stands")
			}
		}
		src.fail(errDown)
		if _, err := r.get("ada", life); err == nil || net.Sets() != 0 {
			t.Errorf("it was held after all: %v, %d writes", err, net.Sets())
		}
	})
}
