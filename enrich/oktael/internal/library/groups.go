package library

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// The group functions of the Classic dialect. A group without a name is left out
// where names are compared. Groups that are unknown are an error in each of them,
// never an empty list: not knowing a membership must not read as not having it.

// ErrTooManyGroups says that more groups match than the call's limit
// allows. Options.TruncateOverLimit cuts the list instead.
var ErrTooManyGroups = errors.New("more groups match than the limit allows")

// groupFunctions are the group functions of the Classic dialect. All of them
// see the user's groups from every source, in the directory's order, and
// fail with ErrGroupsUnknown where the groups are unknown. Case matters.
var groupFunctions = []Function{
	// The value of the group expression for each of the user's groups whose id
	// is on the allow list, in the order of the user's groups; null if there is
	// none. More matches than the limit are an error, unless the rule truncates.
	{
		Name: "getFilteredGroups", Dialect: syntax.Classic, Result: value.KindList | value.KindNull, Reads: input.Groups,
		Params: []Param{
			{Name: "allowList", Want: argList}, {Name: "groupExpression", Want: argText}, {Name: "limit", Want: argInt},
		},
		Prepare: prepareFilteredGroups,
		Call:    getFilteredGroups,
	},
	// The names that begin with the pattern, of the user's groups from an app;
	// null if there is none. More matches than the limit are an error, unless
	// the rule truncates.
	{
		Name: "Groups.startsWith", Dialect: syntax.Classic, Result: value.KindList | value.KindNull, Reads: input.Groups,
		Params: groupFamilyParams,
		Call:   groupFamily(strings.HasPrefix),
	},
	// As Groups.startsWith, for names that end with the pattern.
	{
		Name: "Groups.endsWith", Dialect: syntax.Classic, Result: value.KindList | value.KindNull, Reads: input.Groups,
		Params: groupFamilyParams,
		Call:   groupFamily(strings.HasSuffix),
	},
	// As Groups.startsWith, for names that contain the pattern.
	{
		Name: "Groups.contains", Dialect: syntax.Classic, Result: value.KindList | value.KindNull, Reads: input.Groups,
		Params: groupFamilyParams,
		Call:   groupFamily(strings.Contains),
	},
	// Whether the user is in a group of this name.
	{
		Name: "isMemberOfGroupName", Dialect: syntax.Classic, Result: value.KindBool, OnNull: NullFalse, Reads: input.Groups,
		Params: []Param{{Name: "name", Want: argText}},
		Call:   memberByName(func(name, wanted string) bool { return name == wanted }),
	},
	// Whether the user is in the group with this id.
	{
		Name: "isMemberOfGroup", Dialect: syntax.Classic, Result: value.KindBool, OnNull: NullFalse, Reads: input.Groups,
		Params: []Param{{Name: "groupId", Want: argText}}, Call: memberOfAny,
	},
	// Whether the user is in a group with one of these ids. A list among them
	// counts as its elements.
	// Null: a null id matches no group.
	{
		Name: "isMemberOfAnyGroup", Dialect: syntax.Classic, Result: value.KindBool, Reads: input.Groups, Rest: true,
		Params: []Param{{Name: "groupIds", Want: argAny, Nullable: true}}, Call: memberOfAny,
	},
	// Whether the user is in a group whose name begins with the prefix.
	{
		Name: "isMemberOfGroupNameStartsWith", Dialect: syntax.Classic, Result: value.KindBool, OnNull: NullFalse, Reads: input.Groups,
		Params: []Param{{Name: "prefix", Want: argText}}, Call: memberByName(strings.HasPrefix),
	},
	// Whether the user is in a group whose name contains the string.
	{
		Name: "isMemberOfGroupNameContains", Dialect: syntax.Classic, Result: value.KindBool, OnNull: NullFalse, Reads: input.Groups,
		Params: []Param{{Name: "text", Want: argText}}, Call: memberByName(strings.Contains),
	},
	// Whether the user is in a group whose whole name matches the regular
	// expression. A slash before it, or slashes around it, are ignored, as in
	// the example of Okta's reference.
	{
		Name: "isMemberOfGroupNameRegex", Dialect: syntax.Classic, Result: value.KindBool, OnNull: NullFalse, Reads: input.Groups,
		Params: []Param{{Name: "regex", Want: argText}},
		Prepare: func(c Checker, _ *syntax.Node, args []*syntax.Node) (any, error) {
			if !args[0].IsText() {
				return nil, nil
			}
			res, err := nameRegexes(args[0].Value.(string), value.CompileRegex)
			if err != nil {
				return nil, c.Fail(args[0].Offset, "%v", err)
			}
			return res, nil
		},
		Call: memberByRegex,
	},
}

// groupFamilyParams are the parameters of Groups.startsWith and its kin.
var groupFamilyParams = []Param{{Name: "app", Want: argText}, {Name: "pattern", Want: argText}, {Name: "limit", Want: argInt}}

