package rest

import (
	"context"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Directory asks a service by HTTP.
//
// Each look-up asks by itself, also where person, app and assignment stand in
// one answer: a look-up that joined a question already under way could be given
// what was true before a purge, and pass it for what came after.
type Directory struct {
	client *fetch.Client
	user   *question
	app    *question // nil: apps are read from the answer about a user
	match  []string

	profilePath, groupsPath, appPath *path

	groupsDelimiter string
	next            *nextPage
}

// Person implements directory.Directory.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	first, p, err := d.askUser(ctx, q, "")
	if err == nil {
		err = d.addGroups(ctx, p, first, q.Principal.Subject)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Knows implements directory.Partial: with paths, what has no path is not read.
func (d *Directory) Knows() (apps, appUsers bool) {
	return d.app != nil || d.appsInAnswers(), d.shaped()
}

// App implements directory.Directory. Without a URL of its own, an app is read
// from the answer about the user on whose behalf it is looked up, and is not
// found where there is none.
func (d *Directory) App(ctx context.Context, id string) (*identity.App, error) {
	if err := directory.CheckName(id); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if d.app != nil {
		return d.askApp(ctx, id)
	}
	q, ok := directory.AboutWhom(ctx)
	if !ok || !d.appsInAnswers() {
		return nil, fmt.Errorf("looking up an app: the service is not asked for apps: %w", directory.ErrNotFound)
	}
	answer, _, err := d.askUser(ctx, q, id)
	if err != nil {
		return nil, err
	}
	a, err := d.appOf(answer.value)
	switch {
	case err != nil:
		return nil, err
	case a == nil || !is(a, id):
		return nil, fmt.Errorf("looking up an app: the answer speaks of none or of another: %w", directory.ErrNotFound)
	}
	return named(a, id), nil
}

func (d *Directory) askApp(ctx context.Context, id string) (*identity.App, error) {
	answer, err := d.ask(ctx, d.app, inputs{"app": id})
	if err != nil {
		return nil, err
	}
	a, err := d.appOf(answer.value)
	switch {
	case err != nil:
		return nil, err
	case a == nil:
		return nil, fmt.Errorf("looking up an app: no app in the answer; 404 would say that there is none: %w", directory.ErrMalformed)
	case !is(a, id):
		return nil, fmt.Errorf("looking up an app: the answer is another app: %w", directory.ErrForeign)
	}
	return named(a, id), nil
}

// named gives an app that does not say its id the one it was asked for by.
func named(a *identity.App, id string) *identity.App {
	if a.ID == "" {
		a.ID = id
	}
	return a
}

// AppUser implements directory.Directory. Only answers in the shape of an
// evaluation's context have assignments.
func (d *Directory) AppUser(ctx context.Context, q directory.Query, appID string) (*identity.AppUser, error) {
	if err := directory.CheckName(appID); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if !d.shaped() {
		return nil, fmt.Errorf("looking up an app user: the service is not asked for assignments: %w", directory.ErrNotFound)
	}
	answer, p, err := d.askUser(ctx, q, appID)
	if err != nil {
		return nil, err
	}
	u, err := d.appUserOf(answer.value, p, appID)
	if err != nil {
		return nil, err
	}
	return u, nil
}

// Dependence implements directory.Dependent: a question that names the client
// has an answer for that client only.
func (d *Directory) Dependence(p *identity.Principal) directory.Dependence {
	var on directory.Dependence
	if d.user.has("client") {
		on.Caller = []string{p.Client}
	}
	on.App = d.app == nil && d.appsInAnswers()
	return on
}

// appsInAnswers reports whether answers about users speak of an app.
func (d *Directory) appsInAnswers() bool { return d.shaped() || d.appPath != nil }

// reply is an answer of the service with its JSON value.
type reply struct {
	*fetch.Response

	value any
}

// askUser asks about a user and reads who it is, without the groups.
func (d *Directory) askUser(ctx context.Context, q directory.Query, app string) (*reply, *identity.Person, error) {
	subject, err := q.Subject()
	if err != nil {
		return nil, nil, err
	}
	answer, err := d.ask(ctx, d.user, inputsOf(q.Principal, app))
	if err != nil {
		return nil, nil, err
	}
	p, err := d.person(answer.value, subject)
	if err != nil {
		return nil, nil, err
	}
	return answer, p, nil
}

// ask returns the service's answer to a question.
func (d *Directory) ask(ctx context.Context, q *question, in inputs) (*reply, error) {
	r, err := q.request(in)
	if err != nil {
		return nil, err
	}
	return d.send(ctx, r)
}

// send sends a request and reads the answer's JSON.
func (d *Directory) send(ctx context.Context, r fetch.Request) (*reply, error) {
	response, err := d.client.Do(ctx, r)
	if err != nil {
		return nil, err
	}
	value, err := response.JSON()
	if err != nil {
		return nil, err
	}
	return &reply{Response: response, value: value}, nil
}

// Close ends the idle connections.
func (d *Directory) Close() error { return d.client.Close() }

// Untold implements directory.Teller: what paths select are
// attributes, and there is no path to these.
func (d *Directory) Untold() identity.Facts {
	if d.shaped() {
		return 0
	}
	return identity.FactCreated | identity.FactLastUpdated | identity.FactPasswordChanged | identity.FactLastLogin |
		identity.FactLinked | identity.FactAppUsers
}

var (
	_ directory.Directory = (*Directory)(nil)
	_ directory.Partial   = (*Directory)(nil)
	_ directory.Dependent = (*Directory)(nil)
	_ directory.Teller    = (*Directory)(nil)
)
