package cache_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// name makes a name of the deny list by hand.
func name(n int) (out purgelog.NameHash) {
	out[0], out[1], out[2] = byte(n), byte(n>>8), byte(n>>16)
	return out
}

func denyFor(t *testing.T, r *rig, n int, d time.Duration, reason string) purgelog.Record {
	t.Helper()
	entries, _, err := r.store.Log().Deny(t.Context(), purgelog.Record{Name: name(n), Until: time.Now().Add(d), Claim: "sub", Reason: reason})
	if err != nil && !errors.Is(err, cache.ErrUnavailable) {
		t.Fatal(err)
	}
	return entries[0]
}

func undeny(t *testing.T, r *rig, entries ...purgelog.Record) purgelog.Propagation {
	t.Helper()
	reach, err := r.store.Log().Undeny(t.Context(), entries...)
	if err != nil && !errors.Is(err, cache.ErrUnavailable) {
		t.Fatal(err)
	}
	return reach
}

func denied(r *rig, n int) bool {
	return r.store.Denials().Denied(time.Now(), time.Now(), name(n))
}

// listed is the list of a node, in an order that does not depend on it.
func listed(r *rig) []string {
	var out []string
	for _, e := range r.store.Denials().Entries(time.Now()) {
		out = append(out, e.ID()+" "+e.Claim+" "+e.Until.UTC().Format(time.RFC3339Nano)+" "+e.Reason)
	}
	slices.Sort(out)
	return out
}

// TestADenialIsTakenBackOnAllNodes (C4): at once here, on the others as soon as
// they read it, and on a node that reads the log from its start.
func TestADenialIsTakenBackOnAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		net, r, node := pair(t, src)
		first, other := denyFor(t, r[0], 1, time.Hour, "laptop stolen"), denyFor(t, r[0], 2, time.Hour, "")
		synctest.Wait()
		if got := listed(r[1]); len(got) != 2 || !slices.Equal(got, listed(r[0])) || !strings.Contains(strings.Join(got, ","), "laptop stolen") {
			t.Fatalf("the other node lists %q", got)
		}
		node[0].Cut() // a node undoes what another one said, also one it cannot reach
		time.Sleep(time.Second)
		if reach := undeny(t, r[1], first); reach != purgelog.AllNodes {
			t.Fatalf("reach %v", reach)
		}
		if denied(r[1], 1) || !denied(r[1], 2) {
			t.Error("it does not hold at once, or undid more")
		}
		if !denied(r[0], 1) {
			t.Error("the node that is cut off knows of it")
		}
		node[0].Restore()
		time.Sleep(2 * time.Second)
		late := newRig(t, src, net.Node())
		late.store.Start()
		synctest.Wait()
		for i, r := range []*rig{r[0], r[1], late} {
			if denied(r, 1) || !denied(r, 2) || len(listed(r)) != 1 || r.store.Denials().Len() != 1 || r.store.Status().Log.Denials != 1 {
				t.Errorf("node %d: %q", i, listed(r))
			}
		}
		// Denied anew, it is another denial, and undoing the old one again
		// does nothing to it.
		again := denyFor(t, r[0], 1, time.Hour, "")
		undeny(t, r[1], first)
		synctest.Wait()
		for i, r := range []*rig{r[0], r[1], late} {
			if !denied(r, 1) {
				t.Errorf("node %d: the old undo lifted the new denial", i)
			}
		}
		undeny(t, r[0], again, other)
		synctest.Wait()
		for i, r := range []*rig{r[0], r[1], late} {
			if len(listed(r)) != 0 || !r.store.Denials().Used() {
				t.Errorf("node %d: %q", i, listed(r))
			}
		}
	})
}

