package input

import "github.com/tokenenrich/caddy-token-enrich/enrich/identity"

// GroupIndex finds groups by id, in constant time. With one in the context, the cost of
// getFilteredGroups and of isMemberOfGroup follows the allow list instead of
// the number of the user's groups. Its zero value means that there is none.
type GroupIndex struct {
	// first is the position of the first group with an id.
	first map[string]int32

	// next is, by position, the next group with the same id, or -1. It is
	// nil where all ids differ, which is nearly always.
	next []int32

	size int
}

// IndexGroups builds the index of a user's groups. Build it once for a person
// and put it into each Context together with the same groups.
func IndexGroups(groups []identity.Group) GroupIndex {
	x := GroupIndex{first: make(map[string]int32, len(groups)), size: len(groups)}
	for i := len(groups) - 1; i >= 0; i-- {
		id := groups[i].ID
		if later, repeated := x.first[id]; repeated {
			if x.next == nil {
				x.next = make([]int32, len(groups))
				for j := range x.next {
					x.next[j] = -1
				}
			}
			x.next[i] = later
		}
		x.first[id] = int32(i) //nolint:gosec // bounded by MaxList long before
	}
	return x
}

// Fits reports whether the index belongs to these groups. An index that was
// built from others must not decide who is in what.
func (x *GroupIndex) Fits(groups []identity.Group) bool {
	return x.first != nil && x.size == len(groups)
}

// Find appends the positions of the groups with this id.
func (x *GroupIndex) Find(groups []identity.Group, id string, positions []int32) []int32 {
	at, ok := x.first[id]
	if !ok {
		return positions
	}
	for at >= 0 {
		if groups[at].ID == id {
			positions = append(positions, at)
		}
		if x.next == nil {
			break
		}
		at = x.next[at]
	}
	return positions
}
