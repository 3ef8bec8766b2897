package okta

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file finds the user that a subject names.

// lean requests users without what is not read here, which Okta answers faster.
// Okta defines it as a parameter of the request's media type.
const lean = "application/json; okta-response=omitCredentials,omitCredentialsLinks,omitTransitioningToStatus"

// user is a user as the API returns it.
type user struct {
	ID              string         `json:"id"`
	Status          string         `json:"status"`
	Created         timestamp      `json:"created"`
	LastUpdated     timestamp      `json:"lastUpdated"`
	PasswordChanged timestamp      `json:"passwordChanged"`
	LastLogin       timestamp      `json:"lastLogin"`
	Profile         map[string]any `json:"profile"`
}

// timestamp is an RFC 3339 time. A null, or a text that is no time, is the zero
// time.
type timestamp struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *timestamp) UnmarshalJSON(text []byte) error {
	if err := t.Time.UnmarshalJSON(text); err != nil {
		t.Time = time.Time{}
	}
	return nil
}

// identity returns the user as an identity.User. An unknown status is an error,
// because it might mean that the user may not be let in.
func (u *user) identity() (*identity.User, error) {
	if u.ID == "" {
		return nil, fmt.Errorf("reading a user: no id in it: %w", directory.ErrMalformed)
	}
	profile, err := canonical(u.Profile)
	if err != nil {
		return nil, fmt.Errorf("reading a user: %w", err)
	}
	status := strings.ToUpper(u.Status)
	if status != "" && !slices.Contains(directory.AccountStates(), status) {
		return nil, fmt.Errorf("reading a user: unknown status: %w", directory.ErrMalformed)
	}
	login, _ := profile["login"].(string)
	return &identity.User{
		ID: u.ID, Login: login, Status: status, Created: u.Created.Time, LastUpdated: u.LastUpdated.Time,
		PasswordChanged: u.PasswordChanged.Time, LastLogin: u.LastLogin.Time, Profile: profile,
	}, nil
}

// canonical returns a profile in canonical values. A nil profile stays nil.
func canonical(profile map[string]any) (map[string]any, error) {
	if profile == nil {
		return nil, nil //nolint:nilnil // a profile may be missing
	}
	v, err := identity.Canonical(profile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", directory.ErrMalformed, err)
	}
	return v.(map[string]any), nil //nolint:forcetypeassert // Canonical keeps the kind
}

// find returns the user that the subject names. It asks in each way in which
// the subject may be meant. A user who is found twice is one, and two users are
// ErrAmbiguous.
func (d *Directory) find(ctx context.Context, subject string) (*identity.User, error) {
	var found *identity.User
	add := func(u *identity.User) error {
		if found != nil && found.ID != u.ID {
			return fmt.Errorf("finding a user: %w", directory.ErrAmbiguous)
		}
		found = u
		return nil
	}
	// Reading by path is current at once, while a search is some seconds
	// behind.
	byPath := slices.ContainsFunc(d.config.Match, func(name string) bool { return name == "id" || name == "login" })
	if byPath {
		u, err := d.byPath(ctx, subject)
		switch {
		case err == nil:
			if err := add(u); err != nil {
				return nil, err
			}
		case !errors.Is(err, directory.ErrNotFound):
			return nil, err
		}
	}
	for _, name := range d.config.Match {
		// The API cannot take a login with a slash in a path.
		if name == "id" || name == "login" && !strings.Contains(subject, "/") {
			continue
		}
		matches, err := d.search(ctx, name, subject)
		if err != nil {
			return nil, err
		}
		for _, u := range matches {
			if err := add(u); err != nil {
				return nil, err
			}
		}
	}
	if found == nil {
		return nil, fmt.Errorf("finding a user: %w", directory.ErrNotFound)
	}
	return found, nil
}

// byPath reads a user by id or login.
func (d *Directory) byPath(ctx context.Context, subject string) (*identity.User, error) {
	if subject == "me" || strings.Contains(subject, "/") {
		// "me" is the owner of the credentials.
		return nil, fmt.Errorf("finding a user: %w", directory.ErrNotFound)
	}
	segment, err := fetch.PathSegment(subject)
	if err != nil {
		return nil, err
	}
	answer, err := d.get(ctx, kindUser, "/users/"+segment, lean)
	if err != nil {
		return nil, err
	}
	var u user
	if err := answer.Decode(&u); err != nil {
		return nil, err
	}
	// The path accepts more than ids and logins, so the answer is checked.
	found, err := u.identity()
	switch {
	case err != nil:
		return nil, err
	case directory.MatchesSubject(found, subject, d.config.Match):
		return found, nil
	case strings.HasPrefix(directory.MatchKey("login", found.Login), directory.MatchKey("login", subject)+"@"):
		// The API also finds a user by the part of the login before the @, where
		// only one user has it. The subject does not name that user.
		return nil, fmt.Errorf("finding a user: %w", directory.ErrNotFound)
	case slices.Contains(directory.MatchValues(found, "id"), subject), slices.Contains(directory.MatchValues(found, "login"), directory.MatchKey("login", subject)):
		// Found by the one of id and login that is not to be matched.
		return nil, fmt.Errorf("finding a user: %w", directory.ErrNotFound)
	}
	return nil, fmt.Errorf("finding a user: %w", directory.ErrForeign)
}

// search returns the users with that value in an attribute, two at most: two
// are enough to know that the subject is ambiguous.
func (d *Directory) search(ctx context.Context, name, value string) ([]*identity.User, error) {
	expression := `profile.` + name + ` eq "` + quote.Replace(value) + `"`
	answer, err := d.get(ctx, kindSearch, "/users?limit=2&search="+fetch.QueryValue(expression), lean)
	if err != nil {
		// A search that finds nothing is an empty list.
		if errors.Is(err, directory.ErrNotFound) {
			return nil, fmt.Errorf("searching for a user: %w", directory.ErrRejected)
		}
		return nil, err
	}
	var list []user
	if err := answer.Decode(&list); err != nil {
		return nil, err
	}
	found := make([]*identity.User, 0, len(list))
	for i := range list {
		u, err := list[i].identity()
		if err != nil {
			return nil, err
		}
		if !directory.MatchesSubject(u, value, []string{name}) {
			return nil, fmt.Errorf("searching for a user: %w", directory.ErrForeign)
		}
		found = append(found, u)
	}
	return found, nil
}

// quote escapes a value in a search expression, which follows SCIM's filters
// (RFC 7644, section 3.4.2.2: a JSON string). Query.Subject has refused control
// characters.
var quote = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
