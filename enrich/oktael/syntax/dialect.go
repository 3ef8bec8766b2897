package syntax

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/suggest"
)

// Dialect restricts which functions and methods an expression may use. The
// grammar is the same in all of them.
type Dialect uint8

const (
	// Either accepts the functions of both dialects. It is the zero value.
	Either Dialect = iota

	// Classic is the dialect of Okta's token claims, groups claims and
	// mappings: functions are called on a family (String.len(s)), an
	// attribute is read straight from the user (user.email), and times are
	// texts.
	Classic

	// IdentityEngine is the dialect of sign-on policies and federated claims:
	// functions are methods of values (s.length()), attributes are in the
	// profile (user.profile.email), and times are date-time values.
	IdentityEngine
)

// dialectNames are the spellings of the configuration, by Dialect.
var dialectNames = [...]string{Either: "either", Classic: "classic", IdentityEngine: "identity_engine"}

// ParseDialect reads the configuration's word for a dialect: "classic",
// "identity_engine", or empty for either of them.
func ParseDialect(name string) (Dialect, error) {
	switch name {
	case "", "either":
		return Either, nil
	case "classic":
		return Classic, nil
	case "identity_engine":
		return IdentityEngine, nil
	}
	return Either, fmt.Errorf("reading the dialect: unknown dialect %q%s", name, suggest.DidYouMean(name, dialectNames[1:]))
}

// String returns the configuration's word for the dialect.
func (d Dialect) String() string {
	if int(d) < len(dialectNames) {
		return dialectNames[d]
	}
	return "unknown"
}

// Has reports whether an expression of dialect d may use what belongs to
// dialect of. Either, on either side, excludes nothing.
func (d Dialect) Has(of Dialect) bool { return d == Either || of == Either || d == of }
