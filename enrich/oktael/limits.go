package oktael

// Bounds on what an expression may be and do. Expressions come from
// configuration, but some are imported from elsewhere, and a profile may hold
// the text of one; the values they work on come from outside.
const (
	// DefaultMaxLength is how many bytes an expression may have unless
	// Options.MaxLength says otherwise: four times what Okta's own limit of
	// 1,024 characters can take up in the longest of its published examples.
	DefaultMaxLength = 4096

	// maxSteps is the most that Options.MaxSteps can raise it to.
	maxSteps = 1 << 30

	// maxLength is the most that Options.MaxLength can raise it to. A chain
	// of operators is as deep as it is long, and must fit the stack.
	maxLength = 1 << 16

	// DefaultMaxSteps is how many parts of an expression may be evaluated in
	// one go unless Options.MaxSteps says otherwise. Reading a value that is
	// there is free, so that a projection onto names takes one step for each
	// of the user's groups; long texts and lists cost further steps.
	DefaultMaxSteps = 10_000

	// maxGroupDepth is how many group expressions may stand
	// inside of each other; one that reads its own text from a profile would
	// otherwise never end.
	maxGroupDepth = 2
)
