package claim

import (
	"regexp"
	"regexp/syntax"

	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael"
)

// compileWhole compiles an RE2 expression that must match a whole name. It is
// bounded like those in expressions.
func compileWhole(pattern string) (*regexp.Regexp, error) {
	// Alone first: "a)|(b" is no expression, but would become one in brackets,
	// and an open \Q would swallow the closing one.
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, oktael.ExplainRegex(err)
	}
	if _, err := oktael.RegexSize(tree); err != nil {
		return nil, err
	}
	re, err := regexp.Compile(`^(?:` + tree.String() + `)$`)
	if err != nil {
		return nil, oktael.ExplainRegex(err)
	}
	return re, nil
}
