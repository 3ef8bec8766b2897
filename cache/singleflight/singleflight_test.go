package singleflight_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/singleflight"
)

type (
	group = singleflight.Group[string, int]
	call  = singleflight.Call[string, int]
)

// later starts a call that is finished by the test.
func later(*call) error { return nil }

func TestCallersShareACallUntilItEnds(t *testing.T) {
	var g group
	first, err := g.Join("a", later)
	if err != nil {
		t.Fatal(err)
	}
	second, err := g.Join("a", func(*call) error { t.Error("a second call is started"); return nil })
	if err != nil || second != first || g.Current("a") != first || g.Current("b") != nil {
		t.Fatalf("second %p, first %p, %v", second, first, err)
	}
	other, err := g.Join("b", later)
	if err != nil || other == first {
		t.Fatal("keys share a call")
	}
	committed := false
	first.Finish(7, nil, func(v int, err error) {
		committed = true
		if v != 7 || err != nil || g.Current("a") != first {
			t.Error("the key is free before the result is stored")
		}
	})
	if v, err := second.Wait(t.Context()); v != 7 || err != nil || !committed || g.Current("a") != nil {
		t.Fatal(v, err, committed)
	}
	if third, err := g.Join("a", later); err != nil || third == first {
		t.Fatal("an ended call is joined")
	}
	other.Finish(0, nil, nil)
}

func TestOnlyTheFirstEndCounts(t *testing.T) {
	var g group
	c, _ := g.Join("a", later)
	c.Finish(0, errors.ErrUnsupported, nil)
	c.Finish(3, nil, func(int, error) { t.Error("a late result is stored") })
	if v, err := c.Result(); v != 0 || !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(v, err)
	}
}

func TestACallThatCannotStartFailsAllWhoJoinedIt(t *testing.T) {
	var g group
	var joined *call
	c, err := g.Join("a", func(*call) error {
		joined, _ = g.Join("a", later)
		return errors.ErrUnsupported
	})
	if c != nil || !errors.Is(err, errors.ErrUnsupported) || g.Current("a") != nil {
		t.Fatal(c, err)
	}
	if _, err := joined.Wait(t.Context()); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
}

func TestAWaiterLeavesAtTheEndOfItsOwnContext(t *testing.T) {
	var g group
	c, _ := g.Join("a", later)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.ErrUnsupported)
	if _, err := c.Wait(ctx); !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	c.Finish(1, nil, nil)
	<-c.Done()
}

func TestManyCallersRunOneCallAtATime(t *testing.T) {
	var (
		g       group
		running atomic.Int32
		wg      sync.WaitGroup
	)
	for range 64 {
		wg.Go(func() {
			for range 50 {
				c, err := g.Join("a", func(c *call) error {
					go func() {
						if running.Add(1) != 1 {
							t.Error("two calls at once")
						}
						running.Add(-1)
						c.Finish(1, nil, nil)
					}()
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
				if v, err := c.Wait(t.Context()); v != 1 || err != nil {
					t.Error(v, err)
				}
			}
		})
	}
	wg.Wait()
}
