package redis_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// patience ends a broken test. What happens in it takes milliseconds.
const patience = time.Minute

// longest is the longest time-out that a call may have. The one by default is
// for requests, and a machine that is busy with other tests may need more.
const longest = cache.Duration(5 * time.Second)

func ring(t testing.TB, seeds ...byte) *seal.Ring {
	t.Helper()
	var keys [][]byte
	for _, s := range seeds {
		keys = append(keys, bytes.Repeat([]byte{s}, seal.KeySize))
	}
	r, err := seal.NewRing(nil, keys...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

type node struct {
	client *redis.Client
	tier   *redis.Tier
	counts *counts
	log    *bytes.Buffer
	mu     sync.Mutex
}

// connect returns a client whose calls have the longest time-out, unless the
// test sets another.
func connect(t testing.TB, cfg redis.Config, change ...func(*redis.Options)) *node {
	t.Helper()
	cfg.Timeout = cmp.Or(cfg.Timeout, longest)
	n := &node{counts: &counts{}, log: &bytes.Buffer{}}
	o := redis.Options{Sealer: ring(t, 1), Observer: n.counts, Logger: slog.New(slog.NewTextHandler(n, nil))}
	for _, f := range change {
		f(&o)
	}
	c, err := redis.New(cfg, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	n.client, n.tier = c, c.Tier()
	return n
}

// Write makes the node a log's writer.
func (n *node) Write(b []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.log.Write(b)
}

func (n *node) logged(text string) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return strings.Count(n.log.String(), text)
}

func (n *node) settle(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := n.tier.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

type counts struct{ unsealed, requests atomic.Int64 }

func (c *counts) CacheRequest(string, string) { c.requests.Add(1) }
func (c *counts) UnsealFailure()              { c.unsealed.Add(1) }
func (c *counts) Purge(string)                {}

// raw is a plain client, to look at what is really there.
func raw(t testing.TB, s *cachetest.Redis) *goredis.Client {
	t.Helper()
	c := goredis.NewClient(&goredis.Options{Addr: s.Addr, Protocol: 2, DisableIdentity: true})
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func key(n byte) (k cache.Key) {
	k[0], k[31] = n, n
	return k
}

func name(k cache.Key) string {
	return redis.DefaultPrefix + "v1:" + base64.RawURLEncoding.EncodeToString(k[:])
}

func entry(content string) *cache.Entry {
	return &cache.Entry{Found: true, FetchedAt: time.Unix(1_700_000_000, 0), Content: []byte(content)}
}

func TestTheTierPassesTheSuite(t *testing.T) {
	server := cachetest.StartRedis(t)
	cachetest.TierSuite(t, func(t *testing.T) cachetest.Subject {
		if err := raw(t, server).FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		n := connect(t, redis.Config{URL: server.URL()})
		return cachetest.Subject{Tier: n.tier, Settle: func() { n.settle(t) }}
	})
}

func TestWhatStandsInRedisRevealsNothing(t *testing.T) {
	server := cachetest.StartRedis(t)
	n := connect(t, redis.Config{URL: server.URL()})
	secret := "ada@example.com"
	n.tier.Set(key(1), entry(`{"id":"`+secret+`"}`), time.Minute)
	n.settle(t)
	r := raw(t, server)
	keys, err := r.Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 1 || keys[0] != name(key(1)) {
		t.Fatalf("keys %q, %v", keys, err)
	}
	value, err := r.Get(t.Context(), keys[0]).Result()
	if err != nil || strings.Contains(value, "ada") || strings.Contains(value, "id") {
		t.Fatalf("value %q, %v", value, err)
	}
	if ttl := r.PTTL(t.Context(), keys[0]).Val(); ttl <= 0 || ttl > time.Minute {
		t.Fatalf("kept for %v", ttl)
	}
}

func TestWhatIsNotAsItWasWrittenIsAMissDeletedAndCounted(t *testing.T) {
	server := cachetest.StartRedis(t)
	r := raw(t, server)
	other := connect(t, redis.Config{URL: server.URL()}, func(o *redis.Options) { o.Sealer = ring(t, 2) })
	get := func(t *testing.T, k cache.Key) []byte {
		b, err := r.Get(t.Context(), name(k)).Bytes()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	set := func(t *testing.T, k cache.Key, v any) {
		if err := r.Set(t.Context(), name(k), v, time.Minute).Err(); err != nil {
			t.Fatal(err)
		}
	}
	tests := map[string]func(t *testing.T){
		"edited": func(t *testing.T) {
			b := get(t, key(1))
			b[len(b)/2] ^= 1
			set(t, key(1), b)
		},
		"swapped":      func(t *testing.T) { set(t, key(1), get(t, key(2))) },
		"cut short":    func(t *testing.T) { b := get(t, key(1)); set(t, key(1), b[:len(b)-1]) },
		"cut to a bit": func(t *testing.T) { set(t, key(1), get(t, key(1))[:3]) },
		"lengthened":   func(t *testing.T) { set(t, key(1), append(get(t, key(1)), 0)) },
		"old version":  func(t *testing.T) { b := get(t, key(1)); b[0] = 0; set(t, key(1), b) },
		"garbage":      func(t *testing.T) { set(t, key(1), "\x01 garbage") },
		"another type": func(t *testing.T) {
			r.Del(t.Context(), name(key(1)))
			if err := r.LPush(t.Context(), name(key(1)), "x").Err(); err != nil {
				t.Fatal(err)
			}
		},
		"another node's seal key": func(t *testing.T) {
			other.tier.Set(key(1), entry("x"), time.Minute)
			other.settle(t)
		},
		"fifty megabytes": func(t *testing.T) { set(t, key(1), make([]byte, 50<<20)) },
	}
	for what, alter := range tests {
		t.Run(what, func(t *testing.T) {
			n := connect(t, redis.Config{URL: server.URL()})
			n.tier.Set(key(1), entry("one"), time.Minute)
			n.tier.Set(key(2), entry("two"), time.Minute)
			n.settle(t)
			alter(t)
			if e, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnsealed) || e != nil {
				t.Fatalf("got %+v, %v", e, err)
			}
			n.settle(t)
			if r.Exists(t.Context(), name(key(1))).Val() != 0 {
				t.Error("not deleted")
			}
			if n.counts.unsealed.Load() != 1 || n.tier.Status().UnsealFailures != 1 {
				t.Error("not counted")
			}
			if e, err := n.tier.Get(t.Context(), key(2)); err != nil || string(e.Content) != "two" {
				t.Errorf("the other entry: %v", err)
			}
			if !n.tier.Status().Ready {
				t.Error("an altered entry is no reason to give Redis up")
			}
		})
	}
}

func TestAnOversizedValueIsNotReadIntoMemory(t *testing.T) {
	server := cachetest.StartRedis(t)
	n := connect(t, redis.Config{URL: server.URL()})
	if err := raw(t, server).Set(t.Context(), name(key(1)), make([]byte, 50<<20), 0).Err(); err != nil {
		t.Fatal(err)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnsealed) {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if got := after.TotalAlloc - before.TotalAlloc; got > 8<<20 {
		t.Fatalf("%d bytes allocated for a value of 50 MiB", got)
	}
	if n.tier.Status().Refused != 1 {
		t.Error("not counted")
	}
}

func TestANewSealKeyOpensWhatTheOldOneSealed(t *testing.T) {
	server := cachetest.StartRedis(t)
	with := func(r *seal.Ring) func(*redis.Options) { return func(o *redis.Options) { o.Sealer = r } }
	old := connect(t, redis.Config{URL: server.URL()}, with(ring(t, 1)))
	both := connect(t, redis.Config{URL: server.URL()}, with(ring(t, 2, 1)))
	old.tier.Set(key(1), entry("one"), time.Minute)
	old.settle(t)
	if e, err := both.tier.Get(t.Context(), key(1)); err != nil || string(e.Content) != "one" {
		t.Fatalf("the new ring does not open what the old key sealed: %v", err)
	}
	both.tier.Set(key(2), entry("two"), time.Minute)
	both.settle(t)
	if _, err := old.tier.Get(t.Context(), key(2)); !errors.Is(err, cache.ErrUnsealed) {
		t.Fatalf("the new ring still seals under the old key: %v", err)
	}
}

func TestAPausedServerCostsOneTimeOutOnce(t *testing.T) {
	server := cachetest.StartRedis(t)
	n := connect(t, redis.Config{URL: server.URL(), Timeout: cache.Duration(2 * time.Second)})
	n.tier.Set(key(1), entry("one"), time.Minute)
	n.settle(t)
	if _, err := n.tier.Get(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	server.Pause()
	defer server.Resume()
	if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnavailable) {
		t.Fatal(err)
	}
	for range 1000 {
		// What was asked and did not answer says how; this was not asked.
		if _, err := n.tier.Get(t.Context(), key(1)); err != cache.ErrUnavailable { //nolint:errorlint // the very error
			t.Fatal(err)
		}
		n.tier.Set(key(2), entry("two"), time.Minute)
	}
	if s := n.tier.Status(); s.Ready || s.LastError != "timeout" || s.Dropped < 1000 {
		t.Errorf("%+v", s)
	}
	server.Resume()
	cachetest.Eventually(t, patience, "the tier is ready again", func() bool { return n.tier.Status().Ready })
	if _, err := n.tier.Get(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	if down, up := n.logged("redis is unavailable"), n.logged("redis is available again"); down != 1 || up != 1 {
		t.Errorf("logged %d times down, %d times up", down, up)
	}
}

func TestAKilledServerAndItsRestart(t *testing.T) {
	server := cachetest.StartRedis(t)
	n := connect(t, redis.Config{URL: server.URL()})
	n.tier.Set(key(1), entry("one"), time.Minute)
	n.settle(t)
	server.Kill()
	if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnavailable) {
		t.Fatal(err)
	}
	server.Restart()
	cachetest.Eventually(t, patience, "the tier is ready again", func() bool { return n.tier.Status().Ready })
	if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrMiss) {
		t.Fatal(err)
	}
	n.tier.Set(key(1), entry("again"), time.Minute)
	n.settle(t)
	if e, err := n.tier.Get(t.Context(), key(1)); err != nil || string(e.Content) != "again" {
		t.Fatal(err)
	}
}

func TestAServerThatIsNotThereYet(t *testing.T) {
	server := cachetest.StartRedis(t)
	server.Kill()
	n := connect(t, redis.Config{URL: server.URL()})
	if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnavailable) {
		t.Fatal(err)
	}
	if s := n.tier.Status(); s.Ready || s.LastError != "refused" {
		t.Errorf("%+v", s)
	}
	server.Restart()
	cachetest.Eventually(t, patience, "the tier is ready", func() bool { return n.tier.Status().Ready })
}

func TestAWrongPasswordIsClassifiedAndNotShown(t *testing.T) {
	server := cachetest.StartRedis(t, "--requirepass", "right")
	for _, cfg := range []redis.Config{
		{URL: server.URL(), Password: "hunter2wrong"},
		{URL: server.URL(), Username: "gateway", Password: "hunter2wrong"},
		{URL: server.URL()},
	} {
		n := connect(t, cfg)
		_, err := n.tier.Get(t.Context(), key(1))
		if !errors.Is(err, cache.ErrUnavailable) || strings.Contains(err.Error(), "hunter2") {
			t.Fatal(err)
		}
		if s := n.tier.Status(); s.LastError != "auth" {
			t.Errorf("%+v", s)
		}
		if n.logged("hunter2") != 0 {
			t.Error("the password is in the log")
		}
	}
	n := connect(t, redis.Config{URL: "redis://:right@" + server.Addr})
	if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrMiss) {
		t.Fatal(err)
	}
}

func TestAFullServerRefusesWritesAndStillAnswers(t *testing.T) {
	server := cachetest.StartRedis(t, "--maxmemory-policy", "noeviction")
	n := connect(t, redis.Config{URL: server.URL()})
	n.tier.Set(key(1), entry("one"), time.Minute)
	n.settle(t)
	r := raw(t, server)
	if err := r.ConfigSet(t.Context(), "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		n.tier.Set(key(2), entry("two"), time.Minute)
		n.settle(t)
	}
	if e, err := n.tier.Get(t.Context(), key(1)); err != nil || string(e.Content) != "one" {
		t.Fatal(err)
	}
	if s := n.tier.Status(); !s.Ready || s.Dropped != 3 || len(s.Warnings) == 0 {
		t.Errorf("%+v", s)
	}
	if n.logged("redis refuses writes") != 1 {
		t.Error("not logged once")
	}
	if err := r.ConfigSet(t.Context(), "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	n.tier.Set(key(2), entry("two"), time.Minute)
	n.settle(t)
	if _, err := n.tier.Get(t.Context(), key(2)); err != nil {
		t.Fatal(err)
	}
}

func TestTheQueueOfWritesIsBounded(t *testing.T) {
	server := cachetest.StartRedis(t)
	n := connect(t, redis.Config{URL: server.URL()})
	server.Pause()
	defer server.Resume()
	large := entry(strings.Repeat("x", 100_000))
	for i := 0; i < 5000 && n.tier.Status().Dropped == 0; i++ {
		n.tier.Set(key(byte(i)), large, time.Minute)
	}
	// Had one of them waited for the server, its call would have timed out.
	if s := n.tier.Status(); s.Dropped == 0 || !s.Ready {
		t.Errorf("nothing was dropped, or somebody waited: %+v", s)
	}
}

func TestAProofIsTheFirstOnceOverAllNodes(t *testing.T) {
	server := cachetest.StartRedis(t)
	a, b := connect(t, redis.Config{URL: server.URL()}), connect(t, redis.Config{URL: server.URL()})
	seen := func(n *node, k cache.Key, want bool) {
		t.Helper()
		if got, err := n.client.Replays().Seen(t.Context(), k, time.Minute); err != nil || got != want {
			t.Fatalf("%v, %v; want %v", got, err, want)
		}
	}
	seen(a, key(1), false)
	seen(a, key(1), true)
	seen(b, key(1), true)
	seen(b, key(2), false)
	if ttl := raw(t, server).PTTL(t.Context(), name(key(1))).Val(); ttl <= 0 || ttl > time.Minute {
		t.Errorf("kept for %v", ttl)
	}
	var wg sync.WaitGroup
	var first atomic.Int64
	for range 50 {
		wg.Go(func() {
			if s, err := a.client.Replays().Seen(t.Context(), key(3), time.Minute); err == nil && !s {
				first.Add(1)
			}
		})
	}
	wg.Wait()
	if first.Load() != 1 {
		t.Errorf("%d of 50 were the first", first.Load())
	}
	server.Kill()
	if _, err := a.client.Replays().Seen(t.Context(), key(4), time.Minute); !errors.Is(err, cache.ErrUnavailable) {
		t.Errorf("without Redis: %v", err)
	}
	if err := b.client.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := b.client.Replays().Seen(t.Context(), key(4), time.Minute); !errors.Is(err, cache.ErrClosed) {
		t.Errorf("after close: %v", err)
	}
}

func TestAServerThatFailsAgainAtOnceIsNoNews(t *testing.T) {
	server := cachetest.StartRedis(t)
	now := time.Now() // it stands still: all of it is at once
	n := connect(t, redis.Config{URL: server.URL()}, func(o *redis.Options) { o.Clock = func() time.Time { return now } })
	for range 3 {
		server.Kill()
		if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnavailable) {
			t.Fatal(err)
		}
		server.Restart()
		cachetest.Eventually(t, patience, "the tier is ready again", func() bool { return n.tier.Status().Ready })
	}
	if down, up := n.logged("redis is unavailable"), n.logged("redis is available again"); down != 1 || up != 1 {
		t.Errorf("logged %d times down, %d times up", down, up)
	}
}

func TestAReadThatIsNotAllowedKeepsTheTierClosedThoughTheServerAnswers(t *testing.T) {
	server := cachetest.StartRedis(t)
	r := raw(t, server)
	rule := []string{"on", ">right", "~*", "-@all", "+@connection", "+set"}
	if err := r.ACLSetUser(t.Context(), "gateway", rule...).Err(); err != nil {
		t.Fatal(err)
	}
	n := connect(t, redis.Config{URL: "redis://gateway:right@" + server.Addr})
	if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnavailable) {
		t.Fatal(err)
	}
	if s := n.tier.Status(); s.Ready || s.LastError != "denied" {
		t.Fatalf("%+v", s)
	}
	if err := r.ACLSetUser(t.Context(), "gateway", "+getrange").Err(); err != nil {
		t.Fatal(err)
	}
	cachetest.Eventually(t, patience, "the tier is ready", func() bool { return n.tier.Status().Ready })
}
