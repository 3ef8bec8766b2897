package redis_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
)

func (f *full) deny(t *testing.T, user, reason string) purgelog.Record {
	t.Helper()
	entries, reach, err := f.store.Log().Deny(t.Context(), purgelog.Record{
		Name: f.store.KeyDeriver().DenialHash("https://idp", "sub", user), Until: time.Now().Add(time.Hour), Claim: "sub", Reason: reason,
	})
	if err != nil || reach != purgelog.AllNodes {
		t.Fatal(reach, err)
	}
	return entries[0]
}

func (f *full) undeny(t *testing.T, e purgelog.Record) {
	t.Helper()
	if reach, err := f.store.Log().Undeny(t.Context(), e); err != nil || reach != purgelog.AllNodes {
		t.Fatal(reach, err)
	}
}

// lists reports whether the node's list has an entry just so.
func (f *full) lists(e purgelog.Record) bool {
	for _, o := range f.store.Denials().Entries(time.Now()) {
		if o.ID() == e.ID() && o.Claim == e.Claim && o.Reason == e.Reason {
			return true
		}
	}
	return false
}

func (f *full) refuses(e purgelog.Record) bool {
	return f.store.Denials().Denied(time.Now(), time.Now(), e.Name)
}

// TestADenialIsTakenBackThroughRedis (C4): also for a node that starts later,
// and the list is the same everywhere.
func TestADenialIsTakenBackThroughRedis(t *testing.T) {
	server := cachetest.StartRedis(t)
	a, b := join(t, redis.Config{URL: server.URL()}).ready(t), join(t, redis.Config{URL: server.URL()}).ready(t)
	ada, grace := a.deny(t, "ada", "laptop stolen"), a.deny(t, "grace", "")
	cachetest.Eventually(t, patience, "the denials are listed by the other node", func() bool { return b.lists(ada) && b.lists(grace) })
	b.undeny(t, ada)
	if b.refuses(ada) || !b.refuses(grace) {
		t.Fatal("the undo does not hold here, or undid more")
	}
	cachetest.Eventually(t, patience, "the undo reaches the other node", func() bool { return !a.refuses(ada) })
	late := join(t, redis.Config{URL: server.URL()}).ready(t)
	cachetest.Eventually(t, patience, "a node that starts later has read the log", func() bool { return late.refuses(grace) })
	if late.refuses(ada) || late.lists(ada) || !late.lists(grace) || late.store.Status().Log.Denials != 1 {
		t.Error("a node that starts later has another list")
	}
	again := a.deny(t, "ada", "")
	for _, f := range []*full{b, late} {
		cachetest.Eventually(t, patience, "the new denial is known", func() bool { return f.refuses(again) })
	}
	if n := a.counts.unsealed.Load() + b.counts.unsealed.Load() + late.counts.unsealed.Load(); n != 0 {
		t.Errorf("%d alarms", n)
	}
}

// TestAnUndoMissedInAnOutageIsSeenAfterwards (C4, C26): and one that was made
// in it is said when Redis is back.
func TestAnUndoMissedInAnOutageIsSeenAfterwards(t *testing.T) {
	server := cachetest.StartRedis(t)
	cfg := redis.Config{URL: server.URL(), Timeout: cache.Duration(time.Second)}
	a, b := join(t, cfg).ready(t), join(t, cfg).ready(t)
	e := a.deny(t, "ada", "mistaken")
	cachetest.Eventually(t, patience, "the other node knows of the denial", func() bool { return b.lists(e) })
	server.Kill()
	cachetest.Eventually(t, patience, "the outage is noticed", func() bool { return !b.store.Status().Log.Ready })
	if reach, err := b.store.Log().Undeny(t.Context(), e); reach != purgelog.Pending || err == nil {
		t.Fatal(reach, err)
	}
	if b.refuses(e) || !a.refuses(e) {
		t.Fatal("the undo does not hold here, or is known elsewhere")
	}
	server.Restart() // without any data: both say again what they know
	cachetest.Eventually(t, patience, "the undo reaches the other node", func() bool { return !a.refuses(e) })
	late := join(t, redis.Config{URL: server.URL()}).ready(t)
	other := a.deny(t, "grace", "")
	cachetest.Eventually(t, patience, "a node that starts later has read the log", func() bool { return late.refuses(other) })
	for i, f := range []*full{a, b, late} {
		if f.refuses(e) {
			t.Errorf("node %d: the undone denial is said again", i)
		}
	}
}

