package oktael

import "sync"

// Options say how an expression is compiled and how far it may go.
type Options struct {
	// Dialect restricts the functions and methods. Default: either dialect's.
	Dialect Dialect

	// Roots are what the expression may read; anything else is an error at
	// load. The zero value lets it read nothing.
	Roots Roots

	// MaxLength bounds the source in bytes. Default: DefaultMaxLength; Okta's
	// own bound for claims is 1,024 characters. At most 64 KiB.
	MaxLength int

	// MaxSteps bounds one evaluation. Default: DefaultMaxSteps.
	MaxSteps int

	// Claims are the names that claims.<name> may use; nil lets it use any.
	Claims []string

	// Wants is what the value is for. An expression that can't give that,
	// whatever the values are, is refused at load. Default: Anything.
	Wants Wanted

	// TruncateOverLimit makes getFilteredGroups and the Groups family return
	// the first groups up to their limit where more match. Without it that is
	// ErrTooManyGroups.
	TruncateOverLimit bool
}

// Wanted says what the value of an expression is for.
type Wanted uint8

const (
	// Anything takes every value.
	Anything Wanted = iota

	// Condition wants true or false.
	Condition

	// IDs wants a list, or a text with commas in it, which is taken for one.
	IDs
)

// Program is a compiled expression. It is immutable and safe for concurrent
// use.
type Program struct {
	source   string
	root     node
	options  Options
	reads    Roots
	members  *memberReads
	warnings []Warning

	// idle holds *evaluation between two evaluations: making one anew costs as
	// much as a typical expression does otherwise.
	idle sync.Pool
}

// Compile parses and checks an expression. What can't be right whatever the
// values are is refused here: unknown names, wrong numbers and impossible
// types of arguments, regular expressions that RE2 lacks. The error is an
// *Error.
func Compile(source string, o Options) (*Program, error) {
	limit := o.MaxLength
	if limit <= 0 {
		limit = DefaultMaxLength
	}
	if limit = min(limit, maxLength); len(source) > limit {
		return nil, newError(source, limit, "the expression is longer than %d bytes", limit)
	}
	if o.MaxSteps <= 0 {
		o.MaxSteps = DefaultMaxSteps
	}
	o.MaxSteps = min(o.MaxSteps, maxSteps)
	tree, err := parse(source)
	if err != nil {
		return nil, err
	}
	c := &compiler{source: source, options: o, members: new(memberReads)}
	root, err := c.compile(tree)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Wants == Condition && root.kinds&kindBool == 0:
		return nil, c.fail(tree.offset, "the condition is %s, not true or false", root.kinds)
	case o.Wants == IDs && root.kinds&(kindList|kindText) == 0:
		return nil, c.fail(tree.offset, "a list of ids is wanted here, not %s", root.kinds)
	}
	return &Program{source: source, root: root.node, options: o, reads: c.reads, members: c.members, warnings: c.warnings}, nil
}

// Eval computes the expression's value as a canonical value: nil, bool,
// string, int64, float64, json.Number, []any or map[string]any. A date and
// time becomes ISO 8601 text, a country its two-letter code, a group a map.
// The error is an *EvalError.
func (p *Program) Eval(c *Context) (any, error) {
	if c == nil {
		c = &Context{}
	}
	e := newEval(p, c)
	defer e.end(p)
	v, err := e.run(p.root)
	if err != nil {
		return nil, err
	}
	out, err := e.handOut(v)
	if err != nil {
		return nil, e.wrap(p.root.at(), err)
	}
	return out, nil
}

// EvalBool evaluates a condition: anything but true and false is an error.
func (p *Program) EvalBool(c *Context) (bool, error) {
	v, err := p.Eval(c)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		e := newError(p.source, p.root.at(), "the condition is %s, not true or false", kindOf(v))
		return false, &EvalError{Offset: e.Offset, Line: e.Line, Column: e.Column, Msg: e.Msg, source: p.source}
	}
	return b, nil
}

// Reads tells which roots an evaluation may read.
func (p *Program) Reads() Roots { return p.reads }

// Warnings tells what is allowed but probably not meant, in the order of the
// source.
func (p *Program) Warnings() []Warning { return p.warnings }

// String gives the source.
func (p *Program) String() string { return p.source }
