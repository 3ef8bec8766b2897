package cache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

func TestAThousandColdRequestsLoadOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		src.delay = 2 * time.Second
		r := newRig(t, src, nil)
		var wg sync.WaitGroup
		var good atomic.Int64
		for range 1000 {
			wg.Go(func() {
				if res, err := r.get("ada", life); err == nil && res.Found && res.Value.ID == "ada" {
					good.Add(1)
				}
			})
		}
		wg.Wait()
		if good.Load() != 1000 || src.calls.Load() != 1 {
			t.Fatalf("%d good answers from %d loads, want 1000 from 1", good.Load(), src.calls.Load())
		}
	})
}

func TestAHotKeyIsRefreshedBehindTheRequests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		r.must("ada", life)
		src.set(func(s *source) { s.delay = time.Second })
		time.Sleep(4*time.Minute + 25*time.Second) // past refresh_after + 10 %, before fresh
		for range 1000 {
			start := time.Now()
			if res := r.must("ada", life); res.State != cache.Fresh {
				t.Fatal("not fresh")
			}
			if time.Since(start) != 0 {
				t.Fatal("a request waited for the refresh")
			}
		}
		time.Sleep(time.Minute)
		for range 1000 {
			r.must("ada", life)
		}
		synctest.Wait()
		if n := src.calls.Load(); n != 2 {
			t.Fatalf("%d loads, want 2", n)
		}
	})
}

func TestRefreshAfterIsSpreadByTenPercentAndStablePerKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		r := newRig(t, src, nil)
		ids := make([]string, 200)
		for i := range ids {
			ids[i] = string(rune('a'+i%26)) + string(rune('a'+i/26))
			src.people[ids[i]] = &person{ID: ids[i]}
			r.must(ids[i], life)
		}
		due := func(age time.Duration) (n int) {
			time.Sleep(age)
			before := src.calls.Load()
			for _, id := range ids {
				r.must(id, life)
			}
			synctest.Wait()
			return int(src.calls.Load() - before)
		}
		if n := due(life.RefreshAfter*9/10 - time.Second); n != 0 {
			t.Fatalf("%d refreshed under -10 %%", n)
		}
		half := due(life.RefreshAfter / 10)
		if half < 40 || half > 160 {
			t.Fatalf("%d of 200 refreshed by the middle of the spread", half)
		}
		if rest := due(life.RefreshAfter/10 + 2*time.Second); half+rest != 200 {
			t.Fatalf("%d refreshed by +10 %%, want all 200", half+rest)
		}
	})
}

func TestAgeIsCountedFromTheBeginningOfTheFetchByEachReadersLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		src.delay = 30 * time.Second
		long, short := life, life
		long.RefreshAfter, short.RefreshAfter = 0, 0
		short.Fresh = time.Minute
		r := newRig(t, src, nil, func(o *cache.Options) { o.LoadTimeout = time.Minute })
		r.must("ada", long)
		src.set(func(s *source) { s.delay = 0 })
		time.Sleep(29 * time.Second) // 59 s after the fetch began
		r.must("ada", short)
		if src.calls.Load() != 1 {
			t.Fatal("loaded though fresh for both")
		}
		time.Sleep(time.Second)
		r.must("ada", long)
		if src.calls.Load() != 1 {
			t.Fatal("loaded though fresh for the longer life")
		}
		r.must("ada", short)
		if src.calls.Load() != 2 {
			t.Fatal("the shorter life was not honoured")
		}
	})
}

func TestARemovedGroupIsSeenAfterFreshAtTheLatestAndAtOnceAfterAPurge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada", "bob")
		r := newRig(t, src, nil)
		strict := life
		strict.RefreshAfter = 0
		r.must("ada", strict)
		r.must("bob", strict)
		src.groups("ada")
		src.groups("bob")
		time.Sleep(strict.Fresh - 1)
		if len(r.must("ada", strict).Value.Groups) != 1 {
			t.Fatal("loaded too early")
		}
		if _, err := r.store.Purge(t.Context(), cache.ID{Kind: cache.UserID, Value: "BOB@example.com"}); err != nil {
			t.Fatal(err)
		}
		if len(r.must("bob", strict).Value.Groups) != 0 {
			t.Fatal("served a purged value")
		}
		time.Sleep(time.Nanosecond)
		if len(r.must("ada", strict).Value.Groups) != 0 {
			t.Fatal("served past fresh")
		}
	})
}

