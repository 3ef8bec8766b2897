package jose

import (
	"strings"
	"sync"
)

// maxCachedHeaders bounds the remembered headers. An issuer has as many as
// it has keys and kinds of tokens, unless it puts something of each token
// there.
const maxCachedHeaders = 64

// A HeaderCache remembers parsed headers by their text: an issuer's tokens
// share a handful. Only headers of tokens whose signature verified are put
// in, so that nobody else can fill it. A nil cache remembers nothing.
type HeaderCache struct {
	mu     sync.RWMutex
	parsed map[string]*Header
}

func (c *HeaderCache) Get(text string) *Header {
	if c == nil {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.parsed[text]
}

// Put remembers a header. A full cache starts anew.
func (c *HeaderCache) Put(text string, h *Header) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.parsed[text]; ok {
		return
	}
	if c.parsed == nil || len(c.parsed) >= maxCachedHeaders {
		c.parsed = make(map[string]*Header, maxCachedHeaders)
	}
	// The text is a part of the token: without a copy the whole token would
	// stay in memory.
	c.parsed[strings.Clone(text)] = h
}
