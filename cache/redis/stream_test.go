package redis_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
)

const logName = redis.DefaultPrefix + "v1:log"

// full is a node with everything: memory, Redis and the log.
type full struct {
	*cache.Cache[*cachetest.Person]
	*node
	store *cache.Store
	loads int
}

var strict = cache.TTLs{
	Fresh: time.Hour, StaleIfError: time.Hour, Negative: time.Minute, UnconfirmedMax: time.Minute,
}

func join(t *testing.T, cfg redis.Config, change ...func(*redis.Options)) *full {
	t.Helper()
	n := connect(t, cfg, change...)
	mem, err := memory.New(memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := cache.NewStore(cache.Options{
		KeyDeriver: cache.NewKeyDeriver(ring(t, 1)), Memory: mem, Shared: n.tier,
		Log: purgelog.New(purgelog.Options{Stream: n.client.Stream()}),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	s.Start()
	f := &full{Cache: cache.New(s, cachetest.Codec{}), node: n, store: s}
	return f
}

func (f *full) ready(t *testing.T) *full {
	t.Helper()
	cachetest.Eventually(t, patience, "the log is read", func() bool { return f.store.Status().Log.Ready })
	return f
}

func (f *full) get(t *testing.T, id string) cache.Result[*cachetest.Person] {
	t.Helper()
	r, err := f.Get(t.Context(), f.store.KeyDeriver().Key("person", nil, id), strict,
		func() []cache.ID { return []cache.ID{{Kind: cache.UserID, Value: id}} },
		func(context.Context) (*cachetest.Person, error) {
			f.loads++
			return &cachetest.Person{ID: id, Login: id + "@example.com", Groups: []string{"staff", "it"}}, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (f *full) purge(t *testing.T, id string, want purgelog.Propagation) {
	t.Helper()
	if reach, err := f.store.Purge(t.Context(), cache.ID{Kind: cache.UserID, Value: id}); reach != want {
		t.Fatalf("reach %v, %v", reach, err)
	}
}

func holds(p cache.Handle) bool {
	ok, _ := p.Valid(time.Now(), &strict)
	return ok
}

func TestNodesShareEntriesPurgesAndDenials(t *testing.T) {
	server := cachetest.StartRedis(t)
	a, b := join(t, redis.Config{URL: server.URL()}).ready(t), join(t, redis.Config{URL: server.URL()}).ready(t)
	a.get(t, "ada")
	a.settle(t)
	r := b.get(t, "ada")
	if r.Tier != cache.TierRedis || b.loads != 0 || r.Value.Login != "ada@example.com" {
		t.Fatalf("%+v after %d loads", r, b.loads)
	}
	a.purge(t, "ADA", purgelog.AllNodes)
	cachetest.Eventually(t, patience, "the purge reaches the other node", func() bool { return !holds(r.Handle) })
	if r := b.get(t, "ada"); r.Tier != cache.TierSource {
		t.Fatalf("from %s", r.Tier)
	}
	name := a.store.KeyDeriver().DenialHash("https://idp", "jti", "x")
	if _, err := a.store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.Deny, Name: name, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	denied := func(f *full) func() bool {
		return func() bool { return f.store.Denials().Denied(time.Now(), time.Now(), name) }
	}
	cachetest.Eventually(t, patience, "the denial reaches the other node", denied(b))
	late := join(t, redis.Config{URL: server.URL()})
	cachetest.Eventually(t, patience, "a node that starts later learns of it", denied(late))
	if s := late.store.Status().Log; s.Names != 1 || s.Denials != 1 || !s.Shared {
		t.Errorf("%+v", s)
	}
}

func TestNoPersonIsToBeSeenInADumpOfRedis(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	a.get(t, "ada.lovelace")
	a.settle(t)
	a.purge(t, "ada.lovelace", purgelog.AllNodes)
	until := time.Now().Add(time.Hour)
	name := a.store.KeyDeriver().DenialHash("https://idp.example", "sub", "ada.lovelace")
	if _, err := a.store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.Deny, Name: name, Until: until}); err != nil {
		t.Fatal(err)
	}
	r := raw(t, server)
	cachetest.Eventually(t, patience, "all kinds of keys are there", func() bool { return r.DBSize(t.Context()).Val() >= 3 })
	for _, k := range r.Keys(t.Context(), "*").Val() {
		dump, err := r.Dump(t.Context(), k).Result()
		if err != nil {
			t.Fatal(err)
		}
		for _, part := range []string{"ada", "lovelace", "example", "staff", "groups"} {
			if strings.Contains(k, part) || strings.Contains(dump, part) {
				t.Errorf("%q is to be seen in %s", part, k)
			}
		}
	}
}

func TestAPurgeMissedInAnOutageIsSeenAfterwards(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL(), Timeout: cache.Duration(time.Second)}).ready(t)
	part := a.get(t, "ada").Handle
	bob := a.get(t, "bob").Handle
	server.Pause()
	cachetest.Eventually(t, patience, "the outage is noticed", func() bool { return !a.store.Status().Log.Ready })
	if !holds(part) {
		t.Fatal("inside unconfirmed_max the node goes on")
	}
	a.purge(t, "ada", purgelog.Pending)
	if holds(part) || !holds(bob) {
		t.Fatal("the purge does not hold at home")
	}
	server.Resume()
	b := join(t, redis.Config{URL: server.URL()}).ready(t)
	cachetest.Eventually(t, patience, "the purge is appended when Redis is back", func() bool {
		return b.store.Status().Log.Names == 1 && a.store.Status().Log.Pending == 0
	})
	if !holds(bob) {
		t.Error("the outage ended what nobody purged")
	}
}

func TestARestartWithoutDataMakesEntriesUnusableAndKeepsDenials(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	part := a.get(t, "ada").Handle
	name := a.store.KeyDeriver().DenialHash("https://idp", "sid", "s")
	if _, err := a.store.Log().Append(t.Context(), purgelog.Record{Kind: purgelog.Deny, Name: name, Until: time.Now().Add(time.Hour)}); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	server.Restart()
	cachetest.Eventually(t, patience, "the loss is noticed", func() bool { return !holds(part) })
	a.ready(t)
	if r := a.get(t, "ada"); r.Tier != cache.TierSource {
		t.Errorf("from %s", r.Tier)
	}
	if !a.store.Denials().Denied(time.Now(), time.Now(), name) {
		t.Error("the denial is gone here")
	}
	late := join(t, redis.Config{URL: server.URL()})
	cachetest.Eventually(t, patience, "a node that starts later learns of the denial", func() bool {
		return late.store.Denials().Denied(time.Now(), time.Now(), name)
	})
}

func TestALogThatIsDeletedIsNoticedWithoutAnyError(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	part := a.get(t, "ada").Handle
	if err := raw(t, server).Del(t.Context(), logName).Err(); err != nil {
		t.Fatal(err)
	}
	cachetest.Eventually(t, patience, "the loss is noticed", func() bool { return !holds(part) })
}

func TestForgedRecordsDoNothing(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	part := a.get(t, "ada").Handle
	r := raw(t, server)
	add := func(values ...any) {
		t.Helper()
		if err := r.XAdd(t.Context(), &goredis.XAddArgs{Stream: logName, Values: values}).Err(); err != nil {
			t.Fatal(err)
		}
	}
	good, err := r.XRange(t.Context(), logName, "-", "+").Result()
	if err != nil || len(good) == 0 {
		t.Fatal(err)
	}
	edited := []byte(good[0].Values["r"].(string))
	edited[1] = byte(purgelog.PurgeAll)
	add("r", string(edited))
	add("r", "")
	add("r", "\x01"+strings.Repeat("x", 64))
	add("other", "field")
	// The same record under another prefix has another MAC.
	foreign := join(t, redis.Config{URL: server.URL(), Prefix: "foreign:"}).ready(t)
	if _, err := foreign.store.PurgeAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	theirs, err := r.XRevRangeN(t.Context(), "foreign:v1:log", "+", "-", 1).Result()
	if err != nil || len(theirs) != 1 {
		t.Fatal(err)
	}
	add("r", theirs[0].Values["r"])
	cachetest.Eventually(t, patience, "all five are seen", func() bool { return a.counts.unsealed.Load() == 5 })
	if !holds(part) {
		t.Fatal("a forged record purged something")
	}
	a.purge(t, "ada", purgelog.AllNodes)
	if holds(part) {
		t.Fatal("after forged records the log no longer works")
	}
}

func TestTheStreamIsTrimmedButForWhatIsNeeded(t *testing.T) {
	server := cachetest.StartRedis(t)
	r := raw(t, server)
	// Records of a log whose times lie in the past: their places say so.
	writer := join(t, redis.Config{URL: server.URL()}).ready(t)
	writer.purge(t, "template", purgelog.AllNodes)
	tail, err := r.XRevRangeN(t.Context(), logName, "+", "-", 1).Result()
	if err != nil || len(tail) != 1 {
		t.Fatal(err)
	}
	if err := writer.store.Close(); err != nil {
		t.Fatal(err)
	}
	r.Del(t.Context(), logName)
	now := time.Now()
	for _, age := range []time.Duration{9 * time.Hour, 8 * time.Hour, 7 * time.Hour, time.Hour, time.Minute} {
		err := r.XAdd(t.Context(), &goredis.XAddArgs{
			Stream: logName, ID: fmt.Sprintf("%d-0", now.Add(-age).UnixMilli()), Values: []any{"r", tail[0].Values["r"]},
		}).Err()
		if err != nil {
			t.Fatal(err)
		}
	}
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	cachetest.Eventually(t, patience, "the stream is trimmed", func() bool { return r.XLen(t.Context(), logName).Val() == 3 })
	left, err := r.XRange(t.Context(), logName, "-", "+").Result()
	if err != nil {
		t.Fatal(err)
	}
	if want := fmt.Sprintf("%d-0", now.Add(-7*time.Hour).UnixMilli()); left[0].ID != want {
		t.Errorf("starts at %s, want the newest of the old ones, %s", left[0].ID, want)
	}
	part := a.get(t, "ada").Handle
	if !holds(part) {
		t.Error("nothing is cached after trimming")
	}
	if a.store.Status().Log.Names != 1 {
		t.Errorf("%+v", a.store.Status().Log)
	}
}

func TestPausedRedisLeavesTheStoreServing(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL(), Timeout: cache.Duration(time.Second)}).ready(t)
	a.get(t, "ada")
	server.Pause()
	defer server.Resume()
	a.get(t, "cold") // pays one time-out
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for i := range 1000 {
		a.get(t, fmt.Sprint("cold", i))
		if ctx.Err() != nil {
			t.Fatalf("after %v, %d of 1000 cold look-ups are through: each paid a time-out", patience, i)
		}
	}
	if a.loads != 1002 {
		t.Errorf("%d loads", a.loads)
	}
}

