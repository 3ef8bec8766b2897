package caddymodule

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// storeFuture is a cache store that may still wait for the key that seals its
// shared entries. Without Redis, or with keys in the configuration, the store
// is there at once; else a worker begun in the app's Start loads the key from
// Caddy's storage, or makes it.
type storeFuture struct {
	open  func(keys [][]byte) (*cache.Store, error)
	fetch func(context.Context) ([]byte, error) // nil: nothing to wait for

	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{} // closed when store is there
	store  *cache.Store
}

// storeWait is how long a request waits for the store, as long as a person
// will wait; storeRetry is the pause between two attempts to get the key.
const (
	storeWait  = 2 * time.Second
	storeRetry = time.Second
)

// openStore takes or makes the store.
func (a *App) openStore() error {
	c := a.Cache
	if c == nil {
		c = new(Cache)
	}
	if err := c.expand(); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	keys := make([][]byte, len(c.SealKeys))
	for i, text := range c.SealKeys {
		var err error
		if keys[i], err = seal.ParseKey(text); err != nil {
			return fmt.Errorf("cache: seal_key %d: %w", i+1, err)
		}
	}
	if c.Redis != nil {
		return fmt.Errorf("cache: redis is not part of this build yet")
	}
	key, err := digest(c.Memory, c.SealKeys)
	if err != nil {
		return err
	}
	a.store, err = acquire(&a.releases, "store", key, func() (*storeFuture, error) {
		f := &storeFuture{ready: make(chan struct{}), open: func(keys [][]byte) (*cache.Store, error) {
			return openStore(c, keys, a.metrics)
		}}
		if len(keys) == 0 {
			// Nothing leaves this process, so neither needs its key to.
			own, err := seal.NewKey(nil)
			if err != nil {
				return nil, err
			}
			keys = [][]byte{own}
		}
		return f, f.use(keys)
	}, (*storeFuture).close)
	return err
}

// openStore makes a store of the configured tiers. It touches no network.
func openStore(c *Cache, keys [][]byte, m *metrics) (*cache.Store, error) {
	ring, err := seal.NewRing(nil, keys...)
	if err != nil {
		return nil, err
	}
	mem, err := memory.New(memory.Options{Bytes: c.Memory})
	if err != nil {
		return nil, err
	}
	return cache.NewStore(cache.Options{
		Keyer: cache.NewKeyer(ring), Memory: mem, Rand: rand.Reader, Logger: sharedLogger(), Observer: m,
	})
}

// use opens the store with these keys.
func (f *storeFuture) use(keys [][]byte) error {
	s, err := f.open(keys)
	if err != nil {
		return err
	}
	f.store = s
	close(f.ready)
	return nil
}

// start begins the worker, once.
func (f *storeFuture) start() {
	f.once.Do(func() {
		if f.fetch == nil {
			f.store.Start()
			return
		}
		var ctx context.Context
		ctx, f.cancel = context.WithCancel(context.Background())
		f.done = make(chan struct{})
		go f.work(ctx)
	})
}

func (f *storeFuture) work(ctx context.Context) {
	defer close(f.done)
	log := sharedLogger()
	failed := false
	for {
		key, err := f.fetch(ctx)
		if err == nil {
			err = f.use([][]byte{key})
		}
		if err == nil {
			f.store.Start()
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !failed {
			log.Error("the key that seals cache entries cannot be loaded or made", "error", err)
			failed = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(storeRetry):
		}
	}
}

// peek gives the store if it is there, else nil.
func (f *storeFuture) peek() *cache.Store {
	select {
	case <-f.ready:
		return f.store
	default:
		return nil
	}
}

// get gives the store, waiting for it at most storeWait.
func (f *storeFuture) get(ctx context.Context) (*cache.Store, error) {
	select {
	case <-f.ready:
		return f.store, nil
	default:
	}
	timer := time.NewTimer(storeWait)
	defer timer.Stop()
	select {
	case <-f.ready:
		return f.store, nil
	case <-timer.C:
		return nil, errStoreNotReady
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", errStoreNotReady, context.Cause(ctx))
	}
}

// close ends the worker and the store.
func (f *storeFuture) close() error {
	f.once.Do(func() {})
	if f.cancel != nil {
		f.cancel()
		<-f.done
	}
	select {
	case <-f.ready:
		return f.store.Close()
	default:
		return nil
	}
}

// errStoreNotReady says that the key that seals shared entries is not known.
var errStoreNotReady = fmt.Errorf("the cache's seal key is not ready")

// expand resolves the placeholders of the cache's settings.
func (c *Cache) expand() error {
	texts := make([]*string, 0, len(c.SealKeys)+8)
	for i := range c.SealKeys {
		texts = append(texts, &c.SealKeys[i])
	}
	if r := c.Redis; r != nil {
		texts = append(texts, &r.URL, &r.MasterName, &r.Username, &r.Password)
		for i := range r.Addresses {
			texts = append(texts, &r.Addresses[i])
		}
		if r.TLS != nil {
			texts = append(texts, &r.TLS.CA, &r.TLS.Cert, &r.TLS.Key, &r.TLS.ServerName)
		}
	}
	return Expand(texts...)
}

// life gives how long answers are used, with the defaults filled in.
func (c *Cache) life() cache.Life {
	l := cache.DefaultLife()
	if c == nil {
		return l
	}
	if c.Fresh != 0 {
		l.Fresh = time.Duration(c.Fresh)
		l.RefreshAfter = l.Fresh * 4 / 5
	}
	l.RefreshAfter = or(c.RefreshAfter, l.RefreshAfter)
	if c.StaleIfError != nil {
		l.StaleIfError = time.Duration(*c.StaleIfError)
	}
	if c.Negative != nil {
		l.Negative = time.Duration(*c.Negative)
	}
	l.UnconfirmedMax = or(c.UnconfirmedMax, l.UnconfirmedMax)
	return l
}

func (c *Cache) decisionMemory() int64 {
	if c == nil {
		return 0
	}
	return c.DecisionMemory
}
