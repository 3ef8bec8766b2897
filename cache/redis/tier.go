package redis

import (
	"context"
	"encoding/base64"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

var encoding = base64.RawURLEncoding

// Bounds of the queue of writes: it exists so that no request waits for a
// write, not to bridge an outage.
const (
	writers    = 4
	queueSlots = 256      // per writer
	queueBytes = 16 << 20 // in all
)

// maxSealed bounds what is read for one entry. An envelope adds a few dozen
// bytes to the encoded entry.
const maxSealed = cache.MaxEncodedEntry + 256

// unsealPause is the least time between two log lines about entries that do
// not open; the metric counts each.
const unsealPause = 10 * time.Minute

// Tier keeps sealed entries in Redis. It is a cache.Tier.
//
// Reads run on the request's path, under the client's time-out. Writes are
// queued, and dropped where the queue is full or Redis is not usable: an entry
// that is missing costs another node one look-up.
type Tier struct {
	c *Client

	queues  [writers]chan write
	pending atomic.Int64 // bytes
	waiting atomic.Int64 // writes not done yet
	begun   sync.Once
	group   sync.WaitGroup

	unsealed, dropped, refused atomic.Uint64
	warned                     atomic.Int64 // when an entry that did not open was last logged
	writesFail                 atomic.Bool
}

// write is one queued write; a nil entry deletes.
type write struct {
	key   cache.Key
	entry *cache.Entry
	keep  time.Duration
}

func newTier(c *Client) *Tier {
	t := &Tier{c: c}
	for i := range t.queues {
		t.queues[i] = make(chan write, queueSlots)
	}
	return t
}

// Name is "redis".
func (t *Tier) Name() string { return cache.TierRedis }

// Get reads and opens the entry under key. What does not open is deleted and
// counted, and is a miss for the caller.
func (t *Tier) Get(ctx context.Context, key cache.Key) (*cache.Entry, error) {
	var sealed []byte
	err := t.c.call(ctx, func(ctx context.Context) error {
		var err error
		// One byte over the bound reveals an oversized value without reading
		// all of it. A missing key reads as empty.
		sealed, err = t.c.entries.GetRange(ctx, t.c.name(key), 0, maxSealed).Bytes()
		return err
	})
	switch {
	case err == nil && len(sealed) == 0, errors.Is(err, goredis.Nil):
		return nil, cache.ErrMiss
	case err != nil && wrongType(err):
		t.unusable(key)
		return nil, cache.ErrUnsealed
	case err != nil:
		return nil, err
	case len(sealed) > maxSealed:
		t.refused.Add(1)
		t.unusable(key)
		return nil, cache.ErrUnsealed
	}
	plain, err := t.c.sealer.Open(key, sealed)
	if err != nil {
		t.unusable(key)
		return nil, cache.ErrUnsealed
	}
	e, err := cache.DecodeEntry(plain)
	if err != nil {
		t.unusable(key)
		return nil, cache.ErrUnsealed
	}
	return e, nil
}

// unusable deletes the value under key and reports it.
func (t *Tier) unusable(key cache.Key) {
	t.Delete(key)
	t.alarm()
}

// alarm counts a value in Redis that is not what a node of ours put there, and
// logs it at most once in unsealPause.
func (t *Tier) alarm() {
	t.unsealed.Add(1)
	t.c.observe.UnsealFailure()
	now := t.c.clock().UnixNano()
	last := t.warned.Load()
	if (last == 0 || now-last > int64(unsealPause)) && t.warned.CompareAndSwap(last, now) {
		t.c.logger.Error("a value in redis cannot be unsealed: it was altered, or sealed under another key")
	}
}

// Set queues the write of e. A keep under a millisecond, which Redis cannot
// express, removes the entry.
func (t *Tier) Set(key cache.Key, e *cache.Entry, keep time.Duration) {
	if keep < time.Millisecond {
		t.Delete(key)
		return
	}
	t.enqueue(write{key: key, entry: e, keep: keep})
}

// Delete queues the removal of what is held under key.
func (t *Tier) Delete(key cache.Key) { t.enqueue(write{key: key}) }

// enqueue hands a write to the key's own writer, so that writes of one key
// keep their order.
func (t *Tier) enqueue(w write) {
	if t.c.ctx.Err() != nil {
		return
	}
	if !t.c.breaker.allow() {
		t.dropped.Add(1)
		return
	}
	t.begun.Do(func() {
		for i := range t.queues {
			t.group.Go(func() { t.drain(t.queues[i]) })
		}
	})
	size := w.size()
	if t.pending.Add(size) > queueBytes {
		t.pending.Add(-size)
		t.dropped.Add(1)
		return
	}
	t.waiting.Add(1)
	select {
	case t.queues[int(w.key[0])%writers] <- w:
	default:
		t.pending.Add(-size)
		t.waiting.Add(-1)
		t.dropped.Add(1)
	}
}

func (w *write) size() int64 {
	const overhead = 128
	if w.entry == nil {
		return overhead
	}
	return int64(len(w.entry.Content)) + overhead
}

// stop waits for the writers. The client's context must have ended.
func (t *Tier) stop() {
	t.begun.Do(func() {}) // none may start from now on
	t.group.Wait()
}

// drain is the loop of one writer.
func (t *Tier) drain(queue <-chan write) {
	for {
		select {
		case <-t.c.ctx.Done():
			return
		case w := <-queue:
			t.write(&w)
			t.pending.Add(-w.size())
			t.waiting.Add(-1)
		}
	}
}

func (t *Tier) write(w *write) {
	name := t.c.name(w.key)
	if w.entry == nil {
		_ = t.c.call(t.c.ctx, func(ctx context.Context) error { return t.c.entries.Del(ctx, name).Err() })
		return
	}
	plain, err := w.entry.AppendBinary(nil)
	if err == nil {
		plain, err = t.c.sealer.Seal(w.key, plain)
	}
	if err != nil {
		t.refused.Add(1)
		return
	}
	err = t.c.call(t.c.ctx, func(ctx context.Context) error {
		return t.c.entries.Set(ctx, name, plain, w.keep).Err()
	})
	if err != nil {
		t.dropped.Add(1)
	}
	// A full or read-only server refuses writes and still answers reads.
	switch cl := class(err); {
	case err == nil && t.writesFail.CompareAndSwap(true, false):
		t.c.logger.Info("redis accepts writes again")
	case (cl == classFull || cl == classReadOnly) && t.writesFail.CompareAndSwap(false, true):
		t.c.logger.Warn("redis refuses writes", "error", cl)
	}
}

// Flush waits until the writes queued so far are done or dropped. The error is
// the context's, or cache.ErrClosed.
func (t *Tier) Flush(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for t.waiting.Load() > 0 {
		select {
		case <-tick.C:
		case <-t.c.ctx.Done():
			return cache.ErrClosed
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Status describes the tier.
func (t *Tier) Status() cache.TierStatus {
	ready, since, lastError := t.c.breaker.state()
	split, warnings := t.c.watch.state()
	if t.writesFail.Load() {
		warnings = append(warnings, "redis refuses writes")
	}
	return cache.TierStatus{
		Name: cache.TierRedis, Ready: ready, Since: since, LastError: lastError,
		UnsealFailures: t.unsealed.Load(), Dropped: t.dropped.Load(), Refused: t.refused.Load(),
		Split: split, Warnings: warnings,
	}
}

// Close closes the client.
func (t *Tier) Close() error { return t.c.Close() }

func wrongType(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "WRONGTYPE") }

// Interface guard.
var _ cache.Tier = (*Tier)(nil)
