package userinfo

import (
	"cmp"
	"fmt"
	"maps"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/grouplist"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file makes a user of the claims of an answer.

// protocol are the claims that describe the answer and not the user.
var protocol = [...]string{"iss", "aud", "exp", "iat", "nbf", "jti", "_claim_names", "_claim_sources"}

// person returns the user of the claims. Each claim is an attribute under its
// own name; sub is the id, preferred_username the login.
func (d *Directory) person(claims map[string]any) (*identity.Person, error) {
	u := &identity.User{Profile: make(map[string]any, len(claims))}
	// A copy: the claims are also read below.
	maps.Copy(u.Profile, claims)
	for _, name := range protocol {
		delete(u.Profile, name)
	}
	u.ID, _ = claims["sub"].(string)
	u.Login, _ = claims["preferred_username"].(string)
	u.LastUpdated = updatedAt(claims["updated_at"])
	p := &identity.Person{User: u}
	// Aggregated and distributed claims (OpenID Connect Core, section 5.6.2).
	if identity.GroupsOverage(claims, d.config.GroupsClaim) {
		delete(u.Profile, d.config.GroupsClaim) // a part must not pass for all groups
		p.GroupsUnknown = "the answer refers to another source for its groups"
		return p, nil
	}
	list, unknown := grouplist.Read(claims[d.config.GroupsClaim], d.config.GroupsDelimiter)
	if p.GroupsUnknown = unknown; list == nil {
		return p, nil
	}
	var err error
	if p.Groups, err = groups(list); err != nil {
		return nil, err
	}
	p.GroupsKnown = true
	// They are the user's groups, and not also an attribute.
	delete(u.Profile, d.config.GroupsClaim)
	return p, nil
}

// groups returns a list of groups: texts or integers, which are id and name at
// once, or objects with id or name. Each id is there once.
func groups(entries []any) (list []identity.Group, err error) {
	if len(entries) > directory.MaxGroups {
		return nil, fmt.Errorf("reading the answer: over %d groups: %w", directory.MaxGroups, directory.ErrTooLarge)
	}
	// Issuers that join lists of several sources repeat groups.
	seen := make(map[string]struct{}, len(entries))
	for _, e := range entries {
		var g identity.Group
		switch x := e.(type) {
		case map[string]any:
			g.ID = directory.Identifier(x["id"])
			g.Name, _ = x["name"].(string)
			g.ID = cmp.Or(g.ID, g.Name)
		default:
			g.ID = directory.Identifier(e)
			g.Name = g.ID
		}
		if g.ID == "" {
			return nil, fmt.Errorf("reading the answer: a group is neither a string, an integer nor an object with id or name: %w", directory.ErrMalformed)
		}
		if _, twice := seen[g.ID]; !twice {
			seen[g.ID] = struct{}{}
			list = append(list, g)
		}
	}
	return list, nil
}

// updatedAt returns a time in seconds since 1970 (OpenID Connect Core, section
// 5.1), or in the text form that some issuers send. It is the zero time for any
// other value.
func updatedAt(v any) time.Time {
	switch x := v.(type) {
	case int64:
		if t, ok := date(x); ok && x > 0 {
			return t.UTC()
		}
	case string:
		if t, err := time.Parse(time.RFC3339, x); err == nil {
			return t
		}
	}
	return time.Time{}
}