// TestAServerThatIsGoneIsSeenWithoutARequest: a node that answers everything
// from memory, or has no use for Redis yet, says all the same how Redis does.
func TestAServerThatIsGoneIsSeenWithoutARequest(t *testing.T) {
	server := cachetest.StartRedis(t)
	server.Kill()
	a := join(t, redis.Config{URL: server.URL()})
	says := func(ready bool, lastError string) func() bool {
		return func() bool {
			s := a.tier.Status()
			return s.Ready == ready && s.LastError == lastError && a.store.Status().Log.Ready == ready
		}
	}
	cachetest.Eventually(t, patience, "a server that was never there is told", says(false, "refused"))
	server.Restart()
	cachetest.Eventually(t, patience, "it is there", says(true, "refused"))
	server.Kill()
	cachetest.Eventually(t, patience, "it is gone", says(false, "refused"))
}

func TestNodesWithDifferentSealKeysAreASplit(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	b := join(t, redis.Config{URL: server.URL()}, func(o *redis.Options) { o.Sealer = ring(t, 2, 1) }).ready(t)
	probe := raw(t, server)
	cachetest.Eventually(t, patience, "both left their mark", func() bool {
		return probe.ZCard(t.Context(), redis.DefaultPrefix+"v1:rings").Val() == 1
	})
	if a.tier.Status().Split || b.tier.Status().Split {
		t.Fatal("a rotated ring with the same last key is no split")
	}
	c := join(t, redis.Config{URL: server.URL()}, func(o *redis.Options) { o.Sealer = ring(t, 3) })
	cachetest.Eventually(t, patience, "the newcomer notices", func() bool { return c.tier.Status().Split })
	if c.logged("not the seal key") != 1 {
		t.Error("not logged once")
	}
}

