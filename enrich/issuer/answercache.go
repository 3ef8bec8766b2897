package issuer

import (
	"container/list"
	"sync"
	"time"
)

// This file remembers introspected tokens: the answers about them while these are
// valid, and for longer which of them were active.

// An answerCache keeps introspection answers by the keyed hash of their token, so
// that it holds no token. It is bounded by the cost of its entries, and evicts the
// least recently used. It is safe for concurrent use.
type answerCache struct {
	limit int

	mu    sync.Mutex
	cost  int
	byKey map[tokenHash]*list.Element // of *answerEntry
	order list.List                   // the most recently used first
}

// An answerEntry is one element of the order.
type answerEntry struct {
	key    tokenHash
	answer *answer
	cost   int
}

// newAnswerCache returns a cache for entries that cost at most limit together.
func newAnswerCache(limit int) *answerCache {
	return &answerCache{limit: limit, byKey: make(map[tokenHash]*list.Element)}
}

// get returns the answer that has not expired at now, or nil.
func (c *answerCache) get(key tokenHash, now time.Time) *answer {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.byKey[key]
	if e == nil {
		return nil
	}
	a := e.Value.(*answerEntry).answer
	if a.expired(now) {
		c.remove(e)
		return nil
	}
	c.order.MoveToFront(e)
	return a
}

// put stores an answer. One that costs more than the whole bound is not stored.
func (c *answerCache) put(key tokenHash, a *answer, cost int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e := c.byKey[key]; e != nil {
		c.remove(e)
	}
	if cost > c.limit {
		return
	}
	for c.cost+cost > c.limit {
		c.remove(c.order.Back())
	}
	c.byKey[key] = c.order.PushFront(&answerEntry{key: key, answer: a, cost: cost})
	c.cost += cost
}

// remove removes an element. The caller holds the lock.
func (c *answerCache) remove(e *list.Element) {
	entry := c.order.Remove(e).(*answerEntry)
	delete(c.byKey, entry.key)
	c.cost -= entry.cost
}

// maxKnownTokens bounds the remembered tokens of one generation, of which there are
// two: some 4 MiB together, taken only when so many tokens are in use.
const maxKnownTokens = 1 << 15

// knownTokens remembers opaque tokens that passed all checks, by their keyed hash,
// for longer than the answers about them are valid. In a flood of forged tokens the
// known ones keep their share of the introspections. Only valid tokens are added,
// so that forged tokens cannot fill it.
//
// It holds two generations. Once the current one is full, the previous one is
// dropped as a whole, so that no order has to be kept.
type knownTokens struct {
	max int // of one generation

	mu                sync.Mutex
	current, previous map[tokenHash]struct{}
}

// newKnownTokens returns a memory of generations of at most max tokens.
func newKnownTokens(max int) knownTokens {
	return knownTokens{max: max, current: make(map[tokenHash]struct{})}
}

func (k *knownTokens) has(key tokenHash) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	_, young := k.current[key]
	_, elder := k.previous[key]
	return young || elder
}

func (k *knownTokens) add(key tokenHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if _, ok := k.current[key]; ok {
		return
	}
	if len(k.current) >= k.max {
		k.previous, k.current = k.current, make(map[tokenHash]struct{})
	}
	k.current[key] = struct{}{}
}

func (k *knownTokens) remove(key tokenHash) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.current, key)
	delete(k.previous, key)
}
