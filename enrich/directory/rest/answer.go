package rest

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file reads users, apps and assignments out of an answer, in either form:
// the shape of an evaluation's context, or what the configured paths select.

// shaped reports whether answers have the shape of an evaluation's context, which
// is so where no path is configured.
func (d *Directory) shaped() bool {
	return d.profilePath == nil && d.groupsPath == nil && d.appPath == nil
}

// person reads everything but the groups out of an answer about subject. A user
// without an id gets the subject as its id.
func (d *Directory) person(answer any, subject string) (*identity.Person, error) {
	r := &reader{}
	var p *identity.Person
	var err error
	// Only one of the two forms is read, never a mixture.
	if d.shaped() {
		p, err = d.shapedPerson(r, answer)
	} else {
		p, err = d.selectedPerson(r, answer)
	}
	switch {
	case err != nil:
		return nil, err
	case r.err != nil:
		return nil, r.err
	}
	if err := d.checkSubject(p.User, subject); err != nil {
		return nil, err
	}
	if p.User.ID == "" {
		// The service knows the user by the subject.
		p.User.ID = subject
	}
	return p, nil
}

// shapedPerson reads a user in the shape of an evaluation's context.
func (d *Directory) shapedPerson(r *reader, answer any) (*identity.Person, error) {
	m := r.object(answer, "the answer")
	p := &identity.Person{User: r.user(m["user"])}
	if p.User == nil {
		return nil, fmt.Errorf("reading an answer: no user in it (the service must answer 404 for an unknown user): %w", directory.ErrMalformed)
	}
	// A fact without a member in the answer is unknown.
	if m["linked"] == nil {
		p.Unavailable |= identity.FactLinked
	}
	if m["appusers"] == nil {
		p.Unavailable |= identity.FactAppUsers
	}
	for name, v := range r.object(m["linked"], "linked") {
		if u := r.user(v); u != nil {
			if p.Linked == nil {
				p.Linked = make(map[string]*identity.User)
			}
			p.Linked[name] = u
		}
	}
	for _, v := range r.list(m["appusers"], "appusers") {
		if u := r.appUser(v); u != nil {
			p.AppUsers = append(p.AppUsers, *u)
		}
	}
	return p, nil
}

// selectedPerson reads the profile that profile_path selects. Two are
// ErrAmbiguous, and none of a list that is there is ErrNotFound.
func (d *Directory) selectedPerson(r *reader, answer any) (*identity.Person, error) {
	p := &identity.Person{User: &identity.User{}}
	if d.profilePath != nil {
		profile, err := d.profilePath.object(answer)
		switch {
		case errors.Is(err, errSeveral):
			return nil, fmt.Errorf("reading an answer: profile_path selects more than one user: %w", directory.ErrAmbiguous)
		case errors.Is(err, errNone):
			// A search without a result.
			return nil, fmt.Errorf("reading an answer: profile_path selects no element of the list: %w", directory.ErrNotFound)
		case errors.Is(err, errNothing):
			return nil, fmt.Errorf("reading an answer: profile_path selects nothing (the service must answer 404 for an unknown user): %w", directory.ErrMalformed)
		case err != nil:
			return nil, err
		}
		p.User.Profile = profile
		p.User.ID = r.id(scalar(profile["id"]), "id")
		p.User.Login, _ = profile["login"].(string)
		p.User.Status = state(profile["status"])
	}
	return p, nil
}

// state returns an account status where the attribute holds one, and otherwise
// empty: an attribute named status may hold anything, but a suspended account
// must not pass for one without a status.
func state(v any) string {
	s, _ := v.(string)
	if s = strings.ToUpper(s); slices.Contains(directory.AccountStates(), s) {
		return s
	}
	return ""
}

// scalar returns v where it can be an id, and nil otherwise: an attribute named
// id may hold anything.
func scalar(v any) any {
	switch v.(type) {
	case map[string]any, []any, bool, float64:
		return nil
	}
	return v
}

// checkSubject compares the user with the subject that was asked for. Where the
// user has any of the properties that may hold a subject, one of them must.
func (d *Directory) checkSubject(u *identity.User, subject string) error {
	has := false
	for _, name := range d.match {
		has = has || len(directory.MatchValues(u, name)) > 0
	}
	if has && !directory.MatchesSubject(u, subject, d.match) {
		return fmt.Errorf("reading an answer: no property in match holds the subject: %w", directory.ErrForeign)
	}
	return nil
}

// appOf returns the app in an answer, nil where there is none.
func (d *Directory) appOf(answer any) (*identity.App, error) {
	r := &reader{}
	var m map[string]any
	var err error
	switch {
	case d.appPath != nil:
		switch m, err = d.appPath.object(answer); {
		case errors.Is(err, errNothing), errors.Is(err, errNone):
			err = nil
		case errors.Is(err, errSeveral):
			err = fmt.Errorf("reading an answer: app_path selects more than one app: %w", directory.ErrMalformed)
		}
	// A URL for apps answers in the same shape, also where users are read by
	// paths.
	case d.shaped() || d.app != nil:
		m = r.object(r.object(answer, "the answer")["app"], "app")
	}
	if err != nil {
		return nil, err
	}
	a := r.app(m)
	return a, r.err
}

// is reports whether an app has that id or client id. An app without both is
// taken for the one that was asked for.
func is(a *identity.App, id string) bool {
	return a.ID == "" && a.ClientID == "" || a.ID == id || a.ClientID == id
}

// appUserOf returns the assignment to an app out of an answer about a user. An
// assignment that names no app belongs to the app in the answer, or else to the
// one that was asked for.
func (d *Directory) appUserOf(answer any, p *identity.Person, app string) (*identity.AppUser, error) {
	r := &reader{}
	u := r.appUser(r.object(answer, "the answer")["appuser"])
	if r.err != nil {
		return nil, r.err
	}
	if u != nil && u.App == "" {
		// Of the app that the answer names, or else of the one asked for.
		switch a, err := d.appOf(answer); {
		case err != nil:
			return nil, err
		case a == nil || is(a, app):
			u.App = app
		default:
			u = nil
		}
	}
	if u == nil || u.App != app {
		u = nil
		for i := range p.AppUsers {
			if p.AppUsers[i].App == app {
				u = &p.AppUsers[i]
				break
			}
		}
	}
	switch {
	case u == nil:
		return nil, fmt.Errorf("reading an answer: no assignment to the app in it: %w", directory.ErrNotFound)
	case u.ID != "" && u.ID != p.User.ID:
		return nil, fmt.Errorf("reading an answer: the assignment is another user's: %w", directory.ErrForeign)
	}
	return u, nil
}
