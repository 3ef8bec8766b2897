package library

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/object"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Methods of the user. They know the groups and linked objects of the user alone;
// a linked user has attributes only.

// selfUser is the receiver of the methods.
var selfUser = Param{Name: "user", Want: argAny}

// userMethods are the methods of the user, in both dialects.
var userMethods = []Function{
	// The user's groups that fit all criteria, in the directory's order. A
	// criterion is a map of group.id, group.source.id, group.type or
	// group.profile.name to a string or a list of strings, one of which must
	// fit; with group.profile.name, operator is EXACT or STARTS_WITH (the
	// default). Case matters.
	{
		Name: "getGroups", Receiver: value.KindUser, Result: value.KindList, OfGroups: true, Reads: input.Groups, Rest: true, Optional: 1,
		Params:  []Param{selfUser, {Name: "criteria", Want: argMap}},
		Prepare: checkCriteria,
		Call: func(e *Env, _ any, args []any) (any, error) {
			found := []any{}
			err := e.matchGroups(args, func(g *identity.Group) bool {
				found = append(found, g)
				return true
			})
			return found, err
		},
	},
	// Whether one of the user's groups fits all criteria; see getGroups.
	{
		Name: "isMemberOf", Receiver: value.KindUser, Result: value.KindBool, Reads: input.Groups, Rest: true,
		Params:  []Param{selfUser, {Name: "criteria", Want: argMap}},
		Prepare: checkCriteria,
		Call: func(e *Env, _ any, args []any) (any, error) {
			member := false
			err := e.matchGroups(args, func(*identity.Group) bool {
				member = true
				return false
			})
			return member, err
		},
	},
	// The user linked under this primary name (manager, …); null if there is
	// none.
	{
		Name: "getLinkedObject", Receiver: value.KindUser, Result: value.KindUser | value.KindNull, Reads: input.Linked,
		Params: []Param{selfUser, {Name: "primaryName", Want: argText}},
		Call: func(e *Env, _ any, args []any) (any, error) {
			if err := e.refuseLinked(args[0]); err != nil {
				return nil, err
			}
			return e.linked(args[1].(string))
		},
	},
	// The user's id or status, whatever the profile has under those names.
	{
		Name: "getInternalProperty", Receiver: value.KindUser, Dialect: syntax.Classic, Result: value.KindText | value.KindNull,
		Params: []Param{selfUser, {Name: "name", Want: argText}},
		Prepare: func(c Checker, _ *syntax.Node, args []*syntax.Node) (any, error) {
			if name, ok := args[1].Value.(string); ok && args[1].IsText() && !slices.Contains(internalProperties, name) {
				return nil, c.Fail(args[1].Offset, "unknown internal property %q%s", name, suggest.DidYouMean(name, internalProperties))
			}
			return nil, nil
		},
		Call: func(e *Env, _ any, args []any) (any, error) {
			u := args[0].(*identity.User)
			switch args[1].(string) {
			case "id":
				return object.TextOrNull(u.ID), nil
			case "status":
				if u.Status == "" {
					return nil, e.Context.UnavailableError(identity.FactStatus)
				}
				return u.Status, nil
			}
			return nil, errors.New("unknown internal property")
		},
	},
}

// internalProperties are what getInternalProperty knows.
var internalProperties = []string{"id", "status"}

var errNotOwn = errors.New("only the user's own groups and linked objects are known, not a linked user's")

// refuseLinked refuses linked users, of whom the context has attributes only.
func (e *Env) refuseLinked(v any) error {
	if u, ok := v.(*identity.User); !ok || u != e.Context.User {
		return errNotOwn
	}
	return nil
}

// linked returns the user who is linked under a name, or nil. A name that no
// directory was asked for is an error, because nothing is known of it.
func (e *Env) linked(name string) (any, error) {
	if u := e.Context.Linked[name]; u != nil {
		return u, nil
	}
	if e.Context.LinkedNames != nil && !slices.Contains(e.Context.LinkedNames, name) {
		return nil, fmt.Errorf("%w: no linked object of that name is requested", input.ErrFactUnavailable)
	}
	return nil, e.Context.UnavailableError(identity.FactLinked)
}
