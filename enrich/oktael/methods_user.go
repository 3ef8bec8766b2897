package oktael

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

var selfUser = parameter{name: "user", want: argAny}

// userMethods are the methods of the user, in both dialects.
var userMethods = []function{
	{
		name: "getGroups", receiver: kindUser, result: kindList, ofGroups: true, reads: RootGroups, rest: true, optional: 1,
		params: []parameter{selfUser, {name: "criteria", want: argMap}},
		doc: "The user's groups that fit all criteria, in the directory's order. A criterion is a map of group.id, group.source.id, group.type " +
			"or group.profile.name to a text or a list of texts, one of which must fit; with group.profile.name, operator is EXACT or " +
			"STARTS_WITH, which is the default. Case matters.",
		prepare: checkCriteria,
		call: func(e *env, _ any, args []any) (any, error) {
			found := []any{}
			err := e.matchGroups(args, func(g *identity.Group) bool {
				found = append(found, g)
				return true
			})
			if err != nil {
				return nil, err
			}
			return found, nil
		},
	},
	{
		name: "isMemberOf", receiver: kindUser, result: kindBool, reads: RootGroups, rest: true,
		params:  []parameter{selfUser, {name: "criteria", want: argMap}},
		doc:     "Whether one of the user's groups fits all criteria; see getGroups.",
		prepare: checkCriteria,
		call: func(e *env, _ any, args []any) (any, error) {
			member := false
			err := e.matchGroups(args, func(*identity.Group) bool {
				member = true
				return false
			})
			if err != nil {
				return nil, err
			}
			return member, nil
		},
	},
	{
		name: "getLinkedObject", receiver: kindUser, result: kindUser | kindNull, reads: RootLinked,
		params: []parameter{selfUser, {name: "primaryName", want: argText}},
		doc:    "The user who is linked under this primary name (manager, …); null where there is none.",
		call: func(e *env, _ any, args []any) (any, error) {
			if err := e.own(args[0]); err != nil {
				return nil, err
			}
			return e.linked(args[1].(string))
		},
	},
	{
		name: "getInternalProperty", receiver: kindUser, dialect: Classic, result: kindText | kindNull,
		params: []parameter{selfUser, {name: "name", want: argText}},
		doc:    "The user's id or status, whatever the profile has under those names.",
		prepare: func(c checker, _ *syntaxNode, args []*syntaxNode) (any, error) {
			if name, ok := args[1].value.(string); ok && args[1].isText() && !slices.Contains(internalProperties, name) {
				return nil, c.Fail(args[1].offset, "there is no internal property %q%s", name, nearest.Hint(name, internalProperties))
			}
			return nil, nil
		},
		call: func(e *env, _ any, args []any) (any, error) {
			u := args[0].(*identity.User)
			switch args[1].(string) {
			case "id":
				return textOrNull(u.ID), nil
			case "status":
				if u.Status == "" {
					return nil, e.c.UntoldError(identity.FactStatus)
				}
				return u.Status, nil
			}
			return nil, errors.New("there is no internal property of that name")
		},
	},
}

// internalProperties are what getInternalProperty knows.
var internalProperties = []string{"id", "status"}

var errNotOwn = errors.New("only the user's own groups and linked objects are known, not a linked user's")

// own refuses linked users, of whom the context tells attributes only.
func (e *env) own(v any) error {
	if u, ok := v.(*identity.User); !ok || u != e.c.User {
		return errNotOwn
	}
	return nil
}

// linked gives a linked user, or nil as null.
func (e *env) linked(name string) (any, error) {
	if u := e.c.Linked[name]; u != nil {
		return u, nil
	}
	if e.c.LinkedNames != nil && !slices.Contains(e.c.LinkedNames, name) {
		return nil, fmt.Errorf("%w: no linked object of that name is asked for", ErrUntold)
	}
	return nil, e.c.UntoldError(identity.FactLinked)
}
