package ldap

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file looks up a user: it searches the entry, checks it against the
// subject, and adds the groups.

// Directory looks up users and their groups by LDAP.
type Directory struct {
	set   *settings
	pool  *pool
	chain atomic.Int32
}

// New returns a directory. It reads the CA file and does not touch the network.
func New(c Config) (*Directory, error) {
	s, err := resolve(c)
	if err != nil {
		return nil, err
	}
	return &Directory{set: s, pool: newPool(s.Connections, s.dial)}, nil
}

// Person implements directory.Directory. An entry that only a lenient
// comparison of the server takes for the subject is ErrNotFound.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var p *identity.Person
	err = d.pool.with(ctx, func(c *conn) error {
		entry, err := c.one(ctx, d.set.Base, d.set.user.expand(subject, ""), d.set.userAttributes())
		if err != nil {
			return err
		}
		resemblance, spelt := d.set.user.resembles(entry, subject)
		switch resemblance {
		case similar:
			return fmt.Errorf("checking the answer: the server matched another name than the subject: %w", directory.ErrNotFound)
		case foreign:
			return fmt.Errorf("checking the answer: the entry lacks the attribute that it was looked up by: %w", directory.ErrForeign)
		case same:
		}
		person := &identity.Person{User: d.set.readUser(entry)}
		if person.User.ID == "" {
			return fmt.Errorf("checking the answer: the entry lacks the attribute that is its id: %w", directory.ErrMalformed)
		}
		if d.set.readsGroups() {
			groups, err := d.groups(ctx, c, entry, spelt)
			switch {
			case err != nil:
				return err
			case c.referred:
				person.GroupsUnknown = unknownReferred
			default:
				person.Groups, person.GroupsKnown = groups, true
			}
		}
		p = person
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// unknownReferred is the reason why groups are unknown of which some may be on
// a server that is never asked (C32).
const unknownReferred = "the server refers to another one for a part of group_base; name a base that it holds, or ask the global catalog"

// Supports implements directory.Partial: LDAP has users only.
func (d *Directory) Supports() (apps, appUsers bool) { return false, false }

// App implements directory.Directory. It always is ErrNotFound.
func (d *Directory) App(context.Context, string) (*identity.App, error) {
	return nil, fmt.Errorf("looking up an app: LDAP knows none: %w", directory.ErrNotFound)
}

// AppUser implements directory.Directory. It always is ErrNotFound.
func (d *Directory) AppUser(context.Context, directory.Query, string) (*identity.AppUser, error) {
	return nil, fmt.Errorf("looking up an app user: LDAP knows none: %w", directory.ErrNotFound)
}

// Close closes the connections as their look-ups end. Later look-ups fail with
// ErrClosed.
func (d *Directory) Close() error {
	d.pool.close()
	return nil
}

// Unsupported implements directory.Limited: servers share no attribute for
// these facts.
func (d *Directory) Unsupported() identity.Facts {
	return identity.FactLastLogin | identity.FactLinked | identity.FactAppUsers
}

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Partial   = (*Directory)(nil)
	_ directory.Limited   = (*Directory)(nil)
)
