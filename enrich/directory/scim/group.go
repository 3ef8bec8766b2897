package scim

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file finds the groups of a user: in the user's own list, or by a query
// for groups with that member.

// groups returns the groups of a user, and whether they are known.
func (d *Directory) groups(ctx context.Context, r resource, id string) ([]identity.Group, bool, error) {
	if d.config.Groups == GroupsUnknown {
		return nil, false, nil
	}
	if d.config.Groups != GroupsByMember {
		groups, complete, err := r.groups()
		if err != nil {
			return nil, false, err
		}
		// An empty list is believed only where the configuration says that the
		// user's own list is the place.
		if complete && len(groups) > 0 || d.config.Groups == GroupsOfUser && len(groups) == 0 {
			return groups, true, nil
		}
	}
	// The user has no groups attribute, which may mean none (an attribute
	// without a value is commonly left out) or that the service has none; or
	// the groups lack their names.
	groups, err := d.byMember(ctx, id)
	// With auto, a service that cannot be queried for members has unknown
	// groups. With member, that is a failure.
	if d.config.Groups == GroupsAuto && (errors.Is(err, directory.ErrRejected) || errors.Is(err, directory.ErrRefused)) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, fmt.Errorf("reading groups: %w", err)
	}
	return groups, true, nil
}

// groups returns the groups in the user's own attribute (RFC 7643, section
// 4.1.2), direct and indirect ones. complete says that each has a name.
func (r resource) groups() (groups []identity.Group, complete bool, err error) {
	complete = true
	attribute := r.get("groups")
	values, ok := attribute.([]any)
	switch {
	case !ok && attribute != nil:
		return nil, false, fmt.Errorf("reading groups: not a list: %w", directory.ErrMalformed)
	case len(values) > directory.MaxGroups:
		return nil, false, fmt.Errorf("reading groups: over %d: %w", directory.MaxGroups, directory.ErrTooLarge)
	}
	seen := make(map[string]bool, len(values))
	for _, value := range values {
		object, _ := value.(map[string]any)
		v := resource(object)
		id := v.text("value")
		if id == "" {
			return nil, false, fmt.Errorf("reading groups: one has no id: %w", directory.ErrMalformed)
		}
		if seen[id] {
			continue // once as direct, once as indirect
		}
		seen[id] = true
		name := v.text("display")
		complete = complete && name != ""
		groups = append(groups, identity.Group{ID: id, Name: name, Profile: map[string]any{"name": name}})
	}
	return groups, complete, nil
}

// probeTTL is how long a service is taken to apply filters on groups.
const probeTTL = 10 * time.Minute

// probe checks that the service applies the filter that finds groups by their
// members. A service that ignores the filter would return all groups, and the
// answer cannot be checked without reading all members. So the groups of a
// member that does not exist are requested: there must be none.
func (d *Directory) probe(ctx context.Context) error {
	if at := d.probed.Load(); at != nil && d.clock().Sub(*at) < probeTTL && !d.clock().Before(*at) {
		return nil
	}
	// Random, so that no service can have such a member.
	var unknown [16]byte
	if _, err := io.ReadFull(d.rand, unknown[:]); err != nil {
		return errors.New("probing for filters: no randomness")
	}
	f := filter("members.value", "nobody-"+hex.EncodeToString(unknown[:]))
	l, err := d.query(ctx, "/Groups?count=1&excludedAttributes=members&filter="+f)
	if err != nil {
		return err
	}
	if *l.Total != 0 || len(l.Resources) != 0 {
		return fmt.Errorf("probing for filters: the service ignores members.value: %w", directory.ErrRejected)
	}
	now := d.clock()
	d.probed.Store(&now)
	return nil
}

// byMember returns the groups that have the user as a member.
func (d *Directory) byMember(ctx context.Context, id string) ([]identity.Group, error) {
	if err := d.probe(ctx); err != nil {
		return nil, err
	}
	// The id is the service's own, and escaped like any other value.
	var groups []identity.Group
	err := d.all(ctx, "/Groups?excludedAttributes=members&filter="+filter("members.value", id), directory.MaxGroups, func(text json.RawMessage) (string, error) {
		v, err := identity.DecodeJSON(text)
		if err != nil {
			return "", fmt.Errorf("no resource in the list: %w", directory.ErrMalformed)
		}
		r, err := newResource(v)
		if err != nil {
			return "", err
		}
		g, err := r.group(id)
		if err != nil {
			return "", err
		}
		groups = append(groups, g)
		return g.ID, nil
	})
	if err != nil {
		return nil, err
	}
	return groups, nil
}

// group returns the group. Where the service sends the members although they
// were excluded, the user must be one of them.
func (r resource) group(member string) (identity.Group, error) {
	id, name := r.text("id"), r.text("displayName")
	if id == "" || name == "" {
		return identity.Group{}, fmt.Errorf("a group has no id or no name: %w", directory.ErrMalformed)
	}
	// A service that ignored the filter would return groups of others.
	if members := r.list("members"); len(members) > 0 {
		found := false
		for _, m := range members {
			found = found || m.text("value") == member
		}
		if !found {
			return identity.Group{}, fmt.Errorf("a group without the user: %w", directory.ErrForeign)
		}
	}
	profile := map[string]any{"name": name}
	for attribute, v := range r {
		if !excluded[strings.ToLower(attribute)] && !strings.EqualFold(attribute, "members") {
			profile[attribute] = v
		}
	}
	meta := r.object("meta")
	return identity.Group{
		ID: id, Name: name, Created: instant(meta.text("created")), LastUpdated: instant(meta.text("lastModified")), Profile: profile,
	}, nil
}
