package login

import (
	"encoding/binary"
	"sync"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func idOf(n int) (id [idSize]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(n))
	return id
}

func TestAnEndedSessionIsRememberedAlone(t *testing.T) {
	e, now := NewEnded(0), enrichtest.Epoch
	if e.Has(idOf(1), now) || e.Has(idOf(1), time.Time{}) || e.Len() != 0 {
		t.Error("an empty list holds something")
	}
	if e.End(idOf(1), now.Add(time.Hour), now) {
		t.Error("it is full with one session")
	}
	if !e.Has(idOf(1), now) || e.Has(idOf(2), now) || e.Len() != 1 {
		t.Error("it does not hold the one session")
	}
	e.End(idOf(1), now.Add(time.Minute), now)
	e.End(idOf(3), now, now)
	e.End(idOf(4), now.Add(-time.Hour), now)
	if e.Len() != 1 {
		t.Errorf("%d sessions: one twice, or one that had expired", e.Len())
	}
}

func TestAFullListDropsWhatHasExpired(t *testing.T) {
	e, now := NewEnded(8), enrichtest.Epoch
	for i := range 8 {
		life := time.Hour
		if i < 4 {
			life = time.Minute
		}
		if e.End(idOf(i), now.Add(life), now) {
			t.Fatalf("it is full with %d sessions", i)
		}
	}
	e.End(idOf(7), now.Add(time.Hour), now) // known: needs no room
	if e.Len() != 8 {
		t.Errorf("it holds %d", e.Len())
	}
	now = now.Add(2 * time.Minute)
	if e.End(idOf(8), now.Add(time.Hour), now) {
		t.Error("it is full although half of it has expired")
	}
	if e.Len() != 5 || !e.Has(idOf(7), now) || !e.Has(idOf(8), now) || e.Has(idOf(9), enrichtest.Epoch) {
		t.Errorf("it holds %d", e.Len())
	}
	// A shorter time for a known session does not make it expire sooner.
	e.End(idOf(7), now.Add(time.Second), now)
	now = now.Add(time.Minute)
	for i := range 4 {
		e.End(idOf(20+i), now.Add(time.Hour), now)
	}
	if !e.Has(idOf(7), now) {
		t.Error("it forgot a session that has not expired")
	}
}

func TestAListThatStaysFullEndsAllThatBeganUntilNow(t *testing.T) {
	for _, limit := range []int{1, 2, 7, 8, 100} {
		e, now := NewEnded(limit), enrichtest.Epoch
		for i := range limit {
			if e.End(idOf(i), now.Add(time.Hour), now) {
				t.Fatalf("of %d, it is full with %d", limit, i)
			}
		}
		now = now.Add(time.Minute)
		if !e.End(idOf(limit), now.Add(time.Hour), now) {
			t.Fatalf("of %d, it is not full", limit)
		}
		if e.Len() != 1 {
			t.Errorf("of %d, it holds %d", limit, e.Len())
		}
		for i := range limit {
			if !e.Has(idOf(i), enrichtest.Epoch) {
				t.Errorf("of %d, session %d lives again", limit, i)
			}
		}
		if !e.Has(idOf(999), now) || !e.Has(idOf(999), now.Add(time.Second-1)) || e.Has(idOf(999), now.Add(time.Second)) {
			t.Errorf("of %d, what began until now has not ended, or what begins later has", limit)
		}
		if !e.Has(idOf(limit), now.Add(time.Hour)) {
			t.Errorf("of %d, the last one is not remembered", limit)
		}
	}
}

// The clock's step back never revives a session.
func TestTheFloorNeverSinks(t *testing.T) {
	e, now := NewEnded(1), enrichtest.Epoch
	e.End(idOf(1), now.Add(time.Hour), now)
	e.End(idOf(2), now.Add(time.Hour), now)
	earlier := now.Add(-30 * time.Minute)
	if !e.End(idOf(3), now.Add(time.Hour), earlier) {
		t.Fatal("it is not full")
	}
	if !e.Has(idOf(1), now) {
		t.Error("the floor sank")
	}
}

func TestEndedIsSafeForConcurrentUse(t *testing.T) {
	e, now := NewEnded(64), enrichtest.Epoch
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 1000 {
				id := idOf(w*1000 + i)
				e.End(id, now.Add(time.Duration(i)*time.Second+time.Hour), now.Add(time.Duration(i)*time.Second))
				if !e.Has(id, now) {
					t.Error("a session that has ended lives")
					return
				}
			}
		})
	}
	wg.Wait()
	if e.Len() > 64 {
		t.Errorf("it holds %d", e.Len())
	}
}

func TestAskingForAnEndedSessionAllocatesNothing(t *testing.T) {
	e, now := NewEnded(0), enrichtest.Epoch
	e.End(idOf(1), now.Add(time.Hour), now)
	if n := testing.AllocsPerRun(100, func() { e.Has(idOf(2), now) }); n > 0 {
		t.Errorf("%.0f allocations", n)
	}
}

func BenchmarkEnded(b *testing.B) {
	e, now := NewEnded(0), enrichtest.Epoch
	for i := range defaultEnded / 2 {
		e.End(idOf(i), now.Add(time.Hour), now)
	}
	b.ReportAllocs()
	b.ResetTimer() // RunParallel has no loop of its own that would do it
	b.RunParallel(func(p *testing.PB) {
		for i := defaultEnded; p.Next(); i++ {
			if e.Has(idOf(i), now) {
				b.Error("a session has ended that had not")
			}
		}
	})
}
