package cache_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
)

// pair is two nodes over one network, with one source.
func pair(t *testing.T, src *source) (*cachetest.Network, [2]*rig, [2]*cachetest.Node) {
	t.Helper()
	net := cachetest.NewNetwork(time.Now)
	nodes := [2]*cachetest.Node{net.Node(), net.Node()}
	rigs := [2]*rig{newRig(t, src, nodes[0]), newRig(t, src, nodes[1])}
	for _, r := range rigs {
		r.store.Start()
	}
	synctest.Wait()
	return net, rigs, nodes
}

func purge(t *testing.T, r *rig, id cache.ID, want purgelog.Propagation) {
	t.Helper()
	if reach, err := r.store.Purge(t.Context(), id); reach != want || (err != nil) != (want == purgelog.Pending) {
		t.Fatalf("reach %v, %v; want %v", reach, err, want)
	}
}

var ada = cache.ID{Kind: cache.UserID, Value: "ada"}

func TestTwoNodesShareWhatOneLoaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, _ := pair(t, src)
		first := r[0].must("ada", life)
		second := r[1].must("ada", life)
		if src.calls.Load() != 1 || second.Tier != cache.TierRedis || second.Digest != first.Digest ||
			!second.FetchedAt.Equal(first.FetchedAt) || second.Value.Groups[0] != "staff" {
			t.Fatalf("%d loads; %+v", src.calls.Load(), second)
		}
		if third := r[1].must("ada", life); third.Tier != cache.TierMemory {
			t.Fatalf("then from %s", third.Tier)
		}
	})
}

func TestAgeCountsFromTheFetchInWhicheverTier(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, _ := pair(t, src)
		strict := life
		strict.RefreshAfter = 0
		r[0].must("ada", strict)
		src.groups("ada")
		time.Sleep(strict.Fresh - 1)
		if len(r[1].must("ada", strict).Value.Groups) != 1 {
			t.Fatal("not taken from the other node")
		}
		time.Sleep(time.Nanosecond)
		if len(r[1].must("ada", strict).Value.Groups) != 0 {
			t.Fatal("the second tier gave the value a new life")
		}
	})
}

func TestOneRefreshServesBothNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, _ := pair(t, src)
		r[0].must("ada", life)
		r[1].must("ada", life)
		time.Sleep(life.RefreshAfter + life.RefreshAfter/10 + time.Second)
		r[0].must("ada", life)
		synctest.Wait()
		r[1].must("ada", life)
		synctest.Wait()
		if src.calls.Load() != 2 {
			t.Fatalf("%d loads, want 2", src.calls.Load())
		}
		if age := time.Since(r[1].must("ada", life).FetchedAt); age > time.Second {
			t.Fatalf("the second node did not take over the refreshed value: age %v", age)
		}
	})
}

func TestAPurgeReachesTheOtherNodeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, _ := pair(t, src)
		r[0].must("ada", life)
		part := r[1].must("ada", life).Handle
		src.groups("ada")
		purge(t, r[0], ada, purgelog.AllNodes)
		synctest.Wait()
		if ok, _ := part.Valid(time.Now(), &life); ok {
			t.Error("the decision stands")
		}
		for i, r := range r {
			if len(r.must("ada", life).Value.Groups) != 0 {
				t.Errorf("node %d serves a purged value", i)
			}
		}
		if src.calls.Load() != 2 {
			t.Errorf("%d loads, want 2: the purged entry is replaced once for both", src.calls.Load())
		}
		if v := r[0].store.Log().Version(); v != 1 {
			t.Errorf("one purge counts %d times on the node that made it", v)
		}
	})
}

func TestAPurgeMissedWhileCutOffIsSeenAfterwards(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada", "bob")
		_, r, node := pair(t, src)
		part := r[1].must("ada", life).Handle
		bob := r[1].must("bob", life).Handle
		node[1].Cut()
		synctest.Wait()
		src.groups("ada")
		purge(t, r[0], ada, purgelog.AllNodes)
		r[0].must("ada", life)
		time.Sleep(10 * time.Second)
		if ok, _ := part.Valid(time.Now(), &life); !ok {
			t.Fatal("inside unconfirmed_max the node goes on")
		}
		node[1].Restore()
		time.Sleep(time.Second)
		if ok, _ := part.Valid(time.Now(), &life); ok {
			t.Fatal("the missed purge is not seen")
		}
		if len(r[1].must("ada", life).Value.Groups) != 0 {
			t.Fatal("serves the old value")
		}
		if ok, _ := bob.Valid(time.Now(), &life); !ok {
			t.Fatal("the cut ended what nobody purged")
		}
	})
}

