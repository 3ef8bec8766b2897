package redis_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
)

// leastRights is the rule that the documentation of redis.Config gives.
const leastRights = "user gateway on >right ~token_enrich:* -@all +@connection +getrange +set +del " +
	"+xadd +xread +xrange +xrevrange +xtrim +zadd +zrangebyscore +zremrangebyscore +pexpire +info\n"

func TestTLSWithTheLeastRights(t *testing.T) {
	pki := cachetest.NewPKI(t)
	acl := filepath.Join(t.TempDir(), "acl")
	if err := os.WriteFile(acl, []byte("user default off\n"+leastRights), 0o600); err != nil {
		t.Fatal(err)
	}
	server := cachetest.StartTLSRedis(t, pki, "--aclfile", acl)
	cfg := redis.Config{
		URL: "rediss://gateway:right@" + server.Addr,
		TLS: &redis.TLS{CA: pki.CA, Cert: pki.ClientCert, Key: pki.ClientKey},
	}

	t.Run("everything works", func(t *testing.T) {
		a, b := join(t, cfg).ready(t), join(t, cfg).ready(t)
		a.get(t, "ada")
		a.settle(t)
		r := b.get(t, "ada")
		if r.Tier != cache.TierRedis {
			t.Fatalf("from %s", r.Tier)
		}
		a.purge(t, "ada", purgelog.AllNodes)
		cachetest.Eventually(t, patience, "the purge arrives", func() bool { return !holds(r.Handle) })
		if seen, err := a.client.Replays().Seen(t.Context(), key(1), time.Minute); err != nil || seen {
			t.Fatalf("%v, %v", seen, err)
		}
		if s := a.tier.Status(); !s.Ready || s.LastError != "" {
			t.Errorf("%+v", s)
		}
	})

	for name, change := range map[string]func(*redis.Config){
		"an authority that is not trusted": func(c *redis.Config) { c.TLS = &redis.TLS{Cert: c.TLS.Cert, Key: c.TLS.Key} },
		"a certificate for another name":   func(c *redis.Config) { s := *c.TLS; s.ServerName = "other.example.com"; c.TLS = &s },
		"no certificate of our own":        func(c *redis.Config) { c.TLS = &redis.TLS{CA: c.TLS.CA} },
	} {
		t.Run(name, func(t *testing.T) {
			c := cfg
			change(&c)
			n := connect(t, c)
			if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnavailable) {
				t.Fatal(err)
			}
			if s := n.tier.Status(); s.LastError != "tls" && s.LastError != "cut" {
				t.Errorf("%+v", s)
			}
		})
	}

	t.Run("rights over another prefix", func(t *testing.T) {
		c := cfg
		c.Prefix = "other:"
		n := connect(t, c)
		if _, err := n.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrUnavailable) {
			t.Fatal(err)
		}
		if s := n.tier.Status(); s.LastError != "denied" {
			t.Errorf("%+v", s)
		}
	})
}

func TestAUnixSocket(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	cachetest.StartRedis(t, "--unixsocket", path)
	n := connect(t, redis.Config{URL: "unix://" + path + "?db=3"})
	n.tier.Set(key(1), entry("one"), time.Minute)
	n.settle(t)
	if _, err := n.tier.Get(t.Context(), key(1)); err != nil {
		t.Fatal(err)
	}
	zero := connect(t, redis.Config{Addresses: []string{path}})
	if _, err := zero.tier.Get(t.Context(), key(1)); !errors.Is(err, cache.ErrMiss) {
		t.Fatalf("databases are not kept apart: %v", err)
	}
}

