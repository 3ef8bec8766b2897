package oktael

// Options say how an expression is compiled and how far it may go.
type Options struct {
	// Dialect restricts the functions and methods. Default: either dialect's.
	Dialect Dialect

	// Roots are what the expression may read; anything else is an error at
	// load. The zero value lets it read nothing.
	Roots Roots

	// MaxLength bounds the source in bytes. Default: DefaultMaxLength; Okta's
	// own bound for claims is 1,024 characters. At most 64 KiB.
	MaxLength int

	// MaxSteps bounds one evaluation. Default: DefaultMaxSteps.
	MaxSteps int

	// Claims are the names that claims.<name> may use; nil lets it use any.
	Claims []string

	// Wants is what the value is for. An expression that can't give that,
	// whatever the values are, is refused at load. Default: Anything.
	Wants Wanted

	// TruncateOverLimit makes getFilteredGroups and the Groups family return
	// the first groups up to their limit where more match. Without it that is
	// ErrTooManyGroups.
	TruncateOverLimit bool
}

// Wanted says what the value of an expression is for.
type Wanted uint8

const (
	// Anything takes every value.
	Anything Wanted = iota

	// Condition wants true or false.
	Condition

	// IDs wants a list, or a text with commas in it, which is taken for one.
	IDs
)