func TestWithoutContactEntriesServeUnconfirmedMaxAndNoLonger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, node := pair(t, src)
		r[1].must("ada", life)
		time.Sleep(10 * time.Second)
		part := r[1].must("ada", life).Handle
		node[1].Cut()
		lost := time.Now()
		src.groups("ada")
		purge(t, r[0], ada, purgelog.AllNodes)
		last := time.Time{}
		for time.Since(lost) < 2*time.Minute {
			if ok, _ := part.Valid(time.Now(), &life); ok {
				last = time.Now()
			}
			time.Sleep(time.Second)
		}
		if d := last.Sub(lost); d > life.UnconfirmedMax || d < life.UnconfirmedMax-2*time.Second {
			t.Fatalf("the decision stood for %v", d)
		}
		if len(r[1].must("ada", life).Value.Groups) != 0 {
			t.Fatal("the entry is served past unconfirmed_max")
		}
		// What was fetched without contact is bounded the same way.
		before := src.calls.Load()
		time.Sleep(life.UnconfirmedMax - 1)
		r[1].must("ada", life)
		if src.calls.Load() != before {
			t.Fatal("a value fetched since serves unconfirmed_max as well")
		}
		time.Sleep(2 * time.Nanosecond)
		r[1].must("ada", life)
		if src.calls.Load() != before+1 {
			t.Fatal("a value fetched without contact serves for too long")
		}
		none := life
		none.UnconfirmedMax = 0
		r[1].must("ada", none)
		r[1].must("ada", none)
		if src.calls.Load() != before+3 {
			t.Fatal("with unconfirmed_max 0 every look-up goes to the source")
		}
	})
}

func TestWithoutContactNothingIsServedStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, node := pair(t, src)
		r[1].must("ada", life)
		node[1].Cut()
		src.fail(errDown)
		time.Sleep(life.Fresh)
		if _, err := r[1].get("ada", life); !errors.Is(err, errDown) {
			t.Fatalf("%v", err)
		}
	})
}

func TestAnEntryWrittenDuringAPurgeIsUnusableForOtherNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, node := pair(t, src)
		// Node 0 has read the source; the purge comes from node 1 while
		// node 0 does not hear of it, and node 0 then writes its entry.
		src.hook = func(string) {
			src.set(func(s *source) { s.hook = nil })
			node[0].Cut()
			synctest.Wait()
			src.groups("ada")
			purge(t, r[1], ada, purgelog.AllNodes)
		}
		src.delay = 0
		var res cache.Result[*person]
		func() {
			load := func(ctx context.Context) (*person, error) {
				p, err := src.load("ada")(ctx)
				node[0].Restore()
				return p, err
			}
			var err error
			if res, err = r[0].Get(t.Context(), r[0].key("ada"), life, asked("ada"), load); err != nil {
				t.Fatal(err)
			}
		}()
		_ = res
		time.Sleep(2 * time.Second)
		for i, r := range r {
			if len(r.must("ada", life).Value.Groups) != 0 {
				t.Errorf("node %d serves what the purge named", i)
			}
		}
	})
}

func TestALostLogMakesEverythingHeldUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		net, r, _ := pair(t, src)
		purge(t, r[0], ada, purgelog.AllNodes)
		part := r[1].must("ada", life).Handle
		src.groups("ada")
		time.Sleep(2 * time.Second)
		net.Reset()
		synctest.Wait()
		if ok, _ := part.Valid(time.Now(), &life); ok {
			t.Fatal("the decision stands though a purge may have been lost")
		}
		if len(r[1].must("ada", life).Value.Groups) != 0 {
			t.Fatal("an entry from before the loss is served")
		}
		purge(t, r[0], ada, purgelog.AllNodes)
		synctest.Wait()
		if ok, _ := r[1].must("ada", life).Handle.Valid(time.Now(), &life); !ok {
			t.Fatal("after the loss nothing is cached any more")
		}
	})
}

