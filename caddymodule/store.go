package caddymodule

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/caddymodule/block"
)

// lazyStore is a cache store that may still wait for the key that seals its
// shared entries. Without Redis, or with keys in the configuration, the store
// is there at once; else a worker begun in the app's Start loads the key from
// Caddy's storage, or makes it.
type lazyStore struct {
	memory  int64         // bytes
	remote  *redis.Config // nil: memory only
	metrics *metrics
	logger  *slog.Logger
	local   *localPurgeLog                        // where there is no Redis
	fetch   func(context.Context) ([]byte, error) // nil: nothing to wait for

	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{} // closed when store is there
	store  *cache.Store
	client *redis.Client // nil: memory only
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
	if err := errors.Join(c.check(), c.expand()); err != nil {
		return fmt.Errorf("cache: %w", err)
	}
	keys := make([][]byte, len(c.SealKeys))
	for i, text := range c.SealKeys {
		var err error
		if keys[i], err = seal.ParseKey(text); err != nil {
			return fmt.Errorf("cache: seal_key %d: %w", i+1, err)
		}
		a.developmentSecrets = a.developmentSecrets || string(keys[i]) == developmentSealKey
	}
	var remote *redis.Config
	if c.Redis != nil {
		config := c.Redis.Config
		if err := config.Validate(); err != nil {
			return fmt.Errorf("cache: %w", err)
		}
		remote = &config
	}
	var authority []byte
	if remote != nil && remote.TLS != nil {
		authority = contents(remote.TLS.CA)
	}
	storage := a.ctx.Storage()
	key, err := digest(c.Memory, c.SealKeys, remote, authority, fmt.Sprintf("%T %v", storage, storage))
	if err != nil {
		return err
	}
	a.settings = appendPart(a.settings, key) // the names on the deny list are the store's own
	var own *localPurgeLog
	if remote == nil {
		if own, err = a.openPurgeLog(keys); err != nil {
			return err
		}
	}
	a.store, err = acquire(&a.releases, "store", key, func() (*lazyStore, error) {
		f := &lazyStore{ready: make(chan struct{}), memory: c.Memory, remote: remote, metrics: a.metrics, logger: a.logs.logger(), local: own}
		switch {
		case len(keys) > 0:
			return f, f.use(keys)
		case own != nil:
			return f, f.use([][]byte{own.key})
		}
		f.fetch = func(ctx context.Context) ([]byte, error) { return sealKey(ctx, storage) }
		return f, nil
	}, closeAfter(drainTime, func(f *lazyStore) {
		if err := f.close(); err != nil {
			f.logger.Warn("closing the cache failed", "error", err)
		}
	}))
	return err
}

// openPurgeLog is the log of a process without Redis, with the key that the names in
// it are made by. No other node could repeat its denials, so it outlives every
// change of the cache's settings but that key.
type localPurgeLog struct {
	key []byte
	log *purgelog.Log
}

// openPurgeLog takes or makes the log. Names derive from the last of the configured
// keys; without one, nothing leaves this process and the key need not either.
func (a *App) openPurgeLog(keys [][]byte) (*localPurgeLog, error) {
	var last []byte
	if len(keys) > 0 {
		last = keys[len(keys)-1]
	}
	name, err := digest(last)
	if err != nil {
		return nil, err
	}
	return acquire(&a.releases, "log", name, func() (*localPurgeLog, error) {
		key := last
		if key == nil {
			var err error
			if key, err = seal.NewKey(nil); err != nil {
				return nil, err
			}
		}
		return &localPurgeLog{key: key, log: purgelog.New(purgelog.Options{Logger: a.logs.logger(), Observer: a.metrics})}, nil
	}, func(o *localPurgeLog) error { return o.log.Close() })
}

