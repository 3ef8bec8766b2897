package oktael

import (
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/nearest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// compileCall binds the call of a static function.
func (c *compiler) compileCall(s *syntax.Node) (typed, error) {
	d := c.options.Dialect
	if c.element != 0 && !strings.Contains(s.Text, ".") {
		if t, ok, err := c.elementMethod(s); ok || err != nil {
			return t, err
		}
	}
	name := s.Text
	if name == "Time.now" && (d == syntax.IdentityEngine || d == syntax.Either && s.IsReceiver && len(s.Kids) == 0) {
		name = "DateTime.now" // the reference's own alias
	}
	f, ok := library.Static(name)
	if !ok {
		return typed{}, c.unknownFunction(s)
	}
	if !d.Has(f.Dialect) {
		return typed{}, c.Fail(s.Offset, "%s belongs to the %s dialect, this expression is %s", f.Name, f.Dialect, d)
	}
	return c.bind(s, s.Kids, []*library.Function{f}, false)
}

func (c *compiler) unknownFunction(s *syntax.Node) error {
	names := library.Names(c.options.Dialect)
	family, short, ok := strings.Cut(s.Text, ".")
	if !ok {
		short = s.Text
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
		return c.Fail(s.Offset, "unknown function %s", s.Text)
	case ok:
		word = family + "." + word
	}
	return c.Fail(s.Offset, "unknown function %s (did you mean \"%s\"?)", s.Text, word)
}

// familyOf gives the full name of the function of this name in any family, or
// nothing; of several the first in order.
func (c *compiler) familyOf(short string) string {
	for _, name := range library.Names(c.options.Dialect) {
		if strings.HasSuffix(name, "."+short) {
			return name
		}
	}
	return ""
}

// elementMethod binds a bare call inside of a projection or selection as a
// method of the element, as in .![toUpperCase()]. ok is false where the name
// is not a method's or the arguments fit a function better.
func (c *compiler) elementMethod(s *syntax.Node) (t typed, ok bool, err error) {
	if f, static := library.Static(s.Text); static && c.options.Dialect.Has(f.Dialect) && f.Takes(len(s.Kids)) {
		return typed{}, false, nil
	}
	if _, known := library.Methods(s.Text); !known {
		return typed{}, false, nil
	}
	self := &syntax.Node{Op: syntax.OpElement, Offset: s.Offset}
	method := &syntax.Node{Op: syntax.OpMethod, Text: s.Text, Kids: append([]*syntax.Node{self}, s.Kids...), Offset: s.Offset}
	t, err = c.compileMethod(method)
	return t, true, err
}

// compileMethod binds a method to what its receiver can be.
func (c *compiler) compileMethod(s *syntax.Node) (typed, error) {
	if receiver := s.Kids[0]; receiver.Op == syntax.OpCall && receiver.Text == "Time.now" {
		receiver.IsReceiver = true
	}
	all, known := library.Methods(s.Text)
	if !known || c.element == 0 && !c.options.Inputs.Has(input.Vars) {
		if err := c.meantFunction(s); err != nil {
			return typed{}, err
		}
	}
	receiver, err := c.compile(s.Kids[0])
	if err != nil {
		return typed{}, err
	}
	if !known {
		return typed{}, c.Fail(s.Offset, "unknown method %s%s", s.Text, hintName(s.Text, library.MethodNames(c.options.Dialect)))
	}
	var fits []*library.Function
	dialect, kind, count := false, false, (*library.Function)(nil)
	for _, f := range all {
		switch {
		case !c.options.Dialect.Has(f.Dialect):
			dialect = true
		case f.Receiver&receiver.kinds == 0:
			kind = true
		case !f.Takes(len(s.Kids)):
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
		return typed{}, c.Fail(s.Offset, "%s takes %s, not %d", s.Text, count.MethodCount(), len(s.Kids)-1)
	case kind && receiver.kinds == value.KindNull:
		return typed{}, c.Fail(s.Offset, "null has no method %s", s.Text)
	case kind:
		return typed{}, c.Fail(s.Offset, "%s has no method %s", receiver.kinds&^value.KindNull, s.Text)
	case dialect:
		return typed{}, c.Fail(s.Offset, "the method %s belongs to the %s dialect, this expression is %s", s.Text, all[0].Dialect, c.options.Dialect)
	}
	return typed{}, c.Fail(s.Offset, "unknown method %s", s.Text)
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
func (c *compiler) meantFunction(s *syntax.Node) error {
	name := s.Kids[0]
	if name.Op != syntax.OpName || input.ByName[name.Text] != 0 {
		return nil
	}
	full := name.Text + "." + s.Text
	word, ok := nearest.Word(full, library.Names(c.options.Dialect))
	if !ok || !strings.Contains(word, ".") {
		// The family may be cut short: Iso3166.toAlpha2(…).
		if word = c.familyOf(s.Text); word == "" {
			return nil
		}
		family, _, _ := strings.Cut(word, ".")
		if _, ok := nearest.Kin(name.Text, []string{family}); !ok {
			return nil
		}
	}
	return c.Fail(name.Offset, "unknown function %s (did you mean \"%s\"?)", full, word)
}

func (c *compiler) bindTo(s *syntax.Node, receiver typed, fits []*library.Function) (typed, error) {
	return c.bindArgs(s, []typed{receiver}, s.Kids, fits, s.Safe)
}

// bind compiles the arguments of a call and checks them against the
// functions that it may be.
func (c *compiler) bind(s *syntax.Node, kids []*syntax.Node, fits []*library.Function, safe bool) (typed, error) {
	if f := fits[0]; !f.Takes(len(kids)) {
		return typed{}, c.Fail(s.Offset, "%s takes %s, not %d", f.Name, f.Count(), len(kids))
	}
	return c.bindArgs(s, nil, kids, fits, safe)
}

func (c *compiler) bindArgs(s *syntax.Node, done []typed, kids []*syntax.Node, fits []*library.Function, safe bool) (typed, error) {
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
	var result value.Kinds
	for _, f := range fits {
		if err := c.checkArgs(f, args, len(done), kids, len(fits) > 1); err != nil {
			return typed{}, err
		}
		if err := c.read(s.Offset, f.Reads, f.Name); err != nil {
			return typed{}, err
		}
		result |= f.Result
		if f.OnNull != library.NullFails && f.OnNull != library.NullNull {
			continue
		}
		if f.OnNull == library.NullNull && anyNull(args[len(done):]) {
			result |= value.KindNull
		}
	}
	if safe && args[0].kinds&value.KindNull != 0 {
		result |= value.KindNull
	}
	if n.fn = fits[0]; len(fits) > 1 {
		n.fn, n.overloads = nil, fits
	} else if n.fn.Prepare != nil {
		prepared, err := n.fn.Prepare(c, s, kids)
		if err != nil {
			return typed{}, err
		}
		n.prepared = prepared
	}
	return typed{n, result}, nil
}

func anyNull(args []typed) bool {
	for _, t := range args {
		if t.kinds&value.KindNull != 0 {
			return true
		}
	}
	return false
}

// checkArgs refuses arguments that no value could make right. A method with
// overloads is checked when its receiver is known.
func (c *compiler) checkArgs(f *library.Function, args []typed, from int, kids []*syntax.Node, overloaded bool) error {
	if overloaded {
		return nil
	}
	for i := from; i < len(args); i++ {
		if accepts, meant := f.Accepts(i); args[i].kinds&accepts == 0 {
			return c.Fail(kids[i].Offset, "%s: argument %s must be %s, not %s", f.Name, f.Param(i).Name, meant, args[i].kinds)
		}
	}
	return nil
}
