package oktael

import (
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
)

// compileCall binds the call of a static function.
func (c *compiler) compileCall(s *syntaxNode) (typed, error) {
	d := c.options.Dialect
	if c.element != 0 && !strings.Contains(s.text, ".") {
		if t, ok, err := c.elementMethod(s); ok || err != nil {
			return t, err
		}
	}
	name := s.text
	if name == "Time.now" && (d == IdentityEngine || d == Either && s.receiver && len(s.kids) == 0) {
		name = "DateTime.now" // the reference's own alias
	}
	f, ok := staticFunction(name)
	if !ok {
		return typed{}, c.unknownFunction(s)
	}
	if !d.has(f.dialect) {
		return typed{}, c.Fail(s.offset, "%s belongs to the %s dialect, this expression is %s", f.name, f.dialect, d)
	}
	return c.bind(s, s.kids, []*function{f}, false)
}

func (c *compiler) unknownFunction(s *syntaxNode) error {
	names := functionNames(c.options.Dialect)
	family, short, ok := strings.Cut(s.text, ".")
	if !ok {
		short = s.text
	}
	var inside []string
	for _, name := range names {
		switch f, member, _ := strings.Cut(name, "."); {
		case !ok && member == "":
			inside = append(inside, name)
		case ok && f == family:
			inside = append(inside, member)
		}
	}
	word, near := nearest.Kin(short, inside)
	switch full := c.familyOf(short); {
	case full != "" && (!ok || !near): // of a family, called without it or as another's
		word = full
	case !near:
		return c.Fail(s.offset, "unknown function %s", s.text)
	case ok:
		word = family + "." + word
	}
	return c.Fail(s.offset, "unknown function %s (did you mean \"%s\"?)", s.text, word)
}

// familyOf gives the full name of the function of this name in any family, or
// nothing; of several the first in order.
func (c *compiler) familyOf(short string) string {
	for _, name := range functionNames(c.options.Dialect) {
		if strings.HasSuffix(name, "."+short) {
			return name
		}
	}
	return ""
}

// elementMethod binds a bare call inside of a projection or selection as a
// method of the element, as in .![toUpperCase()]. ok is false where the name
// is not a method's or the arguments fit a function better.
func (c *compiler) elementMethod(s *syntaxNode) (t typed, ok bool, err error) {
	if f, static := staticFunction(s.text); static && c.options.Dialect.has(f.dialect) && f.takes(len(s.kids)) {
		return typed{}, false, nil
	}
	if _, known := methodsNamed(s.text); !known {
		return typed{}, false, nil
	}
	self := &syntaxNode{op: opElement, offset: s.offset}
	method := &syntaxNode{op: opMethod, text: s.text, kids: append([]*syntaxNode{self}, s.kids...), offset: s.offset}
	t, err = c.compileMethod(method)
	return t, true, err
}

// compileMethod binds a method to what its receiver can be.
func (c *compiler) compileMethod(s *syntaxNode) (typed, error) {
	if receiver := s.kids[0]; receiver.op == opCall && receiver.text == "Time.now" {
		receiver.receiver = true
	}
	all, known := methodsNamed(s.text)
	if !known || c.element == 0 && !c.options.Roots.Has(RootVars) {
		if err := c.meantFunction(s); err != nil {
			return typed{}, err
		}
	}
	receiver, err := c.compile(s.kids[0])
	if err != nil {
		return typed{}, err
	}
	if !known {
		return typed{}, c.Fail(s.offset, "unknown method %s%s", s.text, hintName(s.text, methodNames(c.options.Dialect)))
	}
	var fits []*function
	dialect, kind, count := false, false, (*function)(nil)
	for _, f := range all {
		switch {
		case !c.options.Dialect.has(f.dialect):
			dialect = true
		case f.receiver&receiver.kinds == 0:
			kind = true
		case !f.takes(len(s.kids)):
			count = f
		default:
			fits = append(fits, f)
		}
	}
	if len(fits) > 0 {
		return c.bindTo(s, receiver, fits)
	}
	if err := c.meantFunction(s); err != nil && c.element == 0 {
		return typed{}, err
	}
	switch {
	case count != nil:
		return typed{}, c.Fail(s.offset, "%s takes %s, not %d", s.text, count.methodCount(), len(s.kids)-1)
	case kind && receiver.kinds == kindNull:
		return typed{}, c.Fail(s.offset, "null has no method %s", s.text)
	case kind:
		return typed{}, c.Fail(s.offset, "%s has no method %s", receiver.kinds&^kindNull, s.text)
	case dialect:
		return typed{}, c.Fail(s.offset, "the method %s belongs to the %s dialect, this expression is %s", s.text, all[0].dialect, c.options.Dialect)
	}
	return typed{}, c.Fail(s.offset, "unknown method %s", s.text)
}

