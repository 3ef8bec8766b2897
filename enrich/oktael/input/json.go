package input

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// A context as JSON, for the eval command, policy tests and the examples of the
// documentation.

// contextMembers are the members that DecodeContext knows.
var contextMembers = []string{
	"user", "groups", "app", "appuser", "access", "org", "session", "linked",
	"appusers", "token", "claims", "request", "vars", "now",
}

// DecodeContext reads the JSON object that an expression is tried out with:
//
//	{"user": {…}, "groups": [{…}], "app": {…}, "appuser": {…},
//	 "access": {"scope": […]}, "org": {…}, "session": {…},
//	 "linked": {"manager": {…}}, "appusers": [{…}], "token": {…},
//	 "claims": {…}, "request": {…}, "vars": {…}, "now": "RFC 3339"}
//
// Users, groups, apps and app users have the shape of Okta's REST API. All
// members are optional; a user without "profile" may have its attributes beside
// its fields. Without "groups" the user has none; "groups": null
// makes them unknown. Without "now" the clock is the machine's. An unknown
// member is an error.
func DecodeContext(text []byte) (*Context, error) {
	v, err := identity.DecodeJSON(text)
	if err != nil {
		return nil, fmt.Errorf("reading the context: %w", err)
	}
	members, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("reading the context: not an object")
	}
	c := &Context{GroupsKnown: true}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if err := c.decodeMember(name, members[name]); err != nil {
			return nil, fmt.Errorf("reading the context's %q: %w", name, err)
		}
	}
	return c, nil
}

// decodeMember reads one member of the object into the context. null counts as
// absent, but for groups, which it makes unknown.
func (c *Context) decodeMember(name string, v any) (err error) {
	if v == nil {
		if name == "groups" {
			c.GroupsKnown = false
		}
		return nil
	}
	r := &reader{}
	switch name {
	case "user":
		c.User = r.user(v)
	case "groups":
		for _, e := range r.list(v) {
			c.Groups = append(c.Groups, r.group(e))
		}
	case "app":
		c.App = r.app(v)
	case "appuser":
		u := r.appUser(v)
		c.AppUser = &u
	case "appusers":
		for _, e := range r.list(v) {
			c.AppUsers = append(c.AppUsers, r.appUser(e))
		}
	case "linked":
		c.Linked = make(map[string]*identity.User)
		for key, e := range r.object(v) {
			c.Linked[key] = r.user(e)
		}
	case "access":
		c.Scopes = r.texts(r.object(v)["scope"])
	case "org":
		c.Org = r.object(v)
	case "session":
		c.Session = r.object(v)
	case "token":
		c.Token = r.object(v)
	case "claims":
		c.Claims = r.object(v)
	case "request":
		c.Request = r.object(v)
	case "vars":
		c.Vars = r.object(v)
	case "now":
		now := r.time(v)
		c.Now = func() time.Time { return now }
	default:
		return fmt.Errorf("unknown member%s", suggest.DidYouMean(name, contextMembers))
	}
	return r.err
}

// reader takes typed values out of decoded JSON and keeps the first fault.
type reader struct{ err error }

// fail keeps the first fault.
func (r *reader) fail(want string) {
	if r.err == nil {
		r.err = fmt.Errorf("not %s", want)
	}
}

// object returns a JSON object; nil for null.
func (r *reader) object(v any) map[string]any {
	m, ok := v.(map[string]any)
	if !ok && v != nil {
		r.fail("an object")
	}
	return m
}

// list returns a JSON array; nil for null.
func (r *reader) list(v any) []any {
	l, ok := v.([]any)
	if !ok && v != nil {
		r.fail("a list")
	}
	return l
}

// text returns a JSON string; empty for null.
func (r *reader) text(v any) string {
	s, ok := v.(string)
	if !ok && v != nil {
		r.fail("a string")
	}
	return s
}

