package identity

import "time"

// Person is a user together with the groups, as one directory answer. A nil
// *Person means that the directory has no such user, never that it could not be
// asked.
type Person struct {
	// User is nil where no directory answers for the principal: the person is
	// then what the token says of groups.
	User *User `json:"user"`

	// Groups are the user's groups in the directory's order.
	Groups []Group `json:"groups,omitempty"`

	// GroupsKnown is false where no directory could say which groups the
	// user has. A requirement on unknown groups fails; unknown is not empty.
	GroupsKnown bool `json:"groupsKnown"`

	// GroupsUnknown says why the groups are unknown although a directory has them:
	// its answer was a part of them, or could not be read as groups. It is empty
	// where they are known, or no directory has groups.
	GroupsUnknown string `json:"groupsUnknown,omitempty"`

	// Linked are the user's linked objects by primary name (manager, …).
	Linked map[string]*User `json:"linked,omitempty"`

	// AppUsers are the user's assignments to other apps, where a rule reads
	// them (directory and Workday look-ups).
	AppUsers []AppUser `json:"appUsers,omitempty"`

	// Unavailable are the facts that no directory which answered could say.
	// LinkedNames are the only names of linked objects that were asked for; nil
	// means that all were.
	Unavailable Facts    `json:"untold,omitempty"`
	LinkedNames []string `json:"linkedNames,omitempty"`

	// Origin is the directory that each profile attribute came from.
	Origin map[string]string `json:"origin,omitempty"`

	// UserOrigin says from which directories the user's own fields came, and
	// GroupOrigins the groups: each entry covers as many of Groups, in their
	// order, because directories are merged one after the other.
	UserOrigin   UserOrigin    `json:"userOrigin,omitzero"`
	GroupOrigins []GroupOrigin `json:"groupOrigins,omitempty"`

	// LeftOut names the optional directories that failed and are missing
	// from this answer.
	LeftOut []string `json:"leftOut,omitempty"`

	// Keep bounds how long the answer may be used, counted from its fetch, where
	// its source says so; zero means only for the decision that it was fetched
	// for. Nil, the usual case, leaves it to the configuration.
	Keep *time.Duration `json:"keep,omitempty"`
}

// UserOrigin names the directories that a user's id, login and status came
// from; empty where there is none.
type UserOrigin struct {
	ID     string `json:"id,omitempty"`
	Login  string `json:"login,omitempty"`
	Status string `json:"status,omitempty"`
}

// GroupOrigin says how many groups came from a directory.
type GroupOrigin struct {
	Directory string `json:"directory"`
	Groups    int    `json:"groups"`
}

// State is how much a part of a record can be relied on.
type State uint8

const (
	// Unasked: no rule of the policy reads this part, or there is no user to ask
	// about (a service account). It is the zero value.
	Unasked State = iota
	// Fresh: fetched within its lifetime.
	Fresh
	// Stale: older than its lifetime, used because the directory fails.
	Stale
	// Missing: the directory said with authority that there is none.
	Missing
	// Failed: the directory could not be asked and nothing usable is cached.
	Failed
)

// String returns the word that logs and explain use.
func (s State) String() string {
	switch s {
	case Fresh:
		return "fresh"
	case Stale:
		return "stale"
	case Missing:
		return "missing"
	case Failed:
		return "failed"
	case Unasked:
	}
	return "unasked"
}

// Record is what the directory says for one decision. Each part is cached by
// itself and has its own state.
type Record struct {
	// Person is who the decision is about; nil where the state is Missing or
	// Failed.
	Person      *Person
	PersonState State

	// App is the protected application; nil unless its state is Fresh or Stale.
	App      *App
	AppState State

	// AppUser is the person's assignment to it; nil unless its state is Fresh
	// or Stale.
	AppUser      *AppUser
	AppUserState State
}
