package sql

import (
	"cmp"
	"context"
	dbsql "database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file looks up users, apps and assignments by their queries, and checks
// that the rows are those of the subject.

// Directory looks up users in a database.
type Directory struct {
	config  Config
	driver  *pgx.ConnConfig
	timeout string // of a statement, in milliseconds

	mu     sync.Mutex
	pool   *dbsql.DB // opened by the first look-up, because opening starts a goroutine
	closed bool
}

// New returns a directory. It starts nothing and does not touch the network:
// the first look-up connects.
func New(c Config) (*Directory, error) {
	c, driver, err := resolve(c)
	if err != nil {
		return nil, err
	}
	c.DSN = "" // the driver holds it; nothing else should
	return &Directory{config: c, driver: driver, timeout: strconv.FormatInt(max(1, c.StatementTimeout.Milliseconds()), 10)}, nil
}

// database returns the pool of connections, and opens it for the first look-up.
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

// Close closes the connections as their look-ups end. Later look-ups fail with
// ErrClosed.
func (d *Directory) Close() error {
	d.mu.Lock()
	pool := d.pool
	d.pool, d.closed = nil, true
	d.mu.Unlock()
	if pool != nil {
		// Its error says that a connection was dead already.
		_ = pool.Close()
	}
	return nil
}

// Person implements directory.Directory. User and groups are read in one
// transaction. Groups are known where there is a groups_query, or where the
// user's row has a column groups.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	var p *identity.Person
	err = d.with(ctx, func(s *session) error {
		questions := []question{d.userQuestion(subject)}
		if d.config.GroupsQuery != "" {
			questions = append(questions, question{"searching groups", d.config.GroupsQuery, directory.MaxGroups, []string{subject}})
		}
		answers, err := s.ask(ctx, questions...)
		if len(answers) == 0 {
			return err
		}
		r, problem := answers[0].one()
		if problem != nil {
			return problem
		}
		person := &identity.Person{}
		var listed any
		person.Unavailable = r.unsupported()
		if person.User, listed, problem = d.readUser(r, subject); problem != nil {
			return problem
		}
		switch {
		case err != nil:
			return asFailure(err)
		case len(answers) > 1:
			person.Groups, err = answers[1].groups()
			person.GroupsKnown = true
		// The user's own row has the groups.
		case listed != nil:
			person.Groups, err = listedGroups(listed)
			person.GroupsKnown = true
		}
		p = person
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// userQuestion returns the query for a user.
func (d *Directory) userQuestion(subject string) question {
	return question{"searching the user", d.config.UserQuery, 1, []string{subject}}
}

// appQuestion returns the query for an app.
func (d *Directory) appQuestion(id string) question {
	return question{"searching the app", d.config.AppQuery, 1, []string{id}}
}

// asFailure turns "no such user" from the query for groups into a failure: the
// user exists.
func asFailure(err error) error {
	if directory.Failed(err) {
		return err
	}
	return fmt.Errorf("searching groups: the query does not take the subject: %w", directory.ErrRejected)
}

// Supports implements directory.Partial: apps and assignments are there where a
// query reads them.
func (d *Directory) Supports() (apps, appUsers bool) {
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
	err := d.with(ctx, func(s *session) error {
		answers, err := s.ask(ctx, d.appQuestion(id))
		if err != nil {
			return err
		}
		r, err := answers[0].one()
		if err != nil {
			return err
		}
		a, err = d.readApp(r, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	return a, nil
}

// AppUser implements directory.Directory. The rows of the user and of the app
// are read in the same transaction, to check whose assignment it is.
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
	err = d.with(ctx, func(s *session) error {
		questions := []question{{"searching the app user", d.config.AppUserQuery, 1, []string{subject, appID}}}
		// In the same transaction, so that they are of one snapshot.
		if !d.config.SkipMatch {
			questions = append(questions, d.userQuestion(subject))
			if d.config.AppQuery != "" {
				questions = append(questions, d.appQuestion(appID))
			}
		}
		answers, err := s.ask(ctx, questions...)
		if len(answers) == 0 {
			return err
		}
		r, problem := answers[0].one()
		if problem != nil {
			return problem
		}
		if err != nil {
			return err
		}
		if err := d.checkAssignment(answers[1:], subject, appID); err != nil {
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

// checkAssignment checks that an assignment belongs to the subject and the app.
// Its row names neither in general, so the rows of the user and of the app are
// checked: a comparison that takes another name for theirs does so in each
// query. Where the database has no such user or app, another directory may have
// it, and the assignment stays.
func (d *Directory) checkAssignment(answers []answer, subject, appID string) error {
	for n := range answers {
		r, err := answers[n].one()
		switch {
		case errors.Is(err, directory.ErrNotFound):
			continue
		case err == nil && n == 0:
			_, _, err = d.readUser(r, subject)
		case err == nil:
			_, err = d.readApp(r, appID)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Unsupported implements directory.Limited: no query reads these facts.
func (d *Directory) Unsupported() identity.Facts { return identity.FactLinked | identity.FactAppUsers }

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Partial   = (*Directory)(nil)
	_ directory.Limited   = (*Directory)(nil)
	_ directory.Warner    = (*Directory)(nil)
)

// readUser returns the user of a row, and the value of the column groups where
// no query reads groups. It checks the user against the subject.
func (d *Directory) readUser(r row, subject string) (*identity.User, any, error) {
	var groups any
	if d.config.GroupsQuery == "" {
		groups = r.take("groups")
	}
	u := &identity.User{
		ID: r.text("id"), Login: r.text("login"),
		Created: r.time(userColumns[identity.FactCreated]...), LastUpdated: r.time(userColumns[identity.FactLastUpdated]...),
		PasswordChanged: r.time(userColumns[identity.FactPasswordChanged]...), LastLogin: r.time(userColumns[identity.FactLastLogin]...),
	}
	var err error
	if u.Status, err = r.status(); err != nil {
		return nil, nil, err
	}
	if u.Profile, err = r.attributes(); err != nil {
		return nil, nil, err
	}
	if err := d.checkSubject(u, subject); err != nil {
		return nil, nil, err
	}
	u.ID = cmp.Or(u.ID, subject)
	return u, groups, nil
}

// checkSubject checks that the user holds the subject, in one of the properties
// of Match, or else in id or login.
func (d *Directory) checkSubject(u *identity.User, subject string) error {
	names, holds := "id, login", u.ID == subject || u.Login == subject
	if len(d.config.Match) > 0 {
		names, holds = strings.Join(d.config.Match, ", "), directory.MatchesSubject(u, subject, d.config.Match)
	}
	if holds || d.config.SkipMatch {
		return nil
	}
	return fmt.Errorf("checking the answer: the row has the subject in none of the columns %s: "+
		"select what user_query compares with $1 under such a name, or name it in match: %w", names, directory.ErrForeign)
}
