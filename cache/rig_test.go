package cache_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

type person = cachetest.Person

// rig is one node. Inside a synctest bubble its clock is the bubble's.
type rig struct {
	*cache.Cache[*person]
	t      testing.TB
	store  *cache.Store
	counts *counts
	src    *source
}

// ring is the same on every node of a test.
func ring(t testing.TB) *seal.Ring {
	t.Helper()
	r, err := seal.NewRing(nil, make([]byte, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newRig(t testing.TB, src *source, node *cachetest.Node, change ...func(*cache.Options)) *rig {
	t.Helper()
	mem, err := memory.New(memory.Options{Bytes: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	c := &counts{}
	o := cache.Options{KeyDeriver: cache.NewKeyDeriver(ring(t)), Memory: mem, Observer: c}
	if node != nil {
		o.Shared = node
		o.Log = purgelog.New(purgelog.Options{Stream: node, Observer: c})
	}
	for _, f := range change {
		f(&o)
	}
	s, err := cache.NewStore(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return &rig{Cache: cache.New(s, cachetest.Codec{}), t: t, store: s, counts: c, src: src}
}

func (r *rig) key(id string) cache.Key { return r.store.KeyDeriver().Key("person", []byte("dir"), id) }

func asked(id string) func() []cache.ID {
	return func() []cache.ID { return []cache.ID{{Kind: cache.UserID, Value: id}} }
}

func (r *rig) get(id string, life cache.TTLs) (cache.Result[*person], error) {
	return r.Get(context.Background(), r.key(id), life, asked(id), r.src.load(id))
}

func (r *rig) must(id string, life cache.TTLs) cache.Result[*person] {
	r.t.Helper()
	res, err := r.get(id, life)
	if err != nil {
		r.t.Fatalf("get %s: %v", id, err)
	}
	return res
}

// refresh fetches anew what is due, as those do who want no answer now.
func (r *rig) refresh(id string, life cache.TTLs) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, _ = r.Get(ctx, r.key(id), life, asked(id), r.src.load(id))
}

// source is a directory that can be told what to answer.
type source struct {
	calls atomic.Int64

	mu     sync.Mutex
	people map[string]*person
	err    error
	delay  time.Duration
	hook   func(id string)
}

func newSource(ids ...string) *source {
	s := &source{people: map[string]*person{}}
	for _, id := range ids {
		s.people[id] = &person{ID: id, Login: id + "@example.com", Groups: []string{"staff"}}
	}
	return s
}

func (s *source) set(f func(s *source)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

func (s *source) fail(err error) { s.set(func(s *source) { s.err = err }) }

func (s *source) groups(id string, groups ...string) {
	s.set(func(s *source) {
		p := *s.people[id]
		p.Groups = groups
		s.people[id] = &p
	})
}

var errDown = errors.New("directory is down")

func (s *source) load(id string) func(context.Context) (*person, error) {
	return func(ctx context.Context) (*person, error) {
		s.calls.Add(1)
		s.mu.Lock()
		p, err, delay, hook := s.people[id], s.err, s.delay, s.hook
		s.mu.Unlock()
		if hook != nil {
			hook(id)
		}
		if delay > 0 {
			t := time.NewTimer(delay)
			defer t.Stop()
			select {
			case <-t.C:
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}
		if err != nil {
			return nil, err
		}
		if p == nil {
			return nil, fmt.Errorf("asking the fake directory: %w", cache.ErrNotFound)
		}
		return p, nil
	}
}

// counts is an Observer.
type counts struct {
	mu sync.Mutex
	m  map[string]int
}

func (c *counts) add(k string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.m == nil {
		c.m = map[string]int{}
	}
	c.m[k]++
}

func (c *counts) of(k string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.m[k]
}

func (c *counts) CacheRequest(tier, outcome string) { c.add(tier + " " + outcome) }
func (c *counts) UnsealFailure()                    { c.add("unseal") }
func (c *counts) Purge(origin string)               { c.add("purge " + origin) }

var life = cache.TTLs{
	Fresh: 5 * time.Minute, RefreshAfter: 4 * time.Minute, StaleIfError: time.Hour,
	Negative: 5 * time.Second, UnconfirmedMax: 30 * time.Second,
}

// bareNode is one node of a network, outside a bubble, whose log is read.
func bareNode(t *testing.T) (*cachetest.Network, *rig, *cachetest.Node) {
	t.Helper()
	net := cachetest.NewNetwork(time.Now)
	node := net.Node()
	r := newRig(t, newSource("ada"), node)
	r.store.Start()
	cachetest.Eventually(t, 20*time.Second, "the log is read", r.store.Log().Loaded)
	return net, r, node
}
