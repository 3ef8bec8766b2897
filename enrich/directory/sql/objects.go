package sql

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file makes groups, apps and assignments of rows.

// groups returns the groups of an answer to the groups_query.
func (a *answer) groups() ([]identity.Group, error) {
	// The reader dropped the rows beyond the limit.
	if a.more {
		return nil, errTooManyGroups()
	}
	names := make([]string, len(a.fields))
	for i, f := range a.fields {
		names[i] = f.Name
	}
	return readGroups(a.rows, names)
}

// errTooManyGroups returns the error for more than directory.MaxGroups groups.
func errTooManyGroups() error {
	return fmt.Errorf("searching groups: over %d: %w", directory.MaxGroups, directory.ErrTooLarge)
}

// readGroups returns the groups of rows. A single column, other than profile,
// holds id and name at once. A group without an id is an error.
func readGroups(rows []row, names []string) ([]identity.Group, error) {
	if len(rows) > directory.MaxGroups {
		return nil, errTooManyGroups()
	}
	groups := make([]identity.Group, 0, len(rows))
	for _, r := range rows {
		var g identity.Group
		var err error
		// A query for one column needs no alias for it.
		if len(names) == 1 && names[0] != "profile" {
			g.ID = r.text(names[0])
		} else if g, err = readGroup(r); err != nil {
			return nil, err
		}
		g.Name = cmp.Or(g.Name, g.ID)
		if g.ID == "" {
			return nil, fmt.Errorf("reading the answer: a group has no id: %w", directory.ErrMalformed)
		}
		groups = append(groups, g)
	}
	return groups, nil
}

// readGroup returns the group of one row.
func readGroup(r row) (identity.Group, error) {
	g := identity.Group{ID: r.text("id"), Name: r.text("name"), Type: r.text("type"), Source: r.text("source")}
	var err error
	if g.Profile, err = r.attributes(); err != nil {
		return g, err
	}
	if name, ok := g.Profile["name"].(string); ok && g.Name == "" {
		g.Name = name
	}
	return g, nil
}

// listedGroups returns the groups in a column: texts or integers, which are id
// and name at once, or objects.
func listedGroups(column any) ([]identity.Group, error) {
	list, ok := column.([]any)
	if !ok {
		return nil, fmt.Errorf("reading the answer: column groups is not a list: %w", directory.ErrMalformed)
	}
	rows := make([]row, len(list))
	for i, v := range list {
		switch x := v.(type) {
		// The forms of array_agg over texts and over integers.
		case string, int64, json.Number:
			rows[i] = row{"id": x}
		case map[string]any:
			rows[i] = make(row, len(x))
			maps.Copy(rows[i], x)
		default:
			return nil, fmt.Errorf("reading the answer: column groups holds neither strings, integers nor objects: %w", directory.ErrMalformed)
		}
	}
	return readGroups(rows, []string{"id", "name"})
}

// readApp returns the app of a row, and checks it against the id that was asked
// for.
func (d *Directory) readApp(r row, id string) (*identity.App, error) {
	a := &identity.App{
		ID: r.text("id"), ClientID: r.text("clientId", "client_id"), Name: r.text("name"),
		Label: r.text("label"), Status: r.text("status"),
	}
	if a.ID != id && a.ClientID != id && !d.config.SkipMatch {
		return nil, fmt.Errorf("checking the answer: the row has the app's id in neither column id nor client_id: "+
			"select what app_query compares with $1 under such a name: %w", directory.ErrForeign)
	}
	// A row that was found by its client id may have no other.
	a.ID = cmp.Or(a.ID, id)
	var err error
	a.Profile, err = r.attributes()
	return a, err
}

// readAppUser returns the assignment of a row.
func readAppUser(r row, appID string) (*identity.AppUser, error) {
	u := &identity.AppUser{ID: r.text("id"), App: appID, UserName: r.text("userName", "user_name"), Status: r.text("status")}
	var err error
	u.Profile, err = r.attributes()
	return u, err
}
