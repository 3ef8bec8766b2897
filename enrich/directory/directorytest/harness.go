// Package directorytest is the suite that every kind of directory passes, and
// a fake directory for the tests of what stands on one. Only tests import it.
//
// A kind meets the suite by a Harness, which brings up the real source of the
// kind (a server, a database, a file) with a given World in it, well or with a
// Fault. What a kind cannot show it declares with a reason; the suite then
// checks what follows from the lack instead of leaving the case out.
package directorytest

import (
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// World is what a source holds.
type World struct {
	Users  []User
	Groups []identity.Group
	Apps   []App
}

// User is a user with the ids of the groups.
type User struct {
	identity.User
	Groups []string
}

// App is an app with its assignments; AppUser.ID is a User's ID.
type App struct {
	identity.App
	Users []identity.AppUser
}

// Fault is what is wrong with a source.
type Fault uint8

const (
	// Healthy: nothing.
	Healthy Fault = iota
	// Ambiguous: it holds a second user under the first one's subject.
	Ambiguous
	// Slow: it takes questions and never answers.
	Slow
	// Down: nobody listens.
	Down
	// Broken: it answers what cannot be understood.
	Broken
	// Cut: its answers break off in the middle.
	Cut
	// Refusing: it does not accept the credentials.
	Refusing
	// Huge: its answers are over the bound.
	Huge
	// Foreign: whoever is asked for, it answers with the last user.
	Foreign
	// Parted: it tells a part of a user's groups, says that there is more, and
	// nothing leads to the rest. Only a PartHarness is opened with it.
	Parted
)

// String names the fault in the names of tests.
func (f Fault) String() string {
	return [...]string{"healthy", "ambiguous", "slow", "down", "broken", "cut", "refusing", "huge", "foreign", "parted"}[f]
}

// Capability is something that a kind may be unable to show.
type Capability string

// What a Harness may declare as lacking.
const (
	// Groups: the kind knows the groups of a user. Without it the groups of
	// its answers must be unknown, never empty.
	Groups Capability = "groups"
	// GroupIDs: groups keep the ids that the world gives them.
	GroupIDs Capability = "group ids"
	// Apps: the kind knows apps. Without it each is not found.
	Apps Capability = "apps"
	// AppUsers: the kind knows assignments. Without it each is not found.
	AppUsers Capability = "app users"
	// Status: the kind can tell a barred account.
	Status Capability = "status"
	// Absence: the kind can be asked for somebody whom it does not know.
	Absence Capability = "absence"

	// The faults, by what it takes to show them.
	CanAmbiguous Capability = "ambiguous"
	CanSlow      Capability = "slow"
	CanDown      Capability = "down"
	CanBroken    Capability = "broken"
	CanCut       Capability = "cut"
	CanRefuse    Capability = "refusing"
	CanHuge      Capability = "huge"
	CanForeign   Capability = "foreign"
)

var capabilities = []Capability{
	Groups, GroupIDs, Apps, AppUsers, Status, Absence,
	CanAmbiguous, CanSlow, CanDown, CanBroken, CanCut, CanRefuse, CanHuge, CanForeign,
}

// Harness brings up one kind.
type Harness interface {
	// Open returns a directory over a source that holds w and has the fault.
	// Everything ends by t.Cleanup. A directory that needs Start is started.
	Open(t *testing.T, w World, f Fault) directory.Directory

	// Query asks for a user of the world: the subject under which this kind
	// knows it, and what else the kind needs of a principal or token.
	Query(u identity.User) directory.Query

	// Lacks tells what this kind cannot show, each with the reason.
	Lacks() map[Capability]string

	// Secret is the credential that the directory was given; no error may
	// hold it. Empty where there is none.
	Secret() string
}

// PartHarness is met by a Harness whose kind of source can tell a part of a user's
// groups, as those that answer in pages do. A source that tells all or fails, as a
// file or a database does, has no such fault.
type PartHarness interface {
	Harness

	// ShowsPart reports whether Open can bring the fault Parted about.
	ShowsPart() bool
}

// Query returns a query for a subject of an issuer named "corp".
func Query(subject string) directory.Query {
	return directory.Query{Principal: &identity.Principal{
		Issuer: "https://idp.example.com", IssuerName: "corp", Subject: subject,
	}}
}
