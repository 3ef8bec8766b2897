package claim

import (
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// idSet is a set of group ids that is asked for many ids which are not in it:
// a user may be in thousands of groups of which an application sees a few. A
// bit per id, by its last letters, answers nearly all of those without
// hashing; ids of one directory have one length and differ at the end.
type idSet struct {
	ids  map[string]struct{}
	bits [idSetBits / 64]uint64
}

// idSetBits keeps a set of a hundred ids nine tenths empty.
const idSetBits = 1024

func newIDSet(ids []string) *idSet {
	s := &idSet{ids: make(map[string]struct{}, len(ids))}
	for _, id := range ids {
		s.ids[id] = struct{}{}
		b := idBit(id)
		s.bits[b/64] |= 1 << (b % 64)
	}
	return s
}

// idBit gives the bit of an id.
func idBit(id string) uint {
	n := len(id)
	if n < 2 {
		return uint(n)
	}
	return (uint(id[n-1])*37 + uint(id[n-2])) % idSetBits
}

func (s *idSet) has(id string) bool {
	b := idBit(id)
	if s.bits[b/64]&(1<<(b%64)) == 0 {
		return false
	}
	_, ok := s.ids[id]
	return ok
}

// positions finds the groups whose id is in the set, in the groups' order.
func (s *idSet) positions(groups []identity.Group) []int {
	var kept []int
	for i := range groups {
		if s.has(groups[i].ID) {
			if kept == nil {
				kept = make([]int, 0, min(len(s.ids), len(groups)-i))
			}
			kept = append(kept, i)
		}
	}
	return slices.Clip(kept)
}