func TestAPurgeReachesWhatCarriesTheNameAndNothingElse(t *testing.T) {
	src := newSource("ada", "bob")
	src.groups("ada", "it", "staff")
	r := newRig(t, src, nil)
	tests := []struct {
		name     string
		id       cache.ID
		ada, bob int64 // loads caused
	}{
		{"user id", cache.ID{Kind: cache.UserID, Value: "ada"}, 1, 0},
		{"login", cache.ID{Kind: cache.UserID, Value: "ada@example.com"}, 1, 0},
		{"group", cache.ID{Kind: cache.GroupID, Value: "it"}, 1, 0},
		{"group of both", cache.ID{Kind: cache.GroupID, Value: "staff"}, 1, 1},
		{"a user id is no group id", cache.ID{Kind: cache.GroupID, Value: "ada"}, 0, 0},
		{"unknown", cache.ID{Kind: cache.AppID, Value: "payroll"}, 0, 0},
	}
	for _, tt := range tests {
		r.must("ada", life)
		r.must("bob", life)
		if reach, err := r.store.Purge(t.Context(), tt.id); err != nil || reach != purgelog.ThisNode {
			t.Fatalf("%s: reach %v, %v", tt.name, reach, err)
		}
		for who, want := range map[string]int64{"ada": tt.ada, "bob": tt.bob} {
			before := src.calls.Load()
			r.must(who, life)
			if got := src.calls.Load() - before; got != want {
				t.Errorf("%s: %d loads for %s, want %d", tt.name, got, who, want)
			}
		}
	}
	r.must("ada", life)
	before := src.calls.Load()
	if _, err := r.store.PurgeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.must("ada", life)
	r.must("bob", life)
	if n := src.calls.Load() - before; n != 2 {
		t.Errorf("purging all caused %d loads, want 2", n)
	}
}

func TestAPurgeDuringTheFetchDoesNotResurrect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		read := make(chan struct{})
		goOn := make(chan struct{})
		var asked atomic.Bool
		src.hook = func(string) {
			if asked.CompareAndSwap(false, true) {
				close(read)
				<-goOn
			}
		}
		var early cache.Result[*person]
		var wg sync.WaitGroup
		wg.Go(func() { early = r.must("ada", life) })
		<-read // the source was read, the answer is on its way
		src.groups("ada")
		if _, err := r.store.Purge(t.Context(), cache.ID{Kind: cache.GroupID, Value: "staff"}); err != nil {
			t.Fatal(err)
		}
		var late cache.Result[*person]
		wg.Go(func() { late = r.must("ada", life) }) // joins the flight
		synctest.Wait()
		close(goOn)
		wg.Wait()
		if len(early.Value.Groups) != 1 {
			t.Error("who asked before the purge may see what held then")
		}
		if ok, _ := early.Handle.Valid(time.Now(), &life); ok {
			t.Error("a decision from a purged answer is valid")
		}
		if len(late.Value.Groups) != 0 {
			t.Error("who asked after the purge got the purged answer")
		}
		if len(r.must("ada", life).Value.Groups) != 0 {
			t.Error("the purged answer was cached")
		}
	})
}

func TestOnlyAuthoritativeAbsenceIsCached(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		r := newRig(t, src, nil)
		for _, err := range []error{errDown, context.DeadlineExceeded, errors.New("500")} {
			src.fail(err)
			if _, got := r.get("eve", life); !errors.Is(got, err) {
				t.Fatalf("got %v, want %v", got, err)
			}
		}
		src.fail(nil)
		before := src.calls.Load()
		res := r.must("eve", life)
		if res.Found || res.Value != nil || src.calls.Load() != before+1 {
			t.Fatalf("found %v after %d loads", res.Found, src.calls.Load()-before)
		}
		r.must("eve", life)
		if src.calls.Load() != before+1 {
			t.Fatal("the absence was not kept")
		}
		src.set(func(s *source) { s.people["eve"] = &person{ID: "eve"} })
		time.Sleep(life.Negative)
		if !r.must("eve", life).Found {
			t.Fatal("a user who was made is not visible after the negative life")
		}
	})
}

func TestANewAbsenceReplacesAValueAndTheOtherWayRound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		r.must("ada", life)
		ada := src.people["ada"]
		src.set(func(s *source) { delete(s.people, "ada") })
		time.Sleep(life.Fresh)
		if r.must("ada", life).Found {
			t.Fatal("found though deleted")
		}
		time.Sleep(life.Negative)
		src.fail(errDown)
		if _, err := r.get("ada", life); !errors.Is(err, errDown) {
			t.Fatalf("a deleted user came back while the directory fails: %v", err)
		}
		src.fail(nil)
		src.set(func(s *source) { s.people["ada"] = ada })
		if !r.must("ada", life).Found {
			t.Fatal("not found though made again")
		}
	})
}

