package cache_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

func valid(t *testing.T, p cache.Handle, l cache.TTLs) bool {
	t.Helper()
	ok, _ := p.Valid(time.Now(), &l)
	return ok
}

func TestTheZeroPartIsNeverValid(t *testing.T) {
	if ok, due := (cache.Handle{}).Valid(time.Now(), &cache.TTLs{Fresh: time.Hour}); ok || due {
		t.Fatal("valid")
	}
}

func TestAPartStandsAsLongAsItsContent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		part := r.must("ada", life).Handle
		time.Sleep(life.Fresh - 1)
		if !valid(t, part, life) {
			t.Fatal("not valid inside fresh")
		}
		short := life
		short.Fresh = time.Minute
		if valid(t, part, short) {
			t.Fatal("valid past a shorter reader's life")
		}
		time.Sleep(time.Nanosecond)
		if valid(t, part, life) {
			t.Fatal("valid past fresh")
		}
		same := r.must("ada", life).Handle // fetched anew with equal content
		if !valid(t, part, life) || !valid(t, same, life) {
			t.Fatal("equal content ended a decision")
		}
		src.groups("ada", "other")
		time.Sleep(life.Fresh)
		fresh := r.must("ada", life).Handle
		if valid(t, part, life) || !valid(t, fresh, life) {
			t.Fatal("changed content did not end a decision")
		}
	})
}

func TestAPartIsRefreshedBehindTheHits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		part := r.must("ada", life).Handle
		src.set(func(s *source) { s.delay = time.Second })
		time.Sleep(life.RefreshAfter + life.RefreshAfter/10 + time.Second)
		refreshes := 0
		for range 100 {
			ok, due := part.Valid(time.Now(), &life)
			if !ok {
				t.Fatal("not valid")
			}
			if due {
				refreshes++
				r.refresh("ada", life)
			}
		}
		time.Sleep(2 * time.Second)
		if refreshes != 1 || src.calls.Load() != 2 {
			t.Fatalf("refresh asked for %d times, %d loads; want 1 and 2", refreshes, src.calls.Load())
		}
		time.Sleep(life.RefreshAfter / 2)
		if ok, due := part.Valid(time.Now(), &life); !ok || due {
			t.Fatalf("after the refresh: valid %v, due %v", ok, due)
		}
	})
}

func TestAFailedRefreshIsNotRepeatedByEveryHit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		part := r.must("ada", life).Handle
		src.fail(errDown)
		time.Sleep(life.RefreshAfter + life.RefreshAfter/10 + time.Second)
		for range 50 { // 5 s
			ok, due := part.Valid(time.Now(), &life)
			if !ok {
				t.Fatal("a failed refresh ended a decision inside fresh")
			}
			if due {
				r.refresh("ada", life)
			}
			synctest.Wait()
			time.Sleep(100 * time.Millisecond)
		}
		if n := src.calls.Load() - 1; n < 4 || n > 6 {
			t.Fatalf("%d loads in 5 s, want one each second", n)
		}
	})
}

func TestAPurgeEndsPartsThatCarryTheNameOnly(t *testing.T) {
	src := newSource("ada", "bob")
	src.groups("ada", "it")
	r := newRig(t, src, nil)
	ada, bob := r.must("ada", life).Handle, r.must("bob", life).Handle
	if _, err := r.store.Purge(t.Context(), cache.ID{Kind: cache.GroupID, Value: "it"}); err != nil {
		t.Fatal(err)
	}
	if valid(t, ada, life) || !valid(t, bob, life) {
		t.Fatal("the purge ended the wrong part")
	}
	ada = r.must("ada", life).Handle
	if !valid(t, ada, life) {
		t.Fatal("a value fetched after the purge is not valid")
	}
}

func TestAnAbsenceIsAPartToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		r := newRig(t, src, nil)
		part := r.must("eve", life).Handle
		if !valid(t, part, life) {
			t.Fatal("not valid")
		}
		if _, err := r.store.Purge(t.Context(), cache.ID{Kind: cache.UserID, Value: "eve"}); err != nil {
			t.Fatal(err)
		}
		if valid(t, part, life) {
			t.Fatal("valid though the id that was asked with is purged")
		}
		part = r.must("eve", life).Handle
		time.Sleep(life.Negative)
		if valid(t, part, life) {
			t.Fatal("valid past the negative life")
		}
	})
}

func TestAStalePartStandsWhileTheSourceFailsAndEndsWhenItIsWell(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		fresh := r.must("ada", life).Handle
		src.fail(errDown)
		time.Sleep(life.Fresh)
		stale := r.must("ada", life).Handle
		if !valid(t, stale, life) || valid(t, fresh, life) {
			t.Fatal("only the decision that knows it is stale may stand")
		}
		time.Sleep(cache.DefaultRetryFloor)
		if valid(t, stale, life) {
			t.Fatal("stands past the floor: nobody would ask the source again")
		}
		src.fail(nil)
		r.must("ada", life) // stale still, asks behind
		synctest.Wait()
		if valid(t, stale, life) || !valid(t, fresh, life) {
			t.Fatal("the source is well again")
		}
	})
}

func TestADecisionOutlivesTheEvictionOfItsValueButNotAPurge(t *testing.T) {
	src := newSource("ada")
	var mem cache.Tier
	r := newRig(t, src, nil, func(o *cache.Options) { mem = o.Memory })
	part := r.must("ada", life).Handle
	e, err := mem.Get(t.Context(), r.key("ada"))
	if err != nil {
		t.Fatal(err)
	}
	mem.Delete(r.key("ada"))
	if e.Value == nil || !valid(t, part, life) {
		t.Fatal("the decision ended with the eviction")
	}
	if _, err := r.store.Purge(t.Context(), cache.ID{Kind: cache.UserID, Value: "bob"}); err != nil {
		t.Fatal(err)
	}
	if valid(t, part, life) {
		t.Fatal("without its names a part cannot be known to be unpurged")
	}
}

func BenchmarkPartValid(b *testing.B) {
	src := newSource("ada")
	r := newRig(b, src, nil)
	part := r.must("ada", life).Handle
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		if ok, _ := part.Valid(now, &life); !ok {
			b.Fatal("not valid")
		}
	}
}

func BenchmarkGetFromMemory(b *testing.B) {
	src := newSource("ada")
	r := newRig(b, src, nil)
	key, load, names := r.key("ada"), src.load("ada"), asked("ada")
	ctx := b.Context()
	r.must("ada", life)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Get(ctx, key, life, names, load); err != nil {
			b.Fatal(err)
		}
	}
}
