package oktael

import (
	"fmt"
	"maps"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/object"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
)

// Projections and selections, and what is read inside of them. There a bare name
// is a member of the element first, and what it is outside only where the element
// has no such member.

// elementNode reads the element of a projection or selection.
type elementNode struct{ position }

// eval is the element that the evaluation is at.
func (n *elementNode) eval(e *evaluation) (any, error) { return e.element, nil }

// memberNode reads a bare name inside of a projection or selection: the
// element's member, or else what the name means outside.
type memberNode struct {
	position
	name      string
	otherwise node
}

// eval looks at the element first and then outside.
func (n *memberNode) eval(e *evaluation) (any, error) {
	switch x := e.element.(type) {
	case map[string]any:
		if v, ok := x[n.name]; ok || n.otherwise == nil {
			return v, nil
		}
	case *identity.Group:
		if n.name == "group" {
			return x, nil
		}
		v, err := object.Property(e.Context, e.Dialect, x, n.name)
		if err != nil {
			return nil, e.wrap(n.at(), err)
		}
		if v != nil || n.otherwise == nil || isGroupField(n.name) {
			return v, nil
		}
	default:
		v, err := object.Property(e.Context, e.Dialect, e.element, n.name)
		switch {
		case err == nil && v != nil:
			return v, nil
		case n.otherwise != nil && !e.lacks(n.otherwise): // it means something outside
		case err != nil:
			return nil, e.wrap(n.at(), err)
		default:
			return nil, nil
		}
	}
	return e.run(n.otherwise)
}

// lacks reports whether a node is a variable that is not there.
func (e *evaluation) lacks(n node) bool {
	v, ok := n.(*varNode)
	if !ok {
		return false
	}
	_, ok = e.Context.Vars[v.name]
	return !ok
}

// isGroupField reports whether a field is one that every group has, be it unset.
func isGroupField(name string) bool {
	switch name {
	case "id", "name", "type", "source", "objectClass", "profile", "description", "status", "created", "lastUpdated", "lastMembershipUpdated":
		return true
	}
	return false
}

// entries returns a map as a list of its entries, each a map of key and value,
// in the order of the keys.
func entries(m map[string]any) []any {
	list := make([]any, 0, len(m))
	for _, key := range slices.Sorted(maps.Keys(m)) {
		list = append(list, map[string]any{"key": key, "value": m[key]})
	}
	return list
}

// projectNode computes its body for each element.
type projectNode struct {
	position
	base, body node
	safe       bool
}

// eval keeps nulls, so that the result is as long as the list.
func (n *projectNode) eval(e *evaluation) (any, error) {
	_, list, err := e.elementsOf(n.base, n.safe)
	if err != nil || list == nil {
		return nil, e.wrap(n.at(), err)
	}
	outer := e.element
	defer func() { e.element = outer }()
	out := make([]any, len(list))
	for i, element := range list {
		e.element = element
		if out[i], err = e.run(n.body); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// elementsOf returns what a projection or selection goes over, and the value
// that holds it; nil where the result is null.
func (e *evaluation) elementsOf(of node, safe bool) (base any, list []any, err error) {
	if base, err = e.run(of); err != nil {
		return nil, nil, err
	}
	switch x := base.(type) {
	case nil:
		if safe {
			return nil, nil, nil
		}
		return nil, nil, value.NullError("null has no elements")
	case []any:
		if x == nil {
			x = []any{}
		}
		return x, x, e.Consume(len(x), value.ListPerStep)
	case map[string]any:
		// Each entry is a map that is made here.
		if err := e.Consume(len(x), value.LiteralPerStep); err != nil {
			return nil, nil, err
		}
		return x, entries(x), nil
	}
	return nil, nil, fmt.Errorf("only lists and maps have elements, not %s", value.KindOf(base))
}

// selectNode keeps the elements for which its body is true: all of them (?),
// the first (^) or the last ($).
type selectNode struct {
	position
	base, body node
	which      byte
	safe       bool
}

// eval returns a list for ? and one element or null for ^ and $. From a map it
// selects entries and returns a map.
func (n *selectNode) eval(e *evaluation) (any, error) {
	base, list, err := e.elementsOf(n.base, n.safe)
	if err != nil || list == nil {
		return nil, e.wrap(n.at(), err)
	}
	outer := e.element
	defer func() { e.element = outer }()
	kept := []any{}
	for i := range list {
		if n.which == '$' { // from the end, so that the last comes first
			i = len(list) - 1 - i
		}
		e.element = list[i]
		v, err := e.run(n.body)
		if err != nil {
			return nil, err
		}
		keep, ok := v.(bool)
		if !ok {
			return nil, e.fail(n.body.at(), "the condition is %s, not true or false", value.KindOf(v))
		}
		if !keep {
			continue
		}
		if kept = append(kept, list[i]); n.which != '?' {
			break
		}
	}
	if _, ok := base.(map[string]any); ok {
		m := make(map[string]any, len(kept))
		for _, entry := range kept {
			m[entry.(map[string]any)["key"].(string)] = entry.(map[string]any)["value"]
		}
		return m, nil
	}
	switch {
	case n.which == '?':
		return kept, nil
	case len(kept) == 0:
		return nil, nil
	}
	return kept[0], nil
}
