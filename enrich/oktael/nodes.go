package oktael

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// literalNode is a value of the source itself.
type literalNode struct {
	position
	value any
}

func (n *literalNode) eval(*evaluation) (any, error) { return n.value, nil }

// rootNode reads a root.
type rootNode struct {
	position
	root Roots
}

func (n *rootNode) eval(e *evaluation) (any, error) {
	const ofPerson = RootUser | RootGroups | RootApp | RootAppUser | RootToken | RootClaims
	if e.c.Anonymous && n.root&ofPerson != 0 {
		return nil, nil
	}
	switch n.root {
	case RootUser:
		if e.c.User != nil {
			return e.c.User, nil
		}
		return nil, e.wrap(n.at(), e.c.UntoldError(identity.FactUser))
	case RootApp:
		if e.c.App != nil {
			return e.c.App, nil
		}
		return nil, e.wrap(n.at(), e.c.UntoldError(identity.FactApp))
	case RootAppUser:
		if e.c.AppUser != nil {
			return e.c.AppUser, nil
		}
		return nil, e.wrap(n.at(), e.c.UntoldError(identity.FactAppUser))
	case RootAccess:
		return accessObject{}, nil
	case RootGroups:
		groups, err := e.groups()
		if err == nil {
			err = e.consume(len(groups), listPerStep)
		}
		if err != nil {
			return nil, e.wrap(n.at(), err)
		}
		return groupList(groups), nil
	case RootOrg:
		return e.c.Org, nil
	case RootSession:
		return e.c.Session, nil
	case RootToken:
		if e.c.Withheld != "" {
			return nil, e.wrap(n.at(), ErrGroupsUnknown)
		}
		return e.c.Token, nil
	case RootClaims:
		return e.c.Claims, nil
	case RootRequest:
		return e.c.Request, nil
	default: // what has a node of its own, or is only asked for by functions
	}
	return nil, nil
}

// groupList gives the groups as a list of the evaluator's.
func groupList(groups []identity.Group) []any {
	list := make([]any, len(groups))
	for i := range groups {
		list[i] = &groups[i]
	}
	return list
}

// varNode reads a variable.
type varNode struct {
	position
	name     string
	optional bool
}

func (n *varNode) eval(e *evaluation) (any, error) {
	v, ok := e.c.Vars[n.name]
	if !ok && !n.optional {
		names := append(AllRoots.names(), slices.Sorted(maps.Keys(e.c.Vars))...)
		return nil, e.fail(n.at(), "there is no %s here%s", n.name, nearest.Hint(n.name, names))
	}
	return v, nil
}

// groupNode reads the group of a group expression.
type groupNode struct{ position }

func (n *groupNode) eval(e *evaluation) (any, error) { return e.group, nil }

// base evaluates what a member is read of. Of a token that withholds groups,
// every other member may be read; an empty name is one that is not known yet.
func (e *evaluation) base(n node, name string) (any, error) {
	root, ok := n.(*rootNode)
	if !ok || root.root != RootToken || e.c.Withheld == "" || e.c.Anonymous || name == "" || strings.EqualFold(name, e.c.Withheld) {
		return e.run(n)
	}
	return e.c.Token, nil
}

// propertyNode reads a property.
type propertyNode struct {
	position
	base   node
	name   string
	safe   bool
	folded bool
}

func (n *propertyNode) eval(e *evaluation) (any, error) {
	base, err := e.base(n.base, n.name)
	if err != nil {
		return nil, err
	}
	if base == nil && n.safe {
		return nil, nil
	}
	if m, ok := base.(map[string]any); ok && n.folded {
		return foldedMember(m, n.name), nil
	}
	v, err := property(e.c, e.dialect, base, n.name)
	if err != nil {
		return nil, e.wrap(n.at(), err)
	}
	return v, nil
}

// indexNode reads x[key].
type indexNode struct {
	position
	base, key node
}

func (n *indexNode) eval(e *evaluation) (any, error) {
	name := "" // of a key that is computed
	if l, ok := n.key.(*literalNode); ok {
		name, _ = l.value.(string)
	}
	base, err := e.base(n.base, name)
	if err != nil {
		return nil, err
	}
	key, err := e.run(n.key)
	if err != nil {
		return nil, err
	}
	v, err := e.index(base, key)
	if err != nil {
		return nil, e.wrap(n.at(), err)
	}
	return v, nil
}

func (e *evaluation) index(base, key any) (any, error) {
	switch x := base.(type) {
	case nil:
		return nil, onNull("null cannot be indexed")
	case []any:
		i, err := integer(key)
		if err != nil {
			return nil, err
		}
		if i < 0 || i >= int64(len(x)) {
			return nil, errNoElement
		}
		return x[i], nil
	case string:
		i, err := integer(key)
		if err != nil {
			return nil, err
		}
		// A character is found by counting those before it.
		if err := e.consume(len(x), textPerStep); err != nil {
			return nil, err
		}
		at, end := characterRange(x, i, i+1)
		if i < 0 || end < 0 {
			return nil, errSubstring
		}
		return x[at:end], nil
	}
	name, err := e.text(key)
	if err != nil || key == nil {
		return nil, fmt.Errorf("a key must be a text, not %s", kindOf(key))
	}
	if err := e.consume(len(name), textPerStep); err != nil {
		return nil, err
	}
	return property(e.c, e.dialect, base, name)
}

// listNode makes a list.
type listNode struct {
	position
	elements []node
}

func (n *listNode) eval(e *evaluation) (any, error) {
	if err := e.consume(len(n.elements), literalPerStep); err != nil {
		return nil, e.wrap(n.at(), err)
	}
	list := make([]any, len(n.elements))
	for i, element := range n.elements {
		v, err := e.run(element)
		if err != nil {
			return nil, err
		}
		list[i] = v
	}
	return list, nil
}

// mapNode makes a map; of equal keys the last wins.
type mapNode struct {
	position
	keys, values []node
}

func (n *mapNode) eval(e *evaluation) (any, error) {
	if err := e.consume(len(n.keys), literalPerStep/2); err != nil {
		return nil, e.wrap(n.at(), err)
	}
	m := make(map[string]any, len(n.keys))
	for i := range n.keys {
		k, err := e.run(n.keys[i])
		if err != nil {
			return nil, err
		}
		if kindOf(k)&(kindText|kindNumber|kindBool) == 0 {
			return nil, e.fail(n.keys[i].at(), "a key must be a text, not %s", kindOf(k))
		}
		key, err := e.text(k)
		if err == nil {
			err = e.consume(len(key), textPerStep)
		}
		if err != nil {
			return nil, e.wrap(n.keys[i].at(), err)
		}
		if m[key], err = e.run(n.values[i]); err != nil {
			return nil, err
		}
	}
	return m, nil
}
