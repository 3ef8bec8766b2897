// Package directorytest is the conformance suite of all kinds of directory, and a
// fake directory for tests of its callers. Only tests import it.
//
// A kind implements a Harness, which starts the real source of the kind (a server, a
// database, a file) with a given World in it, healthy or with a Fault. What a kind
// lacks it declares with a reason. The suite then checks what follows from that
// instead of skipping the case.
package directorytest

import (
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// World is the content of a source.
type World struct {
	Users  []User
	Groups []identity.Group
	Apps   []App
}

// User is a user with the ids of its groups.
type User struct {
	identity.User
	Groups []string
}

// App is an app with its assignments. AppUser.ID is the ID of a User.
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
	// Slow: it accepts requests and never answers.
	Slow
	// Down: no server listens.
	Down
	// Broken: its answers cannot be parsed.
	Broken
	// Cut: its answers break off in the middle.
	Cut
	// Refusing: it does not accept the credentials.
	Refusing
	// Huge: its answers are over the bound.
	Huge
	// Foreign: it answers each look-up with the last user.
	Foreign
	// Incomplete: it returns a part of a user's groups, says that there is
	// more, and nothing leads to the rest. Only a PartialHarness is opened with
	// it.
	Incomplete
)

// String returns the name of the fault, for the names of tests.
func (f Fault) String() string {
	return [...]string{"healthy", "ambiguous", "slow", "down", "broken", "cut", "refusing", "huge", "foreign", "incomplete"}[f]
}

// Capability is something that a kind may lack.
type Capability string

// What a Harness may declare as lacking.
const (
	// Groups: the kind has the groups of a user. Without it the groups of its
	// answers must be unknown, never empty.
	Groups Capability = "groups"
	// GroupIDs: groups have the ids of the world.
	GroupIDs Capability = "group ids"
	// Apps: the kind has apps. Without it each is not found.
	Apps Capability = "apps"
	// AppUsers: the kind has assignments. Without it each is not found.
	AppUsers Capability = "app users"
	// Status: the kind knows whether an account may be used.
	Status Capability = "status"
	// Absence: a user can be looked up that the source does not have.
	Absence Capability = "absence"

	// The faults that the source can have.
	CanAmbiguous Capability = "ambiguous"
	CanSlow      Capability = "slow"
	CanDown      Capability = "down"
	CanBroken    Capability = "broken"
	CanCut       Capability = "cut"
	CanRefuse    Capability = "refusing"
	CanHuge      Capability = "huge"
	CanForeign   Capability = "foreign"
)

// capabilities are all of them, to find misspelt declarations.
var capabilities = []Capability{
	Groups, GroupIDs, Apps, AppUsers, Status, Absence,
	CanAmbiguous, CanSlow, CanDown, CanBroken, CanCut, CanRefuse, CanHuge, CanForeign,
}

// Harness starts the source of one kind.
type Harness interface {
	// Open returns a directory over a source that holds w and has the fault. It
	// ends with the test. A directory that needs Start is started.
	Open(t *testing.T, w World, f Fault) directory.Directory

	// Query returns a query for a user of the world: with the subject under
	// which this kind has it, and what else the kind needs of a principal or
	// token.
	Query(u identity.User) directory.Query

	// Lacks returns the capabilities that this kind lacks, each with the
	// reason.
	Lacks() map[Capability]string

	// Secret returns the credential of the directory, which no error may hold;
	// empty where there is none.
	Secret() string
}

// PartialHarness is implemented by a Harness whose kind of source can return a
// part of a user's groups, as those that answer in pages do. A file or a
// database returns all of them or fails.
type PartialHarness interface {
	Harness

	// CanBeIncomplete reports whether Open supports the fault Incomplete.
	CanBeIncomplete() bool
}

// Query returns a query for a subject of an issuer named "corp".
func Query(subject string) directory.Query {
	return directory.Query{Principal: &identity.Principal{
		Issuer: "https://idp.example.com", IssuerName: "corp", Subject: subject,
	}}
}
