package oktael

import "strings"

// Roots is a set of the things that an expression can start from. It says
// what a program may read (Options.Roots) and what it does read
// (Program.Reads), so that nobody asks a directory for what no rule needs.
type Roots uint32

const (
	// RootUser is the user: "user" with its attributes and methods.
	RootUser Roots = 1 << iota

	// RootGroups are the user's groups: "groups", user.getGroups,
	// getFilteredGroups, the Groups family and isMemberOf….
	RootGroups

	// RootApp is the protected application: "app".
	RootApp

	// RootAppUser is the user's assignment to that application: "appuser".
	RootAppUser

	// RootLinked are the user's linked objects: user.getLinkedObject,
	// getManagerUser and getAssistantUser.
	RootLinked

	// RootAppUsers are assignments to other applications: the directory and
	// Workday look-ups, getManagerAppUser and getAssistantAppUser.
	RootAppUsers

	// RootAccess are the granted scopes: "access.scope".
	RootAccess

	// RootOrg is the organization: "org".
	RootOrg

	// RootSession is the user's session: "session".
	RootSession

	// RootToken are the verified token's claims: "token".
	RootToken

	// RootClaims are the claims that earlier rules computed: "claims".
	RootClaims

	// RootRequest is the HTTP request: "request". What reads it can't be
	// cached with a decision.
	RootRequest

	// RootVars are variables of the caller's, under bare names.
	RootVars

	// RootClock is the present time: Time.now, DateTime.now and within….
	// What reads it can't be cached with a decision.
	RootClock

	rootEnd

	// AllRoots lets an expression read everything.
	AllRoots = rootEnd - 1
)

// rootNames are the names of the roots, in the order of their bits: those
// that an expression starts with first-hand are also its spelling.
var rootNames = [...]string{
	"user", "groups", "app", "appuser", "linked objects", "app users of other apps",
	"access", "org", "session", "token", "claims", "request", "variables", "the clock",
}

// spelled are the roots that an expression names.
var spelled = map[string]Roots{
	"user": RootUser, "groups": RootGroups, "app": RootApp, "appuser": RootAppUser, "access": RootAccess,
	"org": RootOrg, "session": RootSession, "token": RootToken, "claims": RootClaims, "request": RootRequest,
}

// Has reports whether all of other are in the set.
func (r Roots) Has(other Roots) bool { return r&other == other }

// String lists the roots in the set, separated by commas.
func (r Roots) String() string {
	var names []string
	for i, name := range rootNames {
		if r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

// names gives the roots of the set that an expression can spell.
func (r Roots) names() []string {
	var names []string
	for i, name := range rootNames {
		if _, ok := spelled[name]; ok && r&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}