// TestReplayedRecordsUndoNothing (C4): who can write to the log without the key
// can say old records again, in any order.
func TestReplayedRecordsUndoNothing(t *testing.T) {
	clock := cachetest.NewClock()
	l := purgelog.New(purgelog.Options{Clock: clock.Now})
	deny := func(d time.Duration) purgelog.Record {
		entries, _, err := l.Deny(t.Context(), purgelog.Record{Name: name(1), Until: clock.Now().Add(d)})
		if err != nil {
			t.Fatal(err)
		}
		return entries[0]
	}
	in := func() bool { return !l.Denials().Denied(clock.Now(), clock.Now(), name(1)) }
	first := deny(2 * time.Hour)
	if _, err := l.Undeny(t.Context(), first); err != nil || !in() {
		t.Fatal("not undone", err)
	}
	clock.Advance(time.Hour)
	// As long as the first one would have lasted, to the moment.
	second := deny(time.Hour)
	if second.ID() == first.ID() || in() {
		t.Fatal("a denial that ends when one did that was taken back is none")
	}
	undo := first
	undo.Kind, undo.Claim, undo.Reason = purgelog.Undeny, "", ""
	records := []purgelog.Record{undo, first, undo, first}
	for i, r := range records {
		l.Apply([]purgelog.Placed{{Record: r, Position: purgelog.Position{Millis: 1 << 50, Serial: uint64(i)}}})
		if in() {
			t.Fatalf("replay %d lifts the newer denial", i)
		}
	}
	if _, err := l.Undeny(t.Context(), second); err != nil || !in() {
		t.Fatal("not undone", err)
	}
	l.Apply([]purgelog.Placed{{Record: first, Position: purgelog.Position{Millis: 1 << 51}}})
	if !in() {
		t.Fatal("a replayed denial that was taken back holds again")
	}
}

// TestASecondDenialReplacesWhatItCovers: else both stand, and each is taken
// back by itself.
func TestASecondDenialReplacesWhatItCovers(t *testing.T) {
	now := time.Date(2026, 3, 14, 0, 0, 0, 0, time.UTC)
	until := func(hours int) time.Time { return now.Add(time.Duration(hours) * time.Hour) }
	for label, tt := range map[string]struct {
		first, second purgelog.Record
		left          int
	}{
		"longer":                   {purgelog.Record{Until: until(1)}, purgelog.Record{Until: until(2)}, 1},
		"shorter":                  {purgelog.Record{Until: until(2)}, purgelog.Record{Until: until(1)}, 2},
		"the same":                 {purgelog.Record{Until: until(1)}, purgelog.Record{Until: until(1)}, 1},
		"every token":              {purgelog.Record{Until: until(1), IssuedBefore: now}, purgelog.Record{Until: until(2)}, 1},
		"older tokens":             {purgelog.Record{Until: until(1)}, purgelog.Record{Until: until(2), IssuedBefore: now}, 2},
		"a later logout":           {purgelog.Record{Until: until(1), IssuedBefore: now}, purgelog.Record{Until: until(2), IssuedBefore: now.Add(time.Minute)}, 1},
		"an earlier one, overlong": {purgelog.Record{Until: until(1), IssuedBefore: now}, purgelog.Record{Until: until(2), IssuedBefore: now.Add(-time.Minute)}, 2},
	} {
		t.Run(label, func(t *testing.T) {
			l := purgelog.New(purgelog.Options{Clock: func() time.Time { return now }})
			for _, r := range []purgelog.Record{tt.first, tt.second} {
				r.Name = name(1)
				if _, _, err := l.Deny(t.Context(), r); err != nil {
					t.Fatal(err)
				}
			}
			entries := l.Denials().Entries(now)
			if len(entries) != tt.left || l.Denials().Len() != tt.left {
				t.Fatalf("%d entries are left, want %d", len(entries), tt.left)
			}
			if !l.Denials().Denied(now, now, name(1)) {
				t.Error("not denied")
			}
			if _, err := l.Undeny(t.Context(), entries...); err != nil || l.Denials().Denied(now, time.Time{}, name(1)) {
				t.Error("denied still", err)
			}
		})
	}
}

// TestAnUndoWithoutTheNetworkHoldsHereAndReachesTheOthersLater, and a denial
// that was made and undone while the network was away denies nobody.
func TestAnUndoWithoutTheNetworkHoldsHereAndReachesTheOthersLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource()
		net, r, node := pair(t, src)
		e := denyFor(t, r[1], 1, time.Hour, "")
		synctest.Wait()
		node[0].Cut()
		if reach := undeny(t, r[0], e); reach != purgelog.Pending {
			t.Fatalf("reach %v", reach)
		}
		undeny(t, r[0], denyFor(t, r[0], 2, time.Hour, ""))
		if denied(r[0], 1) || denied(r[0], 2) || !denied(r[1], 1) {
			t.Fatal("it does not hold here, or is known elsewhere")
		}
		node[0].Restore()
		time.Sleep(2 * time.Second)
		late := newRig(t, src, net.Node())
		late.store.Start()
		synctest.Wait()
		for i, r := range []*rig{r[0], r[1], late} {
			if len(listed(r)) != 0 {
				t.Errorf("node %d lists %q", i, listed(r))
			}
		}
	})
}

