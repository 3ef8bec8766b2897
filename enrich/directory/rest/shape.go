package rest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file reads the typed objects of an answer: users, groups, apps and
// assignments.

// A reader takes typed values out of an answer and keeps the first error. A
// member that is absent or null is the zero value. One of another type is an
// error, because a user who is read in part is a different user.
type reader struct{ err error }

// fail notes an error. It names the member and never its value.
func (r *reader) fail(what, want string) {
	if r.err == nil {
		r.err = fmt.Errorf("reading an answer: %s is not %s: %w", what, want, directory.ErrMalformed)
	}
}

// object returns a JSON object, nil where v is null.
func (r *reader) object(v any, what string) map[string]any {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		r.fail(what, "an object")
	}
	return m
}

// list returns a JSON array, nil where v is null.
func (r *reader) list(v any, what string) []any {
	l, ok := v.([]any)
	if !ok && v != nil {
		r.fail(what, "a list")
	}
	return l
}

// text returns a string, empty where v is null.
func (r *reader) text(v any, what string) string {
	s, ok := v.(string)
	if !ok && v != nil {
		r.fail(what, "a string")
	}
	return s
}

// id returns an identifier: a text, or the digits of an integer.
func (r *reader) id(v any, what string) string {
	if s := directory.Identifier(v); s != "" {
		return s
	}
	return r.text(v, what)
}

// time returns a time in the form of RFC 3339, the zero time where v is null or
// empty.
func (r *reader) time(v any, what string) time.Time {
	s := r.text(v, what)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		r.fail(what, "a time (RFC 3339)")
	}
	return t
}

// status returns an account status. A value that the gateway does not know is
// an error: it might mean that the user may not be let in.
func (r *reader) status(v any) string {
	s := strings.ToUpper(r.text(v, "status"))
	if s != "" && !slices.Contains(directory.AccountStates(), s) {
		r.fail("status", "ACTIVE, SUSPENDED or another status of Okta")
	}
	return s
}

// user reads a user in the shape of an evaluation's context, nil where v is
// null.
func (r *reader) user(v any) *identity.User {
	m := r.object(v, "user")
	if m == nil {
		return nil
	}
	u := &identity.User{
		ID: r.id(m["id"], "a user's id"), Login: r.text(m["login"], "login"), Status: r.status(m["status"]),
		Created: r.time(m["created"], "created"), LastUpdated: r.time(m["lastUpdated"], "lastUpdated"),
		PasswordChanged: r.time(m["passwordChanged"], "passwordChanged"), LastLogin: r.time(m["lastLogin"], "lastLogin"),
		Profile: r.object(m["profile"], "profile"),
	}
	// Okta's profiles have the login, and so do answers in its shape.
	if u.Login == "" {
		u.Login, _ = u.Profile["login"].(string)
	}
	return u
}

// group reads a group: a text or an integer, which is id and name at once, or
// an object with id, name or profile. A group without id and name is an error.
func (r *reader) group(v any) identity.Group {
	if s := directory.Identifier(v); s != "" {
		return identity.Group{ID: s, Name: s}
	}
	m, ok := v.(map[string]any)
	if !ok {
		r.fail("a group", "a string, an integer or an object")
		return identity.Group{}
	}
	g := identity.Group{
		ID: r.id(m["id"], "a group's id"), Name: r.text(m["name"], "a group's name"), Type: r.text(m["type"], "a group's type"),
		Created: r.time(m["created"], "created"), LastUpdated: r.time(m["lastUpdated"], "lastUpdated"),
		LastMembershipUpdated: r.time(m["lastMembershipUpdated"], "lastMembershipUpdated"),
		Profile:               r.object(m["profile"], "a group's profile"),
	}
	if name, ok := g.Profile["name"].(string); ok {
		g.Name = name
	}
	for _, c := range r.list(m["objectClass"], "objectClass") {
		g.ObjectClass = append(g.ObjectClass, r.text(c, "objectClass"))
	}
	// An id, or an object with one, as Okta's API has it.
	switch source := m["source"].(type) {
	case string:
		g.Source = source
	case map[string]any:
		g.Source = r.id(source["id"], "source")
	}
	g.ID = cmp.Or(g.ID, g.Name)
	if g.ID == "" {
		r.fail("a group", "known by id or name")
	}
	return g
}

// groups reads groups, each id once, in their order. Over directory.MaxGroups
// are ErrTooLarge.
func (r *reader) groups(nodes []any) []identity.Group {
	if len(nodes) > directory.MaxGroups {
		if r.err == nil {
			r.err = fmt.Errorf("reading an answer: over %d groups: %w", directory.MaxGroups, directory.ErrTooLarge)
		}
		return nil
	}
	if len(nodes) == 0 {
		return nil
	}
	out := make([]identity.Group, 0, len(nodes))
	seen := make(map[string]struct{}, len(nodes))
	for _, n := range nodes {
		g := r.group(n)
		if _, twice := seen[g.ID]; twice {
			continue
		}
		seen[g.ID] = struct{}{}
		out = append(out, g)
	}
	return out
}

// app reads an app, nil where m is. An object without profile and attributes is
// the profile itself.
func (r *reader) app(m map[string]any) *identity.App {
	if m == nil {
		return nil
	}
	// What app_path selects is most often the profile itself.
	if _, ok := m["profile"]; !ok && m["attributes"] == nil {
		a := &identity.App{Profile: m}
		if id := m["id"]; id != nil {
			a.ID = r.id(id, "an app's id")
		}
		if id, ok := m["clientId"].(string); ok {
			a.ClientID = id
		}
		return a
	}
	return &identity.App{
		ID: r.id(m["id"], "an app's id"), ClientID: r.text(m["clientId"], "clientId"), Name: r.text(m["name"], "an app's name"),
		Label: r.text(m["label"], "label"), Status: r.text(m["status"], "an app's status"),
		Profile: r.object(m["profile"], "an app's profile"), Attributes: r.object(m["attributes"], "attributes"),
	}
}

// appUser reads an assignment, nil where v is null.
func (r *reader) appUser(v any) *identity.AppUser {
	m := r.object(v, "appuser")
	if m == nil {
		return nil
	}
	return &identity.AppUser{
		ID: r.id(m["id"], "an app user's id"), App: r.id(m["app"], "an app user's app"), UserName: r.text(m["userName"], "userName"),
		Status: r.text(m["status"], "an app user's status"), Profile: r.object(m["profile"], "an app user's profile"),
	}
}
