package jose

import "errors"

// ErrInvalidToken is wrapped by each refusal of a token, here and in the packages
// above.
var ErrInvalidToken = errors.New("token is invalid")

// A Refusal is one class of reasons to refuse a token. It wraps ErrInvalidToken,
// so that callers can ask for the class or for any refusal.
type Refusal string

// Error returns the text of the class. It holds nothing of any token.
func (r Refusal) Error() string { return string(r) }

// Unwrap returns ErrInvalidToken.
func (r Refusal) Unwrap() error { return ErrInvalidToken }

// The refusals that follow from a token's form and signature alone.
var (
	// ErrMalformed is a token that is not a compact JWS in its strict form (RFC
	// 7515, section 7.1), does not hold strict JSON, or is over a bound.
	ErrMalformed error = Refusal("token is malformed")
	// ErrCritical is a header with crit or b64 (RFC 7515, section 4.1.11).
	ErrCritical error = Refusal("token's header demands an extension")
	// ErrType is a typ that is empty, or that the caller does not accept.
	ErrType error = Refusal("token's type is not allowed")
	// ErrUnknownKey is a key set without a key of this kid and algorithm.
	ErrUnknownKey error = Refusal("token's key is not known")
	// ErrSignature is a signature that no key of the set verifies.
	ErrSignature error = Refusal("token's signature does not verify")
)
