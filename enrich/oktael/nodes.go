package oktael

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/object"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// The nodes that read: literals, inputs, variables, properties and elements, and
// those that make lists and maps. A node belongs to a Program and is shared by
// its evaluations; what differs between them is in the evaluation.

// literalNode is a value of the source itself.
type literalNode struct {
	position
	value any
}

// eval returns the literal; lists among literals are shared by evaluations.
func (n *literalNode) eval(*evaluation) (any, error) { return n.value, nil }

// inputNode reads an input.
type inputNode struct {
	position
	input Inputs
}

// eval returns null for what belongs to a user where there is none, and an error
// for what is not known.
func (n *inputNode) eval(e *evaluation) (any, error) {
	const ofPerson = input.User | input.Groups | input.App | input.AppUser | input.Token | input.Claims
	if e.Context.Anonymous && n.input&ofPerson != 0 {
		return nil, nil
	}
	switch n.input {
	case input.User:
		if e.Context.User != nil {
			return e.Context.User, nil
		}
		return nil, e.wrap(n.at(), e.Context.UnavailableError(identity.FactUser))
	case input.App:
		if e.Context.App != nil {
			return e.Context.App, nil
		}
		return nil, e.wrap(n.at(), e.Context.UnavailableError(identity.FactApp))
	case input.AppUser:
		if e.Context.AppUser != nil {
			return e.Context.AppUser, nil
		}
		return nil, e.wrap(n.at(), e.Context.UnavailableError(identity.FactAppUser))
	case input.Access:
		return value.Access{}, nil
	case input.Groups:
		groups, err := e.ScanGroups()
		if err != nil {
			return nil, e.wrap(n.at(), err)
		}
		return groupList(groups), nil
	case input.Org:
		return e.Context.Org, nil
	case input.Session:
		return e.Context.Session, nil
	case input.Token:
		if e.Context.PartialGroupsClaim != "" {
			return nil, e.wrap(n.at(), input.ErrGroupsUnknown)
		}
		return e.Context.Token, nil
	case input.Claims:
		return e.Context.Claims, nil
	case input.Request:
		return e.Context.Request, nil
	default: // what has a node of its own, or is only asked for by functions
	}
	return nil, nil
}

// groupList returns the groups as a list of values.
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
	name string

	// optional makes a variable that is missing null instead of an error.
	optional bool
}

// eval suggests the nearest name where there is no such variable.
func (n *varNode) eval(e *evaluation) (any, error) {
	v, ok := e.Context.Vars[n.name]
	if !ok && !n.optional {
		names := append(input.All.Names(), slices.Sorted(maps.Keys(e.Context.Vars))...)
		return nil, e.fail(n.at(), "unknown variable %s%s", n.name, suggest.DidYouMean(n.name, names))
	}
	return v, nil
}

// groupNode reads the group of a group expression.
type groupNode struct{ position }

// eval is the group that the evaluation is at.
func (n *groupNode) eval(e *evaluation) (any, error) { return e.group, nil }

// base evaluates what a member is read of. Of a token whose groups
// are partial every other member may be read; an empty name is one that is not
// known yet.
func (e *evaluation) base(n node, name string) (any, error) {
	of, ok := n.(*inputNode)
	if !ok || of.input != input.Token || e.Context.PartialGroupsClaim == "" || e.Context.Anonymous || name == "" || strings.EqualFold(name, e.Context.PartialGroupsClaim) {
		return e.run(n)
	}
	return e.Context.Token, nil
}

// propertyNode reads a property.
type propertyNode struct {
	position
	base node
	name string

	// safe makes the property null where the base is.
	safe bool

	// folded finds members of a map in any case; see object.FoldedMember.
	folded bool
}

// eval reads the property as object.Property does.
func (n *propertyNode) eval(e *evaluation) (any, error) {
	base, err := e.base(n.base, n.name)
	if err != nil {
		return nil, err
	}
	if base == nil && n.safe {
		return nil, nil
	}
	if m, ok := base.(map[string]any); ok && n.folded {
		return object.FoldedMember(m, n.name), nil
	}
	v, err := object.Property(e.Context, e.Dialect, base, n.name)
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

// eval evaluates the base before the key.
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

// index reads an element by position, a character by position, or a property by
// name, whatever the base turns out to be.
func (e *evaluation) index(base, key any) (any, error) {
	switch x := base.(type) {
	case nil:
		return nil, value.NullError("null cannot be indexed")
	case []any:
		i, err := value.Integer(key)
		if err != nil {
			return nil, err
		}
		if i < 0 || i >= int64(len(x)) {
			return nil, value.ErrNoElement
		}
		return x[i], nil
	case string:
		i, err := value.Integer(key)
		if err != nil {
			return nil, err
		}
		// A character is found by counting those before it.
		if err := e.Consume(len(x), value.TextPerStep); err != nil {
			return nil, err
		}
		at, end := value.CharacterRange(x, i, i+1)
		if i < 0 || end < 0 {
			return nil, value.ErrSubstring
		}
		return x[at:end], nil
	}
	name, err := e.Text(key)
	if err != nil || key == nil {
		return nil, fmt.Errorf("a key must be a string, not %s", value.KindOf(key))
	}
	if err := e.Consume(len(name), value.TextPerStep); err != nil {
		return nil, err
	}
	return object.Property(e.Context, e.Dialect, base, name)
}

// listNode makes a list.
type listNode struct {
	position
	elements []node
}

// eval makes a new list for each evaluation.
func (n *listNode) eval(e *evaluation) (any, error) {
	if err := e.Consume(len(n.elements), value.LiteralPerStep); err != nil {
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

// eval writes keys that are numbers or booleans as text.
func (n *mapNode) eval(e *evaluation) (any, error) {
	if err := e.Consume(len(n.keys), value.LiteralPerStep/2); err != nil {
		return nil, e.wrap(n.at(), err)
	}
	m := make(map[string]any, len(n.keys))
	for i := range n.keys {
		k, err := e.run(n.keys[i])
		if err != nil {
			return nil, err
		}
		if value.KindOf(k)&(value.KindText|value.KindNumber|value.KindBool) == 0 {
			return nil, e.fail(n.keys[i].at(), "a key must be a string, not %s", value.KindOf(k))
		}
		key, err := e.Text(k)
		if err == nil {
			err = e.Consume(len(key), value.TextPerStep)
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
