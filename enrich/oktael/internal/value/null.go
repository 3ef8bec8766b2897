package value

import (
	"errors"
	"fmt"
)

// ErrNull says that an expression asked for a property or method of null.
var ErrNull = errors.New("value is null")

// NullError returns an error that is ErrNull and says what was null.
func NullError(format string, args ...any) error {
	return nullError(fmt.Sprintf(format, args...))
}

// nullError is the message of an ErrNull.
type nullError string

// Error returns the message alone: ErrNull's own words would repeat it.
func (e nullError) Error() string { return string(e) }

// Unwrap makes the error an ErrNull.
func (e nullError) Unwrap() error { return ErrNull }
