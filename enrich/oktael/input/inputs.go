package input

import "strings"

// Set is a set of inputs, which are the things that an expression can start
// from. It says what a program may read and what it does read, so that a
// directory is not asked for what no rule needs.
type Set uint32

const (
	// User is the user: "user" with its attributes and methods.
	User Set = 1 << iota

	// Groups are the user's groups: "groups", user.getGroups,
	// getFilteredGroups, the Groups family and isMemberOf….
	Groups

	// App is the protected application: "app".
	App

	// AppUser is the user's assignment to that application: "appuser".
	AppUser

	// Linked are the user's linked objects: user.getLinkedObject,
	// getManagerUser and getAssistantUser.
	Linked

	// AppUsers are assignments to other applications: the directory and
	// Workday look-ups, getManagerAppUser and getAssistantAppUser.
	AppUsers

	// Access are the granted scopes: "access.scope".
	Access

	// Org is the organization: "org".
	Org

	// Session is the user's session: "session".
	Session

	// Token are the verified token's claims: "token".
	Token

	// Claims are the claims that earlier rules computed: "claims".
	Claims

	// Request is the HTTP request: "request". What reads it can't be
	// cached with a decision.
	Request

	// Vars are variables of the caller's, under bare names.
	Vars

	// Clock is the present time: Time.now, DateTime.now and within….
	// What reads it can't be cached with a decision.
	Clock

	end

	// All lets an expression read everything.
	All = end - 1
)

// spellings are the names of the inputs, in the order of their bits. Those that
// an expression names itself are spelled that way.
var spellings = [...]string{
	"user", "groups", "app", "appuser", "linked objects", "app users of other apps",
	"access", "org", "session", "token", "claims", "request", "variables", "the clock",
}

// ByName are the inputs that an expression names. The others are read by
// functions.
var ByName = map[string]Set{
	"user": User, "groups": Groups, "app": App, "appuser": AppUser, "access": Access,
	"org": Org, "session": Session, "token": Token, "claims": Claims, "request": Request,
}

// Has reports whether all of other are in the set.
func (s Set) Has(other Set) bool { return s&other == other }

// String lists the inputs in the set, separated by commas.
func (s Set) String() string {
	var names []string
	for i, name := range spellings {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// Names returns the names of those inputs of the set that an expression can
// spell.
func (s Set) Names() []string {
	var names []string
	for i, name := range spellings {
		if _, ok := ByName[name]; ok && s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