// TestForgedUndoesLiftNoDenial (C4): who can write to Redis without the key can
// say old records again and make up new ones, and lets nobody in.
func TestForgedUndoesLiftNoDenial(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	r := raw(t, server)
	a.undeny(t, a.deny(t, "ada", "first"))
	undo := newest(t, r)
	e := a.deny(t, "ada", "second")
	denial := newest(t, r)
	forged := []byte(denial["r"].(string))
	forged[1] = byte(purgelog.Undeny)
	moved := []byte(undo["r"].(string)) // names the newer denial, with the old one's MAC
	copy(moved[2:34], denial["r"].(string)[2:34])
	future := []byte(denial["r"].(string))
	future[1] = 99
	for _, values := range [][]any{
		{"r", undo["r"]},
		{"r", string(forged)},
		{"r", string(moved)},
		{"r", string(future)},
		{"r", undo["r"], "d", denial["d"]},
		{"r", denial["r"]},
		{"r", denial["r"], "d", "x"},
		{"r", undo["r"]},
	} {
		if err := r.XAdd(t.Context(), &goredis.XAddArgs{Stream: logName, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	end := a.deny(t, "grace", "")
	late := join(t, redis.Config{URL: server.URL()}).ready(t)
	for i, f := range []*full{a, late} {
		cachetest.Eventually(t, patience, "the log is read", func() bool { return f.refuses(end) && f.counts.unsealed.Load() == 5 })
		if !f.refuses(e) || !f.lists(e) {
			t.Errorf("node %d: a forged record undid a denial, or changed its reason", i)
		}
	}
}

// TestANodeOfAnOlderVersionRefusesWhatIsDenied: it reads the first field alone,
// of one length and of kinds up to Deny, and passes over all else. What it says
// again, without details, is the same denial, and stays taken back.
func TestANodeOfAnOlderVersionRefusesWhatIsDenied(t *testing.T) {
	const length, mac, newestKind = 1 + 1 + 16 + 8 + 8, 32, 5
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	r := raw(t, server)
	e := a.deny(t, "ada", "laptop stolen")
	denial := newest(t, r)
	b := denial["r"].(string)
	if len(b) != length+mac || b[0] != 1 || b[1] != newestKind {
		t.Fatalf("a denial is %x", b)
	}
	a.undeny(t, e)
	if b := newest(t, r)["r"].(string); len(b) != length+mac || b[0] != 1 || b[1] <= newestKind {
		t.Fatalf("an undo is %x, and a node that does not know it might take it for something else", b)
	}
	if err := r.XAdd(t.Context(), &goredis.XAddArgs{Stream: logName, Values: []any{"r", denial["r"]}}).Err(); err != nil {
		t.Fatal(err)
	}
	other := a.deny(t, "grace", "")
	theirs := newest(t, r)
	// In one transaction: a log that is empty for a moment would get a record that
	// begins it.
	_, err := r.TxPipelined(t.Context(), func(p goredis.Pipeliner) error {
		p.Del(t.Context(), logName)
		for _, v := range []any{theirs["r"], denial["r"]} {
			p.XAdd(t.Context(), &goredis.XAddArgs{Stream: logName, Values: []any{"r", v}})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	cachetest.Eventually(t, patience, "the undo that the log lacks is appended again", func() bool {
		return slices.ContainsFunc(r.XRange(t.Context(), logName, "-", "+").Val(), func(m goredis.XMessage) bool {
			return m.Values["r"].(string)[1] == byte(purgelog.Undeny)
		})
	})
	late := join(t, redis.Config{URL: server.URL()}).ready(t)
	cachetest.Eventually(t, patience, "the log is read", func() bool { return late.refuses(other) })
	if a.refuses(e) || late.refuses(e) {
		t.Error("an old node's words brought an undone denial back")
	}
	if list := late.store.Denials().Entries(time.Now()); len(list) != 1 || list[0].Claim != "" || list[0].ID() != other.ID() {
		t.Errorf("listed is %+v", list)
	}
}

// TestReasonsAreSealed (C8): a reason may name a person.
func TestReasonsAreSealed(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	const reason = "Ada's laptop"
	one, two := a.deny(t, "ada", reason), a.deny(t, "grace", reason)
	r := raw(t, server)
	last, err := r.XRevRangeN(t.Context(), logName, "+", "-", 2).Result()
	if err != nil || len(last) != 2 {
		t.Fatal(err)
	}
	for _, m := range last {
		for _, v := range m.Values {
			for _, word := range []string{"Ada", "laptop", "sub", "grace"} {
				if strings.Contains(v.(string), word) {
					t.Errorf("%q is to be seen in Redis", word)
				}
			}
		}
	}
	if last[0].Values["d"] == last[1].Values["d"] {
		t.Error("equal reasons look alike")
	}
	// Under a new first key, the last one being the same, it still opens.
	rotated := join(t, redis.Config{URL: server.URL()}, func(o *redis.Options) { o.Sealer = ring(t, 2, 1) })
	cachetest.Eventually(t, patience, "the list is read", func() bool { return rotated.lists(one) && rotated.lists(two) })
}

func newest(t *testing.T, r *goredis.Client) map[string]any {
	t.Helper()
	last, err := r.XRevRangeN(t.Context(), logName, "+", "-", 1).Result()
	if err != nil || len(last) != 1 {
		t.Fatal(len(last), err)
	}
	return last[0].Values
}
