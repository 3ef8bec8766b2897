package enrich

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// The codecs encode the parts of a record for Redis and decode them. encoding/json
// sorts the members of maps, so equal parts have equal bytes, by which the cache
// recognises a refresh with equal content.

type personCodec struct{}

// newPerson returns a person with the index of its groups.
func newPerson(p *identity.Person) *person {
	return &person{Person: p, index: oktael.IndexGroups(p.Groups)}
}

func (personCodec) Encode(p *person) ([]byte, error) { return encode(p.Person) }

func (personCodec) Decode(text []byte) (*person, error) {
	var p identity.Person
	if err := decode(text, &p); err != nil {
		return nil, err
	}
	if p.User == nil || len(p.Groups) > directory.MaxGroups {
		return nil, errors.New("decoding a person: no user, or too many groups")
	}
	for _, u := range append([]*identity.User{p.User}, linked(&p)...) {
		if err := canonical(&u.Profile); err != nil {
			return nil, err
		}
	}
	for i := range p.Groups {
		if err := canonical(&p.Groups[i].Profile); err != nil {
			return nil, err
		}
	}
	for i := range p.AppUsers {
		if err := canonical(&p.AppUsers[i].Profile); err != nil {
			return nil, err
		}
	}
	return newPerson(&p), nil
}

// linked lists the users of the linked objects that are there.
func linked(p *identity.Person) []*identity.User {
	var users []*identity.User
	for _, u := range p.Linked {
		if u != nil {
			users = append(users, u)
		}
	}
	return users
}

func (personCodec) Cost(p *person) int {
	n := 512 + sizeOf(p.User.Profile)
	for i := range p.Groups {
		g := &p.Groups[i]
		n += 320 + len(g.ID) + len(g.Name) + sizeOf(g.Profile)
	}
	for _, u := range p.Linked {
		if u != nil {
			n += 256 + sizeOf(u.Profile)
		}
	}
	for i := range p.AppUsers {
		n += 192 + sizeOf(p.AppUsers[i].Profile)
	}
	return n + (len(p.Origin)+len(p.GroupOrigins))*memberOverhead
}

// Names lists the ids that a purge may name a person by.
func (personCodec) Names(p *person) []cache.ID {
	ids := userIDs(p.User, 3+len(p.Groups))
	for _, u := range linked(p.Person) {
		ids = append(ids, userIDs(u, 3)...)
	}
	for i := range p.Groups {
		ids = append(ids, cache.ID{Kind: cache.GroupID, Value: p.Groups[i].ID})
	}
	for i := range p.AppUsers {
		if app := p.AppUsers[i].App; app != "" {
			ids = append(ids, cache.ID{Kind: cache.AppID, Value: app})
		}
	}
	return ids
}

// userIDs lists the ids that a purge may name a user by, besides the subject,
// with room for more.
func userIDs(u *identity.User, room int) []cache.ID {
	ids := make([]cache.ID, 0, room)
	for _, v := range append([]string{u.ID, u.Login}, u.Emails()...) {
		if v != "" {
			ids = append(ids, cache.ID{Kind: cache.UserID, Value: v})
		}
	}
	return ids
}

// Bound implements cache.Bounded.
func (personCodec) Bound(p *person) (time.Duration, bool) { return bound(p.Keep) }

// bound returns how long a source lets its answer be used, if it says so.
func bound(keep *time.Duration) (time.Duration, bool) {
	if keep == nil {
		return 0, false
	}
	return *keep, true
}

type appCodec struct{}

// Bound implements cache.Bounded.
func (appCodec) Bound(a *identity.App) (time.Duration, bool) { return bound(a.Keep) }

func (appCodec) Encode(a *identity.App) ([]byte, error) { return encode(a) }

func (appCodec) Decode(text []byte) (*identity.App, error) {
	var a *identity.App
	if err := decode(text, &a); err != nil {
		return nil, err
	}
	if a == nil {
		return nil, errors.New("decoding an app: null")
	}
	return a, errors.Join(canonical(&a.Profile), canonical(&a.Attributes))
}

func (appCodec) Cost(a *identity.App) int { return 256 + sizeOf(a.Profile) + sizeOf(a.Attributes) }

func (appCodec) Names(a *identity.App) []cache.ID {
	ids := []cache.ID{{Kind: cache.AppID, Value: a.ID}}
	if a.ClientID != "" {
		ids = append(ids, cache.ID{Kind: cache.AppID, Value: a.ClientID})
	}
	return ids
}

type appUserCodec struct{}

// Bound implements cache.Bounded.
func (appUserCodec) Bound(u *identity.AppUser) (time.Duration, bool) { return bound(u.Keep) }

func (appUserCodec) Encode(u *identity.AppUser) ([]byte, error) { return encode(u) }

func (appUserCodec) Decode(text []byte) (*identity.AppUser, error) {
	var u *identity.AppUser
	if err := decode(text, &u); err != nil {
		return nil, err
	}
	if u == nil {
		return nil, errors.New("decoding an app user: null")
	}
	return u, canonical(&u.Profile)
}

func (appUserCodec) Cost(u *identity.AppUser) int { return 192 + sizeOf(u.Profile) }

func (appUserCodec) Names(u *identity.AppUser) []cache.ID {
	var ids []cache.ID
	if u.ID != "" {
		ids = append(ids, cache.ID{Kind: cache.UserID, Value: u.ID})
	}
	if u.App != "" {
		ids = append(ids, cache.ID{Kind: cache.AppID, Value: u.App})
	}
	return ids
}

func encode(v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encoding a record: %w", err)
	}
	return text, nil
}

// decode reads exactly one JSON value with known members only, so that an entry
// of an older or newer version is a miss.
func decode(text []byte, to any) error {
	if err := identity.DecodeKnownJSONInto(text, to); err != nil {
		return fmt.Errorf("decoding a record: %w", err)
	}
	return nil
}

// canonical turns the numbers of a decoded profile into those of the source's
// answer.
func canonical(profile *map[string]any) error {
	if *profile == nil {
		return nil
	}
	v, err := identity.Canonical(*profile)
	if err != nil {
		return fmt.Errorf("decoding a profile: %w", err)
	}
	*profile, _ = v.(map[string]any)
	return nil
}

// Estimates of what a value holds on the heap beside its text, in bytes.
const (
	valueOverhead  = 24 // an interface and what it points to
	memberOverhead = 64 // a map slot with its key
)

// sizeOf estimates the bytes of a canonical value.
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

var (
	_ cache.Bounded[*person]           = personCodec{}
	_ cache.Bounded[*identity.App]     = appCodec{}
	_ cache.Bounded[*identity.AppUser] = appUserCodec{}
)
