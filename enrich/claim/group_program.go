package claim

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// An allow list is Okta's getFilteredGroups by another name, and is compiled
// to it: group is bound as there, groups are found through the index that the
// context brings, and what is null is left out.
const (
	groupCall  = "getFilteredGroups("
	allowedVar = "allowed"
	noLimit    = ", 2147483647)"

	// groupSteps lets a value of some ten steps be evaluated for each of
	// MaxAllowList groups.
	groupSteps = 20 * MaxAllowList
)

// groupProgram evaluates a group expression for each group that is allowed.
type groupProgram struct {
	program *oktael.Program
	source  string
	start   int // where source begins in the program's own
}

// allowedVars are the variables that a groupProgram reads.
func allowedVars(ids []any) map[string]any { return map[string]any{allowedVar: ids} }

// groupProgram compiles a group expression of the rule c and notes what it
// reads.
func (r *Rules) groupProgram(c *rule, field, source string, dialect oktael.Dialect) (*groupProgram, error) {
	if len(source) > oktael.DefaultMaxLength {
		return nil, fmt.Errorf("an expression has at most %d bytes", oktael.DefaultMaxLength)
	}
	// Quoted, it can be twice as long.
	o := oktael.Options{Dialect: dialect, Inputs: readable, Claims: r.above(), MaxLength: 3 * oktael.DefaultMaxLength}
	if dialect == oktael.IdentityEngine {
		o.Dialect = oktael.Either // the call itself belongs to the other dialect
	}
	// First without the variable, which is none of the expression's.
	list, literal := "{}, ", quote(source)
	start := len(groupCall) + len(list) + len("'")
	p, err := oktael.Compile(groupCall+list+literal+noLimit, o)
	if err != nil {
		return nil, placed(err, source, start)
	}
	r.note(c, field, p, source, start)
	return compileGroupProgram(source, o)
}

// compileGroupProgram compiles a group expression over the ids of allowedVars.
func compileGroupProgram(source string, o oktael.Options) (*groupProgram, error) {
	o.Inputs |= oktael.InputGroups | oktael.InputVars
	o.MaxSteps = groupSteps
	list := allowedVar + ", "
	g := &groupProgram{source: source, start: len(groupCall) + len(list) + len("'")}
	var err error
	if g.program, err = oktael.Compile(groupCall+list+quote(source)+noLimit, o); err != nil {
		return nil, placed(err, source, g.start)
	}
	return g, nil
}

// eval gives the values, without those that are null.
func (g *groupProgram) eval(c *oktael.Context) ([]any, error) {
	v, err := g.program.Eval(c)
	if err != nil {
		return nil, placed(err, g.source, g.start)
	}
	values, _ := v.([]any) // null where there is none
	return values, nil
}

// quote writes a text as a literal of the language, in which the quote itself
// is doubled.
func quote(s string) string {
	if !strings.Contains(s, "'") {
		return "'" + s + "'"
	}
	return `"` + strings.ReplaceAll(s, `"`, `""`) + `"`
}

// placedError is an error of an expression that stands inside of a literal,
// with the place in that expression.
type placedError struct {
	line, column int
	msg, caret   string
	err          error
}

// placed moves an error's place from the whole source into the expression
// that begins at start.
func placed(err error, source string, start int) error {
	var (
		offset int
		msg    string
		ce     *oktael.Error
		ee     *oktael.EvalError
	)
	switch {
	case errors.As(err, &ce):
		offset, msg = ce.Offset, ce.Msg
	case errors.As(err, &ee):
		offset, msg = ee.Offset, ee.Msg
	default:
		return err
	}
	p := &placedError{msg: msg, err: err}
	p.line, p.column = lineColumn(source, offset-start)
	line := strings.Split(source, "\n")[p.line-1]
	p.caret = line + "\n" + strings.Repeat(" ", p.column-1) + "^"
	return p
}

// lineColumn tells where a byte of the source stands, both from 1.
func lineColumn(source string, offset int) (line, column int) {
	before := source[:max(0, min(offset, len(source)))]
	start := strings.LastIndexByte(before, '\n') + 1
	return 1 + strings.Count(before, "\n"), 1 + utf8.RuneCountInString(before[start:])
}

func (e *placedError) Error() string { return fmt.Sprintf("%d:%d: %s", e.line, e.column, e.msg) }
func (e *placedError) Caret() string { return e.caret }
func (e *placedError) Unwrap() error { return e.err }
