package okta

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file looks up users with their groups and linked objects.

// maxPages bounds the pages of one list. Okta returns 200 groups a page, so
// that directory.MaxGroups is reached long before.
const maxPages = 200

// group is a group as the API returns it.
type group struct {
	ID                    string         `json:"id"`
	Type                  string         `json:"type"`
	ObjectClass           []string       `json:"objectClass"`
	Created               timestamp      `json:"created"`
	LastUpdated           timestamp      `json:"lastUpdated"`
	LastMembershipUpdated timestamp      `json:"lastMembershipUpdated"`
	Profile               map[string]any `json:"profile"`
	Links                 struct {
		Source link `json:"source"`
	} `json:"_links"`
}

// link is a HAL link. Okta returns some relations as a list and some as a
// single link.
type link struct {
	Href string `json:"href"`
}

// Person implements directory.Directory. Groups and linked objects are read at
// once, after the user.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	u, err := d.find(ctx, subject)
	if err != nil {
		return nil, err
	}
	id, err := fetch.PathSegment(u.ID)
	if err != nil {
		return nil, fmt.Errorf("reading a user: invalid id: %w", directory.ErrMalformed)
	}
	// Each part has its own endpoint. The first failure cancels the others.
	p := &identity.Person{User: u, GroupsKnown: true, LinkedNames: d.config.Linked}
	var linked sync.Mutex
	work, inside := errgroup.WithContext(ctx)
	work.Go(func() error {
		groups, err := d.groups(inside, id)
		p.Groups = groups
		return err
	})
	for _, name := range d.config.Linked {
		work.Go(func() error {
			other, err := d.linked(inside, id, name)
			if err != nil || other == nil {
				return err
			}
			linked.Lock()
			defer linked.Unlock()
			if p.Linked == nil {
				p.Linked = make(map[string]*identity.User, len(d.config.Linked))
			}
			p.Linked[name] = other
			return nil
		})
	}
	if err := work.Wait(); err != nil {
		return nil, err
	}
	return p, nil
}

// groups reads all pages of a user's groups, in Okta's order.
func (d *Directory) groups(ctx context.Context, id string) ([]identity.Group, error) {
	var all []identity.Group
	next := "/users/" + id + "/groups"
	for range maxPages {
		answer, err := d.get(ctx, kindUserParts, next, "")
		if err != nil {
			return nil, fmt.Errorf("reading groups: %w", err)
		}
		var page []group
		if err := answer.Decode(&page); err != nil {
			return nil, fmt.Errorf("reading groups: %w", err)
		}
		// An error and not a cut: a part of the groups is the wrong groups.
		if len(all)+len(page) > directory.MaxGroups {
			return nil, fmt.Errorf("reading groups: over %d: %w", directory.MaxGroups, directory.ErrTooLarge)
		}
		for i := range page {
			g, err := page[i].identity()
			if err != nil {
				return nil, err
			}
			all = append(all, g)
		}
		if next, err = answer.Next(); err != nil {
			return nil, fmt.Errorf("reading groups: %w", err)
		}
		if next == "" {
			return all, nil
		}
	}
	return nil, fmt.Errorf("reading groups: over %d pages: %w", maxPages, directory.ErrTooLarge)
}

// identity returns the group as an identity.Group. Its name is that of its
// profile.
func (g *group) identity() (identity.Group, error) {
	if g.ID == "" {
		return identity.Group{}, fmt.Errorf("reading a group: no id in it: %w", directory.ErrMalformed)
	}
	profile, err := canonical(g.Profile)
	if err != nil {
		return identity.Group{}, fmt.Errorf("reading a group: %w", err)
	}
	// The API has no name beside the profile's.
	name, _ := profile["name"].(string)
	return identity.Group{
		ID: g.ID, Name: name, Type: g.Type, Source: lastSegment(g.Links.Source.Href), ObjectClass: g.ObjectClass,
		Created: g.Created.Time, LastUpdated: g.LastUpdated.Time, LastMembershipUpdated: g.LastMembershipUpdated.Time,
		Profile: profile,
	}, nil
}

// lastSegment returns the id at the end of a link such as
// https://…/api/v1/apps/{id}. The API names a group's source nowhere else.
func lastSegment(href string) string {
	u, err := url.Parse(href)
	if err != nil {
		return ""
	}
	return u.Path[strings.LastIndexByte(u.Path, '/')+1:]
}

// linked reads the user at the primary end of a relationship, nil where there
// is none.
func (d *Directory) linked(ctx context.Context, id, name string) (*identity.User, error) {
	answer, err := d.get(ctx, kindUserParts, "/users/"+id+"/linkedObjects/"+name, "")
	if errors.Is(err, directory.ErrNotFound) && !directory.Failed(err) {
		return nil, nil //nolint:nilnil // no such relationship
	}
	if err != nil {
		return nil, fmt.Errorf("reading a linked object: %w", err)
	}
	var list []struct {
		Links struct {
			Self link `json:"self"`
		} `json:"_links"`
	}
	if err := answer.Decode(&list); err != nil {
		return nil, fmt.Errorf("reading a linked object: %w", err)
	}
	switch {
	case len(list) == 0:
		return nil, nil //nolint:nilnil // no user is linked
	case len(list) > 1:
		// The associated end, such as all subordinates.
		return nil, fmt.Errorf("reading a linked object: %q is not a primary name: %w", name, directory.ErrMalformed)
	case list[0].Links.Self.Href == "":
		return nil, fmt.Errorf("reading a linked object: no link in it: %w", directory.ErrMalformed)
	}
	// The client refuses a link to another host.
	answer, err = d.get(ctx, kindUser, list[0].Links.Self.Href, lean)
	if err != nil {
		if errors.Is(err, directory.ErrNotFound) && !directory.Failed(err) {
			return nil, nil //nolint:nilnil // deleted meanwhile
		}
		return nil, fmt.Errorf("reading a linked object: %w", err)
	}
	var u user
	if err := answer.Decode(&u); err != nil {
		return nil, fmt.Errorf("reading a linked object: %w", err)
	}
	return u.identity()
}
