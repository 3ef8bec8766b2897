package oktael

import (
	"fmt"
	"slices"
	"sync"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/object"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// Compile and Eval: from a text to a program, and from a program and a context to
// a value.

// Program is a compiled expression. It is immutable and safe for concurrent
// use.
type Program struct {
	source  string
	root    node
	options Options

	// What the compiler found out about the expression.
	reads    Inputs
	members  *memberReads
	warnings []Warning

	// idle holds *evaluation between two evaluations: making one anew costs as
	// much as a typical expression does otherwise.
	idle sync.Pool
}

// Compile parses and checks an expression. What cannot be right whatever the
// inputs are is an error here: unknown names, wrong numbers and impossible
// types of arguments, inputs that Options.Inputs does not allow, regular
// expressions that RE2 lacks. The error is an *Error.
func Compile(source string, o Options) (*Program, error) {
	limit := o.MaxLength
	if limit <= 0 {
		limit = DefaultMaxLength
	}
	if limit = min(limit, maxLength); len(source) > limit {
		return nil, syntax.NewError(source, limit, "the expression is longer than %d bytes", limit)
	}
	if o.MaxSteps <= 0 {
		o.MaxSteps = DefaultMaxSteps
	}
	o.MaxSteps = min(o.MaxSteps, maxSteps)
	tree, err := syntax.Parse(source, library.IsFamily)
	if err != nil {
		return nil, err
	}
	c := &compiler{source: source, options: o, members: new(memberReads)}
	root, err := c.compile(tree)
	if err != nil {
		return nil, err
	}
	switch {
	case o.Result == ResultBool && root.kinds&value.KindBool == 0:
		return nil, c.Fail(tree.Offset, "the condition is %s, not true or false", root.kinds)
	case o.Result == ResultIDs && root.kinds&(value.KindList|value.KindText) == 0:
		return nil, c.Fail(tree.Offset, "want a list of ids here, not %s", root.kinds)
	}
	return &Program{source: source, root: root.node, options: o, reads: c.reads, members: c.members, warnings: c.warnings}, nil
}

// Eval computes the expression's value as a canonical value: nil, bool,
// string, int64, float64, json.Number, []any or map[string]any. A date and
// time becomes ISO 8601 text, a country its two-letter code, a group a map. The
// value may share lists and maps with the context and must not be changed. A
// nil context holds nothing. The error is an *EvalError.
func (p *Program) Eval(c *Context) (any, error) {
	if c == nil {
		c = &Context{}
	}
	e := p.begin(c)
	defer p.end(e)
	v, err := e.run(p.root)
	if err != nil {
		return nil, err
	}
	out, err := object.ToCanonical(v, c.Scopes)
	if err != nil {
		return nil, e.wrap(p.root.at(), err)
	}
	return out, nil
}

// begin returns the state of a new evaluation.
func (p *Program) begin(c *Context) *evaluation {
	e, ok := p.idle.Get().(*evaluation)
	if !ok {
		e = &evaluation{}
	}
	e.Meter, e.Context, e.Dialect, e.Truncate = value.NewMeter(p.options.MaxSteps), c, p.options.Dialect, p.options.TruncateOverLimit
	e.source, e.stack, e.Expressions = p.source, e.room[:0], e
	return e
}

// end puts the state back, without anything of what it worked on.
func (p *Program) end(e *evaluation) {
	*e = evaluation{}
	p.idle.Put(e)
}

// EvalBool evaluates a condition: any value but true and false is an error, null
// included.
func (p *Program) EvalBool(c *Context) (bool, error) {
	v, err := p.Eval(c)
	if err != nil {
		return false, err
	}
	b, ok := v.(bool)
	if !ok {
		return false, newEvalError(p.source, p.root.at(), fmt.Errorf("the condition is %s, not true or false", value.KindOf(v)))
	}
	return b, nil
}

// Reads returns the inputs that an evaluation may read.
func (p *Program) Reads() Inputs { return p.reads }

// ReadsMember reports whether an evaluation may read a member of an input, such
// as host of request. Where that cannot be known, because the whole input is
// read or the name is computed, it reports true.
func (p *Program) ReadsMember(of, name string) bool {
	in := input.ByName[of]
	return in != 0 && (p.members.whole.Has(in) || p.members.named[member{in, name}])
}

// Members returns, sorted, the members of an input that are read by name; of
// "user" and "appuser" those of the profile too, of "app" these as "profile.x".
func (p *Program) Members(of string) []string {
	var names []string
	for m := range p.members.named {
		if m.input == input.ByName[of] {
			names = append(names, m.name)
		}
	}
	slices.Sort(names)
	return names
}

// ReadsWhole reports whether an evaluation may read an input as a whole, or a
// member of it by a name that is computed: any member then, beside those that
// Members returns.
func (p *Program) ReadsWhole(of string) bool { return p.members.whole.Has(input.ByName[of]) }

// Warnings returns what is allowed but probably a mistake, in the order of the
// source.
func (p *Program) Warnings() []Warning { return p.warnings }

// String returns the source.
func (p *Program) String() string { return p.source }
