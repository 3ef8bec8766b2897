package mint

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	jose "github.com/go-jose/go-jose/v4"
)

// skew is how far the clocks of nodes and applications may be apart where it
// is decided how long a retired key is still published.
const skew = time.Minute

// This file decides, from the keys alone and the time, which key signs, which are
// published, and when the next one is due.

// ring is the keys of the cluster at one moment, ordered by the time from
// which they sign. It never changes once it is in use.
type ring struct {
	keys    []*key
	longest time.Duration
	fixed   bool // from files: nothing comes, nothing retires

	document   []byte // the key set, public parts only
	etag       string
	algorithms []string // the algorithms in the key set
}

// sort puts the keys into the order in which they sign.
func (r *ring) sort() {
	slices.SortStableFunc(r.keys, func(a, b *key) int {
		if c := a.signsFrom.Compare(b.signsFrom); c != 0 {
			return c
		}
		return strings.Compare(a.id, b.id) // the same order on every node
	})
}

// active returns the key that signs now: the latest whose time has come, of the
// wanted algorithm if there is one. Where no key's time has come, because the
// clock was set back, it is the first.
func (r *ring) active(algorithm string, now time.Time) *key {
	var other, first *key
	for _, k := range slices.Backward(r.keys) {
		switch {
		case k.private == nil:
		case k.signsFrom.After(now):
			first = k
		case k.algorithm == algorithm:
			return k
		case other == nil:
			other = k
		}
	}
	if other != nil {
		return other
	}
	return first
}

// next returns the earliest key of the algorithm that is published and does not
// sign yet.
func (r *ring) next(algorithm string, now time.Time) *key {
	for _, k := range r.keys {
		if k.algorithm == algorithm && k.signsFrom.After(now) {
			return k
		}
	}
	return nil
}

// due returns when the next key must be made, at the latest: the moment from
// which it is still published for the overlap before the present one ends.
// It is false where a next key is there already.
func (r *ring) due(c Config, now time.Time) (signsFrom time.Time, due bool) {
	if r.fixed || r.next(c.Algorithm, now) != nil {
		return time.Time{}, false
	}
	overlap := time.Duration(c.RotateOverlap)
	present := r.active(c.Algorithm, now)
	switch {
	case present == nil && len(r.keys) == 0:
		// The very first key: no cached set is without it.
		return now, true
	case present == nil || present.algorithm != c.Algorithm:
		return now.Add(overlap), true
	}
	ends := present.signsFrom.Add(time.Duration(c.Rotate))
	if now.Before(ends.Add(-overlap)) {
		return time.Time{}, false
	}
	if earliest := now.Add(overlap); ends.Before(earliest) {
		ends = earliest
	}
	return ends, true
}

// publishedUntil returns when a retired key leaves the key set: when the last
// token that any node can have signed with it has expired. It is false for a
// key that signs or will sign.
func (r *ring) publishedUntil(k *key, c Config, now time.Time) (time.Time, bool) {
	if r.fixed {
		return time.Time{}, false
	}
	for _, later := range r.keys {
		if later.algorithm == k.algorithm && later.signsFrom.After(k.signsFrom) && !later.signsFrom.After(now) {
			// A node learns of a key that signs at once by its next look.
			return later.signsFrom.Add(pollInterval(c) + r.longest + skew), true
		}
	}
	if present := r.active(c.Algorithm, now); present != nil && present.algorithm != k.algorithm && !k.signsFrom.After(now) {
		// A key of an algorithm that this node no longer uses: others may,
		// and would have replaced it in time.
		ends := k.signsFrom.Add(time.Duration(c.Rotate + c.RotateOverlap))
		if ends.Before(present.signsFrom) {
			ends = present.signsFrom
		}
		return ends.Add(pollInterval(c) + r.longest + skew), true
	}
	return time.Time{}, false
}

// without returns the ring without keys that are past their publication.
func (r *ring) without(c Config, now time.Time) (kept *ring, dropped bool) {
	kept = &ring{longest: r.longest, fixed: r.fixed}
	for _, k := range r.keys {
		if until, retired := r.publishedUntil(k, c, now); retired && now.After(until) {
			dropped = true
			continue
		}
		kept.keys = append(kept.keys, k)
	}
	return kept, dropped
}

// publish renders the key set: the key that signs first, then the others from
// the latest to the oldest.
func (r *ring) publish(c Config, now time.Time) error {
	kept, _ := r.without(c, now)
	present := kept.active(c.Algorithm, now)
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	if present != nil {
		set.Keys = append(set.Keys, present.public)
	}
	for _, k := range slices.Backward(kept.keys) {
		if k != present {
			set.Keys = append(set.Keys, k.public)
		}
	}
	r.algorithms = r.algorithms[:0:0]
	for _, k := range set.Keys {
		if !k.IsPublic() {
			return fmt.Errorf("publishing signing keys: not a public key: %w", errKey)
		}
		if !slices.Contains(r.algorithms, k.Algorithm) {
			r.algorithms = append(r.algorithms, k.Algorithm)
		}
	}
	document, err := json.Marshal(set)
	if err != nil {
		return fmt.Errorf("publishing signing keys: %w", err)
	}
	sum := sha256.Sum256(document)
	r.document = document
	r.etag = `"` + base64.RawURLEncoding.EncodeToString(sum[:16]) + `"`
	return nil
}
