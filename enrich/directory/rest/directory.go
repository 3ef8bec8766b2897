package rest

import (
	"cmp"
	"context"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// Directory looks up users and apps in a service by HTTP.
//
// Each look-up sends a request of its own, also where person, app and
// assignment are in one answer: a look-up that joined a request under way could
// get what was true before a purge, and store it as what came after.
type Directory struct {
	client *fetch.Client
	// The requests for a user and for an app.
	user  *question
	app   *question // nil: apps are read from the answer about a user
	match []string

	// What the configured paths select; all nil for the shape of an
	// evaluation's context.
	profilePath, groupsPath, appPath *path

	// How the groups of an answer are read, and where the next page is.
	groupsDelimiter string
	next            *nextPage
}

// Person implements directory.Directory. It follows the pages of the groups.
func (d *Directory) Person(ctx context.Context, q directory.Query) (*identity.Person, error) {
	// Without an app: a user is looked up once for all apps.
	first, p, err := d.askUser(ctx, q, "")
	if err == nil {
		err = d.addGroups(ctx, p, first, q.Principal.Subject)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// Supports implements directory.Partial: where a path is set, what has no path
// is not read.
func (d *Directory) Supports() (apps, appUsers bool) {
	return d.app != nil || d.appsInAnswers(), d.shaped()
}

// App implements directory.Directory. Without a URL of its own, an app is read
// from the answer about the user for whom it is looked up (directory.UserFrom).
// It is not found where there is no such user.
func (d *Directory) App(ctx context.Context, id string) (*identity.App, error) {
	if err := directory.CheckName(id); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	// An app with a URL of its own does not depend on a user.
	if d.app != nil {
		return d.askApp(ctx, id)
	}
	q, ok := directory.UserFrom(ctx)
	if !ok || !d.appsInAnswers() {
		return nil, fmt.Errorf("looking up an app: app look-ups are not configured: %w", directory.ErrNotFound)
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
		return nil, fmt.Errorf("looking up an app: the answer holds no app or another one: %w", directory.ErrNotFound)
	}
	return named(a, id), nil
}

// askApp looks up an app by the URL of its own.
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
		return nil, fmt.Errorf("looking up an app: no app in the answer (the service must answer 404 for an unknown app): %w", directory.ErrMalformed)
	case !is(a, id):
		return nil, fmt.Errorf("looking up an app: the answer is another app: %w", directory.ErrForeign)
	}
	return named(a, id), nil
}

// named returns the app. One that has no id gets the id that it was asked for
// by.
func named(a *identity.App, id string) *identity.App {
	a.ID = cmp.Or(a.ID, id)
	return a
}

// AppUser implements directory.Directory. Only answers in the shape of an
// evaluation's context have assignments.
func (d *Directory) AppUser(ctx context.Context, q directory.Query, appID string) (*identity.AppUser, error) {
	if err := directory.CheckName(appID); err != nil {
		return nil, fmt.Errorf("reading the app's id: %w", err)
	}
	if !d.shaped() {
		return nil, fmt.Errorf("looking up an app user: assignment look-ups are not configured: %w", directory.ErrNotFound)
	}
	answer, p, err := d.askUser(ctx, q, appID)
	if err != nil {
		return nil, err
	}
	return d.appUserOf(answer.value, p, appID)
}

// CacheScope implements directory.CacheScoper: the answer to a request that
// holds the client is valid for that client only.
func (d *Directory) CacheScope(p *identity.Principal) directory.CacheScope {
	var on directory.CacheScope
	if d.user.has("client") {
		on.Caller = []string{p.Client}
	}
	// An app out of an answer about a user is cached for that user.
	on.App = d.app == nil && d.appsInAnswers()
	return on
}

// appsInAnswers reports whether answers about users may hold an app.
func (d *Directory) appsInAnswers() bool { return d.shaped() || d.appPath != nil }

// reply is an answer of the service with its JSON value.
type reply struct {
	*fetch.Response

	value any
}

// askUser requests a user. It returns the answer, for the groups, and the
// person without them.
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

// ask sends a request with these inputs.
func (d *Directory) ask(ctx context.Context, q *question, in inputs) (*reply, error) {
	r, err := q.request(in)
	if err != nil {
		return nil, err
	}
	return d.send(ctx, r)
}

// send sends a request and decodes the JSON of the answer.
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

// Close closes the idle connections.
func (d *Directory) Close() error { return d.client.Close() }

// Unsupported implements directory.Limited: paths select attributes, and there
// is no path to these facts.
func (d *Directory) Unsupported() identity.Facts {
	if d.shaped() {
		return 0
	}
	return identity.FactCreated | identity.FactLastUpdated | identity.FactPasswordChanged | identity.FactLastLogin |
		identity.FactLinked | identity.FactAppUsers
}

var (
	_ directory.Directory   = (*Directory)(nil)
	_ directory.Partial     = (*Directory)(nil)
	_ directory.CacheScoper = (*Directory)(nil)
	_ directory.Limited     = (*Directory)(nil)
)
