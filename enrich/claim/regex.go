package claim

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// compileWhole compiles an RE2 expression that must match a whole name. It is
// bounded like those in expressions.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	// Alone first: "a)|(b" is no expression, but would become one in brackets,
	// and an open \Q would swallow the closing one.
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, explainRegex(err)
	}
	if _, err := oktael.RegexSize(tree); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`^(?:` + tree.String() + `)$`)
	if err != nil {
		return nil, explainRegex(err)
	}
	return re, nil
}

// lacking are constructs of other regular expression languages that RE2 lacks,
// with what to write instead.
var lacking = [...]struct{ start, what string }{
	{"(?=", "look-ahead"},
	{"(?!", "negative look-ahead; name the groups that may pass instead of those that may not"},
	{"(?<=", "look-behind"},
	{"(?<!", "negative look-behind"},
	{"(?>", "an atomic group; a plain (?:…) matches the same names"},
	{"*+", "a possessive quantifier; a plain * does here"},
	{"++", "a possessive quantifier; a plain + does here"},
	{"?+", "a possessive quantifier; a plain ? does here"},
	{"}+", "a possessive quantifier; the quantifier without + does here"},
	{`\u`, `\u; write \x{…} with the same digits`},
	{`\Z`, `\Z; the whole name is matched anyway`},
	{`\h`, `\h; write [ \t]`},
	{`\R`, `\R; a group's name has no line ends`},
	{`\k`, "a back reference"},
}

// explainRegex turns the parser's error into one that names the construct
// where it is one that RE2 lacks.
func explainRegex(err error) error {
	var se *syntax.Error
	if !errors.As(err, &se) {
		return fmt.Errorf("parsing the regular expression: %w", err)
	}
	switch se.Code {
	case syntax.ErrInvalidPerlOp, syntax.ErrInvalidNamedCapture, syntax.ErrInvalidRepeatOp, syntax.ErrInvalidEscape:
		for _, l := range lacking {
			if strings.Contains(se.Expr, l.start) {
				return fmt.Errorf("parsing the regular expression: RE2 does not have %s: %w", l.what, err)
			}
		}
		if len(se.Expr) >= 2 && se.Expr[0] == '\\' && '1' <= se.Expr[1] && se.Expr[1] <= '9' {
			return fmt.Errorf("parsing the regular expression: RE2 does not have back references: %w", err)
		}
	default:
	}
	return fmt.Errorf("parsing the regular expression: %w", err)
}
