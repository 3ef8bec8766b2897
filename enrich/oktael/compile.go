package oktael

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// The compiler goes over the tree once, from the leaves up. For each part it
// makes a node and works out the kinds that its value can be of; a part that no
// value could make right is an error with its position. On the way it notes what
// the expression reads and warns of what is probably a mistake.

// compiler turns a syntax tree into nodes and checks what can be checked
// before there are values.
type compiler struct {
	// source is the whole expression, for the positions of errors.
	source  string
	options Options

	// base is where the tree's source begins inside of source: not 0 for a
	// group expression, which is a literal of the whole.
	base int

	// element are the kinds of the element whose projection or selection is
	// being compiled; 0 outside of one.
	element value.Kinds

	// inGroup says that this is a group expression, where "group" is bound.
	inGroup bool

	// groupDepth counts the group expressions around this one.
	groupDepth int

	// known counts, by path, the conditions around the present part that
	// exclude null.
	known map[string]int

	// What the expression reads, and what is warned of; see Program.
	reads    Inputs
	members  *memberReads
	warnings []Warning
}

// typed is a node with the kinds that its value can be of.
type typed struct {
	node node

	// kinds are exact for what the expression makes, and everything that an
	// attribute can be for what it reads.
	kinds value.Kinds
}

// Fail returns an error at an offset of the tree's source.
func (c *compiler) Fail(offset int, format string, args ...any) error {
	return syntax.NewError(c.source, c.base+offset, format, args...)
}

// at returns the position of a part in the source.
func (c *compiler) at(s *syntax.Node) position { return position(c.base + s.Offset) }

// read notes that the expression reads inputs and refuses those that it may
// not.
func (c *compiler) read(offset int, inputs Inputs, what string) error {
	if denied := inputs &^ c.options.Inputs; denied != 0 {
		return c.Fail(offset, "%s reads %s, which is not available here", what, denied)
	}
	c.reads |= inputs
	return nil
}

// Warn notes something that is allowed but probably a mistake.
func (c *compiler) Warn(offset int, format string, args ...any) {
	w := Warning{Offset: c.base + offset, Msg: fmt.Sprintf(format, args...)}
	w.Line, w.Column = syntax.Position(c.source, w.Offset)
	c.warnings = append(c.warnings, w)
}

// compile compiles one part of the tree.
func (c *compiler) compile(s *syntax.Node) (typed, error) {
	switch s.Op {
	case syntax.OpLiteral:
		return typed{&literalNode{c.at(s), s.Value}, value.KindOf(s.Value)}, nil
	case syntax.OpName:
		return c.compileName(s)
	case syntax.OpElement:
		return typed{&elementNode{c.at(s)}, c.element}, nil
	case syntax.OpProperty:
		return c.compileProperty(s)
	case syntax.OpIndex:
		return c.compileIndex(s)
	case syntax.OpCall:
		return c.compileCall(s)
	case syntax.OpMethod:
		return c.compileMethod(s)
	case syntax.OpList:
		return c.compileList(s)
	case syntax.OpMap:
		return c.compileMap(s)
	case syntax.OpTernary, syntax.OpElvis:
		return c.compileChoice(s)
	case syntax.OpOr, syntax.OpAnd, syntax.OpNot:
		return c.compileLogic(s)
	case syntax.OpCompare:
		return c.compileCompare(s)
	case syntax.OpMatches:
		return c.compileMatches(s)
	case syntax.OpArithmetic, syntax.OpNegate, syntax.OpPlus:
		return c.compileArithmetic(s)
	case syntax.OpProject, syntax.OpSelect:
		return c.compileCollection(s)
	}
	return typed{}, c.Fail(s.Offset, "unknown syntax")
}

// inputKinds are what the inputs can be; the others are maps.
var inputKinds = map[Inputs]value.Kinds{
	input.User: value.KindUser | value.KindNull, input.App: value.KindApp | value.KindNull, input.AppUser: value.KindAppUser | value.KindNull,
	input.Access: value.KindAccess, input.Groups: value.KindList,
}

