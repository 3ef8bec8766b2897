package cache_test

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

func TestALeaderThatGoesAwayTakesNobodyWithIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		src.delay = time.Second
		r := newRig(t, src, nil)
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := r.Get(ctx, r.key("ada"), life, asked("ada"), src.load("ada"))
			if !errors.Is(err, context.Canceled) {
				t.Errorf("leader: %v", err)
			}
		})
		synctest.Wait()
		for range 10 {
			wg.Go(func() { r.must("ada", life) })
		}
		synctest.Wait()
		cancel()
		wg.Wait()
		if src.calls.Load() != 1 {
			t.Fatalf("%d loads, want 1", src.calls.Load())
		}
	})
}

func TestAFollowerThatGoesAwayDoesNotWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		src.delay = 5 * time.Second
		r := newRig(t, src, nil)
		go func() { _, _ = r.get("ada", life) }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		_, err := r.Get(ctx, r.key("ada"), life, asked("ada"), src.load("ada"))
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		time.Sleep(5 * time.Second)
	})
}

func TestALoadThatPanicsOrExitsFailsItsWaitersAndFreesTheKey(t *testing.T) {
	for name, f := range map[string]func(){
		"panic":  func() { panic("person ada@example.com") },
		"goexit": runtime.Goexit,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource("ada")
				r := newRig(t, src, nil)
				release := make(chan struct{})
				src.hook = func(string) { <-release; f() }
				var wg sync.WaitGroup
				for range 5 {
					wg.Go(func() {
						if _, err := r.get("ada", life); !errors.Is(err, cache.ErrLoadPanicked) {
							t.Errorf("got %v", err)
						}
					})
				}
				synctest.Wait()
				close(release)
				wg.Wait()
				src.set(func(s *source) { s.hook = nil })
				r.must("ada", life)
				if src.calls.Load() != 2 {
					t.Fatalf("%d loads", src.calls.Load())
				}
			})
		})
	}
}

func TestALoadThatIgnoresItsDeadlineIsLeftBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		r := newRig(t, src, nil)
		stuck := make(chan struct{})
		var asked atomic.Bool
		src.hook = func(string) {
			if asked.CompareAndSwap(false, true) {
				<-stuck
			}
		}
		start := time.Now()
		_, err := r.get("ada", life)
		if !errors.Is(err, cache.ErrLoadTimeout) || time.Since(start) != cache.DefaultLoadTimeout {
			t.Fatalf("%v after %v", err, time.Since(start))
		}
		src.groups("ada", "new")
		r.must("ada", life)
		close(stuck) // what comes back now is out of date
		synctest.Wait()
		if g := r.must("ada", life).Value.Groups; len(g) != 1 || g[0] != "new" {
			t.Fatalf("a load that was left behind overwrote a newer one: %v", g)
		}
	})
}

func TestTooManyLoadsAtOnceAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		src.delay = time.Second
		r := newRig(t, src, nil)
		var wg sync.WaitGroup
		var busy atomic.Int64
		for i := range cache.MaxLoads + 10 {
			wg.Go(func() {
				if _, err := r.get(string(rune(i+1000)), life); errors.Is(err, cache.ErrBusy) {
					busy.Add(1)
				}
			})
		}
		wg.Wait()
		if busy.Load() != 10 {
			t.Fatalf("%d refused, want 10", busy.Load())
		}
	})
}
