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

// lean asks for users without what we never read, which Okta answers faster.
// It is a parameter of the request's media type, by Okta's own invention.
const lean = "application/json; okta-response=omitCredentials,omitCredentialsLinks,omitTransitioningToStatus"

// user is a user in the API's shape.
type user struct {
	ID              string         `json:"id"`
	Status          string         `json:"status"`
	Created         timestamp      `json:"created"`
	LastUpdated     timestamp      `json:"lastUpdated"`
	PasswordChanged timestamp      `json:"passwordChanged"`
	LastLogin       timestamp      `json:"lastLogin"`
	Profile         map[string]any `json:"profile"`
}

// timestamp reads an RFC 3339 time; null, and what is none, is unknown.
type timestamp struct{ time.Time }

// UnmarshalJSON implements json.Unmarshaler.
func (t *timestamp) UnmarshalJSON(text []byte) error {
	if err := t.Time.UnmarshalJSON(text); err != nil {
		t.Time = time.Time{}
	}
	return nil
}

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
		// It might mean that nobody is to be let in.
		return nil, fmt.Errorf("reading a user: the status is an unknown word: %w", directory.ErrMalformed)
	}
	login, _ := profile["login"].(string)
	return &identity.User{
		ID: u.ID, Login: login, Status: status, Created: u.Created.Time, LastUpdated: u.LastUpdated.Time,
		PasswordChanged: u.PasswordChanged.Time, LastLogin: u.LastLogin.Time, Profile: profile,
	}, nil
}

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

// find returns the user whom the subject names. It asks in every way in which
// the subject may be meant: one who is found by two is one, two are nobody.
func (d *Directory) find(ctx context.Context, subject string) (*identity.User, error) {
	var found *identity.User
	add := func(u *identity.User) error {
		if found != nil && found.ID != u.ID {
			return fmt.Errorf("finding a user: %w", directory.ErrAmbiguous)
		}
		found = u
		return nil
	}
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

// byPath asks for the user by id or login.
func (d *Directory) byPath(ctx context.Context, subject string) (*identity.User, error) {
	if subject == "me" || strings.Contains(subject, "/") {
		// "me" is the owner of our credentials.
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
	found, err := u.identity()
	switch {
	case err != nil:
		return nil, err
	case directory.MatchesSubject(found, subject, d.config.Match):
		return found, nil
	case strings.HasPrefix(directory.MatchKey("login", found.Login), directory.MatchKey("login", subject)+"@"):
		// The API also takes the part of a login before the @, where only one
		// user has it. For us that is somebody else.
		return nil, fmt.Errorf("finding a user: %w", directory.ErrNotFound)
	case slices.Contains(directory.MatchValues(found, "id"), subject), slices.Contains(directory.MatchValues(found, "login"), directory.MatchKey("login", subject)):
		// Found by the one of id and login that is not to be matched.
		return nil, fmt.Errorf("finding a user: %w", directory.ErrNotFound)
	}
	return nil, fmt.Errorf("finding a user: %w", directory.ErrForeign)
}

// search asks for the users with that value in an attribute; two are enough to
// know that it is ambiguous.
func (d *Directory) search(ctx context.Context, name, value string) ([]*identity.User, error) {
	expression := `profile.` + name + ` eq "` + quote.Replace(value) + `"`
	answer, err := d.get(ctx, kindSearch, "/users?limit=2&search="+fetch.QueryValue(expression), lean)
	if err != nil {
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
// (RFC 7644, section 3.4.2.2: a JSON string). Control characters never get
// here.
var quote = strings.NewReplacer(`\`, `\\`, `"`, `\"`)
