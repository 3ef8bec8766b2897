package integration

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// sealKeyText is a seal key that the second node shares.
var sealKeyText = base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{7}, 32))

// shared is the cache option of a gateway that shares a Redis with others.
func shared(server *cachetest.Redis, more string) string {
	return withRedis(server.URL(), "seal_key "+sealKeyText, more)
}

// another is the cache of another node on the same Redis. Two gateways cannot
// run in one process, so that the second one is everything of it but Caddy.
func another(t *testing.T, server *cachetest.Redis) *cache.Store {
	t.Helper()
	key, err := seal.ParseKey(sealKeyText)
	if err != nil {
		t.Fatal(err)
	}
	ring, err := seal.NewRing(nil, key)
	if err != nil {
		t.Fatal(err)
	}
	client, err := redis.New(redis.Config{URL: server.URL(), Timeout: cache.Duration(5 * time.Second)}, redis.Options{Sealer: ring})
	if err != nil {
		t.Fatal(err)
	}
	held, err := memory.New(memory.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store, err := cache.NewStore(cache.Options{
		KeyDeriver: cache.NewKeyDeriver(ring), Memory: held, Shared: client.Tier(), Log: purgelog.New(purgelog.Options{Stream: client.Stream()}),
	})
	if err != nil {
		t.Fatal(err)
	}
	store.Start()
	t.Cleanup(func() { _ = store.Close() })
	eventually(t, "the other node's purge log", store.Log().Loaded)
	return store
}

// denies makes another node deny one value of a claim of our issuer's.
func (w *world) denies(store *cache.Store, claim, value string) {
	w.t.Helper()
	reach, err := store.Log().Append(w.t.Context(), purgelog.Record{
		Kind: purgelog.Deny, Name: store.KeyDeriver().DenialHash(w.issuer.Issuer(), claim, value), Until: time.Now().Add(time.Hour),
	})
	if err != nil || reach != purgelog.AllNodes {
		w.t.Fatalf("the other node's denial got as far as %v: %v", reach, err)
	}
}

// logAge gives how long ago the purge log was last confirmed.
func (w *world) logAge() time.Duration {
	w.t.Helper()
	got := w.admins(http.MethodGet, "status", "")
	wantStatus(w.t, got, 200)
	var status struct {
		PurgeLog struct {
			Age float64 `json:"age_seconds"`
		} `json:"purge_log"`
	}
	if err := json.Unmarshal([]byte(got.body), &status); err != nil {
		w.t.Fatal(err)
	}
	if status.PurgeLog.Age < 0 {
		return math.MaxInt64
	}
	return time.Duration(status.PurgeLog.Age * float64(time.Second))
}

func TestDenialsAndPurgesReachTheOtherNodes(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := prepare(t)
	e := newEdition()
	e.number.Store(1)
	w.editions(e, shared(server, ""))
	other := another(t, server)
	eventually(t, "our purge log", func() bool { return w.logAge() < time.Minute })

	t.Run("a denial of theirs", func(t *testing.T) {
		for claim, claims := range map[string]enrichtest.Claims{
			"jti": {"jti": "theirs"}, "sid": {"sid": "theirs"}, "sub": {"sub": "theirs"},
		} {
			token := w.token("ada", claims)
			wantStatus(t, w.get("/", token), 200)
			w.denies(other, claim, "theirs")
			eventually(t, "the denial of a "+claim, func() bool { return w.get("/", token).StatusCode == 401 })
			w.legacy.Forget()
			w.wantInvalidToken(t, w.get("/", token))
		}
	})
	t.Run("a denial of ours", func(t *testing.T) {
		if nodes := w.ordered("deny", `{"jti":"ours","issuer":"corp"}`); nodes != "all" {
			t.Errorf("nodes: %q", nodes)
		}
		name := other.KeyDeriver().DenialHash(w.issuer.Issuer(), "jti", "ours")
		eventually(t, "the denial", func() bool { return other.Denials().Denied(time.Now(), time.Now(), name) })
	})
	t.Run("a purge of theirs", func(t *testing.T) {
		token := w.token("grace")
		if user, _ := w.shown(token); user != "1" {
			t.Fatalf("the application was told %q", user)
		}
		e.number.Store(2)
		if user, _ := w.shown(token); user != "1" {
			t.Fatalf("the application was told %q without a purge", user)
		}
		if reach, err := other.Purge(t.Context(), cache.ID{Kind: cache.UserID, Value: "grace@example.com"}); err != nil || reach != purgelog.AllNodes {
			t.Fatalf("the purge got as far as %v: %v", reach, err)
		}
		eventually(t, "the purge", func() bool {
			user, _ := w.shown(token)
			return user == "2"
		})
	})
	t.Run("a purge of ours", func(t *testing.T) {
		version := other.Log().Version()
		if nodes := w.ordered("purge", `{"all":true}`); nodes != "all" {
			t.Errorf("nodes: %q", nodes)
		}
		eventually(t, "the purge", func() bool { return other.Log().Version() > version })
	})
	t.Run("what was denied before this node began", func(t *testing.T) {
		w.denies(other, "jti", "before")
		token := w.token("ada", enrichtest.Claims{"jti": "before"})
		// Another prefix of another store would begin empty; the same one in a
		// new process does not.
		w.load("respond ok", w.issuerBlock(""))
		w.editions(e, shared(server, ""))
		eventually(t, "the denial", func() bool { return w.get("/", token).StatusCode == 401 })
	})
}

// denyAge is longer than the second in which a log that is well is confirmed
// anew.
const denyAge = 3 * time.Second

func TestUnconfirmedDenyListMattersWhereDenialsDo(t *testing.T) {
	for _, tc := range []struct {
		name   string
		option string
		hook   bool
		denied bool
		code   int
	}{
		{"nothing was ever denied", "", false, false, 200},
		{"something was denied", "", false, true, 503},
		{"a hook can deny", "", true, false, 503},
		{"something was denied, and on_denylist_error continue", "on_denylist_error continue", true, true, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			server := cachetest.StartRedis(t)
			w := prepare(t)
			site := strings.ReplaceAll(editions, "%a", w.legacy.Addr())
			if tc.hook {
				site = "token_enrich_hook /logout backchannel_logout {\nissuer corp\n}\n" + site
			}
			w.load("token_enrich_ready /ready\n"+site, w.issuerBlock(""), script(t, &newEdition().Fake), shared(server, "unconfirmed_max 1h"), "deny_max_age 3s", tc.option)
			other := another(t, server)
			token, denied := w.token("ada"), w.token("ada", enrichtest.Claims{"jti": "denied"})
			eventually(t, "a deny list that is young enough", func() bool { return w.logAge() < denyAge && w.get("/", token).StatusCode == 200 })
			if tc.denied {
				w.denies(other, "jti", "denied")
				eventually(t, "the denial", func() bool { return w.get("/", denied).StatusCode == 401 })
			}

			server.Pause()
			defer server.Resume()
			eventually(t, "a deny list that is too old", func() bool { return w.logAge() > denyAge })
			w.legacy.Forget()
			got := w.get("/", token)
			wantStatus(t, got, tc.code)
			// Who asks where to send requests is told the same.
			if ready := w.get("/ready", ""); ready.StatusCode != tc.code {
				t.Errorf("/ready answers %d %q, and requests are %d", ready.StatusCode, ready.body, tc.code)
			}
			if tc.code == 503 {
				if got.Header.Get("Retry-After") == "" || got.Header.Get("WWW-Authenticate") != "" {
					t.Errorf("the refusal says %v", got.Header)
				}
				w.nothingReceived()
			}
			if tc.denied {
				// What is known to be denied is no question of age.
				w.legacy.Forget()
				w.wantInvalidToken(t, w.get("/", denied))
			}
			server.Resume()
			eventually(t, "Redis's return", func() bool { return w.logAge() < denyAge && w.get("/", token).StatusCode == 200 })
			if tc.denied {
				w.legacy.Forget()
				w.wantInvalidToken(t, w.get("/", denied))
			}
		})
	}
}

