package directory

import (
	"encoding/json"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file checks each answer against the limits of this package. Kinds bound
// what they read in bytes; here the values count.

// checkPerson checks an answer against the limits. Too many groups are an error
// and are never cut: a part of the groups is the wrong groups.
func checkPerson(p *identity.Person) error {
	switch {
	case p == nil || p.User == nil:
		return fmt.Errorf("checking the answer: no user in it: %w", ErrMalformed)
	case len(p.Groups) > MaxGroups:
		return fmt.Errorf("checking the answer: over %d groups: %w", MaxGroups, ErrTooLarge)
	}
	size := userSize(p.User)
	for i := range p.Groups {
		g := &p.Groups[i]
		size += entrySize + len(g.ID) + len(g.Name) + len(g.Type) + len(g.Source) + valueSize(g.Profile)
		for _, c := range g.ObjectClass {
			size += len(c)
		}
		if size > MaxRecord {
			break
		}
	}
	for _, u := range p.Linked {
		if u == nil {
			return fmt.Errorf("checking the answer: a linked object without a user: %w", ErrMalformed)
		}
		size += userSize(u)
	}
	for i := range p.AppUsers {
		size += appUserSize(&p.AppUsers[i])
	}
	return checkSize(size)
}

// checkApp checks an app against the limits.
func checkApp(a *identity.App) error {
	if a == nil {
		return fmt.Errorf("checking the answer: no app in it: %w", ErrMalformed)
	}
	return checkSize(entrySize + len(a.ID) + len(a.ClientID) + len(a.Name) + len(a.Label) + valueSize(a.Profile) + valueSize(a.Attributes))
}

// checkAppUser checks an assignment against the limits.
func checkAppUser(u *identity.AppUser) error {
	if u == nil {
		return fmt.Errorf("checking the answer: no assignment in it: %w", ErrMalformed)
	}
	return checkSize(appUserSize(u))
}

// checkSize returns ErrTooLarge for a record over MaxRecord bytes.
func checkSize(size int) error {
	if size > MaxRecord {
		return fmt.Errorf("checking the answer: over %d bytes: %w", MaxRecord, ErrTooLarge)
	}
	return nil
}

// entrySize is about what an object's braces, member names and quotes take in
// its JSON form.
const entrySize = 24

// userSize estimates the length of a user's JSON form, in bytes.
func userSize(u *identity.User) int {
	return entrySize + len(u.ID) + len(u.Login) + len(u.Status) + valueSize(u.Profile)
}

// appUserSize estimates the length of an assignment's JSON form, in bytes.
func appUserSize(u *identity.AppUser) int {
	return entrySize + len(u.ID) + len(u.App) + len(u.UserName) + len(u.Status) + valueSize(u.Profile)
}

// valueSize estimates the length of a canonical value's JSON form, in bytes. A
// value that is nested deeper than a canonical one may be counts as too large.
func valueSize(v any) int { return sizeAt(v, 0) }

func sizeAt(v any, depth int) int {
	if depth > identity.MaxDepth {
		return MaxRecord + 1
	}
	switch x := v.(type) {
	case string:
		return len(x) + 3
	case json.Number:
		return len(x) + 1
	case []any:
		n := 2
		for _, e := range x {
			if n += sizeAt(e, depth+1); n > MaxRecord {
				break
			}
		}
		return n
	case map[string]any:
		n := 2
		for k, e := range x {
			if n += len(k) + 4 + sizeAt(e, depth+1); n > MaxRecord {
				break
			}
		}
		return n
	}
	return 8
}