func TestALogThatLostItsEndMakesEverythingHeldUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		var skew time.Duration
		net := cachetest.NewNetwork(func() time.Time { return time.Now().Add(skew) })
		r := newRig(t, src, net.Node())
		r.store.Start()
		synctest.Wait()
		time.Sleep(time.Second)
		purge(t, r, ada, purgelog.AllNodes)
		synctest.Wait()
		part := r.must("ada", life).Handle
		net.Rollback(1)
		synctest.Wait()
		if ok, _ := part.Valid(time.Now(), &life); ok {
			t.Fatal("the decision stands though other records may have been lost with that one")
		}
		// The new master's clock runs behind: places repeat themselves.
		skew = -500 * time.Millisecond
		part = r.must("ada", life).Handle
		purge(t, r, ada, purgelog.AllNodes)
		if ok, _ := part.Valid(time.Now(), &life); ok {
			t.Fatal("a purge is taken for one that was lost")
		}
	})
}

// appendFails is a node that can read the log and not write it.
type appendFails struct{ *cachetest.Node }

func (appendFails) Append(context.Context, []purgelog.Record) ([]purgelog.Position, error) {
	return nil, cache.ErrUnavailable
}

func TestAPurgeThatIsNotSharedYetHoldsForSharedEntriesToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		net := cachetest.NewNetwork(time.Now)
		writer := newRig(t, src, net.Node())
		writer.store.Start()
		synctest.Wait()
		writer.must("ada", life)
		node := appendFails{net.Node()}
		r := newRig(t, src, node.Node, func(o *cache.Options) {
			o.Log = purgelog.New(purgelog.Options{Stream: node})
		})
		r.store.Start()
		synctest.Wait()
		purge(t, r, ada, purgelog.Pending)
		if res := r.must("ada", life); res.Tier != cache.TierSource {
			t.Fatalf("the purged entry came back from %s", res.Tier)
		}
	})
}

func TestAForgottenPurgeMakesOlderSharedEntriesUnusable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada", "bob")
		_, r, _ := pair(t, src)
		r[0].must("ada", life)
		records := []purgelog.Record{{Kind: purgelog.PurgeUser, Name: r[0].store.KeyDeriver().NameHash(ada)}}
		for i := range purgelog.MaxPurges {
			records = append(records, purgelog.Record{Kind: purgelog.PurgeUser, Name: purgelog.NameHash{byte(i), byte(i >> 8), byte(i >> 16), 1}})
		}
		if _, err := r[0].store.Log().Append(t.Context(), records...); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if res := r[1].must("ada", life); res.Tier != cache.TierSource {
			t.Fatalf("from %s", res.Tier)
		}
		r[0].must("bob", life)
		if res := r[1].must("bob", life); res.Tier != cache.TierRedis {
			t.Fatalf("an entry from after it came from %s", res.Tier)
		}
	})
}

func TestWhatANodeKnowsIsNotReplacedByAnOlderSharedEntry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, node := pair(t, src)
		r[0].must("ada", life) // shared, fresh for five minutes to most readers
		time.Sleep(time.Minute)
		src.set(func(s *source) { delete(s.people, "ada") })
		short := life
		short.Fresh, short.RefreshAfter = 30*time.Second, 0
		node[0].Cut() // the absence is not shared
		if r[0].must("ada", short).Found {
			t.Fatal("found though deleted")
		}
		node[0].Restore()
		time.Sleep(life.Negative + time.Second)
		src.fail(errDown)
		if res, err := r[0].get("ada", life); err == nil {
			t.Fatalf("a deleted user came back from %s", res.Tier)
		}
	})
}

func TestAPurgeWithoutTheNetworkHoldsHereAndReachesTheOthersLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, node := pair(t, src)
		a, b := r[0].must("ada", life).Handle, r[1].must("ada", life).Handle
		node[0].Cut()
		purge(t, r[0], ada, purgelog.Pending)
		if ok, _ := a.Valid(time.Now(), &life); ok {
			t.Fatal("the purge does not hold on its own node")
		}
		if n := r[0].store.Status().Log.Pending; n != 1 {
			t.Fatalf("%d pending", n)
		}
		node[0].Restore()
		time.Sleep(time.Second)
		if ok, _ := b.Valid(time.Now(), &life); ok {
			t.Fatal("the purge never reached the other node")
		}
		if n := r[0].store.Status().Log.Pending; n != 0 {
			t.Fatalf("%d pending still", n)
		}
	})
}

func TestANewNodeTakesOldEntriesAndNoPurgedOnes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada", "bob")
		net, r, _ := pair(t, src)
		r[0].must("ada", life)
		r[0].must("bob", life)
		purge(t, r[0], ada, purgelog.AllNodes)
		third := newRig(t, src, net.Node())
		third.store.Start()
		before := src.calls.Load()
		if res := third.must("bob", life); res.Tier != cache.TierRedis {
			t.Errorf("bob came from %s", res.Tier)
		}
		if res := third.must("ada", life); res.Tier != cache.TierSource || src.calls.Load() != before+1 {
			t.Errorf("ada came from %s", res.Tier)
		}
	})
}

