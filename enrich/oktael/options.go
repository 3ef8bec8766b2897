package oktael

// Bounds on what an expression may be and do. Expressions come from
// configuration, but some are imported from elsewhere, and a profile may hold
// the text of one; the values they work on come from outside.
const (
	// DefaultMaxLength is how many bytes an expression may have unless
	// Options.MaxLength says otherwise: four times what Okta's own limit of
	// 1,024 characters can take up in the longest of its published examples.
	DefaultMaxLength = 4096

	// maxLength is the most that Options.MaxLength can raise it to. A chain
	// of operators is as deep as it is long, and must fit the stack.
	maxLength = 1 << 16

	// DefaultMaxSteps is how many parts of an expression may be evaluated in
	// one go unless Options.MaxSteps says otherwise. Reading a value that is
	// there is free, so that a projection onto names takes one step for each
	// of the user's groups; long texts and lists cost further steps.
	DefaultMaxSteps = 10_000

	// maxSteps is the most that Options.MaxSteps can raise it to.
	maxSteps = 1 << 30
)

// Options say how an expression is compiled and how far it may go.
type Options struct {
	// Dialect restricts the functions and methods. Default: Either, which
	// accepts those of both dialects.
	Dialect Dialect

	// Inputs are what the expression may read; anything else is an error when
	// it is compiled. The zero value lets it read nothing.
	Inputs Inputs

	// MaxLength bounds the source in bytes. Default: DefaultMaxLength; Okta's
	// own bound for claims is 1,024 characters. At most 64 KiB.
	MaxLength int

	// MaxSteps bounds the steps of one evaluation. Default: DefaultMaxSteps.
	MaxSteps int

	// Claims are the names that claims.<name> may use. Default: nil, which lets
	// it use any.
	Claims []string

	// Result is the type of the value that the caller needs. An expression that
	// cannot have it, whatever the inputs are, is an error when it is compiled.
	// Default: ResultAny.
	Result ResultType

	// TruncateOverLimit makes getFilteredGroups and the Groups family return
	// the first groups up to their limit where more match. Without it that is
	// ErrTooManyGroups.
	TruncateOverLimit bool
}

// ResultType is the type that the value of an expression has to have.
type ResultType uint8

const (
	// ResultAny accepts every value.
	ResultAny ResultType = iota

	// ResultBool accepts true and false.
	ResultBool

	// ResultIDs accepts a list, or a text with commas, which is read as one.
	ResultIDs
)