// oktaApp is the word for the groups that the directory itself holds.
const oktaApp = "OKTA"

// activeDirectory is the app type of Active Directory.
const activeDirectory = "active_directory"

// fromApp reports whether a group comes from an app: "OKTA" for the
// directory's own, the app's id, or its type. Of types only Active
// Directory's shows in the group itself; otherwise the directory has to name
// the type as the group's source.
func fromApp(g *identity.Group, app string) bool {
	switch {
	case app == oktaApp:
		return g.Type != identity.GroupTypeApp
	case g.Type != identity.GroupTypeApp && g.Source == "":
		return false
	case g.Source == app:
		return true
	}
	return app == activeDirectory && slices.Contains(g.ObjectClass, "okta:windows_security_principal")
}

var errLimitArgument = errors.New("the limit must be at least 1")

// tooMany reports what to do when one more group matches than the limit
// allows: stop, or fail.
func (e *Env) tooMany(limit int64) error {
	if e.Truncate {
		return nil
	}
	return fmt.Errorf("limit %d: %w", limit, ErrTooManyGroups)
}

// groupFamily is Groups.startsWith and its kin: the names of the groups of an app
// that match a pattern.
func groupFamily(match func(name, pattern string) bool) Call {
	return func(e *Env, _ any, args []any) (any, error) {
		app, pattern, limit := args[0].(string), args[1].(string), args[2].(int64)
		if limit < 1 {
			return nil, errLimitArgument
		}
		groups, err := e.ScanGroups()
		if err != nil {
			return nil, err
		}
		var names []any
		for i := range groups {
			name := groups[i].MatchName()
			if name == "" || !match(name, pattern) {
				continue
			}
			if g := &groups[i]; app != oktaApp && g.Type == "" && g.Source == "" {
				// It might be any app's.
				if err := e.Context.UnavailableError(identity.FactGroupType | identity.FactGroupSource); err != nil {
					return nil, err
				}
			}
			if !fromApp(&groups[i], app) {
				continue
			}
			if int64(len(names)) == limit {
				if err := e.tooMany(limit); err != nil {
					return nil, err
				}
				break
			}
			names = append(names, name)
		}
		if names == nil {
			return nil, nil
		}
		return names, nil
	}
}

// memberByName looks for a group whose name matches.
func memberByName(match func(name, wanted string) bool) Call {
	return func(e *Env, _ any, args []any) (any, error) {
		groups, err := e.ScanGroups()
		if err != nil {
			return nil, err
		}
		wanted := args[0].(string)
		for i := range groups {
			if name := groups[i].MatchName(); name != "" && match(name, wanted) {
				return true, nil
			}
		}
		return false, nil
	}
}

// memberOfAny looks for ids. With an index each id costs one look-up.
func memberOfAny(e *Env, _ any, args []any) (any, error) {
	groups, err := e.Groups()
	if err != nil {
		return nil, err
	}
	ids := flattened(args)
	if err := e.Consume(len(ids), value.ListPerStep); err != nil {
		return nil, err
	}
	var found [1]int32
	for _, v := range ids {
		if v == nil {
			continue
		}
		id, err := e.Text(v)
		if err != nil {
			return nil, err
		}
		if id == "" { // no group has the empty id
			continue
		}
		if e.Context.Index.Fits(groups) {
			if len(e.Context.Index.Find(groups, id, found[:0])) > 0 {
				return true, nil
			}
			continue
		}
		if err := e.Consume(len(groups), value.ListPerStep); err != nil {
			return nil, err
		}
		for i := range groups {
			if groups[i].ID == id {
				return true, nil
			}
		}
	}
	return false, nil
}

// nameRegexes compiles a regular expression for names. The reference's
// example has a stray slash before it: such a one is tried as it
// is and without the slash.
func nameRegexes(pattern string, compile func(string) (*value.Regex, error)) ([]*value.Regex, error) {
	patterns := []string{pattern}
	if bare, ok := strings.CutPrefix(pattern, "/"); ok {
		patterns = append(patterns, strings.TrimSuffix(bare, "/"))
	}
	res := make([]*value.Regex, len(patterns))
	for i, p := range patterns {
		re, err := compile(p)
		if err != nil {
			return nil, err
		}
		res[i] = re
	}
	return res, nil
}

// memberByRegex looks for a group whose name matches a regular expression.
func memberByRegex(e *Env, prepared any, args []any) (any, error) {
	res, ok := prepared.([]*value.Regex)
	if !ok {
		var err error
		if res, err = nameRegexes(args[0].(string), e.Regexes.Compile); err != nil {
			return nil, err
		}
	}
	groups, err := e.ScanGroups()
	if err != nil {
		return nil, err
	}
	for i := range groups {
		name := groups[i].MatchName()
		if name == "" {
			continue
		}
		for _, re := range res {
			if matched, err := e.Match(re, name); matched || err != nil {
				return matched, err
			}
		}
	}
	return false, nil
}
