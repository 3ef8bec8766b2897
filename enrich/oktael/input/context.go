package input

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

var (
	// ErrGroupsUnknown says that an expression reads the user's groups and no
	// directory could say them. Unknown is not empty.
	ErrGroupsUnknown = errors.New("the user's groups are unknown")

	// ErrFactUnavailable says that an expression reads what none of the directories that
	// know the user can say. It is neither null nor false.
	ErrFactUnavailable = errors.New("no directory provides this")
)

// Context is what an evaluation may read. It is only read, never changed, and
// may be shared between evaluations.
type Context struct {
	// User is what "user" reads; nil makes "user" null.
	User *identity.User

	// Groups are the user's groups in the directory's order, with IDs and
	// names. They count only where GroupsKnown is true.
	Groups []identity.Group

	// GroupsKnown says that Groups are all groups of the user. Otherwise whatever
	// reads groups fails with ErrGroupsUnknown.
	GroupsKnown bool

	// GroupsUnknown says why they are unknown, where that is known; it ends up
	// in the error.
	GroupsUnknown string

	// Index is IndexGroups of Groups, or zero. It is ignored where it does
	// not belong to them.
	Index GroupIndex

	// App is what "app" reads; nil makes "app" null.
	App *identity.App

	// AppUser is what "appuser" reads, the user's assignment to App; nil makes
	// "appuser" null.
	AppUser *identity.AppUser

	// Linked are the user's linked objects by primary name. The manager and
	// assistant functions read "manager" and "assistant".
	Linked map[string]*identity.User

	// AppUsers are assignments to other applications. AppUser.App is the
	// application's type (active_directory, workday) or id; AppUser.ID is
	// whose assignment it is, empty meaning the user's own.
	AppUsers []identity.AppUser

	// Unavailable are the facts that no directory could say of all this: whatever
	// reads one where it is missing fails with ErrFactUnavailable.
	Unavailable identity.Facts

	// LinkedNames are the only names under which Linked was asked for; another
	// name fails with ErrFactUnavailable. Default: nil, which means all names.
	LinkedNames []string

	// Scopes is what access.scope reads.
	Scopes []string

	// Anonymous says that the request has no user: user, groups, app, appuser,
	// token and claims are then null, whatever the other fields hold.
	Anonymous bool

	// Org, Session, Token, Claims and Request are the members of the inputs
	// of those names, as canonical values; one that is missing is null.
	Org, Session, Token, Claims, Request map[string]any

	// PartialGroupsClaim names the member of Token that holds groups, where the
	// token says that it left some out or may have cut them. Whatever reads that
	// member, or the whole token, fails with ErrGroupsUnknown. Default: none.
	PartialGroupsClaim string

	// Vars are variables under bare names, as canonical values. One that is
	// missing is an error.
	Vars map[string]any

	// Now is the clock. nil means time.Now.
	Now func() time.Time
}

// GroupsError is the error of whatever reads groups that are unknown: an
// ErrGroupsUnknown with the reason, where there is one.
func (c *Context) GroupsError() error {
	if c.GroupsUnknown == "" {
		return ErrGroupsUnknown
	}
	return fmt.Errorf("%w: %s", ErrGroupsUnknown, c.GroupsUnknown)
}

// UnavailableError is the error of whatever reads one of the facts, or nil where a
// directory could say them.
func (c *Context) UnavailableError(facts identity.Facts) error {
	if facts &= c.Unavailable; facts == 0 || c.Anonymous {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrFactUnavailable, strings.Join(facts.Names(), ", "))
}

// Time returns the present time by the context's clock.
func (c *Context) Time() time.Time {
	if c.Now == nil {
		return time.Now()
	}
	return c.Now()
}
