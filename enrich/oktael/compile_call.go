package oktael

import (
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Calls: finding the function or methods that a name can mean, checking the
// arguments against them, and suggesting the right name for a misspelt one.

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
	if !f.Takes(len(s.Kids)) {
		return typed{}, c.Fail(s.Offset, "%s takes %s, not %d", f.Name, f.Count(), len(s.Kids))
	}
	return c.bind(s, nil, []*library.Function{f})
}

// unknownFunction is the error of a function that does not exist. It suggests
// one of the same family, or else of the same name in another.
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
	word, near := suggest.ClosestName(short, inside)
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

// familyOf returns the full name of the function of this name in any family, or
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
		return c.bind(s, []typed{receiver}, fits)
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
	if name, ok := suggest.ClosestName(wrong, names); ok {
		return ` (did you mean "` + name + `"?)`
	}
	return ""
}

// meantFunction fails where a method's receiver is a misspelt family:
// Sting.len(…) looks like a method of a variable, but is not meant as one.
func (c *compiler) meantFunction(s *syntax.Node) error {
	name := s.Kids[0]
	if name.Op != syntax.OpName || input.ByName[name.Text] != 0 {
		return nil
	}
	full := name.Text + "." + s.Text
	word, ok := suggest.Closest(full, library.Names(c.options.Dialect))
	if !ok || !strings.Contains(word, ".") {
		// The family may be cut short: Iso3166.toAlpha2(…).
		if word = c.familyOf(s.Text); word == "" {
			return nil
		}
		family, _, _ := strings.Cut(word, ".")
		if _, ok := suggest.ClosestName(name.Text, []string{family}); !ok {
			return nil
		}
	}
	return c.Fail(name.Offset, "unknown function %s (did you mean \"%s\"?)", full, word)
}

// bind compiles the arguments of a call, those in args already excepted, and
// checks them against the functions that it may be.
func (c *compiler) bind(s *syntax.Node, args []typed, fits []*library.Function) (typed, error) {
	from := len(args)
	for _, kid := range s.Kids[from:] {
		t, err := c.compile(kid)
		if err != nil {
			return typed{}, err
		}
		args = append(args, t)
	}
	n := &callNode{position: c.at(s), fits: fits, safe: s.Safe, args: make([]node, len(args))}
	null := false
	for i, t := range args {
		n.args[i] = t.node
		null = null || i >= from && t.kinds&value.KindNull != 0
	}
	var result value.Kinds
	for _, f := range fits {
		if len(fits) == 1 {
			if err := c.checkArgs(f, s.Kids, args, from); err != nil {
				return typed{}, err
			}
		}
		if err := c.read(s.Offset, f.Reads, f.Name); err != nil {
			return typed{}, err
		}
		result |= f.Result
		if f.OnNull == library.NullNull && null {
			result |= value.KindNull
		}
	}
	if s.Safe && args[0].kinds&value.KindNull != 0 {
		result |= value.KindNull
	}
	if f := fits[0]; len(fits) == 1 && f.Prepare != nil {
		var err error
		if n.prepared, err = f.Prepare(c, s, s.Kids); err != nil {
			return typed{}, err
		}
	}
	return typed{n, result}, nil
}

// checkArgs refuses arguments from a position on that no value could make
// right. A method with overloads is checked when its receiver is known.
func (c *compiler) checkArgs(f *library.Function, kids []*syntax.Node, args []typed, from int) error {
	for i := from; i < len(args); i++ {
		if accepts, meant := f.Accepts(i); args[i].kinds&accepts == 0 {
			return c.Fail(kids[i].Offset, "%s: argument %s must be %s, not %s", f.Name, f.Param(i).Name, meant, args[i].kinds)
		}
	}
	return nil
}
