package pooled

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/caddyserver/certmagic"

	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
)

// This file holds what waits for a seal key: the cache store, and the ring that seals
// people's sessions.

// keyed is a value that is made of seal keys. Where the configuration has the keys,
// the value is there at once; else a worker begun by Start loads the key from Caddy's
// storage, or makes it there.
type keyed[T any] struct {
	storage certmagic.Storage
	logger  *slog.Logger
	open    func(keys [][]byte) (T, error)
	begin   func(T) // called once, by Start or after it; nil for nothing

	once   sync.Once
	cancel context.CancelFunc
	done   chan struct{}
	ready  chan struct{} // closed when value is there
	value  T
}

// StoreWait is how long a request waits for the key, as long as a person
// will wait; storeRetry is the pause between two attempts to get it.
const (
	StoreWait  = 2 * time.Second
	storeRetry = time.Second
)

// Ring is the seal ring of people's sessions. Its key outlives the process also where
// the cache's own need not.
type Ring struct{ keyed[*seal.Ring] }

// OpenRing acquires the ring over the configured keys, or over the one in the storage
// where there are none. It touches no storage.
func OpenRing(r *Releases, keys [][]byte, storage certmagic.Storage, logger *slog.Logger) (*Ring, error) {
	digest, err := Digest(keys, fmt.Sprintf("%T %v", storage, storage))
	if err != nil {
		return nil, err
	}
	return Acquire(r, "ring", digest, func() (*Ring, error) {
		ring := new(Ring)
		ring.init(storage, logger, func(keys [][]byte) (*seal.Ring, error) { return seal.NewRing(nil, keys...) }, nil)
		return ring, ring.use(keys)
	}, func(ring *Ring) error {
		ring.stop()
		return nil
	})
}

// init sets what the value is made of.
func (k *keyed[T]) init(storage certmagic.Storage, logger *slog.Logger, open func(keys [][]byte) (T, error), begin func(T)) {
	k.storage, k.logger, k.open, k.begin = storage, logger, open, begin
	k.ready = make(chan struct{})
}

// use makes the value of these keys and wakes the requests that wait for it. It does
// nothing without keys.
func (k *keyed[T]) use(keys [][]byte) (err error) {
	if len(keys) == 0 {
		return nil
	}
	if k.value, err = k.open(keys); err != nil {
		return err
	}
	close(k.ready)
	return nil
}

// Start begins the background work, once.
func (k *keyed[T]) Start() {
	k.once.Do(func() {
		select {
		case <-k.ready:
			k.started()
			return
		default:
		}
		var ctx context.Context
		ctx, k.cancel = context.WithCancel(context.Background()) // #nosec G118 -- stop calls it
		k.done = make(chan struct{})
		go k.work(ctx)
	})
}

// started begins the work of the value itself.
func (k *keyed[T]) started() {
	if k.begin != nil {
		k.begin(k.value)
	}
}

// work loads or makes the key until it has one, and makes the value of it. Only the
// first of several failures in a row is logged.
func (k *keyed[T]) work(ctx context.Context) {
	defer close(k.done)
	failed := false
	for {
		key, err := sealKey(ctx, k.storage)
		if err == nil {
			err = k.use([][]byte{key})
		}
		if err == nil {
			k.started()
			return
		}
		if ctx.Err() != nil {
			return
		}
		if !failed {
			k.logger.Error("the seal key cannot be loaded or created", "error", err)
			failed = true
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(storeRetry):
		}
	}
}

// Current returns the value if it is there, else its zero value.
func (k *keyed[T]) Current() T {
	select {
	case <-k.ready:
		return k.value
	default:
		var none T
		return none
	}
}

// Get returns the value. It waits for it at most StoreWait; it is an error that the
// key is not known by then, or that ctx has ended.
func (k *keyed[T]) Get(ctx context.Context) (T, error) {
	var none T
	select {
	case <-k.ready:
		return k.value, nil
	default:
	}
	timer := time.NewTimer(StoreWait)
	defer timer.Stop()
	select {
	case <-k.ready:
		return k.value, nil
	case <-timer.C:
		return none, errNotReady
	case <-ctx.Done():
		return none, fmt.Errorf("%w: %w", errNotReady, context.Cause(ctx))
	}
}

// stop ends the worker.
func (k *keyed[T]) stop() {
	k.once.Do(func() {})
	if k.cancel != nil {
		k.cancel()
		<-k.done
	}
}

// errNotReady is returned while the seal key is not known.
var errNotReady = errors.New("the seal key is not ready")
