package sql

import (
	"context"
	dbsql "database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Directory asks a database.
type Directory struct {
	config Config
	driver *pgx.ConnConfig

	mu     sync.Mutex
	pool   *dbsql.DB // opened by the first look-up, because opening starts a goroutine
	closed bool
}

// New checks the settings. It starts nothing and does not touch the network.
func New(c Config) (*Directory, error) {
	c, driver, err := resolve(c)
	if err != nil {
		return nil, err
	}
	c.DSN = "" // the driver holds it; nothing else should
	return &Directory{config: c, driver: driver}, nil
}

// database gives the pool of connections.
func (d *Directory) database() (*dbsql.DB, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil, fmt.Errorf("connecting: %w", directory.ErrClosed)
	}
	if d.pool == nil {
		d.pool = stdlib.OpenDB(*d.driver)
		d.pool.SetMaxOpenConns(d.config.Connections)
		d.pool.SetMaxIdleConns(d.config.Connections)
		d.pool.SetConnMaxIdleTime(idleLife)
		d.pool.SetConnMaxLifetime(maxLife)
	}
	return d.pool, nil
}

// Close ends the connections as they come out of use.
func (d *Directory) Close() error {
	d.mu.Lock()
	pool := d.pool
	d.pool, d.closed = nil, true
	d.mu.Unlock()
	if pool != nil {
		// What it may say is that a connection was dead already.
		_ = pool.Close()
	}
	return nil
}

// Person implements directory.Directory.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	var p *identity.Person
	err = d.with(ctx, func(ctx context.Context, s *session) error {
		r, err := s.one(ctx, "searching the user", d.config.UserQuery, subject)
		if err != nil {
			return err
		}
		person := &identity.Person{}
		var groups any
		if person.User, groups, err = d.readUser(r, subject); err != nil {
			return err
		}
		switch {
		case d.config.GroupsQuery != "":
			rows, names, err := s.all(ctx, "searching groups", directory.MaxGroups+1, d.config.GroupsQuery, subject)
			if err != nil {
				return asFailure(err)
			}
			if person.Groups, err = readGroups(rows, names); err != nil {
				return err
			}
			person.GroupsKnown = true
		case groups != nil:
			if person.Groups, err = listedGroups(groups); err != nil {
				return err
			}
			person.GroupsKnown = true
		}
		p = person
		return nil
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// asFailure keeps "no such user" out of the second question: the user exists.
func asFailure(err error) error {
	if directory.Failed(err) {
		return err
	}
	return fmt.Errorf("searching groups: the query does not take the subject: %w", directory.ErrRejected)
}

// Knows implements directory.Partial: what no query asks for is not known.
func (d *Directory) Knows() (apps, appUsers bool) {
	return d.config.AppQuery != "", d.config.AppUserQuery != ""
}

// App implements directory.Directory.
func (d *Directory) App(ctx context.Context, id string) (*identity.App, error) {
	if err := directory.CheckName(id); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if d.config.AppQuery == "" {
		return nil, fmt.Errorf("searching the app: no app_query: %w", directory.ErrNotFound)
	}
	var a *identity.App
	err := d.with(ctx, func(ctx context.Context, s *session) error {
		r, err := s.one(ctx, "searching the app", d.config.AppQuery, id)
		if err != nil {
			return err
		}
		a, err = readApp(r, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// AppUser implements directory.Directory.
func (d *Directory) AppUser(ctx context.Context, q directory.Query, appID string) (*identity.AppUser, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	if err := directory.CheckName(appID); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if d.config.AppUserQuery == "" {
		return nil, fmt.Errorf("searching the app user: no app_user_query: %w", directory.ErrNotFound)
	}
	var u *identity.AppUser
	err = d.with(ctx, func(ctx context.Context, s *session) error {
		r, err := s.one(ctx, "searching the app user", d.config.AppUserQuery, subject, appID)
		if err != nil {
			return err
		}
		u, err = readAppUser(r, appID)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Partial   = (*Directory)(nil)
)

// take removes a column under one of its names and gives its value.
func (r row) take(names ...string) any {
	var v any
	for _, name := range names {
		if found, has := r[name]; has {
			delete(r, name)
			if v == nil {
				v = found
			}
		}
	}
	return v
}

// text takes a column as text.
func (r row) text(names ...string) string {
	switch v := r.take(names...).(type) {
	case nil:
		return ""
	case string:
		return v
	case bool, []any, map[string]any:
		return ""
	default:
		return fmt.Sprint(v) // a number, digit by digit
	}
}

// status takes the account's state. What is none of the known words is an
// error, be it true or false: it might mean that nobody is to be let in.
func (r row) status() (string, error) {
	v := r.take("status")
	word, isText := v.(string)
	if word = strings.ToUpper(word); v == nil || isText && (word == "" || slices.Contains(directory.AccountStates(), word)) {
		return word, nil
	}
	return "", fmt.Errorf("reading the answer: the status is an unknown word: %w", directory.ErrMalformed)
}

// time takes a column as a point in time; zero where it is none.
func (r row) time(names ...string) time.Time {
	s, _ := r.take(names...).(string)
	for _, layout := range [...]string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", time.DateOnly} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	return time.Time{}
}

// attributes gives what is left of a row, with the object in the column
// profile, if there is one, spread under it.
func (r row) attributes() (map[string]any, error) {
	profile := r.take("profile")
	out := make(map[string]any, len(r))
	if profile != nil {
		object, ok := profile.(map[string]any)
		if !ok {
			return nil, fmt.Errorf("reading the answer: column profile is no JSON object: %w", directory.ErrMalformed)
		}
		maps.Copy(out, object)
	}
	for name, v := range r {
		if _, has := out[name]; v != nil || !has {
			out[name] = v
		}
	}
	return out, nil
}

// readUser makes a user of a row, and gives the column groups apart where no
// query asks for groups.
func (d *Directory) readUser(r row, subject string) (*identity.User, any, error) {
	var groups any
	if d.config.GroupsQuery == "" {
		groups = r.take("groups")
	}
	u := &identity.User{
		ID: r.text("id"), Login: r.text("login"),
		Created: r.time("created"), LastUpdated: r.time("lastUpdated", "last_updated"),
		PasswordChanged: r.time("passwordChanged", "password_changed"), LastLogin: r.time("lastLogin", "last_login"),
	}
	var err error
	if u.Status, err = r.status(); err != nil {
		return nil, nil, err
	}
	if u.Profile, err = r.attributes(); err != nil {
		return nil, nil, err
	}
	if len(d.config.Match) > 0 && !directory.Answers(u, subject, d.config.Match) {
		return nil, nil, fmt.Errorf("checking the answer: %w", directory.ErrForeign)
	}
	if u.ID == "" {
		u.ID = subject
	}
	return u, groups, nil
}