// TestAnUndoneDenialIsNotSaidAgain (C14, C26): the undo is, where the log lost
// it, also to a node that never heard of it.
func TestAnUndoneDenialIsNotSaidAgain(t *testing.T) {
	for label, lose := range map[string]func(*cachetest.Network){
		"the whole log":       func(n *cachetest.Network) { n.Reset() },
		"the undo":            func(n *cachetest.Network) { n.Rollback(1) },
		"the undo and denial": func(n *cachetest.Network) { n.Rollback(2) },
		"nothing":             func(*cachetest.Network) {},
	} {
		t.Run(label, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource()
				net, r, node := pair(t, src)
				e := denyFor(t, r[0], 1, time.Hour, "")
				synctest.Wait()
				node[1].Cut() // it has heard of the denial, not of the undo
				time.Sleep(time.Second)
				undeny(t, r[0], e)
				node[0].Cut()
				time.Sleep(time.Second)
				lose(net)
				node[1].Restore() // says again what it knows, first
				time.Sleep(3 * time.Second)
				node[0].Restore()
				time.Sleep(3 * time.Second)
				late := newRig(t, src, net.Node())
				late.store.Start()
				synctest.Wait()
				for i, r := range []*rig{r[0], r[1], late} {
					if denied(r, 1) {
						t.Errorf("node %d denies", i)
					}
				}
				at := r[1].store.Log().Position()
				time.Sleep(time.Minute)
				if r[1].store.Log().Position() != at {
					t.Error("it is said again and again")
				}
			})
		})
	}
}

