package input

import "strings"

// Roots is a set of the things that an expression can start from. It says
// what a program may read (Options.Roots) and what it does read
// (Program.Reads), so that nobody asks a directory for what no rule needs.
type Set uint32

const (
	// RootUser is the user: "user" with its attributes and methods.
	User Set = 1 << iota

	// RootGroups are the user's groups: "groups", user.getGroups,
	// getFilteredGroups, the Groups family and isMemberOf….
	Groups

	// RootApp is the protected application: "app".
	App

	// RootAppUser is the user's assignment to that application: "appuser".
	AppUser

	// RootLinked are the user's linked objects: user.getLinkedObject,
	// getManagerUser and getAssistantUser.
	Linked

	// RootAppUsers are assignments to other applications: the directory and
	// Workday look-ups, getManagerAppUser and getAssistantAppUser.
	AppUsers

	// RootAccess are the granted scopes: "access.scope".
	Access

	// RootOrg is the organization: "org".
	Org

	// RootSession is the user's session: "session".
	Session

	// RootToken are the verified token's claims: "token".
	Token

	// RootClaims are the claims that earlier rules computed: "claims".
	Claims

	// RootRequest is the HTTP request: "request". What reads it can't be
	// cached with a decision.
	Request

	// RootVars are variables of the caller's, under bare names.
	Vars

	// RootClock is the present time: Time.now, DateTime.now and within….
	// What reads it can't be cached with a decision.
	Clock

	end

	// AllRoots lets an expression read everything.
	All = end - 1
)

// rootNames are the names of the roots, in the order of their bits: those
// that an expression starts with first-hand are also its spelling.
var spellings = [...]string{
	"user", "groups", "app", "appuser", "linked objects", "app users of other apps",
	"access", "org", "session", "token", "claims", "request", "variables", "the clock",
}

// spelled are the roots that an expression names.
var ByName = map[string]Set{
	"user": User, "groups": Groups, "app": App, "appuser": AppUser, "access": Access,
	"org": Org, "session": Session, "token": Token, "claims": Claims, "request": Request,
}

// Has reports whether all of other are in the set.
func (r Set) Has(other Set) bool { return r&other == other }

// String lists the roots in the set, separated by commas.
func (r Set) String() string {
	var names []string
	for i, name := range spellings {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// names gives the roots of the set that an expression can spell.
func (r Set) Names() []string {
	var names []string
	for i, name := range spellings {
		if _, ok := ByName[name]; ok && r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