// texts reads a list of texts; one text is split at white space, as a scope
// claim is written in a token.
func (r *reader) texts(v any) []string {
	if s, ok := v.(string); ok {
		return strings.Fields(s)
	}
	var texts []string
	for _, e := range r.list(v) {
		texts = append(texts, r.text(e))
	}
	return texts
}

// time returns the time of an RFC 3339 text; zero for null and the empty text.
func (r *reader) time(v any) time.Time {
	s := r.text(v)
	if s == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		r.fail("a time (RFC 3339)")
	}
	return t
}

// user reads a user in the shape of the Users API, or with its attributes beside
// its fields.
func (r *reader) user(v any) *identity.User {
	m := r.object(v)
	if m == nil {
		return nil
	}
	profile := r.object(m["profile"])
	if profile == nil {
		profile = flat(m, userFields)
	}
	u := &identity.User{
		ID: r.text(m["id"]), Login: r.text(m["login"]), Status: r.text(m["status"]), Created: r.time(m["created"]),
		LastUpdated: r.time(m["lastUpdated"]), PasswordChanged: r.time(m["passwordChanged"]), LastLogin: r.time(m["lastLogin"]),
		Profile: profile,
	}
	if u.Login == "" {
		u.Login, _ = u.Profile["login"].(string)
	}
	return u
}

// userFields are the members of a user besides the profile.
var userFields = []string{"id", "login", "status", "created", "lastUpdated", "passwordChanged", "lastLogin", "profile"}

// flat returns the profile of an object that has none of its own, and whose
// attributes are beside its fields.
func flat(m map[string]any, fields []string) map[string]any {
	profile := maps.Clone(m)
	maps.DeleteFunc(profile, func(key string, _ any) bool { return slices.Contains(fields, key) })
	return profile
}

// group reads a group in the shape of the Groups API. Its source is the id of an
// object, or a text.
func (r *reader) group(v any) identity.Group {
	m := r.object(v)
	g := identity.Group{
		ID: r.text(m["id"]), Name: r.text(m["name"]), Type: r.text(m["type"]), ObjectClass: r.texts(m["objectClass"]),
		Created: r.time(m["created"]), LastUpdated: r.time(m["lastUpdated"]), LastMembershipUpdated: r.time(m["lastMembershipUpdated"]),
		Profile: r.object(m["profile"]),
	}
	if name, ok := g.Profile["name"].(string); ok {
		g.Name = name
	}
	switch source := m["source"].(type) {
	case string:
		g.Source = source
	case map[string]any:
		for _, key := range []string{"id", "name", "type"} {
			if s, ok := source[key].(string); ok && g.Source == "" {
				g.Source = s
			}
		}
	}
	return g
}

// app reads an application. Members that are no field of it are attributes.
func (r *reader) app(v any) *identity.App {
	m := r.object(v)
	a := &identity.App{
		ID: r.text(m["id"]), ClientID: r.text(m["clientId"]), Name: r.text(m["name"]), Label: r.text(m["label"]),
		Status: r.text(m["status"]), Profile: r.object(m["profile"]), Attributes: make(map[string]any),
	}
	for key, e := range m {
		switch key {
		case "id", "clientId", "name", "label", "status", "profile", "attributes":
		default:
			a.Attributes[key] = e
		}
	}
	maps.Copy(a.Attributes, r.object(m["attributes"]))
	return a
}

// appUser reads an assignment. Members that are no field of it belong to its
// profile.
func (r *reader) appUser(v any) identity.AppUser {
	m := r.object(v)
	u := identity.AppUser{
		ID: r.text(m["id"]), App: r.text(m["app"]), UserName: r.text(m["userName"]), Status: r.text(m["status"]),
		Profile: make(map[string]any),
	}
	for key, e := range m {
		switch key {
		case "id", "app", "userName", "status", "profile":
		default:
			u.Profile[key] = e
		}
	}
	maps.Copy(u.Profile, r.object(m["profile"]))
	return u
}
