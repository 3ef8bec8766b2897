package oktael

import (
	"errors"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

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
var directoryFunctions = []function{
	{
		name: "hasDirectoryUser", dialect: Classic, result: kindBool, reads: RootAppUsers,
		doc:  "Whether the user has exactly one assignment to Active Directory.",
		call: hasAppUser(activeDirectory),
	},
	{
		name: "findDirectoryUser", dialect: Classic, result: kindAppUser | kindNull, reads: RootAppUsers,
		doc:  "The user's assignment to Active Directory; null where there is none or more than one.",
		call: findAppUser(activeDirectory),
	},
	{
		name: "hasWorkdayUser", dialect: Classic, result: kindBool, reads: RootAppUsers,
		doc:  "Whether the user has exactly one assignment to Workday.",
		call: hasAppUser(workday),
	},
	{
		name: "findWorkdayUser", dialect: Classic, result: kindAppUser | kindNull, reads: RootAppUsers,
		doc:  "The user's assignment to Workday; null where there is none or more than one.",
		call: findAppUser(workday),
	},
	{
		name: "getManagerUser", dialect: Classic, result: kindUser | kindNull, reads: RootLinked,
		params: []parameter{{name: "managerSource", want: argText}}, prepare: checkSource,
		doc:  "The user's manager: the linked object of that name; null where there is none. The source is \"active_directory\".",
		call: linkedUser(linkedManager),
	},
	{
		name: "getManagerAppUser", dialect: Classic, result: kindAppUser | kindNull, reads: RootLinked | RootAppUsers,
		params: []parameter{{name: "managerSource", want: argText}, {name: "attributeSource", want: argText}}, prepare: checkSource,
		doc:  "The manager's assignment to an app, which is named by type or id; null where there is none or more than one.",
		call: linkedAppUser(linkedManager),
	},
	{
		name: "getAssistantUser", dialect: Classic, result: kindUser | kindNull, reads: RootLinked,
		params: []parameter{{name: "assistantSource", want: argText}}, prepare: checkSource,
		doc:  "The user's assistant: the linked object of that name; null where there is none. The source is \"active_directory\".",
		call: linkedUser(linkedAssistant),
	},
	{
		name: "getAssistantAppUser", dialect: Classic, result: kindAppUser | kindNull, reads: RootLinked | RootAppUsers,
		params: []parameter{{name: "assistantSource", want: argText}, {name: "attributeSource", want: argText}}, prepare: checkSource,
		doc:  "The assistant's assignment to an app, which is named by type or id; null where there is none or more than one.",
		call: linkedAppUser(linkedAssistant),
	},
}

var errSource = errors.New(`the source must be "active_directory"`)

// checkSource refuses a literal source that does not exist.
func checkSource(c checker, name *syntaxNode, args []*syntaxNode) (any, error) {
	if args[0].isText() && args[0].value != activeDirectory {
		return nil, c.Fail(args[0].offset, "%s: %v", name.text, errSource)
	}
	return nil, nil
}

// appUserOf gives somebody's only assignment to an app, by type or id. An
// assignment without an owner is the user's own.
func (e *env) appUserOf(owner *identity.User, own bool, app string) (any, error) {
	if err := e.consume(len(e.c.AppUsers), listPerStep); err != nil {
		return nil, err
	}
	if err := e.c.UntoldError(identity.FactAppUsers); err != nil {
		return nil, err
	}
	var found *identity.AppUser
	for i := range e.c.AppUsers {
		u := &e.c.AppUsers[i]
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

func findAppUser(app string) call {
	return func(e *env, _ any, _ []any) (any, error) { return e.appUserOf(e.c.User, true, app) }
}

func hasAppUser(app string) call {
	return func(e *env, _ any, _ []any) (any, error) {
		u, err := e.appUserOf(e.c.User, true, app)
		if err != nil {
			return nil, err
		}
		return u != nil, nil
	}
}

func linkedUser(name string) call {
	return func(e *env, _ any, args []any) (any, error) {
		if args[0].(string) != activeDirectory {
			return nil, errSource
		}
		return e.linked(name)
	}
}

func linkedAppUser(name string) call {
	return func(e *env, _ any, args []any) (any, error) {
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
