// Package cachetest holds what tests of the cache and of its users share: a
// clock that is set by hand, a codec, the suite that every tier passes, and
// real Redis servers.
package cachetest

import (
	"sync"
	"time"
)

// Clock is a clock that moves only when a test moves it.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that shows some fixed moment.
func NewClock() *Clock {
	return &Clock{now: time.Date(2026, 3, 14, 9, 26, 53, 0, time.UTC)}
}

// Now is the moment that the clock shows.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}