// hintName suggests the right name of a method behind a misspelt one.
func hintName(wrong string, names []string) string {
	if name, ok := nearest.Kin(wrong, names); ok {
		return ` (did you mean "` + name + `"?)`
	}
	return ""
}

// meantFunction fails where a method's receiver is a misspelt family: Sting.len(…)
// looks like a method of a variable, but isn't meant as one.
func (c *compiler) meantFunction(s *syntaxNode) error {
	name := s.kids[0]
	if name.op != opName || spelled[name.text] != 0 {
		return nil
	}
	full := name.text + "." + s.text
	word, ok := nearest.Word(full, functionNames(c.options.Dialect))
	if !ok || !strings.Contains(word, ".") {
		// The family may be cut short: Iso3166.toAlpha2(…).
		if word = c.familyOf(s.text); word == "" {
			return nil
		}
		family, _, _ := strings.Cut(word, ".")
		if _, ok := nearest.Kin(name.text, []string{family}); !ok {
			return nil
		}
	}
	return c.Fail(name.offset, "unknown function %s (did you mean \"%s\"?)", full, word)
}

func (c *compiler) bindTo(s *syntaxNode, receiver typed, fits []*function) (typed, error) {
	return c.bindArgs(s, []typed{receiver}, s.kids, fits, s.safe)
}

// bind compiles the arguments of a call and checks them against the
// functions that it may be.
func (c *compiler) bind(s *syntaxNode, kids []*syntaxNode, fits []*function, safe bool) (typed, error) {
	if f := fits[0]; !f.takes(len(kids)) {
		return typed{}, c.Fail(s.offset, "%s takes %s, not %d", f.name, f.count(), len(kids))
	}
	return c.bindArgs(s, nil, kids, fits, safe)
}

func (c *compiler) bindArgs(s *syntaxNode, done []typed, kids []*syntaxNode, fits []*function, safe bool) (typed, error) {
	args := done
	for _, kid := range kids[len(done):] {
		t, err := c.compile(kid)
		if err != nil {
			return typed{}, err
		}
		args = append(args, t)
	}
	n := &callNode{position: c.at(s), safe: safe, args: make([]node, len(args))}
	for i, t := range args {
		n.args[i] = t.node
	}
	var result kinds
	for _, f := range fits {
		if err := c.checkArgs(f, args, len(done), kids, len(fits) > 1); err != nil {
			return typed{}, err
		}
		if err := c.read(s.offset, f.reads, f.name); err != nil {
			return typed{}, err
		}
		result |= f.result
		if f.onNull != nullFails && f.onNull != nullNull {
			continue
		}
		if f.onNull == nullNull && anyNull(args[len(done):]) {
			result |= kindNull
		}
	}
	if safe && args[0].kinds&kindNull != 0 {
		result |= kindNull
	}
	if n.fn = fits[0]; len(fits) > 1 {
		n.fn, n.overloads = nil, fits
	} else if n.fn.prepare != nil {
		prepared, err := n.fn.prepare(c, s, kids)
		if err != nil {
			return typed{}, err
		}
		n.prepared = prepared
	}
	return typed{n, result}, nil
}

func anyNull(args []typed) bool {
	for _, t := range args {
		if t.kinds&kindNull != 0 {
			return true
		}
	}
	return false
}

// checkArgs refuses arguments that no value could make right. A method with
// overloads is checked when its receiver is known.
func (c *compiler) checkArgs(f *function, args []typed, from int, kids []*syntaxNode, overloaded bool) error {
	if overloaded {
		return nil
	}
	for i := from; i < len(args); i++ {
		if accepts, meant := f.accepts(i); args[i].kinds&accepts == 0 {
			return c.Fail(kids[i].offset, "%s: argument %s must be %s, not %s", f.name, f.param(i).name, meant, args[i].kinds)
		}
	}
	return nil
}
