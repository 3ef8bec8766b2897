package provider

import (
	"crypto/rand"
	"sync"
	"time"
)

// maxHeld is how many values a store holds at most.
const maxHeld = 256

// store holds values under random keys for a time. Where it is full, the oldest
// value makes room. It is safe for concurrent use.
type store[T any] struct {
	now func() time.Time
	ttl time.Duration

	mu   sync.Mutex
	held map[string]held[T]
}

type held[T any] struct {
	value T
	end   time.Time
}

func newStore[T any](now func() time.Time, ttl time.Duration) *store[T] {
	return &store[T]{now: now, ttl: ttl, held: map[string]held[T]{}}
}

// put returns the key under which the value is held now.
func (s *store[T]) put(value T) string {
	key := rand.Text()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.held) == maxHeld {
		oldest := ""
		for k, h := range s.held {
			if oldest == "" || h.end.Before(s.held[oldest].end) {
				oldest = k
			}
		}
		delete(s.held, oldest)
	}
	s.held[key] = held[T]{value, s.now().Add(s.ttl)}
	return key
}

// get returns the value under a key and reports whether its time has not ended.
func (s *store[T]) get(key string) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[key]
	return h.value, ok && s.now().Before(h.end)
}

// take is get for the last time: it removes the value.
func (s *store[T]) take(key string) (T, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, ok := s.held[key]
	delete(s.held, key)
	return h.value, ok && s.now().Before(h.end)
}