// open makes a store of the configured tiers. It touches no network.
func (f *lazyStore) open(keys [][]byte) (*cache.Store, error) {
	ring, err := seal.NewRing(nil, keys...)
	if err != nil {
		return nil, err
	}
	mem, err := memory.New(memory.Options{Bytes: f.memory})
	if err != nil {
		return nil, err
	}
	options := cache.Options{
		KeyDeriver: cache.NewKeyDeriver(ring), Memory: mem, Rand: rand.Reader, Logger: f.logger, Observer: f.metrics,
	}
	switch {
	case f.remote != nil:
		f.client, err = redis.New(*f.remote, redis.Options{Sealer: ring, Logger: f.logger, Observer: f.metrics})
		if err != nil {
			return nil, err
		}
		options.Shared = f.client.Tier()
		options.Log = purgelog.New(purgelog.Options{Stream: f.client.Stream(), Logger: f.logger, Observer: f.metrics})
	case f.local != nil: // offline there is none: its log ends with it
		options.Log, options.KeepLog = f.local.log, true
	}
	return cache.NewStore(options)
}

// use opens the store with these keys.
func (f *lazyStore) use(keys [][]byte) error {
	s, err := f.open(keys)
	if err != nil {
		return err
	}
	f.store = s
	close(f.ready)
	return nil
}

// start begins the worker, once.
func (f *lazyStore) start() {
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

func (f *lazyStore) work(ctx context.Context) {
	defer close(f.done)
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
			f.logger.Error("the seal key of the cache cannot be loaded or created", "error", err)
			failed = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(storeRetry):
		}
	}
}

// current returns the store if it is open, else nil.
func (f *lazyStore) current() *cache.Store {
	select {
	case <-f.ready:
		return f.store
	default:
		return nil
	}
}

// get returns the store, waiting for it at most storeWait.
func (f *lazyStore) get(ctx context.Context) (*cache.Store, error) {
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
func (f *lazyStore) close() error {
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

// errStoreNotReady is returned while the key that seals shared entries is not known.
var errStoreNotReady = errors.New("the cache's seal key is not ready")

// minDenyMaxAge is the shortest deny_max_age with Redis; under it, requests
// would be refused while all is well.
const minDenyMaxAge = 3 * time.Second

// checkDenyMaxAge checks the age against the minimum, and for its sign.
func (a *App) checkDenyMaxAge() error {
	if d := time.Duration(a.DenyMaxAge); a.Cache != nil && a.Cache.Redis != nil && 0 < d && d < minDenyMaxAge {
		return fmt.Errorf("deny_max_age: %v is below the minimum of %v: an idle deny list is confirmed once a second", d, minDenyMaxAge)
	}
	return block.CheckValues(block.Duration("deny_max_age", &a.DenyMaxAge))
}

// Where the seal key is in Caddy's storage, and the lock under which it is
// made.
const (
	sealKeyName = "token_enrich/seal.key"
	sealKeyLock = "token_enrich/seal"
)

// sealKey loads the key that seals shared entries from Caddy's storage, which
// the nodes of a cluster share, or makes it there.
func sealKey(ctx context.Context, storage certmagic.Storage) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, sealKeyTimeout)
	defer cancel()
	text, err := storage.Load(ctx, sealKeyName)
	if err == nil {
		return seal.ParseKey(string(text))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("loading the seal key: %w", err)
	}
	if err := storage.Lock(ctx, sealKeyLock); err != nil {
		return nil, fmt.Errorf("locking the seal key: %w", err)
	}
	defer func() { _ = storage.Unlock(context.WithoutCancel(ctx), sealKeyLock) }()
	if text, err := storage.Load(ctx, sealKeyName); err == nil { // another node was faster
		return seal.ParseKey(string(text))
	}
	key, err := seal.NewKey(nil)
	if err != nil {
		return nil, err
	}
	if err := storage.Store(ctx, sealKeyName, []byte(base64.StdEncoding.EncodeToString(key))); err != nil {
		return nil, fmt.Errorf("storing the seal key: %w", err)
	}
	return key, nil
}

// sealKeyTimeout bounds one attempt to load or make the key.
const sealKeyTimeout = 10 * time.Second
