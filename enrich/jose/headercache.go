package jose

import (
	"strings"
	"sync"
)

// maxCachedHeaders bounds the remembered headers. An issuer uses one for each of
// its keys and kinds of tokens, unless its headers differ from token to token.
const maxCachedHeaders = 64

// A HeaderCache remembers parsed headers by their encoded text, because the tokens
// of an issuer share a few of them. Callers put in only headers of tokens whose
// signature has been verified, so that forged tokens cannot fill it. The zero value
// is ready for use, a nil cache remembers nothing, and both are safe for
// concurrent use.
type HeaderCache struct {
	mu     sync.RWMutex
	parsed map[string]*Header
}

// Get returns the header of an encoded text, or nil.
func (c *HeaderCache) Get(text string) *Header {
	if c == nil {
		return nil
	}
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.parsed[text]
}

// Put remembers the header of an encoded text. A full cache is emptied first: with
// so many headers, remembering does not pay, and no order needs to be kept.
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
	// The text shares the memory of the token: without a copy it would keep the
	// whole token.
	c.parsed[strings.Clone(text)] = h
}