func TestStaleIfErrorServesInsideItsBoundAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		first := r.must("ada", life)
		src.fail(errDown)
		time.Sleep(life.Fresh)
		res := r.must("ada", life)
		if res.State != cache.Stale || !res.FetchedAt.Equal(first.FetchedAt) {
			t.Fatalf("state %v", res.State)
		}
		time.Sleep(life.StaleIfError - 1)
		if r.must("ada", life).State != cache.Stale {
			t.Fatal("not stale inside the bound")
		}
		synctest.Wait()
		time.Sleep(time.Nanosecond)
		if _, err := r.get("ada", life); !errors.Is(err, errDown) {
			t.Fatalf("past the bound: %v", err)
		}
		src.fail(nil)
		if res := r.must("ada", life); res.State != cache.Fresh {
			t.Fatalf("after recovery: %v", res.State)
		}
	})
}

func TestADeadSourceIsNotAskedByEveryRequestAndNoneWaitsForItTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		r.must("ada", life)
		time.Sleep(life.Fresh)
		src.set(func(s *source) { s.err, s.delay = errDown, 3*time.Second })
		r.must("ada", life) // this one waits, it might have worked
		before := src.calls.Load()
		start := time.Now()
		for range 100 {
			for range 10 {
				if res := r.must("ada", life); res.State != cache.Stale {
					t.Fatal("not stale")
				}
			}
			time.Sleep(100 * time.Millisecond)
		}
		if waited := time.Since(start) - 10*time.Second; waited != 0 {
			t.Fatalf("requests waited %v", waited)
		}
		// 10 s: a try takes 3 s, then the floor of 1 s.
		if n := src.calls.Load() - before; n < 2 || n > 4 {
			t.Fatalf("%d loads in 10 s, want about 3", n)
		}
		synctest.Wait()
		time.Sleep(time.Minute)
		src.set(func(s *source) { s.err, s.delay = nil, 0 })
		if res := r.must("ada", life); res.State != cache.Fresh {
			t.Fatal("a key that nobody asked for a while is not loaded in the foreground")
		}
	})
}

func TestASourceThatIsWellAgainIsAskedInTheForeground(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		short := life
		short.Fresh, short.RefreshAfter = 2*time.Second, 0
		r.must("ada", short)
		time.Sleep(short.Fresh)
		src.fail(errDown)
		if r.must("ada", short).State != cache.Stale {
			t.Fatal("not stale")
		}
		src.fail(nil)
		time.Sleep(cache.DefaultRetryFloor)
		r.must("ada", short) // asks behind, and succeeds
		synctest.Wait()
		time.Sleep(short.Fresh)
		if res := r.must("ada", short); res.State != cache.Fresh {
			t.Fatal("a failure of long ago still makes requests take stale values")
		}
	})
}

func TestAPurgedValueIsNotServedStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		r.must("ada", life)
		src.fail(errDown)
		if _, err := r.store.Purge(t.Context(), cache.ID{Kind: cache.UserID, Value: "ada"}); err != nil {
			t.Fatal(err)
		}
		if _, err := r.get("ada", life); !errors.Is(err, errDown) {
			t.Fatalf("served a purged value: %v", err)
		}
	})
}

func TestAValueOverTheLimitIsAnErrorAndNotCached(t *testing.T) {
	src := newSource("ada")
	src.people["ada"].Note = string(make([]byte, cache.MaxEntry))
	r := newRig(t, src, nil)
	if _, err := r.get("ada", life); !errors.Is(err, cache.ErrTooLarge) {
		t.Fatal(err)
	}
}

func TestAfterCloseRequestsAreAnsweredByTheirLoads(t *testing.T) {
	src := newSource("ada")
	r := newRig(t, src, nil)
	part := r.must("ada", life).Handle
	for range 2 {
		if err := r.store.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if ok, _ := part.Valid(time.Now(), &life); ok {
		t.Error("a part is valid after close")
	}
	for range 3 {
		if res := r.must("ada", life); !res.Found || res.Tier != cache.TierSource {
			t.Fatalf("from %s", res.Tier)
		}
	}
	if src.calls.Load() != 4 {
		t.Fatalf("%d loads, want 4", src.calls.Load())
	}
	r.store.Start()
	if _, err := r.store.PurgeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.store.Status()
}

func TestZeroLivesKeepNothing(t *testing.T) {
	src := newSource("ada")
	r := newRig(t, src, nil)
	for range 3 {
		r.must("ada", cache.TTLs{})
		r.must("eve", cache.TTLs{})
	}
	if src.calls.Load() != 6 {
		t.Fatalf("%d loads, want 6", src.calls.Load())
	}
}
