package mint

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

func TestNodesAgreeOnOneFirstKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		nodes := make([]*Signer, 5)
		for i := range nodes {
			s, err := New(Config{Issuer: testIssuer}, Options{Storage: m})
			if err != nil {
				t.Fatal(err)
			}
			s.Start(t.Context())
			defer s.Stop()
			nodes[i] = s
		}
		synctest.Wait()
		first := signs(t, nodes[0])
		for _, s := range nodes {
			if got := signs(t, s); got != first || len(publishes(t, s)) != 1 {
				t.Errorf("a node signs with %s and publishes %v, another signs with %s", got, publishes(t, s), first)
			}
		}
		if m.stores != 1 {
			t.Errorf("%d nodes stored %d times", len(nodes), m.stores)
		}
	})
}

// The heart of rotation: over three rotations, looked at every ten minutes, no
// node ever signs with a key that the other does not publish, a new key has
// been published by all for (nearly) the overlap, and no key is withdrawn
// while a token that it signed is alive.
func TestRotationOverTwoNodes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		config := Config{Rotate: cache.Duration(72 * time.Hour), RotateOverlap: cache.Duration(12 * time.Hour)}
		a := node(t, config, m)
		b := node(t, config, m)
		signed := map[string]bool{}
		published := map[string]time.Time{}
		alive := map[string]time.Time{} // by key, when its last token ends
		for range 10 * 24 * 6 {
			now := time.Now()
			fromA, fromB := publishes(t, a), publishes(t, b)
			for id := range fromA {
				if fromB[id] && published[id].IsZero() {
					published[id] = now
				}
			}
			for _, s := range []*Signer{a, b} {
				id := signs(t, s)
				if !fromA[id] || !fromB[id] {
					t.Fatalf("%v: a node signs with a key that not all publish", now)
				}
				if !signed[id] && len(signed) > 0 && now.Sub(published[id]) < 11*time.Hour {
					t.Errorf("%v: a key signs %v after its publication", now, now.Sub(published[id]))
				}
				signed[id] = true
				alive[id] = now.Add(defaultTTL)
			}
			for id, until := range alive {
				if now.Before(until) && (!fromA[id] || !fromB[id]) {
					t.Errorf("%v: a key was withdrawn while its tokens live", now)
				}
			}
			time.Sleep(10 * time.Minute) // the bubble's clock
			synctest.Wait()
		}
		if len(signed) != 4 {
			t.Errorf("%d keys signed in ten days", len(signed))
		}
		if n := len(publishes(t, a)); n > 2 {
			t.Errorf("%d keys are still published", n)
		}
	})
}

func TestRetiredKeyLeavesAfterTheLongestToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		s := node(t, Config{Rotate: cache.Duration(10 * time.Hour), RotateOverlap: cache.Duration(time.Hour)}, m)
		s.KeepFor(3 * time.Hour)
		synctest.Wait()
		first := signs(t, s)
		time.Sleep(10*time.Hour + time.Second)
		synctest.Wait()
		if signs(t, s) == first {
			t.Fatal("the first key still signs")
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if !publishes(t, s)[first] {
			t.Error("withdrawn while a token may live")
		}
		time.Sleep(20 * time.Minute)
		synctest.Wait()
		if publishes(t, s)[first] {
			t.Error("still published")
		}
		if strings.Contains(string(m.values[storedName]), first) {
			t.Error("still stored")
		}
	})
}

// The node that made a key dies before the key's time comes.
func TestCrashBetweenPublishAndSign(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		config := Config{Rotate: cache.Duration(10 * time.Hour), RotateOverlap: cache.Duration(time.Hour)}
		a := node(t, config, m)
		time.Sleep(9*time.Hour + time.Second)
		synctest.Wait()
		if len(publishes(t, a)) != 2 {
			t.Fatal("no next key was made")
		}
		first := signs(t, a)
		a.Stop()
		b := node(t, config, m)
		if signs(t, b) != first || len(publishes(t, b)) != 2 {
			t.Error("the other node did not take over the keys")
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if id := signs(t, b); id == first || !publishes(t, a)[id] {
			t.Error("the next key does not sign, or the stopped node did not publish it")
		}
	})
}

func TestRotationOnDemandMakesOneNextKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		a := node(t, Config{}, m)
		b := node(t, Config{}, m)
		first := signs(t, a)
		time.Sleep(time.Minute)
		for range 2 { // the second time there is a next key already
			if err := a.Rotate(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		if signs(t, a) != first || len(publishes(t, a)) != 2 {
			t.Error("a rotation did not publish one key that signs later")
		}
		var next string
		for _, k := range a.List() {
			if k.State == "next" {
				next = k.ID
			}
		}
		if err := a.Rotate(t.Context(), true); err != nil {
			t.Fatal(err)
		}
		now := signs(t, a)
		if now == first || now == next {
			t.Error("rotating at once did not sign with a fresh key")
		}
		if got := publishes(t, a); !got[first] || got[next] || len(got) != 2 {
			t.Errorf("published afterwards: %v", got)
		}
		if signs(t, b) != first {
			t.Error("the other node cannot know yet")
		}
		time.Sleep(maxPollInterval)
		synctest.Wait()
		if signs(t, b) != now {
			t.Error("the other node did not follow at its next look")
		}
		list := a.List()
		if len(list) != 2 || list[0].State != "signing" || list[0].ID != now || list[1].State != "retired" || list[1].PublishedUntil.IsZero() {
			t.Errorf("list is %+v", list)
		}
	})
}

func TestChangeOfAlgorithmKeepsTheOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		old := node(t, Config{}, m)
		first := signs(t, old)
		old.Stop()
		s := node(t, Config{Algorithm: "EdDSA"}, m)
		if signs(t, s) != first || len(publishes(t, s)) != 2 {
			t.Error("the new algorithm's key was not published first")
		}
		time.Sleep(defaultOverlap)
		synctest.Wait()
		if id := signs(t, s); id == first || s.List()[0].Algorithm != "EdDSA" {
			t.Error("the new algorithm does not sign")
		}
		time.Sleep(defaultRotate + 3*defaultOverlap)
		synctest.Wait()
		if publishes(t, s)[first] {
			t.Error("the old algorithm's key never retired")
		}
	})
}

func TestAClockThatIsBehindStillSigns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemory()
		first := signs(t, node(t, Config{}, m))
		s, err := New(Config{Issuer: testIssuer}, Options{Storage: m, Clock: func() time.Time { return time.Now().Add(-time.Hour) }})
		if err != nil {
			t.Fatal(err)
		}
		s.Start(t.Context())
		defer s.Stop()
		synctest.Wait()
		if signs(t, s) != first || len(publishes(t, s)) != 1 {
			t.Error("a clock that is behind kept the only key from signing, or made another")
		}
	})
}
