package scim

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// This file finds the user that a subject names, and reads SCIM resources.

// enterprise is the extension for organizations (RFC 7643, section 4.3).
const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

// A resource is a SCIM resource, or a complex value in one, in canonical
// values. Its attributes are read whatever the case of their names (RFC 7643,
// section 2.1). The profile keeps the service's spelling.
type resource map[string]any

// newResource returns a decoded value as a resource. Two names that differ in
// case only are an error: they are one attribute with two values, and active
// might be both.
func newResource(v any) (resource, error) {
	r, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("reading a resource: not an object: %w", directory.ErrMalformed)
	}
	names := make(map[string]bool, len(r))
	for name := range r {
		low := strings.ToLower(name)
		if names[low] {
			return nil, fmt.Errorf("reading a resource: duplicate attribute: %w", directory.ErrMalformed)
		}
		names[low] = true
	}
	return r, nil
}

// get returns an attribute, whatever the case of its name; nil where there is
// none.
func (r resource) get(name string) any {
	if v, ok := r[name]; ok {
		return v
	}
	for n, v := range r {
		if strings.EqualFold(n, name) {
			return v
		}
	}
	return nil
}

// find returns the user that the subject names, and checks the answer: a
// service that misread the filter must not supply another user.
func (d *Directory) find(ctx context.Context, subject string) (resource, error) {
	if d.config.UserFilter == ByID {
		if strings.ContainsAny(subject, `"\\`) {
			// Some services put the id into a filter of their own, unescaped.
			// No real id holds these characters.
			return nil, fmt.Errorf("finding a user: no id: %w", directory.ErrNotFound)
		}
		segment, err := fetch.PathSegment(subject)
		if err != nil {
			return nil, err
		}
		answer, err := d.get(ctx, "/Users/"+segment)
		if err != nil {
			return nil, fmt.Errorf("finding a user: %w", err)
		}
		object, err := answer.Object()
		if err != nil {
			return nil, err
		}
		r, err := newResource(object)
		if err != nil {
			return nil, err
		}
		if r.hasSubject(ByID, subject) {
			return r, nil
		}
		return nil, fmt.Errorf("finding a user: %w", directory.ErrForeign)
	}
	l, err := d.query(ctx, "/Users?count=2&filter="+filter(d.config.UserFilter, subject))
	if err != nil {
		return nil, fmt.Errorf("finding a user: %w", err)
	}
	// Two are requested, because two users are ambiguous.
	var found resource
	for _, text := range l.Resources {
		v, err := identity.DecodeJSON(text)
		if err != nil {
			return nil, fmt.Errorf("finding a user: no resource in the list: %w", directory.ErrMalformed)
		}
		if found, err = newResource(v); err != nil {
			return nil, fmt.Errorf("finding a user: %w", err)
		}
		if !found.hasSubject(d.config.UserFilter, subject) {
			return nil, fmt.Errorf("finding a user: %w", directory.ErrForeign)
		}
	}
	switch {
	case *l.Total > 1:
		return nil, fmt.Errorf("finding a user: %w", directory.ErrAmbiguous)
	case *l.Total == 1 && found == nil:
		return nil, fmt.Errorf("finding a user: the list is incomplete: %w", directory.ErrMalformed)
	case found == nil:
		return nil, fmt.Errorf("finding a user: %w", directory.ErrNotFound)
	}
	return found, nil
}

// hasSubject reports whether the resource holds the subject in an attribute.
func (r resource) hasSubject(attribute, subject string) bool {
	switch attribute {
	case ByUserName:
		return directory.MatchKey("login", r.text("userName")) == directory.MatchKey("login", subject)
	case ByEmail:
		return slices.ContainsFunc(r.list("emails"), func(e resource) bool {
			return directory.MatchKey("email", e.text("value")) == directory.MatchKey("email", subject)
		})
	}
	return r.text(attribute) == subject
}

// text returns an attribute that is a string, and otherwise empty.
func (r resource) text(name string) string {
	s, _ := r.get(name).(string)
	return s
}

