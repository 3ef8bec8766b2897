package okta

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file looks up apps and assignments.

// app is an app as the API returns it.
type app struct {
	ID          string         `json:"id"`
	Name        string         `json:"name"`
	Label       string         `json:"label"`
	Status      string         `json:"status"`
	SignOnMode  string         `json:"signOnMode"`
	Profile     map[string]any `json:"profile"`
	Settings    map[string]any `json:"settings"`
	Credentials struct {
		OAuthClient struct {
			ClientID string `json:"client_id"`
		} `json:"oauthClient"`
	} `json:"credentials"`
}

// appUser is an assignment as the API returns it.
type appUser struct {
	ID          string         `json:"id"`
	Status      string         `json:"status"`
	Profile     map[string]any `json:"profile"`
	Credentials struct {
		UserName string `json:"userName"`
	} `json:"credentials"`
}

// App implements directory.Directory. The client id of an OpenID Connect app is
// its app id, unless it was created with another one: then it is looked up
// among the clients.
func (d *Directory) App(ctx context.Context, id string) (*identity.App, error) {
	// Most often the client id is the app id, so it is tried first.
	a, err := d.app(ctx, id)
	if !isAbsent(err) {
		return a, err
	}
	if id, err = d.appOf(ctx, id); err != nil {
		return nil, err
	}
	return d.app(ctx, id)
}

// app reads an app by its own id.
func (d *Directory) app(ctx context.Context, id string) (*identity.App, error) {
	segment, err := appSegment(id)
	if err != nil {
		return nil, err
	}
	answer, err := d.get(ctx, kindApp, "/apps/"+segment, "")
	if err != nil {
		return nil, fmt.Errorf("reading an app: %w", err)
	}
	var a app
	if err := answer.Decode(&a); err != nil {
		return nil, fmt.Errorf("reading an app: %w", err)
	}
	// The path has the id, and a proxy may answer with another object.
	if a.ID != id {
		return nil, fmt.Errorf("reading an app: %w", directory.ErrForeign)
	}
	return a.identity()
}

// isAbsent reports whether Okta answered that there is no such object, in
// contrast to a failure.
func isAbsent(err error) bool {
	return errors.Is(err, directory.ErrNotFound) && !directory.Failed(err)
}

// appSegment returns an app's id as a segment of a path. One that cannot be an
// id is ErrNotFound.
func appSegment(id string) (string, error) {
	if err := directory.CheckName(id); err != nil {
		return "", fmt.Errorf("reading an app's id: %w", err)
	}
	return fetch.PathSegment(id)
}

// identity returns the app as an identity.App. Its attributes are the sign-on
// mode and the app's own settings.
func (a *app) identity() (*identity.App, error) {
	profile, err := canonical(a.Profile)
	if err != nil {
		return nil, fmt.Errorf("reading an app: %w", err)
	}
	attributes := map[string]any{}
	if a.SignOnMode != "" {
		attributes["signOnMode"] = a.SignOnMode
	}
	// An app's own settings (domain, companyName, …) are what expressions of
	// the Classic dialect call app.<attribute>.
	if settings, ok := a.Settings["app"].(map[string]any); ok {
		if settings, err = canonical(settings); err != nil {
			return nil, fmt.Errorf("reading an app: %w", err)
		}
		maps.Copy(attributes, settings)
	}
	return &identity.App{
		ID: a.ID, ClientID: a.Credentials.OAuthClient.ClientID, Name: a.Name, Label: a.Label, Status: a.Status,
		Profile: profile, Attributes: attributes,
	}, nil
}

// Supports implements directory.Partial: assignments may be disabled.
func (d *Directory) Supports() (apps, appUsers bool) {
	return true, d.config.AppUsers == nil || *d.config.AppUsers
}

// AppUser implements directory.Directory. A subject that is a user's id is not
// looked up first.
func (d *Directory) AppUser(ctx context.Context, q directory.Query, appID string) (*identity.AppUser, error) {
	if d.config.AppUsers != nil && !*d.config.AppUsers {
		return nil, fmt.Errorf("reading an assignment: app_users is off: %w", directory.ErrNotFound)
	}
	subject, err := q.Subject()
	if err != nil {
		return nil, err
	}
	if _, err := appSegment(appID); err != nil {
		return nil, err
	}
	// An assignment is read by the user's id. A subject in the form of an id is
	// one where id is among the properties to match.
	userID := subject
	if !userIDs.MatchString(subject) || !slices.Contains(d.config.Match, "id") {
		u, err := d.find(ctx, subject)
		if err != nil {
			return nil, err
		}
		userID = u.ID
	}
	a, err := d.appUser(ctx, appID, userID)
	if !isAbsent(err) {
		return a, err
	}
	// Either there is no assignment, or the id was a client id.
	if appID, err = d.appOf(ctx, appID); err != nil {
		return nil, err
	}
	return d.appUser(ctx, appID, userID)
}

// userIDs matches the ids that Okta assigns to users.
var userIDs = regexp.MustCompile(`^00u[A-Za-z0-9]{17}$`)

// appUser reads the assignment of a user to an app, by the ids of both.
func (d *Directory) appUser(ctx context.Context, appID, userID string) (*identity.AppUser, error) {
	app, err := appSegment(appID)
	if err != nil {
		return nil, err
	}
	user, err := fetch.PathSegment(userID)
	if err != nil {
		return nil, fmt.Errorf("reading an assignment: the user's id is invalid: %w", directory.ErrMalformed)
	}
	answer, err := d.get(ctx, kindAppUser, "/apps/"+app+"/users/"+user, "")
	if err != nil {
		return nil, fmt.Errorf("reading an assignment: %w", err)
	}
	var a appUser
	if err := answer.Decode(&a); err != nil {
		return nil, fmt.Errorf("reading an assignment: %w", err)
	}
	// As with apps: the answer must be about the user of the path.
	if a.ID != userID {
		return nil, fmt.Errorf("reading an assignment: %w", directory.ErrForeign)
	}
	profile, err := canonical(a.Profile)
	if err != nil {
		return nil, fmt.Errorf("reading an assignment: %w", err)
	}
	return &identity.AppUser{ID: a.ID, App: appID, UserName: a.Credentials.UserName, Status: a.Status, Profile: profile}, nil
}
