package object

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/datetime"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// Results: the values of an expression made canonical, so that they can be
// written as JSON and cached. Lists and maps that hold nothing but canonical
// values are shared with the context, not copied: a result must not be changed.

// Bounds on what one result may hold.
const (
	// MaxResult is how many values one result may hold, counting those
	// inside of lists and maps: 5,000 groups with twenty fields.
	MaxResult = 100_000

	// MaxResultText is how many bytes of text one result may hold: four times
	// the largest record.
	MaxResultText = 4 << 20
)

// ToCanonical turns the value of an expression into a canonical one. What is
// canonical already is shared, not copied. scopes are what "access" becomes.
func ToCanonical(v any, scopes []string) (any, error) {
	switch x := v.(type) {
	case nil, bool, int64, string, float64, json.Number:
		return x, nil
	}
	o := &output{scopes: scopes, values: MaxResult, bytes: MaxResultText}
	out, _, err := o.canonical(v, 0)
	return out, err
}

// output counts what a result holds. The same list may be in it many
// times, so that little work can make much.
type output struct {
	// scopes are what "access" becomes.
	scopes []string

	// values and bytes are what the result may still hold.
	values, bytes int
}

// canonical returns the canonical form of a value and whether it differs: a time
// becomes ISO 8601 text, a country its two-letter code, an object a map. Depth
// and size are bounded on the way.
func (o *output) canonical(v any, depth int) (out any, changed bool, err error) {
	if o.values--; o.values < 0 {
		return nil, false, fmt.Errorf("the result holds over %d values: %w", MaxResult, value.ErrLimit)
	}
	if depth > identity.MaxDepth {
		return nil, false, fmt.Errorf("the result nests over %d levels: %w", identity.MaxDepth, value.ErrLimit)
	}
	switch x := v.(type) {
	case string:
		if o.bytes -= len(x); o.bytes < 0 {
			return nil, false, fmt.Errorf("the result holds over %d bytes of text: %w", MaxResultText, value.ErrLimit)
		}
	case []any:
		return o.list(x, depth)
	case map[string]any:
		return o.object(x, depth)
	case value.DateTime:
		return datetime.ZonedISO8601(x.Time), true, nil
	case value.Country:
		return x.Alpha2(), true, nil
	case *identity.User:
		return o.made(userMap(x), depth)
	case *identity.App:
		return o.made(appMap(x), depth)
	case *identity.AppUser:
		return o.made(appUserMap(x), depth)
	case *identity.Group:
		return o.made(groupMap(x), depth)
	case value.Access:
		return o.made(map[string]any{"scope": textList(o.scopes)}, depth)
	}
	return v, false, nil
}

// list is canonical for lists. It copies a list that changes, and no other.
func (o *output) list(list []any, depth int) (any, bool, error) {
	out, copied := list, list == nil
	if copied {
		out = []any{}
	}
	for i, element := range list {
		c, changed, err := o.canonical(element, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && !copied {
			out, copied = slices.Clone(list), true
		}
		if changed {
			out[i] = c
		}
	}
	return out, copied, nil
}

// object is list for maps.
func (o *output) object(m map[string]any, depth int) (any, bool, error) {
	out, copied := m, m == nil
	if copied {
		out = map[string]any{}
	}
	for key, v := range m {
		o.bytes -= len(key)
		c, changed, err := o.canonical(v, depth+1)
		if err != nil {
			return nil, false, err
		}
		if changed && !copied {
			out, copied = maps.Clone(m), true
		}
		if changed {
			out[key] = c
		}
	}
	return out, copied, nil
}

// made is object for a map that was made for the result.
func (o *output) made(m map[string]any, depth int) (any, bool, error) {
	out, _, err := o.object(m, depth)
	return out, true, err
}

// The objects in a result have the shape of Okta's REST API, without what is
// not known.

// userMap is a user in a result.
func userMap(u *identity.User) map[string]any {
	m := map[string]any{"profile": profileOf(u.Profile)}
	addText(m, "id", u.ID)
	addText(m, "login", u.Login)
	addText(m, "status", u.Status)
	addTime(m, "created", u.Created)
	addTime(m, "lastUpdated", u.LastUpdated)
	addTime(m, "passwordChanged", u.PasswordChanged)
	addTime(m, "lastLogin", u.LastLogin)
	return m
}

// appMap is an application in a result.
func appMap(a *identity.App) map[string]any {
	m := make(map[string]any, len(a.Attributes)+6)
	maps.Copy(m, a.Attributes)
	addText(m, "id", a.ID)
	addText(m, "clientId", a.ClientID)
	addText(m, "name", a.Name)
	addText(m, "label", a.Label)
	addText(m, "status", a.Status)
	m["profile"] = profileOf(a.Profile)
	return m
}

// appUserMap is an assignment in a result.
func appUserMap(u *identity.AppUser) map[string]any {
	m := map[string]any{"profile": profileOf(u.Profile)}
	addText(m, "id", u.ID)
	addText(m, "app", u.App)
	addText(m, "userName", u.UserName)
	addText(m, "status", u.Status)
	return m
}

// groupMap is a group in a result.
func groupMap(g *identity.Group) map[string]any {
	m := map[string]any{"profile": groupProfile(g)}
	addText(m, "id", g.ID)
	if name := groupName(g); name != nil {
		m["name"] = name
	}
	addText(m, "type", g.Type)
	if len(g.ObjectClass) > 0 {
		m["objectClass"] = textList(g.ObjectClass)
	}
	if g.Source != "" {
		m["source"] = map[string]any{"id": g.Source}
	}
	addTime(m, "created", g.Created)
	addTime(m, "lastUpdated", g.LastUpdated)
	addTime(m, "lastMembershipUpdated", g.LastMembershipUpdated)
	return m
}

// addText adds a field that is not empty.
func addText(m map[string]any, key, value string) {
	if value != "" {
		m[key] = value
	}
}

// addTime adds a time that is known.
func addTime(m map[string]any, key string, t time.Time) {
	if !t.IsZero() {
		m[key] = datetime.ISO8601(t)
	}
}
