package oktael

import (
	"fmt"
	"slices"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// compiler turns a syntax tree into nodes and checks what can be checked
// before there are values.
type compiler struct {
	source  string
	options Options

	// base is where the tree's source begins inside of source: not 0 for a
	// group expression, which is a literal of the whole.
	base int

	// element are the kinds of the element whose projection or selection is
	// being compiled; 0 outside of one.
	element kinds

	// inGroup says that this is a group expression, where "group" is bound.
	inGroup bool

	// groupDepth counts the group expressions around this one.
	groupDepth int

	// known counts, by path, the conditions around the present part that
	// exclude null.
	known map[string]int

	reads    Roots
	members  *memberReads
	warnings []Warning
}

// typed is a node with the kinds that its value can be of.
type typed struct {
	node  node
	kinds kinds
}

// Fail returns an error at an offset of the tree's source.
func (c *compiler) Fail(offset int, format string, args ...any) error {
	return newError(c.source, c.base+offset, format, args...)
}

func (c *compiler) at(s *syntaxNode) position { return position(c.base + s.offset) }

// read notes that the expression reads roots and refuses those that it may
// not.
func (c *compiler) read(offset int, roots Roots, what string) error {
	if denied := roots &^ c.options.Roots; denied != 0 {
		return c.Fail(offset, "%s reads %s, which is not available here", what, denied)
	}
	c.reads |= roots
	return nil
}

// Warn notes something that is allowed but probably not meant.
func (c *compiler) Warn(offset int, format string, args ...any) {
	w := Warning{Offset: c.base + offset, Msg: fmt.Sprintf(format, args...)}
	w.Line, w.Column = lineColumn(c.source, w.Offset)
	c.warnings = append(c.warnings, w)
}

// compile compiles one part of the tree.
func (c *compiler) compile(s *syntaxNode) (typed, error) {
	switch s.op {
	case opLiteral:
		return typed{&literalNode{c.at(s), s.value}, kindOf(s.value)}, nil
	case opName:
		return c.compileName(s)
	case opElement:
		return typed{&elementNode{c.at(s)}, c.element}, nil
	case opProperty:
		return c.compileProperty(s)
	case opIndex:
		return c.compileIndex(s)
	case opCall:
		return c.compileCall(s)
	case opMethod:
		return c.compileMethod(s)
	case opList:
		return c.compileList(s)
	case opMap:
		return c.compileMap(s)
	case opTernary, opElvis:
		return c.compileChoice(s)
	case opOr, opAnd, opNot:
		return c.compileLogic(s)
	case opCompare:
		return c.compileCompare(s)
	case opMatches:
		return c.compileMatches(s)
	case opArithmetic, opNegate, opPlus:
		return c.compileArithmetic(s)
	case opProject, opSelect:
		return c.compileCollection(s)
	}
	return typed{}, c.Fail(s.offset, "unknown syntax")
}

// rootKinds are what the roots are; the others are maps.
var rootKinds = map[Roots]kinds{
	RootUser: kindUser | kindNull, RootApp: kindApp | kindNull, RootAppUser: kindAppUser | kindNull,
	RootAccess: kindAccess, RootGroups: kindList,
}

// compileName resolves a bare name: a member of the element, the group of a
// group expression, a root, or a variable.
func (c *compiler) compileName(s *syntaxNode) (typed, error) {
	root, isRoot := spelled[s.text]
	if c.element != 0 {
		n := &memberNode{position: c.at(s), name: s.text}
		if c.element == kindGroup && (isGroupField(s.text) || s.text == "group") {
			return typed{n, kindAny}, nil
		}
		if isRoot && c.options.Roots.Has(root) {
			// The element's own member of that name wins, if it has one.
			c.reads |= root
			c.members.whole |= root
			n.otherwise = &rootNode{c.at(s), root}
		} else if c.options.Roots.Has(RootVars) {
			c.reads |= RootVars
			n.otherwise = &varNode{position: c.at(s), name: s.text, optional: true}
		}
		return typed{n, kindAny}, nil
	}
	switch {
	case c.inGroup && s.text == "group":
		return typed{&groupNode{c.at(s)}, kindGroup}, nil
	case isRoot:
		if !c.options.Roots.Has(root) {
			return typed{}, c.Fail(s.offset, "\"%s\" is not available here", s.text)
		}
		c.reads |= root
		c.members.whole |= root
		k, ok := rootKinds[root]
		if !ok {
			k = kindMap
		}
		return typed{&rootNode{c.at(s), root}, k}, nil
	case isFamily(s.text):
		return typed{}, c.Fail(s.offset, "%s is a family of functions, not a value", s.text)
	case c.options.Roots.Has(RootVars):
		c.reads |= RootVars
		return typed{&varNode{position: c.at(s), name: s.text}, kindValue}, nil
	}
	if where, ok := elsewhere[s.text]; ok {
		return typed{}, c.Fail(s.offset, "\"%s\" is known in %s only", s.text, where)
	}
	names := c.options.Roots.names()
	if c.inGroup {
		names = append(names, "group")
	}
	return typed{}, c.Fail(s.offset, "unknown name %s%s", s.text, nearest.Hint(s.text, names))
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

// members are the properties of the roots that have a closed set of them.
var members = map[string][]string{
	"request": {"method", "path", "client_ip", "host"},
	"access":  {"scope"},
}

func (c *compiler) compileProperty(s *syntaxNode) (typed, error) {
	base, err := c.compileBase(s.kids[0], s.text, true)
	if err != nil {
		return typed{}, err
	}
	if err := c.checkMember(s, s.kids[0], s.text); err != nil {
		return typed{}, err
	}
	if base.kinds == kindNull && !s.safe {
		return typed{}, c.Fail(s.offset, "null has no property %s", s.text)
	}
	if base.kinds&(kindMap|kindUser|kindApp|kindAppUser|kindGroup|kindAccess|kindNull) == 0 {
		if base.kinds == kindList {
			return typed{}, c.Fail(s.offset, "a list has no property %s; to read it from each element write .![%s]", s.text, s.text)
		}
		return typed{}, c.Fail(s.offset, "%s has no property %s", base.kinds, s.text)
	}
	n := &propertyNode{position: c.at(s), base: base.node, name: s.text, safe: s.safe}
	n.folded = s.kids[0].op == opName && s.kids[0].text == "org" && c.element == 0
	return typed{n, c.propertyKinds(base.kinds, s.text, s.safe)}, nil
}

// checkMember refuses members of our own roots that do not exist.
func (c *compiler) checkMember(s, base *syntaxNode, name string) error {
	if base.op != opName || c.element != 0 {
		return nil
	}
	if known, ok := members[base.text]; ok {
		if slices.Contains(known, name) {
			return nil
		}
		return c.Fail(s.offset, "%s has no member %s%s", base.text, name, nearest.Hint(name, known))
	}
	if base.text == "claims" && c.options.Claims != nil {
		if slices.Contains(c.options.Claims, name) {
			return nil
		}
		return c.Fail(s.offset, "no rule above this one computes the claim %s%s", name, nearest.Hint(name, c.options.Claims))
	}
	return nil
}

// propertyKinds are what a property can be.
func (c *compiler) propertyKinds(base kinds, name string, safe bool) kinds {
	var k kinds
	if base&kindMap != 0 {
		k |= kindValue
	}
	if base&(kindUser|kindApp|kindAppUser|kindGroup) != 0 {
		if name == "profile" {
			k |= kindMap
		} else {
			k |= kindValue
		}
	}
	if base&(kindUser|kindGroup) != 0 && c.options.Dialect != Classic {
		switch name {
		case "created", "lastUpdated", "passwordChanged", "lastLogin", "lastMembershipUpdated":
			k |= kindTime
		}
	}
	if base&kindAccess != 0 {
		k |= kindList
	}
	if base&kindNull != 0 && safe {
		k |= kindNull
	}
	if k == 0 {
		k = kindAny
	}
	return k
}

func (c *compiler) compileIndex(s *syntaxNode) (typed, error) {
	name, known := s.kids[1].value.(string)
	base, err := c.compileBase(s.kids[0], name, known && s.kids[1].isText())
	if err != nil {
		return typed{}, err
	}
	// The key belongs to what stands around the whole, not to its base.
	key, err := c.compile(s.kids[1])
	if err != nil {
		return typed{}, err
	}
	if s.kids[1].isText() {
		if err := c.checkMember(s.kids[1], s.kids[0], s.kids[1].value.(string)); err != nil {
			return typed{}, err
		}
	}
	indexed := kindList | kindText | kindMap | kindUser | kindApp | kindAppUser | kindGroup | kindNull
	if base.kinds&indexed == 0 || base.kinds == kindNull {
		return typed{}, c.Fail(s.offset, "%s cannot be indexed", base.kinds)
	}
	if k := base.kinds &^ kindNull; k&^(kindList|kindText) == 0 && key.kinds&(kindInt|kindReal) == 0 {
		return typed{}, c.Fail(s.kids[1].offset, "an element is found by its position, not by %s", key.kinds)
	}
	k := kindAny
	if base.kinds == kindMap {
		k = kindValue
	}
	return typed{&indexNode{c.at(s), base.node, key.node}, k}, nil
}

func (c *compiler) compileList(s *syntaxNode) (typed, error) {
	n := &listNode{position: c.at(s), elements: make([]node, len(s.kids))}
	constant := true
	for i, kid := range s.kids {
		t, err := c.compile(kid)
		if err != nil {
			return typed{}, err
		}
		n.elements[i] = t.node
		_, literal := t.node.(*literalNode)
		constant = constant && literal
	}
	if !constant {
		return typed{n, kindList}, nil
	}
	list := make([]any, len(n.elements))
	for i, element := range n.elements {
		list[i] = element.(*literalNode).value
	}
	return typed{&literalNode{c.at(s), list}, kindList}, nil
}

func (c *compiler) compileMap(s *syntaxNode) (typed, error) {
	n := &mapNode{position: c.at(s)}
	for i := 0; i < len(s.kids); i += 2 {
		key, err := c.compile(s.kids[i])
		if err != nil {
			return typed{}, err
		}
		value, err := c.compile(s.kids[i+1])
		if err != nil {
			return typed{}, err
		}
		if key.kinds&(kindText|kindNumber|kindBool) == 0 {
			return typed{}, c.Fail(s.kids[i].offset, "a key must be a text, not %s", key.kinds)
		}
		n.keys, n.values = append(n.keys, key.node), append(n.values, value.node)
	}
	return typed{n, kindMap}, nil
}
