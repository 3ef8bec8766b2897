package claim

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// compileWhole compiles an RE2 expression that must match a whole name.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	// Alone first: "a)|(b" is no expression, but would become one in brackets.
	if _, err := syntax.Parse(pattern, syntax.Perl); err != nil {
		return nil, explainRegex(err)
	}
	re, err := regexp.Compile(`^(?:` + pattern + `)$`)
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

// javaOnly refuses what RE2 reads without complaint but otherwise than the
// Java expressions that Okta takes: a claim that was carried over must not
// come to match other groups.
func javaOnly(pattern string) error {
	inClass, first := false, false
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '\\':
			if strings.HasPrefix(pattern[i:], `\Q`) {
				end := strings.Index(pattern[i:], `\E`)
				if end < 0 {
					return nil
				}
				i += end
			}
			i++
			first = false
			continue
		case !inClass && c == '[':
			inClass, first = true, true
			if strings.HasPrefix(pattern[i+1:], "^") {
				i++
			}
			continue
		case !inClass && strings.HasPrefix(pattern[i:], "(?"):
			flags, _, _ := strings.Cut(pattern[i+2:], ")")
			flags, _, _ = strings.Cut(flags, ":")
			if strings.Trim(flags, "imsU-") == "" && strings.Contains(flags, "U") {
				return errors.New("the flag U means another thing in RE2 than in Java; take it out")
			}
		case inClass && c == '[':
			return errors.New("a class inside a class is a union in Java and not in RE2; write one class")
		case inClass && strings.HasPrefix(pattern[i:], "&&"):
			return errors.New("&& in a class is an intersection in Java and not in RE2; write the characters out")
		case inClass && c == ']' && !first:
			inClass = false
		}
		first = false
	}
	return nil
}
