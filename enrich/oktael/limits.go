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

	// MaxNesting is how deep brackets, lists, calls and choices may nest.
	// Written by hand, a dozen is already unreadable.
	MaxNesting = 64

	// DefaultMaxSteps is how many parts of an expression may be evaluated in
	// one go unless Options.MaxSteps says otherwise. Reading a value that is
	// there is free, so that a projection onto names takes one step for each
	// of the user's groups; long texts and lists cost further steps.
	DefaultMaxSteps = 10_000

	// MaxList is how many elements a list may have: the most groups that are
	// held for one user.
	MaxList = 10_000

	// MaxText is how many bytes a text made by an expression may have: eight
	// times what all headers together may take.
	MaxText = 1 << 16

	// MaxResult is how many values one result may hold, counting those
	// inside of lists and maps: 5,000 groups with twenty fields.
	MaxResult = 100_000

	// maxResultText is how many bytes of text one result may hold: four times
	// the largest record.
	maxResultText = 4 << 20

	// MaxRegex is how many bytes a regular expression may have; it is the
	// bound of the language that Okta built on.
	MaxRegex = 1000

	// maxRegexSize is how many instructions a regular expression may compile
	// to: a thousand bytes of alternatives need about as many, nested counted
	// repetition a hundred times that.
	maxRegexSize = 10_000

	// maxCompiled is how many regular expressions, and how many group
	// expressions, that are not literals one evaluation may compile.
	maxCompiled = 32

	// maxGroupDepth is how many group expressions may stand
	// inside of each other; one that reads its own text from a profile would
	// otherwise never end.
	maxGroupDepth = 2
)

// Work that one step pays for, in functions that go over long values.
const (
	textPerStep  = 512   // bytes copied or compared
	listPerStep  = 64    // elements copied or compared
	regexPerStep = 4_096 // bytes matched, times instructions

	literalPerStep  = 4 // elements of a list that the expression writes out
	propertyPerStep = 4 // properties read
	sourcePerStep   = 4 // bytes compiled, where an expression is not a literal

	// unitsPerStep are the parts into which a step is divided: the largest
	// number above, which all others divide.
	unitsPerStep = regexPerStep
)
