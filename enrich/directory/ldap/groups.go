package ldap

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// groups gives the groups of a user's entry.
func (d *Directory) groups(ctx context.Context, c *conn, user *ldap.Entry, subject string) ([]identity.Group, error) {
	if d.set.MemberOf {
		return d.groupsOfEntry(user)
	}
	var entries []*ldap.Entry
	var err error
	if d.set.Nested {
		entries, err = d.nested(ctx, c, user.DN, subject)
	} else {
		entries, err = d.direct(ctx, c, d.set.group.expand(subject, user.DN))
	}
	if err != nil {
		return nil, err
	}
	groups := make([]identity.Group, 0, len(entries))
	for _, e := range entries {
		g, err := d.readGroup(e)
		if err != nil {
			return nil, err
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// direct searches groups by a filter.
func (d *Directory) direct(ctx context.Context, c *conn, filter string) ([]*ldap.Entry, error) {
	attributes := []string{d.set.GroupName, "description"}
	if !strings.EqualFold(d.set.GroupID, "dn") {
		attributes = append(attributes, d.set.GroupID)
	}
	return c.all(ctx, d.set.GroupBase, filter, attributes)
}

// readGroup makes a group of an entry. One that lacks its id is an error: to
// leave it out would be to say that the user is not in it.
func (d *Directory) readGroup(e *ldap.Entry) (identity.Group, error) {
	g := identity.Group{ID: text(e, d.set.GroupID), Name: text(e, d.set.GroupName)}
	if g.ID == "" {
		return g, fmt.Errorf("reading a group: it does not show the attribute that is its id: %w", directory.ErrMalformed)
	}
	g.Profile = map[string]any{"name": g.Name}
	if description := text(e, "description"); description != "" {
		g.Profile["description"] = description
	}
	return g, nil
}

// groupsOfEntry reads memberOf: the distinguished names of groups, whose
// first part is most often their name.
func (d *Directory) groupsOfEntry(user *ldap.Entry) ([]identity.Group, error) {
	names := user.GetEqualFoldAttributeValues("memberOf")
	if len(names) > directory.MaxGroups {
		return nil, fmt.Errorf("reading memberOf: over %d: %w", directory.MaxGroups, directory.ErrTooLarge)
	}
	groups := make([]identity.Group, 0, len(names))
	for _, dn := range names {
		parsed, err := ldap.ParseDN(dn)
		if err != nil || len(parsed.RDNs) == 0 {
			return nil, fmt.Errorf("reading memberOf: not a distinguished name: %w", directory.ErrMalformed)
		}
		g := identity.Group{ID: dn}
		for _, part := range parsed.RDNs[0].Attributes {
			if g.Name == "" || strings.EqualFold(part.Type, d.set.GroupName) {
				g.Name = part.Value
			}
		}
		g.Profile = map[string]any{"name": g.Name}
		groups = append(groups, g)
	}
	return groups, nil
}

// How nested groups are found.
const (
	chainUnknown int32 = iota
	chainWorks
	chainFails
)

// nested gives the groups of a user and the groups that hold them.
//
// OpenLDAP answers the in-chain rule with nothing and no error, so that it is
// used only where the server calls itself an Active Directory, and given up
// for good where it finds nothing and the plain search finds something.
func (d *Directory) nested(ctx context.Context, c *conn, dn, subject string) ([]*ldap.Entry, error) {
	if d.chain.Load() == chainUnknown {
		works, err := c.capable(ctx)
		if err != nil {
			return nil, err
		}
		d.decide(works, "the server's capabilities")
	}
	if d.chain.Load() == chainWorks {
		entries, err := d.direct(ctx, c, d.set.inChain.expand(subject, dn))
		if err != nil || len(entries) > 0 {
			return entries, err
		}
		if entries, err = d.direct(ctx, c, d.set.group.expand(subject, dn)); err != nil || len(entries) == 0 {
			return entries, err
		}
		d.chain.Store(chainUnknown)
		d.decide(false, "an answer that misses direct groups")
	}
	return d.walk(ctx, c, dn, subject)
}

// decide notes how nested groups are found and says so once.
func (d *Directory) decide(works bool, because string) {
	state := chainFails
	if works {
		state = chainWorks
	}
	if d.chain.CompareAndSwap(chainUnknown, state) {
		d.set.Logger.Info("how nested LDAP groups are found", slog.Bool("in_chain_rule", works), slog.String("because", because))
	}
}

// walk searches level after level. Groups that hold each other end it, as do
// the bounds; over them it is an error, as half the groups are the wrong ones.
func (d *Directory) walk(ctx context.Context, c *conn, dn, subject string) ([]*ldap.Entry, error) {
	found, err := d.direct(ctx, c, d.set.group.expand(subject, dn))
	if err != nil {
		return nil, err
	}
	seen := make(map[string]bool, len(found))
	var all []*ldap.Entry
	level := found
	for depth := 0; len(level) > 0; depth++ {
		if depth > maxDepth {
			return nil, fmt.Errorf("searching nested groups: over %d levels: %w", maxDepth, directory.ErrTooLarge)
		}
		var fresh []*ldap.Entry
		for _, e := range level {
			if name := normalDN(e.DN); !seen[name] {
				seen[name] = true
				fresh = append(fresh, e)
			}
		}
		if all = append(all, fresh...); len(all) > directory.MaxGroups {
			return nil, fmt.Errorf("searching nested groups: over %d: %w", directory.MaxGroups, directory.ErrTooLarge)
		}
		level = nil
		for len(fresh) > 0 {
			batch := fresh[:min(walkBatch, len(fresh))]
			fresh = fresh[len(batch):]
			var filter strings.Builder
			filter.WriteString("(|")
			for _, e := range batch {
				filter.WriteString(d.set.group.expand(subject, e.DN))
			}
			filter.WriteString(")")
			above, err := d.direct(ctx, c, filter.String())
			if err != nil {
				return nil, err
			}
			level = append(level, above...)
		}
	}
	return all, nil
}

// normalDN gives a distinguished name in a form that compares.
func normalDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}