// TestAnUndoOutlivesTheDenialInTheLog: the log is not trimmed past an undo
// while a node that missed it may still say the denial again.
func TestAnUndoOutlivesTheDenialInTheLog(t *testing.T) {
	clock := cachetest.NewClock()
	l := purgelog.New(purgelog.Options{Clock: clock.Now})
	entries, _, err := l.Deny(t.Context(), purgelog.Record{Name: name(1), Until: clock.Now().Add(24 * time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Undeny(t.Context(), entries...); err != nil {
		t.Fatal(err)
	}
	undo := l.Position()
	clock.Advance(23 * time.Hour)
	if h := l.Horizon(); undo.Before(h) {
		t.Errorf("trimmed up to %v, and the undo stands at %v", h, undo)
	}
	clock.Advance(time.Hour)
	if h := l.Horizon(); !undo.Before(h) {
		t.Errorf("trimmed up to %v only, and the undo has no use any more", h)
	}
}

// TestUndoingFreesAPlace, and what was taken back is bounded as well.
func TestUndoingFreesAPlace(t *testing.T) {
	clock := cachetest.NewClock()
	l := purgelog.New(purgelog.Options{Clock: clock.Now})
	deny := func(n int) error {
		_, _, err := l.Deny(t.Context(), purgelog.Record{Name: name(n), Until: clock.Now().Add(time.Hour)})
		return err
	}
	for i := range purgelog.MaxDenials {
		if err := deny(i); err != nil {
			t.Fatal(i, err)
		}
	}
	if err := deny(purgelog.MaxDenials); !errors.Is(err, purgelog.ErrFull) {
		t.Fatalf("one too many: %v", err)
	}
	all := l.Denials().Entries(clock.Now())
	if _, err := l.Undeny(t.Context(), all[0]); err != nil {
		t.Fatal(err)
	}
	if err := deny(purgelog.MaxDenials); err != nil {
		t.Fatalf("after one was taken back: %v", err)
	}
	if _, err := l.Undeny(t.Context(), all[1:]...); err != nil {
		t.Fatal(err)
	}
	last := l.Denials().Entries(clock.Now())
	if len(last) != 1 {
		t.Fatalf("%d entries", len(last))
	}
	if _, err := l.Undeny(t.Context(), last...); !errors.Is(err, purgelog.ErrFull) {
		t.Fatalf("more taken back than is remembered: %v", err)
	}
	if !l.Denials().Denied(clock.Now(), clock.Now(), last[0].Name) {
		t.Error("an undo that is refused undid something")
	}
	clock.Advance(time.Hour)
	if err := deny(1); err != nil || l.Denials().Len() != 1 {
		t.Fatalf("after all ended: %v, %d", err, l.Denials().Len())
	}
}

// TestABurstOfUndosIsBounded: what other nodes say is held to a bound too, and an
// undo past it leaves its denial in force.
func TestABurstOfUndosIsBounded(t *testing.T) {
	clock := cachetest.NewClock()
	l := purgelog.New(purgelog.Options{Clock: clock.Now})
	until := clock.Now().Add(time.Hour)
	entries, _, err := l.Deny(t.Context(), purgelog.Record{Name: name(1 << 20), Until: until})
	if err != nil {
		t.Fatal(err)
	}
	undo := entries[0]
	undo.Kind = purgelog.Undeny
	records := make([]purgelog.Placed, 2*purgelog.MaxDenials+1)
	for i := range records {
		records[i] = purgelog.Placed{
			Record:   purgelog.Record{Kind: purgelog.Undeny, Name: name(i), Until: until},
			Position: purgelog.Position{Millis: 1, Serial: uint64(i)},
		}
	}
	records[2*purgelog.MaxDenials].Record = undo
	l.Apply(records)
	if !l.Denials().Denied(clock.Now(), clock.Now(), undo.Name) {
		t.Error("an undo without room lifted its denial")
	}
	clock.Advance(time.Hour)
	if _, _, err := l.Deny(t.Context(), purgelog.Record{Name: name(1), Until: clock.Now().Add(time.Hour)}); err != nil {
		t.Errorf("after all ended: %v", err)
	}
}

// TestNodesAgreeAfterAnyHistory (C4, C14): whatever two nodes deny and undo,
// cut off or not, and whatever the log loses meanwhile, they and a node that
// reads the log from its start have the same list in the end.
func TestNodesAgreeAfterAnyHistory(t *testing.T) {
	for seed := range uint64(60) {
		synctest.Test(t, func(t *testing.T) {
			random := rand.New(rand.NewPCG(seed, 9)) //nolint:gosec // the same histories each time
			src := newSource()
			net, r, node := pair(t, src)
			undone := map[string]bool{}
			var said []purgelog.Record
			cut := [2]bool{}
			for range 60 {
				n := random.IntN(2)
				switch random.IntN(8) {
				case 0, 1, 2:
					said = append(said, denyFor(t, r[n], random.IntN(3), time.Duration(1+random.IntN(40))*time.Minute, ""))
				case 3, 4:
					if list := r[n].store.Denials().Entries(time.Now()); len(list) > 0 {
						e := list[random.IntN(len(list))]
						undone[e.ID()] = true
						undeny(t, r[n], e)
					}
				case 5:
					if cut[n] = !cut[n]; cut[n] {
						node[n].Cut()
					} else {
						node[n].Restore()
					}
				case 6:
					if cut == [2]bool{true, true} {
						net.Reset()
					}
				case 7:
					time.Sleep(time.Duration(random.IntN(300)) * time.Second)
				}
				synctest.Wait()
			}
			node[0].Restore()
			node[1].Restore()
			time.Sleep(10 * time.Second)
			late := newRig(t, src, net.Node())
			late.store.Start()
			synctest.Wait()
			want := listed(r[0])
			for i, r := range []*rig{r[1], late} {
				if got := listed(r); !slices.Equal(got, want) {
					t.Errorf("history %d: node %d lists %q, and the first one %q", seed, i+1, got, want)
				}
			}
			for _, e := range said {
				here := slices.ContainsFunc(r[0].store.Denials().Entries(time.Now()), func(o purgelog.Record) bool { return o.ID() == e.ID() })
				if undone[e.ID()] && here {
					t.Errorf("history %d: an undone denial stands", seed)
				}
				// The longest of a name's may have replaced the others.
				longest := !slices.ContainsFunc(said, func(o purgelog.Record) bool { return o.Name == e.Name && o.Until.After(e.Until) })
				if longest && !undone[e.ID()] && time.Now().Before(e.Until) && !here {
					t.Errorf("history %d: a denial that nobody took back is gone", seed)
				}
			}
		})
	}
}
