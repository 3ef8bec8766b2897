package object

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// Properties: what a name means on each kind of value.
//
// The dialects differ for a user. In Classic, user.x is the profile's attribute,
// and a field of the directory where the profile has none of that name; in
// Identity Engine it is the field, and user.profile.x the attribute. Times are
// texts in Classic and date-time values in the other. Where the dialect is not
// given (Either), the profile wins, as in Classic, and times are values.

// Property reads a property of a value. An attribute that an object lacks is
// null; a property of null is an error, and so is one of a text, number or
// list, which have none. A field that no directory could say is an error too.
func Property(c *input.Context, d syntax.Dialect, v any, name string) (any, error) {
	switch x := v.(type) {
	case nil:
		return nil, value.NullError("null has no property %s", name)
	case map[string]any:
		return x[name], nil
	case *identity.User:
		v := userProperty(x, name, d)
		if v != nil {
			return v, nil
		}
		if _, said := x.Profile[name]; said {
			return nil, nil
		}
		return nil, c.UnavailableError(userFacts[name])
	case *identity.AppUser:
		return appUserProperty(x, name), nil
	case *identity.App:
		return appProperty(x, name), nil
	case *identity.Group:
		if facts := FactsOf(x, name); facts != 0 {
			if err := c.UnavailableError(facts); err != nil {
				return nil, err
			}
		}
		return groupProperty(x, name, d), nil
	case value.Access:
		if name == "scope" {
			return textList(c.Scopes), nil
		}
		return nil, nil
	}
	return nil, fmt.Errorf("%s has no property %s", value.KindOf(v), name)
}

// userFacts are the fields of a user that a directory may be unable to say.
var userFacts = map[string]identity.Facts{
	"status": identity.FactStatus, "created": identity.FactCreated, "lastUpdated": identity.FactLastUpdated,
	"passwordChanged": identity.FactPasswordChanged, "lastLogin": identity.FactLastLogin,
}

// FactsOf returns the fact that a property of a group is, where the group has none.
func FactsOf(g *identity.Group, name string) identity.Facts {
	switch {
	case name == "type" && g.Type == "":
		return identity.FactGroupType
	case name == "source" && g.Source == "":
		return identity.FactGroupSource
	case name == "objectClass" && len(g.ObjectClass) == 0:
		return identity.FactGroupClass
	case name == "created" && g.Created.IsZero(), name == "lastUpdated" && g.LastUpdated.IsZero(),
		name == "lastMembershipUpdated" && g.LastMembershipUpdated.IsZero():
		return identity.FactGroupTimes
	}
	return 0
}

// userProperty reads an attribute of a user. In the Classic dialect the
// profile comes first and the directory's own fields stand in for what it
// lacks; in the Identity Engine dialect it is the other way round.
func userProperty(u *identity.User, name string, d syntax.Dialect) any {
	if name == "profile" {
		return profileOf(u.Profile)
	}
	if d != syntax.IdentityEngine {
		if v, ok := u.Profile[name]; ok {
			return v
		}
	}
	switch name {
	case "id":
		return TextOrNull(u.ID)
	case "login":
		if u.Login != "" {
			return u.Login
		}
	case "status":
		return TextOrNull(u.Status)
	case "created":
		return timeOrNull(u.Created, d)
	case "lastUpdated":
		return timeOrNull(u.LastUpdated, d)
	case "passwordChanged":
		return timeOrNull(u.PasswordChanged, d)
	case "lastLogin":
		return timeOrNull(u.LastLogin, d)
	}
	return u.Profile[name]
}

// appUserProperty reads an attribute of an assignment. The user name goes by
// two spellings.
func appUserProperty(u *identity.AppUser, name string) any {
	switch name {
	case "profile":
		return profileOf(u.Profile)
	case "userName", "username":
		if u.UserName != "" {
			return u.UserName
		}
		for _, spelling := range [...]string{"userName", "username"} {
			if v, ok := u.Profile[spelling]; ok {
				return v
			}
		}
		return nil
	}
	if v, ok := u.Profile[name]; ok {
		return v
	}
	switch name {
	case "id":
		return TextOrNull(u.ID)
	case "status":
		return TextOrNull(u.Status)
	case "app":
		return TextOrNull(u.App)
	}
	return nil
}

// appProperty reads a field of an application, or else one of its attributes.
func appProperty(a *identity.App, name string) any {
	switch name {
	case "id":
		return TextOrNull(a.ID)
	case "clientId":
		return TextOrNull(a.ClientID)
	case "name":
		return TextOrNull(a.Name)
	case "label":
		return TextOrNull(a.Label)
	case "status":
		return TextOrNull(a.Status)
	case "profile":
		return profileOf(a.Profile)
	}
	return a.Attributes[name]
}

// groupProperty reads an attribute of a group: a field, or else what the
// group's profile has under that name.
func groupProperty(g *identity.Group, name string, d syntax.Dialect) any {
	switch name {
	case "id":
		return TextOrNull(g.ID)
	case "name":
		return groupName(g)
	case "type":
		return TextOrNull(g.Type)
	case "objectClass":
		return textList(g.ObjectClass)
	case "source":
		// Always an object, so that source.id of a group without one is null.
		return map[string]any{"id": TextOrNull(g.Source)}
	case "created":
		return timeOrNull(g.Created, d)
	case "lastUpdated":
		return timeOrNull(g.LastUpdated, d)
	case "lastMembershipUpdated":
		return timeOrNull(g.LastMembershipUpdated, d)
	case "profile":
		return groupProfile(g)
	}
	return g.Profile[name]
}

// groupName is the name that filters match on and claims show.
func groupName(g *identity.Group) any {
	if g.Name != "" {
		return g.Name
	}
	return g.Profile["name"]
}

// groupProfile is the group's profile, which need not repeat the name.
func groupProfile(g *identity.Group) map[string]any {
	if _, ok := g.Profile["name"]; ok || g.Name == "" {
		return profileOf(g.Profile)
	}
	profile := make(map[string]any, len(g.Profile)+1)
	maps.Copy(profile, g.Profile)
	profile["name"] = g.Name
	return profile
}

// profileOf is the profile, also where there is none: an attribute of it is
// then null and not an error.
func profileOf(m map[string]any) map[string]any {
	if m == nil {
		return map[string]any{}
	}
	return m
}

// TextOrNull is a field as a value: null where it is empty, because the types of
// package identity do not distinguish an empty field from an unknown one.
func TextOrNull(s string) any {
	if s == "" {
		return nil
	}
	return s
}

// timeOrNull is a date and time; the Classic dialect, where times are texts,
// has it as the REST API writes it.
func timeOrNull(t time.Time, d syntax.Dialect) any {
	switch {
	case t.IsZero():
		return nil
	case d == syntax.Classic:
		return datetime.ISO8601(t)
	}
	return value.DateTime{Time: t}
}

// FoldedMember finds a member of a map in any case; exactly spelt wins. Okta
// writes both org.subDomain and org.subdomain.
func FoldedMember(m map[string]any, name string) any {
	if v, ok := m[name]; ok {
		return v
	}
	// Of several that differ by case only, the first in order, so that the
	// answer is the same each time.
	best := ""
	for key := range m {
		if strings.EqualFold(key, name) && (best == "" || key < best) {
			best = key
		}
	}
	if best == "" {
		return nil
	}
	return m[best]
}

// textList is a list of texts as a value.
func textList(texts []string) []any {
	list := make([]any, len(texts))
	for i, s := range texts {
		list[i] = s
	}
	return list
}
