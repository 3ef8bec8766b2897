package pooled

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/memory"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/cache/redis"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// Store is a cache store that may still wait for the key that seals its
// shared entries. Without Redis, or with keys in the configuration, the store
// is there at once; else a worker begun by Start loads the key from
// Caddy's storage, or makes it.
type Store struct {
	memory   int64         // bytes
	remote   *redis.Config // nil: memory only
	observer cache.Observer
	logger   *slog.Logger
	local    *localPurgeLog                        // where there is no Redis
	fetch    func(context.Context) ([]byte, error) // nil: nothing to wait for

	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{} // closed when store is there
	store  *cache.Store
	client *redis.Client // nil: memory only
}

// StoreWait is how long a request waits for the store, as long as a person
// will wait; storeRetry is the pause between two attempts to get the key.
const (
	StoreWait  = 2 * time.Second
	storeRetry = time.Second
)

// StoreOptions say what a store is made of. Stores of equal settings are one; the
// logger and the observer are those of the configuration that opened it.
type StoreOptions struct {
	// Memory is the size of the tier in memory, in bytes. Default: 256 MiB.
	Memory int64

	// Remote is the Redis that other nodes share; nil means memory only.
	Remote *redis.Config

	// Authority is what the file of Redis's certificate authority holds, so that
	// another content is another store.
	Authority []byte

	// SealKeys seal shared entries: the first seals, all open, names derive from
	// the last. With none, the key is loaded from Storage or made there.
	SealKeys [][]byte
	Storage  certmagic.Storage

	Logger   *slog.Logger
	Observer cache.Observer
}

// OpenStore acquires the store and returns it with the digest of its settings. It
// touches no network and waits for no key. An error is about a key, or about the
// addresses and files of Redis.
func OpenStore(r *Releases, o StoreOptions) (s *Store, digest string, err error) {
	digest, err = Digest(o.Memory, o.SealKeys, o.Remote, o.Authority, fmt.Sprintf("%T %v", o.Storage, o.Storage))
	if err != nil {
		return nil, "", err
	}
	var own *localPurgeLog
	if o.Remote == nil {
		if own, err = acquirePurgeLog(r, o); err != nil {
			return nil, "", err
		}
	}
	s, err = Acquire(r, "store", digest, func() (*Store, error) {
		f := &Store{ready: make(chan struct{}), memory: o.Memory, remote: o.Remote, observer: o.Observer, logger: o.Logger, local: own}
		switch {
		case len(o.SealKeys) > 0:
			return f, f.use(o.SealKeys)
		case own != nil:
			return f, f.use([][]byte{own.key})
		}
		f.fetch = func(ctx context.Context) ([]byte, error) { return sealKey(ctx, o.Storage) }
		return f, nil
	}, CloseAfter(DrainTime, func(f *Store) {
		if err := f.close(); err != nil {
			f.logger.Warn("closing the cache failed", "error", err)
		}
	}))
	return s, digest, err
}

// NewMemoryStore returns a store in memory that is in no pool and shares nothing,
// for a command. The caller closes it.
func NewMemoryStore(logger *slog.Logger, observer cache.Observer) (*cache.Store, error) {
	key, err := seal.NewKey(nil)
	if err != nil {
		return nil, err
	}
	return (&Store{observer: observer, logger: logger}).open([][]byte{key})
}

// localPurgeLog is the log of a process without Redis, with the key that the names in
// it are made by. No other node could repeat its denials, so it outlives every
// change of the cache's settings but that key.
type localPurgeLog struct {
	key []byte
	log *purgelog.Log
}

// acquirePurgeLog acquires the log. Names derive from the last of the configured
// keys; without one, nothing leaves this process and the key need not either.
func acquirePurgeLog(r *Releases, o StoreOptions) (*localPurgeLog, error) {
	var last []byte
	if len(o.SealKeys) > 0 {
		last = o.SealKeys[len(o.SealKeys)-1]
	}
	name, err := Digest(last)
	if err != nil {
		return nil, err
	}
	return Acquire(r, "log", name, func() (*localPurgeLog, error) {
		key := last
		if key == nil {
			var err error
			if key, err = seal.NewKey(nil); err != nil {
				return nil, err
			}
		}
		return &localPurgeLog{key: key, log: purgelog.New(purgelog.Options{Logger: o.Logger, Observer: o.Observer})}, nil
	}, func(l *localPurgeLog) error { return l.log.Close() })
}

// open makes a store of the configured tiers. It touches no network.
func (f *Store) open(keys [][]byte) (*cache.Store, error) {
	ring, err := seal.NewRing(nil, keys...)
	if err != nil {
		return nil, err
	}
	mem, err := memory.New(memory.Options{Bytes: f.memory})
	if err != nil {
		return nil, err
	}
	options := cache.Options{
		KeyDeriver: cache.NewKeyDeriver(ring), Memory: mem, Rand: rand.Reader, Logger: f.logger, Observer: f.observer,
	}
	switch {
	case f.remote != nil:
		f.client, err = redis.New(*f.remote, redis.Options{Sealer: ring, Logger: f.logger, Observer: f.observer})
		if err != nil {
			return nil, err
		}
		options.Shared = f.client.Tier()
		options.Log = purgelog.New(purgelog.Options{Stream: f.client.Stream(), Logger: f.logger, Observer: f.observer})
	case f.local != nil: // offline there is none: its log ends with it
		options.Log, options.KeepLog = f.local.log, true
	}
	return cache.NewStore(options)
}

// use opens the store with these keys and wakes the requests that wait for it.
func (f *Store) use(keys [][]byte) error {
	s, err := f.open(keys)
	if err != nil {
		return err
	}
	f.store = s
	close(f.ready)
	return nil
}

// Start begins the worker, once.
func (f *Store) Start() {
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

// work loads or makes the key until it has one, and opens the store with it. Only the
// first of several failures in a row is logged.
func (f *Store) work(ctx context.Context) {
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

// Current returns the store if it is there, else nil.
func (f *Store) Current() *cache.Store {
	select {
	case <-f.ready:
		return f.store
	default:
		return nil
	}
}

// Get returns the store. It waits for it at most StoreWait; it is an error that the
// key is not known by then, or that ctx has ended.
func (f *Store) Get(ctx context.Context) (*cache.Store, error) {
	select {
	case <-f.ready:
		return f.store, nil
	default:
	}
	timer := time.NewTimer(StoreWait)
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

// Client returns the client of Redis, or nil where there is none. It is valid only
// after Get has returned a store.
func (f *Store) Client() *redis.Client { return f.client }

// close ends the worker and, if it is open, the store.
func (f *Store) close() error {
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
