package pooled

import (
	"crypto/rand"
	"fmt"
	"log/slog"

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
	keyed[*cache.Store]

	memory   int64         // bytes
	remote   *redis.Config // nil: memory only
	observer cache.Observer
	local    *localPurgeLog // where there is no Redis
	client   *redis.Client  // nil: memory only
}

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
		f := &Store{memory: o.Memory, remote: o.Remote, observer: o.Observer, local: own}
		keys := o.SealKeys
		if len(keys) == 0 && own != nil {
			keys = [][]byte{own.key}
		}
		f.init(o.Storage, o.Logger, f.openStore, (*cache.Store).Start)
		return f, f.use(keys)
	}, CloseAfter(DrainTime, func(f *Store) {
		f.stop()
		if store := f.Current(); store != nil {
			if err := store.Close(); err != nil {
				f.logger.Warn("closing the cache failed", "error", err)
			}
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
	return (&Store{keyed: keyed[*cache.Store]{logger: logger}, observer: observer}).openStore([][]byte{key})
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

// openStore makes a store of the configured tiers. It touches no network.
func (f *Store) openStore(keys [][]byte) (*cache.Store, error) {
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

// Client returns the client of Redis, or nil where there is none. It is valid only
// after Get has returned a store.
func (f *Store) Client() *redis.Client { return f.client }
