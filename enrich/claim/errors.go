package claim

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/setting"
)

// errAllowList says that the value of a dynamic allow list's expression is not a
// list of group ids. The other causes of an evaluation error are oktael's:
// ErrGroupsUnknown, ErrTooManyGroups and the errors of expressions.
var errAllowList = errors.New("not a list of group ids")

// DefinitionError says what is wrong with one rule's configuration.
type DefinitionError struct {
	// Rule is the claim's name as it was written, Index its place among the
	// rules, from 0.
	Rule  string
	Index int

	// Field is the option that is wrong, as in JSON; empty for the whole rule.
	Field string

	// Err is the cause; an *oktael.Error for an expression.
	Err error
}

// Error names the claim, the option and the cause, and for an expression draws
// its source with a caret under the place, on lines of their own.
func (e *DefinitionError) Error() string {
	var b strings.Builder
	if e.Rule == "" {
		fmt.Fprintf(&b, "claim rule %d", e.Index+1)
	} else {
		fmt.Fprintf(&b, "claim %q", e.Rule)
	}
	if e.Field != "" {
		b.WriteString(": ")
		b.WriteString(e.Field)
	}
	b.WriteString(": ")
	b.WriteString(e.Err.Error())
	if c := e.Caret(); c != "" {
		b.WriteString("\n")
		b.WriteString(c)
	}
	return b.String()
}

// SettingPaths returns the path of what is wrong, as setting.Error does.
func (e *DefinitionError) SettingPaths() []string {
	path := setting.Index("claims", e.Index)
	if e.Field != "" {
		path += "." + e.Field
	}
	return []string{path}
}

// Caret returns the line of the expression that is wrong and a line with a caret
// under the place, or nothing where the cause is not an expression.
func (e *DefinitionError) Caret() string {
	var c interface{ Caret() string }
	if !errors.As(e.Err, &c) {
		return ""
	}
	return c.Caret()
}

// Unwrap returns the cause.
func (e *DefinitionError) Unwrap() error { return e.Err }

// RuleError says that the evaluation of a rule failed and that the rule does
// not leave the claim out in that case. The client sees none of it.
type RuleError struct {
	// Rule is the claim's name, Index its place among the rules, from 0.
	Rule  string
	Index int

	// Field is the option whose evaluation failed, as in JSON.
	Field string

	// Err is the cause: an *oktael.EvalError, which knows the position,
	// or one of this package's sentinels.
	Err error
}

// Error names the claim and the cause. It holds no value of a token or of a
// person.
func (e *RuleError) Error() string {
	return fmt.Sprintf("evaluating claim %q: %s: %v", e.Rule, e.Field, e.Err)
}

// Unwrap returns the cause.
func (e *RuleError) Unwrap() error { return e.Err }
