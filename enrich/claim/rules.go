package claim

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// readable is what a claim rule may read. What belongs to the request is for
// requirements only, which are evaluated for each request; claims are computed
// once for a token.
const readable = oktael.AllInputs &^ (oktael.InputRequest | oktael.InputVars)

// Rules are the compiled claim rules of one policy. They hold no state and
// serve any number of goroutines.
type Rules struct {
	rules    []rule
	names    []string
	computed map[string]bool
	reads    oktael.Inputs
	warnings []Warning

	// Whether any rule asks for the kind of the token, so that it is found out
	// once and only then.
	byToken bool
}

// Warning is a warning of the expression compiler about one rule.
type Warning struct {
	// Rule is the claim's name, Field the option that holds the expression, as
	// in JSON.
	Rule, Field string

	oktael.Warning
}

// rule is one compiled rule. One of program, filter and allow is set.
type rule struct {
	name       string
	active     bool
	token      string
	scopes     []string
	omitErrors bool
	emitEmpty  bool
	reads      oktael.Inputs // also through other claims
	program    *oktael.Program
	filter     *filter
	allow      *allowList
}

// Compile checks every definition and prepares it. It finds all that is wrong
// at once: its error joins one *DefinitionError for each bad rule.
func Compile(defs []Definition) (*Rules, error) {
	if len(defs) > maxRules {
		return nil, fmt.Errorf("compiling claim rules: %d rules, at most %d", len(defs), maxRules)
	}
	r := &Rules{
		rules:    make([]rule, 0, len(defs)),
		names:    make([]string, 0, len(defs)),
		computed: make(map[string]bool, len(defs)),
	}
	var wrong []error
	for i := range defs {
		d := &defs[i]
		compiled, field, err := r.compile(d)
		if err != nil {
			wrong = append(wrong, &DefinitionError{Rule: d.Name, Index: i, Field: field, Err: err})
		}
		// Also when it is wrong, so that the rules below are not blamed.
		r.rules = append(r.rules, compiled)
		r.names = append(r.names, d.Name)
		r.computed[d.Name] = true
		r.reads |= compiled.reads
	}
	if len(wrong) > 0 {
		return nil, errors.Join(wrong...)
	}
	return r, nil
}

// Reads returns what the rules read, taken together: what none reads need not be
// looked up. Rules that are limited to scopes or to a kind of token read
// InputAccess and InputToken.
func (r *Rules) Reads() oktael.Inputs { return r.reads }

// Names returns the claims' names in the order of the rules, also of inactive
// ones. The caller must not change the slice.
func (r *Rules) Names() []string { return r.names }

// Warnings returns the expression compiler's warnings about the rules.
func (r *Rules) Warnings() []Warning { return r.warnings }

// compile turns one definition into a rule. The field that it returns with an
// error is the one that is wrong.
func (r *Rules) compile(d *Definition) (c rule, field string, err error) {
	c.name = d.Name
	if err := checkName(d.Name); err != nil {
		return c, "name", err
	}
	if r.computed[d.Name] {
		return c, "name", errors.New("another rule of the policy already computes this claim")
	}
	if field, err := c.options(d); err != nil {
		return c, field, err
	}
	dialect, err := oktael.ParseDialect(d.Dialect)
	if err != nil {
		return c, "dialect", err
	}
	kinds := 0
	for _, set := range []bool{d.Expression != "", d.Groups != nil, d.AllowList != nil} {
		if set {
			kinds++
		}
	}
	if kinds != 1 {
		return c, "", errors.New("exactly one of expression, groups and allow_list is required")
	}
	switch {
	case d.Groups != nil:
		c.filter, field, err = compileFilter(d.Groups)
		c.reads |= oktael.InputGroups
	case d.AllowList != nil:
		field, err = r.compileAllowList(&c, d.AllowList, dialect)
		c.reads |= oktael.InputGroups
	default:
		field = "expression"
		c.program, err = r.program(&c, field, d.Expression, dialect, oktael.ResultAny)
	}
	if err != nil {
		return c, field, err
	}
	if !c.active {
		c.reads = 0 // nothing need be looked up for it
		return c, "", nil
	}
	if len(c.scopes) > 0 {
		c.reads |= oktael.InputAccess
	}
	if c.token != "" {
		c.reads |= oktael.InputToken
		r.byToken = true
	}
	return c, "", nil
}

// options takes over what every kind of rule has.
func (c *rule) options(d *Definition) (field string, err error) {
	for _, s := range d.Scopes {
		if !isScope(s) {
			return "scopes", fmt.Errorf("%q is not a scope", s)
		}
	}
	c.scopes = slices.Clone(d.Scopes)
	switch d.OnError {
	case "", OnErrorDeny:
	case OnErrorOmit:
		c.omitErrors = true
	default:
		return "on_error", oneOf(d.OnError, OnErrorDeny, OnErrorOmit)
	}
	switch d.OnEmpty {
	case "", OnEmptyOmit:
	case OnEmptyEmit:
		c.emitEmpty = true
	default:
		return "on_empty", oneOf(d.OnEmpty, OnEmptyOmit, OnEmptyEmit)
	}
	switch d.Status {
	case "", StatusActive:
		c.active = true
	case StatusInactive:
	default:
		return "status", oneOf(d.Status, StatusActive, StatusInactive)
	}
	switch d.Token {
	case "", TokenAny:
	case TokenAccess, TokenID:
		c.token = d.Token
	default:
		return "token", oneOf(d.Token, TokenAccess, TokenID, TokenAny)
	}
	return "", nil
}

// isScope reports whether a text is one scope: a space ends it (RFC 6749,
// section 3.3).
func isScope(s string) bool { return s != "" && !strings.ContainsAny(s, " \t\r\n") }

// program compiles an expression of the rule c and notes what it reads.
func (r *Rules) program(c *rule, field, source string, dialect oktael.Dialect, result oktael.ResultType) (*oktael.Program, error) {
	p, err := oktael.Compile(source, oktael.Options{Dialect: dialect, Inputs: readable, Claims: r.above(), Result: result})
	if err != nil {
		return nil, err
	}
	r.record(c, field, source, p.Reads(), p.Warnings())
	return p, nil
}

// above returns the names that claims.<name> may have in the rule that is being
// compiled. An empty list, unlike none, allows no name at all.
func (r *Rules) above() []string { return append([]string{}, r.names...) }

// record keeps what the program of a source reads and what it warns of.
func (r *Rules) record(c *rule, field, source string, reads oktael.Inputs, warnings []oktael.Warning) {
	c.reads |= reads
	if reads&oktael.InputClaims != 0 {
		c.reads |= r.readsThrough(source)
	}
	for _, w := range warnings {
		r.warnings = append(r.warnings, Warning{Rule: c.name, Field: field, Warning: w})
	}
}