// object returns an attribute that is complex, and otherwise nil.
func (r resource) object(name string) resource {
	o, _ := r.get(name).(map[string]any)
	return o
}

// list returns the complex values of a multi-valued attribute.
func (r resource) list(name string) []resource {
	values, _ := r.get(name).([]any)
	out := make([]resource, 0, len(values))
	for _, v := range values {
		if o, ok := v.(map[string]any); ok {
			out = append(out, o)
		}
	}
	return out
}

// best returns the value of the wanted type or, without a type, the one that is
// marked primary or else the first (RFC 7643, section 2.4).
func best(values []resource, kind string) resource {
	for _, v := range values {
		if v.get("primary") == true && kind == "" {
			return v
		}
	}
	for _, v := range values {
		if kind != "" && strings.EqualFold(v.text("type"), kind) {
			return v
		}
	}
	if len(values) == 0 || kind != "" {
		return nil
	}
	return values[0]
}

// excluded are the members, in lower case, that are no attributes of the user
// or must not reach the profile.
var excluded = map[string]bool{"schemas": true, "meta": true, "groups": true, "password": true, "x509certificates": true}

// user returns the user. Its profile holds the SCIM attributes under their own
// names (those of an extension in an object under its URN). Where the service
// does not use the name itself, it also has the same facts under the names of
// Okta's profiles, so that expressions do not depend on the kind of directory.
func (r resource) user() (*identity.User, error) {
	if r.text("id") == "" {
		return nil, fmt.Errorf("reading a user: no id in it: %w", directory.ErrMalformed)
	}
	// The service's own attributes first: none of them is replaced below.
	profile := make(map[string]any, len(r)+16)
	for name, v := range r {
		if !excluded[strings.ToLower(name)] {
			profile[name] = v
		}
	}
	add := func(name string, v any) {
		if _, taken := profile[name]; v != nil && v != "" && !taken {
			profile[name] = v
		}
	}
	// From here on under the names of Okta's profiles.
	add("login", r.get("userName"))
	person := r.object("name")
	for okta, name := range map[string]string{
		"firstName": "givenName", "lastName": "familyName", "middleName": "middleName",
		"honorificPrefix": "honorificPrefix", "honorificSuffix": "honorificSuffix",
	} {
		add(okta, person.get(name))
	}
	add("email", best(r.list("emails"), "").get("value"))
	phones := r.list("phoneNumbers")
	add("mobilePhone", best(phones, "mobile").get("value"))
	add("primaryPhone", best(phones, "").get("value"))
	address := best(r.list("addresses"), "")
	for okta, name := range map[string]string{
		"streetAddress": "streetAddress", "city": "locality", "state": "region", "zipCode": "postalCode",
		"countryCode": "country", "postalAddress": "formatted",
	} {
		add(okta, address.get(name))
	}
	company := r.object(enterprise)
	for _, name := range []string{"employeeNumber", "costCenter", "organization", "division", "department"} {
		add(name, company.get(name))
	}
	manager := company.object("manager")
	add("managerId", manager.get("value"))
	add("manager", manager.get("displayName"))

	u := &identity.User{ID: r.text("id"), Login: r.text("userName"), Profile: profile}
	// Without the attribute the status is unknown, and not active.
	switch active := r.get("active").(type) {
	case nil:
	case bool:
		u.Status = state(active)
	case string:
		// Some services send a string.
		yes, err := strconv.ParseBool(active)
		if err != nil {
			return nil, fmt.Errorf("reading a user: active is neither true nor false: %w", directory.ErrMalformed)
		}
		u.Status = state(yes)
	default:
		return nil, fmt.Errorf("reading a user: active is neither true nor false: %w", directory.ErrMalformed)
	}
	meta := r.object("meta")
	u.Created, u.LastUpdated = instant(meta.text("created")), instant(meta.text("lastModified"))
	return u, nil
}

// state returns the status of an account. SCIM says that an account may not be
// used, and not why.
func state(active bool) string {
	if active {
		return identity.StatusActive
	}
	return identity.StatusSuspended
}

// instant parses a SCIM dateTime. It is the zero time where the text is none.
func instant(text string) time.Time {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}
	}
	return t
}
