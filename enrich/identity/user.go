package identity

import "time"

// User is a user as a directory knows it.
type User struct {
	// ID is the directory's own, stable identifier.
	ID string `json:"id"`

	// Login is the name that the user signs in with; empty where the
	// directory has none.
	Login string `json:"login,omitempty"`

	// Status is the account's state, in Okta's spelling (ACTIVE, SUSPENDED,
	// DEPROVISIONED, …). Empty means that the directory does not say, which
	// counts as active.
	Status string `json:"status,omitempty"`

	// Created, LastUpdated, PasswordChanged and LastLogin are zero where the
	// directory does not say.
	Created         time.Time `json:"created,omitzero"`
	LastUpdated     time.Time `json:"lastUpdated,omitzero"`
	PasswordChanged time.Time `json:"passwordChanged,omitzero"`
	LastLogin       time.Time `json:"lastLogin,omitzero"`

	// Profile holds the attributes as canonical values (see Canonical).
	Profile map[string]any `json:"profile,omitempty"`
}

// Statuses of an account, in Okta's spelling; all but the first disable it
// (https://developer.okta.com/docs/api/openapi/okta-management/management/tag/User/).
const (
	StatusActive        = "ACTIVE"
	StatusSuspended     = "SUSPENDED"
	StatusDeprovisioned = "DEPROVISIONED"
	StatusLockedOut     = "LOCKED_OUT"
)

// Disabled reports whether the account may not be used: suspended,
// deprovisioned or locked out.
func (u *User) Disabled() bool {
	switch u.Status {
	case StatusSuspended, StatusDeprovisioned, StatusLockedOut:
		return true
	}
	return false
}

// Emails returns the user's e-mail addresses: what the profile has as email, or
// else as mail, which is LDAP's name for it (RFC 4524, section 2.16).
func (u *User) Emails() []string {
	v := u.Profile["email"]
	if v == nil {
		v = u.Profile["mail"]
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	var out []string
	for _, e := range list {
		if s, ok := e.(string); ok && s != "" {
			out = append(out, s)
		}
	}
	return out
}

// Group types, in Okta's spelling.
const (
	GroupTypeOkta    = "OKTA_GROUP"
	GroupTypeApp     = "APP_GROUP"
	GroupTypeBuiltIn = "BUILT_IN"
)

// Group is one group that a user belongs to.
type Group struct {
	// ID is the directory's identifier; allow lists name groups by it.
	ID string `json:"id"`

	// Name is what group filters match on. Where the directory has a
	// profile, it is the profile's name.
	Name string `json:"name,omitempty"`

	// Type is OKTA_GROUP, APP_GROUP or BUILT_IN; empty where the directory
	// knows no types.
	Type string `json:"type,omitempty"`

	// Source is the id of the app or directory that the group comes from
	// (group.source.id); empty where there is none.
	Source string `json:"source,omitempty"`

	// ObjectClass is the list that Okta has for each group, such as
	// okta:user_group or okta:windows_security_principal.
	ObjectClass []string `json:"objectClass,omitempty"`

	// Created, LastUpdated and LastMembershipUpdated are zero where unknown.
	Created               time.Time `json:"created,omitzero"`
	LastUpdated           time.Time `json:"lastUpdated,omitzero"`
	LastMembershipUpdated time.Time `json:"lastMembershipUpdated,omitzero"`

	// Profile holds the group's attributes as canonical values; it need not
	// repeat the name.
	Profile map[string]any `json:"profile,omitempty"`
}

// MatchName returns the name that filters match on: Name, or else that of the
// profile, where a directory has it only there. It is empty where there is none.
func (g *Group) MatchName() string {
	if g.Name != "" {
		return g.Name
	}
	name, _ := g.Profile["name"].(string)
	return name
}

// App is the protected application as the directory knows it.
type App struct {
	// ID is the directory's own, stable identifier.
	ID string `json:"id"`

	// ClientID is the app's OAuth client id, Name its kind or technical name,
	// Label what people see, and Status the directory's word for its state;
	// each is empty where the directory does not say.
	ClientID string `json:"clientId,omitempty"`
	Name     string `json:"name,omitempty"`
	Label    string `json:"label,omitempty"`
	Status   string `json:"status,omitempty"`

	// Profile is the app's free-form profile as canonical values; dynamic
	// allow lists are read from it.
	Profile map[string]any `json:"profile,omitempty"`

	// Attributes are further properties of the app (such as domain) that
	// are outside its profile.
	Attributes map[string]any `json:"attributes,omitempty"`

	// Origin names the directory that it came from.
	Origin string `json:"origin,omitempty"`

	// Keep is as that of a Person.
	Keep *time.Duration `json:"keep,omitempty"`
}

// AppUser is a user's assignment to an app.
type AppUser struct {
	// ID is the user's id, App the id (or the type, such as workday) of the
	// app that the assignment belongs to.
	ID  string `json:"id,omitempty"`
	App string `json:"app,omitempty"`

	// UserName is the user's name in that app, Status the directory's word for
	// the assignment's state; either is empty where the directory does not say.
	UserName string `json:"userName,omitempty"`
	Status   string `json:"status,omitempty"`

	// Profile holds the assignment's attributes as canonical values.
	Profile map[string]any `json:"profile,omitempty"`

	// Origin names the directory that it came from.
	Origin string `json:"origin,omitempty"`

	// Keep is as that of a Person.
	Keep *time.Duration `json:"keep,omitempty"`
}