// compileName resolves a bare name: a member of the element, the group of a
// group expression, an input, or a variable.
func (c *compiler) compileName(s *syntax.Node) (typed, error) {
	in, isInput := input.ByName[s.Text]
	if c.element != 0 {
		n := &memberNode{position: c.at(s), name: s.Text}
		if c.element == value.KindGroup && (isGroupField(s.Text) || s.Text == "group") {
			return typed{n, value.KindAny}, nil
		}
		if isInput && c.options.Inputs.Has(in) {
			// The element's own member of that name wins, if it has one.
			c.reads |= in
			c.members.whole |= in
			n.otherwise = &inputNode{c.at(s), in}
		} else if c.options.Inputs.Has(input.Vars) {
			c.reads |= input.Vars
			n.otherwise = &varNode{position: c.at(s), name: s.Text, optional: true}
		}
		return typed{n, value.KindAny}, nil
	}
	switch {
	case c.inGroup && s.Text == "group":
		return typed{&groupNode{c.at(s)}, value.KindGroup}, nil
	case isInput:
		if !c.options.Inputs.Has(in) {
			return typed{}, c.Fail(s.Offset, "\"%s\" is not available here", s.Text)
		}
		c.reads |= in
		c.members.whole |= in
		k, ok := inputKinds[in]
		if !ok {
			k = value.KindMap
		}
		return typed{&inputNode{c.at(s), in}, k}, nil
	case library.IsFamily(s.Text):
		return typed{}, c.Fail(s.Offset, "%s is a family of functions, not a value", s.Text)
	case c.options.Inputs.Has(input.Vars):
		c.reads |= input.Vars
		return typed{&varNode{position: c.at(s), name: s.Text}, value.KindValue}, nil
	}
	if where, ok := elsewhere[s.Text]; ok {
		return typed{}, c.Fail(s.Offset, "\"%s\" is available only in %s", s.Text, where)
	}
	names := c.options.Inputs.Names()
	if c.inGroup {
		names = append(names, "group")
	}
	return typed{}, c.Fail(s.Offset, "unknown name %s%s", s.Text, suggest.DidYouMean(s.Text, names))
}

// elsewhere are names that Okta's language knows in other places than those
// where this gateway evaluates it.
var elsewhere = map[string]string{
	"group":         "getFilteredGroups' second argument",
	"idpuser":       "the user name transforms of Okta's identity providers",
	"source":        "Okta's profile mappings",
	"device":        "Okta's sign-on policies",
	"security":      "Okta's sign-on policies",
	"login":         "Okta's routing rules",
	"accessRequest": "Okta's account management policies",
}

// members are the properties of the inputs that have a closed set of them.
var members = map[string][]string{
	"request": {"method", "path", "client_ip", "host"},
	"access":  {"scope"},
}

// compileProperty compiles a.b and a?.b.
func (c *compiler) compileProperty(s *syntax.Node) (typed, error) {
	base, err := c.compileBase(s.Kids[0], s.Text, true)
	if err != nil {
		return typed{}, err
	}
	if err := c.checkMember(s, s.Kids[0], s.Text); err != nil {
		return typed{}, err
	}
	if base.kinds == value.KindNull && !s.Safe {
		return typed{}, c.Fail(s.Offset, "null has no property %s", s.Text)
	}
	if base.kinds&(value.KindMap|value.KindUser|value.KindApp|value.KindAppUser|value.KindGroup|value.KindAccess|value.KindNull) == 0 {
		if base.kinds == value.KindList {
			return typed{}, c.Fail(s.Offset, "a list has no property %s; to read it from each element write .![%s]", s.Text, s.Text)
		}
		return typed{}, c.Fail(s.Offset, "%s has no property %s", base.kinds, s.Text)
	}
	n := &propertyNode{position: c.at(s), base: base.node, name: s.Text, safe: s.Safe}
	n.folded = s.Kids[0].Op == syntax.OpName && s.Kids[0].Text == "org" && c.element == 0
	return typed{n, c.propertyKinds(base.kinds, s.Text, s.Safe)}, nil
}

// checkMember refuses members of our own inputs that do not exist.
func (c *compiler) checkMember(s, base *syntax.Node, name string) error {
	if base.Op != syntax.OpName || c.element != 0 {
		return nil
	}
	if known, ok := members[base.Text]; ok {
		if slices.Contains(known, name) {
			return nil
		}
		return c.Fail(s.Offset, "%s has no member %s%s", base.Text, name, suggest.DidYouMean(name, known))
	}
	if base.Text == "claims" && c.options.Claims != nil {
		if slices.Contains(c.options.Claims, name) {
			return nil
		}
		return c.Fail(s.Offset, "no rule above this one computes the claim %s%s", name, suggest.DidYouMean(name, c.options.Claims))
	}
	return nil
}

