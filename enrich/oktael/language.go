package oktael

import (
	regexpsyntax "regexp/syntax"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/input"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/library"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/internal/value"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oktael/syntax"
)

// What a caller needs of the packages below is named here, so that it imports
// this package alone.

// Error says why an expression does not compile, and where; see syntax.Error.
type Error = syntax.Error

// Dialect restricts which functions and methods an expression may use. The
// grammar is the same in all of them.
type Dialect = syntax.Dialect

// The dialects.
const (
	// Either accepts the functions of both dialects. It is the zero value.
	Either = syntax.Either

	// Classic is the dialect of Okta's token claims, groups claims and
	// mappings.
	Classic = syntax.Classic

	// IdentityEngine is the dialect of sign-on policies and federated claims.
	IdentityEngine = syntax.IdentityEngine
)

// ParseDialect reads the configuration's word for a dialect: "classic",
// "identity_engine", or empty for either of them.
func ParseDialect(name string) (Dialect, error) { return syntax.ParseDialect(name) }

// Context is what an evaluation may read. A caller fills the fields of
// input.Context from what it knows of the user.
type Context = input.Context

// DecodeContext reads a Context from a JSON object; see input.DecodeContext.
func DecodeContext(text []byte) (*Context, error) { return input.DecodeContext(text) }

// GroupIndex finds groups by id, for Context.Index.
type GroupIndex = input.GroupIndex

// IndexGroups builds the index of a user's groups. Build it once for a person
// and put it into each Context together with the same groups.
func IndexGroups(groups []identity.Group) GroupIndex { return input.IndexGroups(groups) }

// Inputs is a set of the things that an expression can read: what it may read
// (Options.Inputs) and what it does read (Program.Reads).
type Inputs = input.Set

// The inputs.
const (
	// InputUser is the user: "user" with its attributes and methods.
	InputUser = input.User

	// InputGroups are the user's groups: "groups", user.getGroups,
	// getFilteredGroups, the Groups family and isMemberOf….
	InputGroups = input.Groups

	// InputApp is the protected application: "app".
	InputApp = input.App

	// InputAppUser is the user's assignment to that application: "appuser".
	InputAppUser = input.AppUser

	// InputLinked are the user's linked objects, such as the manager.
	InputLinked = input.Linked

	// InputAppUsers are assignments to other applications.
	InputAppUsers = input.AppUsers

	// InputAccess are the granted scopes: "access.scope".
	InputAccess = input.Access

	// InputOrg is the organization: "org".
	InputOrg = input.Org

	// InputSession is the user's session: "session".
	InputSession = input.Session

	// InputToken are the verified token's claims: "token".
	InputToken = input.Token

	// InputClaims are the claims that earlier rules computed: "claims".
	InputClaims = input.Claims

	// InputRequest is the HTTP request: "request". A value that reads it cannot be
	// cached for other requests.
	InputRequest = input.Request

	// InputVars are variables of the caller's, under bare names.
	InputVars = input.Vars

	// InputClock is the present time. A value that reads it cannot be cached.
	InputClock = input.Clock

	// AllInputs lets an expression read everything.
	AllInputs = input.All
)

// The causes of an EvalError, for errors.Is.
var (
	// ErrGroupsUnknown says that an expression reads the user's groups and no
	// directory could say them. Unknown is not empty.
	ErrGroupsUnknown = input.ErrGroupsUnknown

	// ErrFactUnavailable says that an expression reads what none of the directories that
	// know the user can say. It is neither null nor false.
	ErrFactUnavailable = input.ErrFactUnavailable

	// ErrNull says that an expression asked for a property or method of null.
	ErrNull = value.ErrNull

	// ErrTooManyGroups says that more groups match than the call's limit
	// allows. Options.TruncateOverLimit cuts the list instead.
	ErrTooManyGroups = library.ErrTooManyGroups

	// ErrLimit says that an evaluation hit one of the bounds of the language.
	ErrLimit = value.ErrLimit
)

// CheckJava refuses a regular expression that RE2 reads without complaint but
// otherwise than Java, whose expressions Okta takes. The error says what to
// write instead.
func CheckJava(pattern string) error { return value.CheckJava(pattern) }

// ExplainRegex returns what is wrong with a regular expression that
// regexp/syntax rejects with err, without repeating the expression.
func ExplainRegex(err error) error { return value.ExplainRegex(err) }

// RegexSize returns how many instructions a regular expression compiles to.
// One of too many is an error.
func RegexSize(tree *regexpsyntax.Regexp) (int, error) { return value.RegexSize(tree) }