func TestDenialWhileRedisIsDownHoldsHereAndReachesTheOthersLater(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := prepare(t)
	w.editions(newEdition(), shared(server, "unconfirmed_max 1h"), "deny_max_age 1h")
	other := another(t, server)
	eventually(t, "our purge log", func() bool { return w.logAge() < time.Minute })
	token := w.token("ada", enrichtest.Claims{"jti": "jti-1"})
	wantStatus(t, w.get("/", token), 200)
	w.legacy.Forget()
	server.Kill()
	if nodes := w.ordered("deny", `{"jti":"jti-1","issuer":"corp"}`); nodes != "this one, the others as soon as Redis can be reached" {
		t.Errorf("nodes: %q", nodes)
	}
	w.wantInvalidToken(t, w.get("/", token))
	server.Restart()
	name := other.KeyDeriver().DenialHash(w.issuer.Issuer(), "jti", "jti-1")
	eventually(t, "the denial on the other node", func() bool { return other.Denials().Denied(time.Now(), time.Now(), name) })
	w.wantInvalidToken(t, w.get("/", token))
}

// Nobody's name stands in Redis.
func TestRedisHoldsNoNameOfWhoWasDenied(t *testing.T) {
	server := cachetest.StartRedis(t)
	w := prepare(t)
	w.editions(newEdition(), shared(server, ""))
	token := w.token("ada", enrichtest.Claims{"jti": "jti-of-ada", "sid": "sid-of-ada"})
	wantStatus(t, w.get("/", token), 200)
	w.ordered("deny", `{"jti":"jti-of-ada","issuer":"corp"}`)
	w.ordered("deny", `{"sid":"sid-of-ada","issuer":"corp"}`)
	w.ordered("purge", `{"user":"ada@example.com"}`)
	dump := dumpRedis(t, server)
	if !strings.Contains(dump, "token_enrich:v1:log") {
		t.Fatalf("the dump lacks the log: %.200q", dump)
	}
	for _, word := range []string{"of-ada", "ada@", "corp", w.issuer.Issuer(), "group-ada"} {
		if strings.Contains(dump, word) {
			t.Errorf("Redis holds %q", word)
		}
	}
}

// dumpRedis gives every key with every byte under it.
func dumpRedis(t *testing.T, server *cachetest.Redis) string {
	t.Helper()
	c := rawRedis(t, server)
	var b strings.Builder
	keys, err := c.Keys(t.Context(), "*").Result()
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range keys {
		fmt.Fprintf(&b, "%s\n", key)
		kind, err := c.Type(t.Context(), key).Result()
		if err != nil {
			t.Fatal(err)
		}
		if kind == "stream" {
			list, err := c.XRange(t.Context(), key, "-", "+").Result()
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				fmt.Fprintf(&b, "%s %v\n", m.ID, m.Values)
			}
			continue
		}
		fmt.Fprintf(&b, "%s\n", c.Get(t.Context(), key).Val())
	}
	return b.String()
}
