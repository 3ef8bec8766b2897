package enrich

import (
	"crypto/sha256"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"
)

// DefaultDecisionMemory bounds the decision cache, in bytes.
const DefaultDecisionMemory = 64 << 20

// DecisionCache holds, in memory only, the decisions about tokens and sessions
// under policies, rendered and ready to be written. A decision is used again only while
// everything that it was made from is unchanged (see Decision.valid).
type DecisionCache struct {
	cache  *otter.Cache[decisionKey, *Decision]
	secret [32]byte
	hashes sync.Pool
}

// decisionKey is a keyed hash of the credential and of everything else by which
// two decisions about one credential differ. So the cache keeps no token in memory.
type decisionKey [sha256.Size]byte

// NewDecisionCache returns a decision cache of that many bytes; 0 means
// DefaultDecisionMemory. random is read once, for the key of its hashes.
func NewDecisionCache(maxBytes int64, random io.Reader) (*DecisionCache, error) {
	if maxBytes <= 0 {
		maxBytes = DefaultDecisionMemory
	}
	c := &DecisionCache{hashes: sync.Pool{New: func() any { return &decisionHash{sha: sha256.New()} }}}
	if _, err := io.ReadFull(random, c.secret[:]); err != nil {
		return nil, fmt.Errorf("making the decision cache's key: %w", err)
	}
	var err error
	c.cache, err = otter.New(&otter.Options[decisionKey, *Decision]{
		MaximumWeight: uint64(maxBytes),
		Weigher:       func(_ decisionKey, d *Decision) uint32 { return d.cost },
	})
	if err != nil {
		return nil, fmt.Errorf("making the decision cache: %w", err)
	}
	return c, nil
}

// decisionHash is a lent SHA-256 state with a buffer, so that hashing a
// token's text neither copies it to the heap nor allocates.
type decisionHash struct {
	sha hash.Hash
	buf [512]byte
	sum [sha256.Size]byte
}

// key returns the key of a decision about a credential under a policy (C31). All
// parts but the last have a fixed length, so no two lists of parts are hashed
// as the same bytes. One of them is the kind of the credential: a client chooses
// the text of its token, which may be the key of a session.
func (c *DecisionCache) key(config Fingerprint, p *Policy, cred credential) decisionKey {
	h, _ := c.hashes.Get().(*decisionHash)
	h.sha.Reset()
	n := copy(h.buf[:], c.secret[:])
	n += copy(h.buf[n:], config[:])
	n += copy(h.buf[n:], p.fingerprint[:])
	h.buf[n] = 't'
	if cred.session != nil {
		h.buf[n] = 's'
	}
	n++
	text := cred.key
	for {
		copied := copy(h.buf[n:], text)
		h.sha.Write(h.buf[:n+copied])
		if text = text[copied:]; text == "" {
			break
		}
		n = 0
	}
	h.sha.Sum(h.sum[:0])
	key := decisionKey(h.sum)
	c.hashes.Put(h)
	return key
}

// get returns the decision about a credential if it is valid, or nil. A record that
// is due is refreshed behind the request, by the look-up that it came from.
func (c *DecisionCache) get(config Fingerprint, p *Policy, cred credential, l *Lookup, now time.Time) *Decision {
	if !p.cacheable() {
		return nil
	}
	key := c.key(config, p, cred)
	d, ok := c.cache.GetIfPresent(key)
	if !ok {
		return nil
	}
	ok, refreshDue := d.valid(l, now)
	if !ok {
		c.cache.Invalidate(key)
		return nil
	}
	if refreshDue {
		l.refresh(d.Principal, d.app, d.reads)
	}
	return d
}

// put caches a decision if everything that it was made from reports when
// it is no longer valid.
func (c *DecisionCache) put(config Fingerprint, p *Policy, cred credential, d *Decision) {
	if p.cacheable() && !d.incomplete {
		c.cache.Set(c.key(config, p, cred), d)
	}
}

// Status returns the number of decisions and their estimated bytes.
func (c *DecisionCache) Status() (entries int, bytes uint64) {
	c.cache.CleanUp() // what waits to be counted is counted first
	return c.cache.EstimatedSize(), c.cache.WeightedSize()
}

// Clear drops every decision.
func (c *DecisionCache) Clear() { c.cache.InvalidateAll() }