func TestSentinelFailover(t *testing.T) {
	master := cachetest.StartRedis(t)
	replica := cachetest.StartRedis(t, "--replicaof", "127.0.0.1 "+master.Port())
	sentinel := cachetest.StartSentinel(t, "gw", master)
	standby := raw(t, replica)
	cachetest.Eventually(t, patience, "the replica follows", func() bool {
		return strings.Contains(standby.Info(t.Context(), "replication").Val(), "master_link_status:up")
	})
	watcher := goredis.NewSentinelClient(&goredis.Options{Addr: sentinel.Addr, Protocol: 2, DisableIdentity: true})
	defer watcher.Close()
	cachetest.Eventually(t, patience, "the sentinel knows the replica", func() bool {
		found, err := watcher.Replicas(t.Context(), "gw").Result()
		return err == nil && len(found) == 1
	})

	cfg := redis.Config{Addresses: []string{sentinel.Addr}, MasterName: "gw"}
	a, b := join(t, cfg).ready(t), join(t, cfg).ready(t)
	a.get(t, "ada")
	a.settle(t)
	if r := b.get(t, "ada"); r.Tier != cache.TierRedis {
		t.Fatalf("from %s", r.Tier)
	}
	bob := b.get(t, "bob").Handle
	a.purge(t, "eve", purgelog.AllNodes)
	last := func(r *goredis.Client) string {
		m, err := r.XRevRangeN(t.Context(), logName, "+", "-", 1).Result()
		if err != nil || len(m) == 0 {
			return fmt.Sprint(err)
		}
		return m[0].ID
	}
	leader := raw(t, master)
	cachetest.Eventually(t, patience, "the replica has the whole log", func() bool { return last(leader) == last(standby) })
	cachetest.Eventually(t, patience, "both nodes have read it", func() bool {
		return a.store.Status().Log.Names == 1 && b.store.Status().Log.Names == 1
	})

	master.Kill()
	a.get(t, "new") // nothing fails meanwhile
	cachetest.Eventually(t, 2*patience, "both nodes are with the new master", func() bool {
		for _, f := range []*full{a, b} {
			if s := f.store.Status(); !s.Log.Ready || !f.tier.Status().Ready {
				return false
			}
		}
		reach, err := a.store.Purge(t.Context(), cache.ID{Kind: cache.UserID, Value: "ada"})
		return err == nil && reach == purgelog.AllNodes
	})
	cachetest.Eventually(t, patience, "the purge arrives", func() bool { return b.store.Status().Log.Names == 2 })
	if !holds(bob) {
		t.Error("a failover that lost no record ended what nobody purged")
	}
}

func TestTierAndLogWorkOverACluster(t *testing.T) {
	var nodes []*cachetest.Redis
	// Among themselves the nodes speak on ports that are free too: the usual
	// ones, ten thousand above their own, the system may have given to others.
	among := cachetest.FreePort(t)
	for _, port := range []string{among, cachetest.FreePort(t), cachetest.FreePort(t)} {
		nodes = append(nodes, cachetest.StartRedis(t, "--cluster-enabled", "yes", "--cluster-announce-ip", "127.0.0.1", "--cluster-port", port))
	}
	var addresses []string
	for i, n := range nodes {
		addresses = append(addresses, n.Addr)
		c := raw(t, n)
		if err := c.ClusterAddSlotsRange(t.Context(), i*5461, min((i+1)*5461-1, 16383)).Err(); err != nil {
			t.Fatal(err)
		}
		if i == 2 {
			if err := c.ClusterAddSlots(t.Context(), 16383).Err(); err != nil && !strings.Contains(err.Error(), "already") {
				t.Fatal(err)
			}
		}
		if i > 0 {
			if err := c.Do(t.Context(), "CLUSTER", "MEET", "127.0.0.1", nodes[0].Port(), among).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, n := range nodes {
		c := raw(t, n)
		cachetest.Eventually(t, patience, "the cluster is formed", func() bool {
			info := c.ClusterInfo(t.Context()).Val()
			return strings.Contains(info, "cluster_state:ok") && strings.Contains(info, "cluster_known_nodes:3")
		})
	}
	cfg := redis.Config{Addresses: addresses}
	a, b := join(t, cfg).ready(t), join(t, cfg).ready(t)
	for i := range 50 {
		a.get(t, fmt.Sprint("user", i))
	}
	a.settle(t)
	for i := range 50 {
		if r := b.get(t, fmt.Sprint("user", i)); r.Tier != cache.TierRedis {
			t.Fatalf("user%d from %s", i, r.Tier)
		}
	}
	sizes := 0
	for _, n := range nodes {
		if raw(t, n).DBSize(t.Context()).Val() > 0 {
			sizes++
		}
	}
	if sizes != 3 {
		t.Errorf("the entries stand on %d nodes of 3", sizes)
	}
	part := b.get(t, "user7").Handle
	a.purge(t, "user7", purgelog.AllNodes)
	cachetest.Eventually(t, patience, "the purge arrives", func() bool { return !holds(part) })
	if seen, err := a.client.Replays().Seen(t.Context(), key(1), time.Minute); err != nil || seen {
		t.Fatalf("%v, %v", seen, err)
	}
	// One entry to the whole cluster.
	single := join(t, redis.Config{Addresses: addresses[:1], Cluster: true}).ready(t)
	if r := single.get(t, "user8"); r.Tier != cache.TierRedis {
		t.Errorf("from %s", r.Tier)
	}

	nodes[2].Kill()
	for i := range 50 {
		single.get(t, fmt.Sprint("user", i)) // from a tier or the source, never an error
	}
}
