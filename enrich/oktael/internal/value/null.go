package value

import (
	"errors"
	"fmt"
)

// ErrNull says that an expression asked for a property or method of null.
var ErrNull = errors.New("value is null")

// rewordedError is an error that says its own words only and still is its cause.
type rewordedError struct {
	msg   string
	cause error
}

func (e *rewordedError) Error() string { return e.msg }
func (e *rewordedError) Unwrap() error { return e.cause }

// onNull is an error that is ErrNull in better words.
func NullError(format string, args ...any) error {
	return &rewordedError{fmt.Sprintf(format, args...), ErrNull}
}
