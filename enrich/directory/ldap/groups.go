package ldap

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"github.com/go-ldap/ldap/v3"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file finds the groups of a user: by a search, from the attribute
// memberOf, nested, and the primary group of Active Directory.

// groups returns the groups of a user's entry, each once.
func (d *Directory) groups(ctx context.Context, c *conn, user *ldap.Entry, subject string) ([]identity.Group, error) {
	// First, because nested groups are searched above it as well.
	primary, err := d.primary(ctx, c, user, subject)
	if err != nil {
		return nil, err
	}
	groups := []identity.Group{}
	var entries []*ldap.Entry
	switch {
	case d.set.MemberOf:
		groups, err = d.groupsOfEntry(user)
	case d.set.Nested:
		dns := []string{user.DN}
		for _, e := range primary {
			dns = append(dns, e.DN)
		}
		entries, err = d.nested(ctx, c, dns, subject)
	default:
		entries, err = d.direct(ctx, c, d.set.group.expand(subject, user.DN))
	}
	if err != nil {
		return nil, err
	}
	groups = slices.Grow(groups, len(entries)+len(primary))
	for i, e := range slices.Concat(entries, primary) {
		g, err := d.readGroup(e)
		if err != nil {
			return nil, err
		}
		if i >= len(entries) && slices.ContainsFunc(groups, func(known identity.Group) bool { return known.ID == g.ID }) {
			continue // it was found as a nested group
		}
		groups = append(groups, g)
	}
	if len(groups) > directory.MaxGroups {
		return nil, fmt.Errorf("reading groups: over %d: %w", directory.MaxGroups, directory.ErrTooLarge)
	}
	return groups, nil
}

// primary searches the primary group of an account in Active Directory.
// Accounts of other servers have none, and a filter that does not use {dn}
// excludes it.
func (d *Directory) primary(ctx context.Context, c *conn, user *ldap.Entry, subject string) ([]*ldap.Entry, error) {
	if d.set.primary == nil {
		return nil, nil
	}
	sid, ok := primarySID(user.GetEqualFoldRawAttributeValue("objectSid"), text(user, "primaryGroupID"))
	if !ok {
		return nil, nil
	}
	// A referral of this search alone says nothing about the other groups.
	referred := c.referred
	found, err := d.direct(ctx, c, d.set.primary.expand(subject, string(sid)))
	if len(found) > 0 {
		c.referred = referred // there is only one, and it was found
	}
	return found, err
}

// direct searches groups by a filter.
func (d *Directory) direct(ctx context.Context, c *conn, filter string) ([]*ldap.Entry, error) {
	attributes := []string{d.set.GroupName, "description"}
	if !strings.EqualFold(d.set.GroupID, "dn") {
		attributes = append(attributes, d.set.GroupID)
	}
	return c.all(ctx, d.set.GroupBase, filter, attributes)
}

// readGroup returns the group of an entry. One without its id is an error:
// without it the user would seem not to be a member.
func (d *Directory) readGroup(e *ldap.Entry) (identity.Group, error) {
	g := identity.Group{ID: text(e, d.set.GroupID), Name: text(e, d.set.GroupName)}
	if g.ID == "" {
		return g, fmt.Errorf("reading a group: it lacks the attribute that is its id: %w", directory.ErrMalformed)
	}
	g.Profile = map[string]any{"name": g.Name}
	if description := text(e, "description"); description != "" {
		g.Profile["description"] = description
	}
	return g, nil
}

// groupsOfEntry reads memberOf: the distinguished names of groups, whose first
// component most often is the name.
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
		// The first attribute is the name, unless the configured one is among
		// them.
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

// nested returns the groups of a user, by its name and that of its primary
// group, and the groups that contain them.
//
// OpenLDAP answers the in-chain rule with an empty result and no error. So the
// rule is used only where the server calls itself an Active Directory, and
// never again where it found nothing and the plain search found something.
func (d *Directory) nested(ctx context.Context, c *conn, dns []string, subject string) ([]*ldap.Entry, error) {
	// The first look-up with nested groups decides for all later ones.
	if d.chain.Load() == chainUnknown {
		works, err := c.capable(ctx)
		if err != nil {
			return nil, err
		}
		d.decide(works, "the server's capabilities")
	}
	if d.chain.Load() == chainWorks {
		entries, err := d.direct(ctx, c, d.set.inChain.anyOf(subject, dns))
		if err != nil || len(entries) > 0 {
			return entries, err
		}
		// An empty answer to the rule may be a server that does not know it.
		if entries, err = d.direct(ctx, c, d.set.group.anyOf(subject, dns)); err != nil || len(entries) == 0 {
			return entries, err
		}
		d.chain.Store(chainUnknown)
		d.decide(false, "an answer that misses direct groups")
	}
	return d.walk(ctx, c, dns, subject)
}

// decide notes how nested groups are found, and logs it once.
func (d *Directory) decide(works bool, because string) {
	state := chainFails
	if works {
		state = chainWorks
	}
	if d.chain.CompareAndSwap(chainUnknown, state) {
		d.set.Logger.Info("method for nested LDAP groups chosen", slog.Bool("in_chain_rule", works), slog.String("because", because))
	}
}

// walk searches level after level. Groups that contain each other are found
// once. Over maxDepth or directory.MaxGroups it is an error, because a part of
// the groups is the wrong groups.
func (d *Directory) walk(ctx context.Context, c *conn, dns []string, subject string) ([]*ldap.Entry, error) {
	found, err := d.direct(ctx, c, d.set.group.anyOf(subject, dns))
	if err != nil {
		return nil, err
	}
	// By normalized name: servers spell a distinguished name in several ways.
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
			// One filter for many groups, within the length that servers
			// accept.
			batch := fresh[:min(walkBatch, len(fresh))]
			fresh = fresh[len(batch):]
			names := make([]string, len(batch))
			for i, e := range batch {
				names[i] = e.DN
			}
			above, err := d.direct(ctx, c, d.set.group.anyOf(subject, names))
			if err != nil {
				return nil, err
			}
			level = append(level, above...)
		}
	}
	return all, nil
}

// normalDN returns a distinguished name in a form that can be compared.
func normalDN(dn string) string {
	parsed, err := ldap.ParseDN(dn)
	if err != nil {
		return strings.ToLower(dn)
	}
	return strings.ToLower(parsed.String())
}
