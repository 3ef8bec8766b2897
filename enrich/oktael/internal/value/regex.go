package value

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Regular expressions of the language: RE2's, bounded, and refused where Java,
// whose expressions Okta takes, would match something else.

// Regex is a compiled regular expression that must match a whole text.
type Regex struct {
	re *regexp.Regexp

	// size is how many instructions re has; see RegexSize.
	size int
}

// CompileRegex compiles a regular expression. The language is RE2's, which
// matches in time linear to the text; what of Java's it lacks, or would read
// otherwise, is an error that says so.
func CompileRegex(pattern string) (*Regex, error) {
	if len(pattern) > MaxRegex {
		return nil, fmt.Errorf("the regular expression is longer than %d bytes: %w", MaxRegex, ErrLimit)
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, ExplainRegex(err)
	}
	if err := CheckJava(pattern); err != nil {
		return nil, err
	}
	// The anchors are added to the tree, not to the text: there an open \Q
	// or bracket could swallow them.
	whole := &syntax.Regexp{Op: syntax.OpConcat, Sub: []*syntax.Regexp{{Op: syntax.OpBeginText}, tree, {Op: syntax.OpEndText}}}
	re, err := regexp.Compile(whole.String())
	if err != nil {
		return nil, ExplainRegex(err)
	}
	size, err := RegexSize(whole)
	if err != nil {
		return nil, err
	}
	return &Regex{re, size}, nil
}

// RegexSize returns how many instructions a regular expression compiles to:
// matching a text costs up to as many steps for each byte. One of too many is
// an error.
func RegexSize(tree *syntax.Regexp) (int, error) {
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0, errors.New("the regular expression does not compile")
	}
	if len(program.Inst) > MaxRegexSize {
		return 0, fmt.Errorf("the regular expression repeats too much: %w", ErrLimit)
	}
	return len(program.Inst), nil
}

// Match matches a whole text, which costs steps by the work that it may be.
func (m *Meter) Match(r *Regex, text string) (bool, error) {
	if err := m.ConsumeUnits(int64(len(text)) * int64(r.size) * (UnitsPerStep / regexPerStep)); err != nil {
		return false, err
	}
	return r.re.MatchString(text), nil
}

// unsupported are the constructs of Java's regular expressions that RE2 does not
// have, by their start, with what to write instead where there is something.
var unsupported = [...]struct{ start, what string }{
	{"(?=", "look-ahead"},
	{"(?!", "negative look-ahead; match what may pass instead of what may not"},
	{"(?<=", "look-behind"},
	{"(?<!", "negative look-behind"},
	{"(?>", "atomic groups; a plain (?:…) matches the same texts"},
	{"*+", "possessive quantifiers; write * without the +"},
	{"++", "possessive quantifiers; write a single +"},
	{"?+", "possessive quantifiers; write ? without the +"},
	{"}+", "possessive quantifiers; omit the + after the braces"},
	{`\u`, `\u; write \x{…} with the same digits`},
	{`\Z`, `\Z; the whole text is matched anyway`},
	{`\h`, `\h; write [ \t]`},
	{`\R`, `\R; write \r?\n`},
	{`\k`, "back-references"},
}

// ExplainRegex returns what is wrong with a regular expression that
// regexp/syntax rejects with err. It does not repeat the expression, which may
// come from a profile.
func ExplainRegex(err error) error {
	var fault *syntax.Error
	if !errors.As(err, &fault) {
		return errors.New("the regular expression does not compile")
	}
	what := ""
	switch fault.Code {
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidEscape, syntax.ErrInvalidRepeatOp, syntax.ErrInvalidNamedCapture:
		for _, u := range unsupported {
			if strings.Contains(fault.Expr, u.start) {
				what = u.what
				break
			}
		}
		if e := fault.Expr; what == "" && len(e) >= 2 && e[0] == '\\' && '1' <= e[1] && e[1] <= '9' {
			what = "back-references"
		}
	default: // the fault's code says what is wrong
	}
	if what != "" {
		return fmt.Errorf("the regular expression does not compile: RE2 does not support %s", what)
	}
	return fmt.Errorf("the regular expression does not compile: %s", fault.Code)
}

// Regexes are the regular expressions that one evaluation compiled because they
// are not literals; the same text is compiled once.
type Regexes map[string]*Regex

// Compile compiles a regular expression that is not a literal.
func (r *Regexes) Compile(pattern string) (*Regex, error) {
	if re, ok := (*r)[pattern]; ok {
		return re, nil
	}
	if len(*r) >= MaxCompiled {
		return nil, fmt.Errorf("over %d different regular expressions: %w", MaxCompiled, ErrLimit)
	}
	re, err := CompileRegex(pattern)
	if err != nil {
		return nil, err
	}
	if *r == nil {
		*r = make(map[string]*Regex)
	}
	(*r)[pattern] = re
	return re, nil
}