func TestANegativeEntryReplacesThePositiveOneForAllNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := newSource("ada")
		_, r, _ := pair(t, src)
		r[0].must("ada", life)
		time.Sleep(life.Fresh)
		src.set(func(s *source) { delete(s.people, "ada") })
		none := life
		none.Negative = 0
		if r[0].must("ada", none).Found {
			t.Fatal("found")
		}
		src.fail(errDown)
		for i, r := range r {
			if res, err := r.get("ada", life); err == nil {
				t.Errorf("node %d serves the deleted user: %+v", i, res)
			}
		}
	})
}

func TestForgottenPurgesMakeUncheckedEntriesUnusable(t *testing.T) {
	clock := cachetest.NewClock()
	src := newSource("ada")
	r := newRig(t, src, nil, func(o *cache.Options) { o.Clock = clock.Now })
	part := r.must("ada", life).Handle
	records := make([]purgelog.Record, purgelog.MaxPurges+1)
	for i := range records {
		records[i].Kind = purgelog.PurgeUser
		records[i].Name[0], records[i].Name[1], records[i].Name[2] = byte(i), byte(i>>8), byte(i>>16)
	}
	if _, err := r.store.Log().Append(t.Context(), records...); err != nil {
		t.Fatal(err)
	}
	if n := r.store.Status().Log.Names; n != purgelog.MaxPurges {
		t.Fatalf("%d names held", n)
	}
	if ok, _ := part.Valid(clock.Now(), &life); ok {
		t.Fatal("valid though a forgotten purge may have named it")
	}
	clock.Advance(2 * time.Hour)
	r.store.Log().Retain(3 * time.Hour)
	if _, err := r.store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.PurgeApp}); err != nil {
		t.Fatal(err)
	}
	if n := r.store.Status().Log.Names; n != purgelog.MaxPurges {
		t.Fatalf("%d names held though the longest life is 3h", n)
	}
	clock.Advance(time.Hour + 1)
	if _, err := r.store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.PurgeApp}); err != nil {
		t.Fatal(err)
	}
	if n := r.store.Status().Log.Names; n != 1 {
		t.Fatalf("%d names held, want the newest only", n)
	}
}

// TestAFurtherNameIsHeldAgainstWhatWasFetchedBeforeItsPurge: an assignment is
// stored under few names; a purge may come with another, before or after this
// node read what another node had stored.
func TestAFurtherNameIsHeldAgainstWhatWasFetchedBeforeItsPurge(t *testing.T) {
	login := []cache.ID{{Kind: cache.UserID, Value: "further@example.com"}}
	for name, first := range map[string]bool{"purged before it was read here": true, "purged afterwards": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				src := newSource("ada")
				net := cachetest.NewNetwork(time.Now)
				a, b := newRig(t, src, net.Node()), newRig(t, src, net.Node())
				a.store.Start()
				b.store.Start()
				time.Sleep(3 * time.Second)
				a.must("ada", life)
				purge := func() {
					src.groups("ada")
					if _, err := a.store.Purge(t.Context(), login...); err != nil {
						t.Fatal(err)
					}
					time.Sleep(3 * time.Second)
				}
				if first {
					purge()
				}
				res := b.must("ada", life)
				if res.Tier == cache.TierSource {
					t.Fatal("not read from the shared tier")
				}
				if !first {
					if b.DropIfPurged(res.Handle, login) {
						t.Fatal("outdated though nothing was purged")
					}
					purge()
				}
				if b.DropIfPurged(res.Handle, []cache.ID{{Kind: cache.UserID, Value: "else"}}) {
					t.Error("outdated by a name that nobody purged")
				}
				if !b.DropIfPurged(res.Handle, login) {
					t.Fatal("not outdated by the purge of its further name")
				}
				names := func() []cache.ID { return login }
				res, err := b.Get(t.Context(), b.key("ada"), life, names, src.load("ada"))
				if err != nil || res.Tier != cache.TierSource || len(res.Value.Groups) != 0 {
					t.Fatalf("looked up again: tier %s, %v", res.Tier, err)
				}
				if b.DropIfPurged(res.Handle, login) {
					t.Error("outdated by a purge from before its fetch")
				}
			})
		})
	}
}