func TestTheEvictionPolicyIsLookedAt(t *testing.T) {
	for policy, warned := range map[string]bool{"allkeys-lru": true, "noeviction": true, "volatile-lru": false, "volatile-ttl": false} {
		t.Run(policy, func(t *testing.T) {
			server := cachetest.StartRedis(t, "--maxmemory", "64mb", "--maxmemory-policy", policy)
			a := join(t, redis.Config{URL: server.URL()}).ready(t)
			probe := raw(t, server)
			cachetest.Eventually(t, patience, "the watch has looked", func() bool {
				return probe.Exists(t.Context(), redis.DefaultPrefix+"v1:rings").Val() == 1 &&
					(!warned || len(a.tier.Status().Warnings) == 1)
			})
			if got := len(a.tier.Status().Warnings) > 0; got != warned {
				t.Errorf("warned %v", a.tier.Status().Warnings)
			}
		})
	}
}

func TestAppendAfterClose(t *testing.T) {
	server := cachetest.StartRedis(t)
	a := join(t, redis.Config{URL: server.URL()}).ready(t)
	if err := a.store.Close(); err != nil {
		t.Fatal(err)
	}
	if reach, err := a.store.PurgeAll(t.Context()); reach == purgelog.AllNodes || !errors.Is(err, cache.ErrClosed) {
		t.Errorf("%v, %v", reach, err)
	}
	if r := a.get(t, "ada"); r.Tier != cache.TierSource {
		t.Errorf("from %s", r.Tier)
	}
	a.store.Start()
}