// propertyKinds are what a property can be.
func (c *compiler) propertyKinds(base value.Kinds, name string, safe bool) value.Kinds {
	var k value.Kinds
	if base&value.KindMap != 0 {
		k |= value.KindValue
	}
	if base&(value.KindUser|value.KindApp|value.KindAppUser|value.KindGroup) != 0 {
		if name == "profile" {
			k |= value.KindMap
		} else {
			k |= value.KindValue
		}
	}
	if base&(value.KindUser|value.KindGroup) != 0 && c.options.Dialect != syntax.Classic {
		switch name {
		case "created", "lastUpdated", "passwordChanged", "lastLogin", "lastMembershipUpdated":
			k |= value.KindTime
		}
	}
	if base&value.KindAccess != 0 {
		k |= value.KindList
	}
	if base&value.KindNull != 0 && safe {
		k |= value.KindNull
	}
	k = cmp.Or(k, value.KindAny)
	return k
}

// compileIndex compiles a[b]: an element of a list, a character of a text, or a
// property by name.
func (c *compiler) compileIndex(s *syntax.Node) (typed, error) {
	name, known := s.Kids[1].Value.(string)
	base, err := c.compileBase(s.Kids[0], name, known && s.Kids[1].IsText())
	if err != nil {
		return typed{}, err
	}
	// The key belongs to what is around the whole, not to its base.
	key, err := c.compile(s.Kids[1])
	if err != nil {
		return typed{}, err
	}
	if s.Kids[1].IsText() {
		if err := c.checkMember(s.Kids[1], s.Kids[0], s.Kids[1].Value.(string)); err != nil {
			return typed{}, err
		}
	}
	indexed := value.KindList | value.KindText | value.KindMap | value.KindUser | value.KindApp | value.KindAppUser | value.KindGroup | value.KindNull
	if base.kinds&indexed == 0 || base.kinds == value.KindNull {
		return typed{}, c.Fail(s.Offset, "%s cannot be indexed", base.kinds)
	}
	if k := base.kinds &^ value.KindNull; k&^(value.KindList|value.KindText) == 0 && key.kinds&(value.KindInt|value.KindReal) == 0 {
		return typed{}, c.Fail(s.Kids[1].Offset, "a list index is an integer, not %s", key.kinds)
	}
	k := value.KindAny
	if base.kinds == value.KindMap {
		k = value.KindValue
	}
	return typed{&indexNode{c.at(s), base.node, key.node}, k}, nil
}

// compileList compiles {a, b}. A list of literals is made once.
func (c *compiler) compileList(s *syntax.Node) (typed, error) {
	n := &listNode{position: c.at(s), elements: make([]node, len(s.Kids))}
	constant := true
	for i, kid := range s.Kids {
		t, err := c.compile(kid)
		if err != nil {
			return typed{}, err
		}
		n.elements[i] = t.node
		_, literal := t.node.(*literalNode)
		constant = constant && literal
	}
	if !constant {
		return typed{n, value.KindList}, nil
	}
	list := make([]any, len(n.elements))
	for i, element := range n.elements {
		list[i] = element.(*literalNode).value
	}
	return typed{&literalNode{c.at(s), list}, value.KindList}, nil
}

// compileMap compiles {a: b}.
func (c *compiler) compileMap(s *syntax.Node) (typed, error) {
	n := &mapNode{position: c.at(s)}
	for i := 0; i < len(s.Kids); i += 2 {
		key, err := c.compile(s.Kids[i])
		if err != nil {
			return typed{}, err
		}
		val, err := c.compile(s.Kids[i+1])
		if err != nil {
			return typed{}, err
		}
		if key.kinds&(value.KindText|value.KindNumber|value.KindBool) == 0 {
			return typed{}, c.Fail(s.Kids[i].Offset, "a key must be a string, not %s", key.kinds)
		}
		n.keys, n.values = append(n.keys, key.node), append(n.values, val.node)
	}
	return typed{n, value.KindMap}, nil
}
