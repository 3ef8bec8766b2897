package enrich

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"sync"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// DefaultDecisionMemory bounds the decision cache, in bytes.
const DefaultDecisionMemory = 64 << 20

// DecisionCache remembers, in memory only, what was decided about a token under a
// policy, rendered and ready to be written. It is a short cut and never an
// authority: a decision is used again only while everything that it was made
// from still stands (see Decision.stands).
type DecisionCache struct {
	cache  *otter.Cache[decisionKey, *Decision]
	secret [32]byte
	hashes sync.Pool
}

// decisionKey is a keyed hash of the token and of everything that tells two
// decisions about one token apart, so that no token stays in memory for the
// cache's sake.
type decisionKey [sha256.Size]byte

// NewDecisionCache makes a decision cache of that many bytes; random keys its
// hashes.
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

// hashPart hashes one part of a key behind its length, so that no two lists of
// parts are hashed as the same bytes. It copies no text to the heap.
func hashPart[T string | []byte](h *decisionHash, part T) {
	n := len(binary.BigEndian.AppendUint64(h.buf[:0], uint64(len(part))))
	for {
		copied := copy(h.buf[n:], part)
		h.sha.Write(h.buf[:n+copied])
		if part = part[copied:]; len(part) == 0 {
			return
		}
		n = 0
	}
}

// key is the key of a decision about a token under a policy (C31). Every part
// enters with its length; the secret, whose length is fixed, comes first.
func (c *DecisionCache) key(g *Gateway, p *Policy, token string) decisionKey {
	h, _ := c.hashes.Get().(*decisionHash)
	h.sha.Reset()
	h.sha.Write(c.secret[:])
	hashPart(h, g.Fingerprint)
	hashPart(h, p.fingerprint[:])
	hashPart(h, token)
	h.sha.Sum(h.sum[:0])
	key := decisionKey(h.sum)
	c.hashes.Put(h)
	return key
}

// find gives the decision about a token if it still stands, or nil.
func (c *DecisionCache) find(g *Gateway, p *Policy, found token.Found, now time.Time) *Decision {
	if !p.cacheable() {
		return nil
	}
	key := c.key(g, p, found.Token)
	d, ok := c.cache.GetIfPresent(key)
	if !ok {
		return nil
	}
	if !d.stands(g, now) {
		c.cache.Invalidate(key)
		return nil
	}
	return d
}

// keep remembers a decision, where everything that it was made from can tell
// when it no longer stands.
func (c *DecisionCache) keep(g *Gateway, p *Policy, found token.Found, d *Decision) {
	if !p.cacheable() || d.skip != 0 {
		return
	}
	if len(p.perRequest) == 0 {
		// Nobody reads the record any more; held here, it would outlive its
		// place in the cache. The parts know whether it still stands.
		d.record.Record, d.record.Index, d.context = identity.Record{}, oktael.GroupIndex{}, nil
	}
	d.Outcomes = nil // for explain, which decides anew
	d.cost = costOf(d)
	c.cache.Set(c.key(g, p, found.Token), d)
}

// Status gives the number of decisions and their bytes.
func (c *DecisionCache) Status() (entries int, bytes uint64) {
	c.cache.CleanUp() // what waits to be counted is counted first
	return c.cache.EstimatedSize(), c.cache.WeightedSize()
}

// stands reports whether everything that the decision was made from is still
// as it was: the token's times, the key set that verified it, and each part
// of the record with its content, its freshness and the purge log. Deny list
// and sender are checked apart, on every request.
func (d *Decision) stands(g *Gateway, now time.Time) bool {
	v := d.verified
	if !now.Before(d.until) || now.Before(d.from) || !v.Issuer.Current(v.KeySet, now) {
		return false
	}
	refresh := false
	for i := range d.record.Parts {
		ok, due := d.record.Parts[i].Valid(now, g.Lookup.life)
		if !ok {
			return false
		}
		refresh = refresh || due
	}
	if refresh {
		g.Lookup.refresh(d)
	}
	return true
}

// Estimates of what a decision holds on the heap beside its values.
const (
	decisionOverhead = 1600 // the decision, the principal, the cache's own bookkeeping
	valueOverhead    = 24   // an interface and what it points to
	memberOverhead   = 64   // a map slot with its key
	stringHeader     = 16
	groupOverhead    = 176 // an identity.Group
)

// costOf estimates a decision's bytes, values counted once although the
// token's and the overlaid claims share them.
func costOf(d *Decision) uint32 {
	n := decisionOverhead + len(d.record.Parts)*64 + len(d.denials)*16
	n += sizeOf(d.Principal.Claims)
	n += sizeOf(d.Computed) + len(d.Claims)*memberOverhead + d.rendered.Weight()
	n += len(d.Principal.Groups)*stringHeader + len(d.Principal.Scopes)*stringHeader
	// A record that is still read is kept from being freed when its tier lets
	// it go.
	if who := d.record.Person; who != nil {
		n += len(who.Groups) * groupOverhead
		if who.User != nil {
			n += personCodec{}.Cost(&person{Person: who})
		}
	}
	if d.record.App != nil {
		n += appCodec{}.Cost(d.record.App)
	}
	if d.record.AppUser != nil {
		n += appUserCodec{}.Cost(d.record.AppUser)
	}
	n += len(d.minted) * 2048
	return uint32(n) //nolint:gosec // bounded by the token's and the record's size
}

func sizeOf(v any) int {
	switch x := v.(type) {
	case string:
		return valueOverhead + len(x)
	case []any:
		n := valueOverhead
		for _, e := range x {
			n += sizeOf(e)
		}
		return n
	case map[string]any:
		n := valueOverhead
		for k, e := range x {
			n += memberOverhead + len(k) + sizeOf(e)
		}
		return n
	}
	return valueOverhead
}

// Clear drops every decision.
func (c *DecisionCache) Clear() { c.cache.InvalidateAll() }
