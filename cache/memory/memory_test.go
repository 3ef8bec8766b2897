package memory_test

import (
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
)

func open(t testing.TB, bytes int64) *memory.Tier {
	t.Helper()
	m, err := memory.New(memory.Options{Bytes: bytes})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestTheTierPassesTheSuite(t *testing.T) {
	cachetest.TierSuite(t, func(t *testing.T) cachetest.Subject { return cachetest.Subject{Tier: open(t, 1<<20)} })
}

func TestABoundThatIsTooSmallIsAnError(t *testing.T) {
	for _, n := range []int64{-1, 1, memory.MinBytes - 1} {
		if _, err := memory.New(memory.Options{Bytes: n}); err == nil {
			t.Errorf("%d bytes were accepted", n)
		}
	}
	if got := open(t, 0).Status().Limit; got != memory.DefaultBytes {
		t.Errorf("default %d", got)
	}
}

func key(n uint64) (k cache.Key) {
	binary.LittleEndian.PutUint64(k[:], n)
	return k
}

func TestTheBoundHoldsAtEveryMoment(t *testing.T) {
	const limit = 4 << 20
	m := open(t, limit)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(20_000) {
		e := &cache.Entry{Found: r.IntN(10) > 0, Cost: 100 + r.Int64N(20_000)}
		m.Set(key(i), e, time.Hour)
		if s := m.Status(); s.Bytes > limit {
			t.Fatalf("%d bytes held after %d entries, the bound is %d", s.Bytes, i+1, limit)
		}
	}
	if s := m.Status(); s.Bytes < limit/2 {
		t.Fatalf("only %d bytes held of %d", s.Bytes, limit)
	}
}

func TestAnEntryOverTheBoundIsNotHeldAndDrivesNothingOut(t *testing.T) {
	m := open(t, 1<<20)
	m.Set(key(1), &cache.Entry{Found: true, Cost: 1000}, time.Hour)
	m.Set(key(2), &cache.Entry{Found: true, Cost: 2 << 20}, time.Hour)
	if _, err := m.Get(t.Context(), key(1)); err != nil {
		t.Error("the small one is gone")
	}
	if _, err := m.Get(t.Context(), key(2)); err == nil {
		t.Error("the large one is held")
	}
	if m.Status().Refused != 1 {
		t.Error("not counted")
	}
}

func TestAbsencesDriveOutNoValue(t *testing.T) {
	m := open(t, 1<<20)
	for i := range uint64(500) {
		m.Set(key(i), &cache.Entry{Found: true, Cost: 1000}, time.Hour)
	}
	for i := range uint64(20_000) {
		m.Set(key(1_000_000+i), &cache.Entry{Cost: 700}, time.Hour)
	}
	for i := range uint64(500) {
		if _, err := m.Get(t.Context(), key(i)); err != nil {
			t.Fatalf("value %d was driven out", i)
		}
	}
}

func TestAScanDoesNotDriveOutWhatIsHot(t *testing.T) {
	const entries = 2000
	m := open(t, entries*1000*33/32)
	zipf := rand.NewZipf(rand.New(rand.NewPCG(3, 4)), 1.1, 8, 20*entries)
	ask := func(k uint64) bool {
		if _, err := m.Get(t.Context(), key(k)); err == nil {
			return true
		}
		m.Set(key(k), &cache.Entry{Found: true, Cost: 1000}, time.Hour)
		return false
	}
	rate := func(scan bool) float64 {
		hits, all := 0, 0
		for i := range uint64(30_000) {
			if ask(zipf.Uint64()) {
				hits++
			}
			all++
			if scan {
				ask(1_000_000_000 + i) // never asked for again
			}
		}
		return float64(hits) / float64(all)
	}
	rate(false)
	before := rate(false)
	during := rate(true)
	t.Logf("hit rate %.3f, with as many one-off keys %.3f", before, during)
	if during < before-0.05 {
		t.Errorf("the hit rate fell from %.3f to %.3f", before, during)
	}
}

// TestAccountedBytesAreWhatTheHeapHolds fills a store with far more people
// than fit.
func TestAccountedBytesAreWhatTheHeapHolds(t *testing.T) {
	live := func() int64 {
		runtime.GC()
		runtime.GC()
		var s runtime.MemStats
		runtime.ReadMemStats(&s)
		return int64(s.HeapAlloc)
	}
	for name, tt := range map[string]struct {
		limit          int64
		people, groups int
	}{
		"a hundred groups each": {16 << 20, 10_000, 100},
		"no groups":             {4 << 20, 20_000, 0},
	} {
		t.Run(name, func(t *testing.T) {
			m := open(t, tt.limit)
			fill := filler(t, m, tt.groups)
			before := live()
			parts := fill(tt.people)
			heap := live() - before
			s := m.Status()
			// Decisions made from evicted values keep what is left of them;
			// it counts among what a decision costs.
			heap -= (int64(tt.people) - s.Entries) * partBytes
			t.Logf("%d entries, %d bytes accounted, %d on the heap, bound %d", s.Entries, s.Bytes, heap, tt.limit)
			if s.Bytes > tt.limit {
				t.Errorf("%d bytes accounted, the bound is %d", s.Bytes, tt.limit)
			}
			if heap > tt.limit*12/10 {
				t.Errorf("%d bytes on the heap, over 120 %% of the bound", heap)
			}
			if s.Bytes < tt.limit*8/10 {
				t.Errorf("only %d bytes held", s.Bytes)
			}
			runtime.KeepAlive(m)
			runtime.KeepAlive(parts)
		})
	}
}

// partBytes is what a decision's part keeps alive once the value is evicted.
const partBytes = 350

// filler loads people through a store over m, holding on to a decision's part
// of each.
func filler(t *testing.T, m cache.Tier, groups int) func(n int) []cache.Handle {
	t.Helper()
	s, err := cache.NewStore(cache.Options{KeyDeriver: cache.NewKeyDeriver(zero{}), Memory: m})
	if err != nil {
		t.Fatal(err)
	}
	c := cache.New(s, cachetest.Codec{})
	return func(n int) []cache.Handle {
		parts := make([]cache.Handle, n)
		for i := range n {
			id := strings.Repeat("x", 10) + string(rune(i))
			r, err := c.Get(t.Context(), s.KeyDeriver().Key("person", nil, id), cache.DefaultTTLs(), nil, person(id, groups))
			if err != nil {
				t.Fatal(err)
			}
			parts[i] = r.Handle
		}
		return parts
	}
}

type zero struct{}

func (zero) Derive(string) [32]byte { return [32]byte{} }
