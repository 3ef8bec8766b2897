package jose

import "errors"

// ErrInvalidToken is wrapped by each refusal of a token, here and in the packages
// above.
var ErrInvalidToken = errors.New("token is invalid")

// An InvalidTokenError is one class of reasons to refuse a token. It wraps
// ErrInvalidToken, so that callers can ask for the class or for any refusal.
type InvalidTokenError string

// Error returns the text of the class. It holds nothing of any token.
func (e InvalidTokenError) Error() string { return string(e) }

// Unwrap returns ErrInvalidToken.
func (e InvalidTokenError) Unwrap() error { return ErrInvalidToken }

// The refusals that follow from a token's form and signature alone.
var (
	// ErrMalformed is a token that is not a compact JWS in its strict form (RFC
	// 7515, section 7.1), does not hold strict JSON, or is over a bound.
	ErrMalformed error = InvalidTokenError("token is malformed")
	// ErrCritical is a header with crit or b64 (RFC 7515, section 4.1.11).
	ErrCritical error = InvalidTokenError("token's header demands an extension")
	// ErrType is a typ that is empty, or that the caller does not accept.
	ErrType error = InvalidTokenError("token's type is not allowed")
	// ErrUnknownKey is a key set without a key of this kid and algorithm.
	ErrUnknownKey error = InvalidTokenError("token's key is not known")
	// ErrSignature is a signature that no key of the set verifies.
	ErrSignature error = InvalidTokenError("token's signature does not verify")
)
