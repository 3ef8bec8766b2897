package library

import (
	"errors"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// Look-ups of assignments and linked users. Okta's functions of this kind name
// Active Directory and Workday; here any directory can fill what they read.

// workday is the app type of Workday.
const workday = "workday"

// The primary names of the linked objects that the manager and assistant
// functions read.
const (
	linkedManager   = "manager"
	linkedAssistant = "assistant"
)

// directoryFunctions are the manager, assistant, directory and Workday
// look-ups of the Classic dialect.
var directoryFunctions = []Function{
	// Whether the user has exactly one assignment to Active Directory.
	{
		Name: "hasDirectoryUser", Dialect: syntax.Classic, Result: value.KindBool, Reads: input.AppUsers,
		Call: hasAppUser(activeDirectory),
	},
	// The user's assignment to Active Directory; null if there is none or more
	// than one.
	{
		Name: "findDirectoryUser", Dialect: syntax.Classic, Result: value.KindAppUser | value.KindNull, Reads: input.AppUsers,
		Call: findAppUser(activeDirectory),
	},
	// Whether the user has exactly one assignment to Workday.
	{
		Name: "hasWorkdayUser", Dialect: syntax.Classic, Result: value.KindBool, Reads: input.AppUsers,
		Call: hasAppUser(workday),
	},
	// The user's assignment to Workday; null if there is none or more than one.
	{
		Name: "findWorkdayUser", Dialect: syntax.Classic, Result: value.KindAppUser | value.KindNull, Reads: input.AppUsers,
		Call: findAppUser(workday),
	},
	// The user's manager: the linked object of that name; null if there is none.
	// The source is "active_directory".
	{
		Name: "getManagerUser", Dialect: syntax.Classic, Result: value.KindUser | value.KindNull, Reads: input.Linked,
		Params: []Param{{Name: "managerSource", Want: argText}}, Prepare: checkSource,
		Call: linkedUser(linkedManager),
	},
	// The manager's assignment to an app, which is named by type or id; null if
	// there is none or more than one.
	{
		Name: "getManagerAppUser", Dialect: syntax.Classic, Result: value.KindAppUser | value.KindNull, Reads: input.Linked | input.AppUsers,
		Params: []Param{{Name: "managerSource", Want: argText}, {Name: "attributeSource", Want: argText}}, Prepare: checkSource,
		Call: linkedAppUser(linkedManager),
	},
	// The user's assistant: the linked object of that name; null if there is
	// none. The source is "active_directory".
	{
		Name: "getAssistantUser", Dialect: syntax.Classic, Result: value.KindUser | value.KindNull, Reads: input.Linked,
		Params: []Param{{Name: "assistantSource", Want: argText}}, Prepare: checkSource,
		Call: linkedUser(linkedAssistant),
	},
	// The assistant's assignment to an app, which is named by type or id; null
	// if there is none or more than one.
	{
		Name: "getAssistantAppUser", Dialect: syntax.Classic, Result: value.KindAppUser | value.KindNull, Reads: input.Linked | input.AppUsers,
		Params: []Param{{Name: "assistantSource", Want: argText}, {Name: "attributeSource", Want: argText}}, Prepare: checkSource,
		Call: linkedAppUser(linkedAssistant),
	},
}

var errSource = errors.New(`the source must be "active_directory"`)

// checkSource refuses a literal source that does not exist.
func checkSource(c Checker, name *syntax.Node, args []*syntax.Node) (any, error) {
	if args[0].IsText() && args[0].Value != activeDirectory {
		return nil, c.Fail(args[0].Offset, "%s: %v", name.Text, errSource)
	}
	return nil, nil
}

// appUserOf returns a user's only assignment to an app, by type or id. An
// assignment without an owner is the user's own.
func (e *Env) appUserOf(owner *identity.User, own bool, app string) (any, error) {
	if err := e.Consume(len(e.Context.AppUsers), value.ListPerStep); err != nil {
		return nil, err
	}
	if err := e.Context.UnavailableError(identity.FactAppUsers); err != nil {
		return nil, err
	}
	var found *identity.AppUser
	for i := range e.Context.AppUsers {
		u := &e.Context.AppUsers[i]
		if u.ID == "" && !own || u.ID != "" && owner != nil && owner.ID != "" && u.ID != owner.ID {
			continue
		}
		// Later instances of one app are told apart by a suffix: workday_9ao1g13.
		if u.App != app && !strings.HasPrefix(u.App, app+"_") {
			continue
		}
		if found != nil {
			return nil, nil
		}
		found = u
	}
	if found == nil {
		return nil, nil
	}
	return found, nil
}

// findAppUser returns the user's assignment to an app.
func findAppUser(app string) Call {
	return func(e *Env, _ any, _ []any) (any, error) { return e.appUserOf(e.Context.User, true, app) }
}

// hasAppUser reports whether there is exactly one.
func hasAppUser(app string) Call {
	return func(e *Env, _ any, _ []any) (any, error) {
		u, err := e.appUserOf(e.Context.User, true, app)
		return u != nil, err
	}
}

// linkedUser returns the user's linked object of a name.
func linkedUser(name string) Call {
	return func(e *Env, _ any, args []any) (any, error) {
		if args[0].(string) != activeDirectory {
			return nil, errSource
		}
		return e.linked(name)
	}
}

// linkedAppUser returns the assignment of a linked user. Without an id that user
// has none that could be found.
func linkedAppUser(name string) Call {
	return func(e *Env, _ any, args []any) (any, error) {
		if args[0].(string) != activeDirectory {
			return nil, errSource
		}
		linked, err := e.linked(name)
		if err != nil || linked == nil {
			return nil, err
		}
		u := linked.(*identity.User) //nolint:forcetypeassert // a linked object is a user
		if u.ID == "" {
			return nil, nil
		}
		return e.appUserOf(u, false, args[1].(string))
	}
}
