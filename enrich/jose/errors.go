package jose

import "errors"

// ErrInvalidToken is what every refusal of a token wraps.
var ErrInvalidToken = errors.New("token is invalid")

// A Refusal is one class of reasons to refuse a token; it wraps
// ErrInvalidToken.
type Refusal string

func (r Refusal) Error() string { return string(r) }

// Unwrap returns ErrInvalidToken.
func (r Refusal) Unwrap() error { return ErrInvalidToken }

// The refusals that follow from a token's form and signature alone.
var (
	// ErrMalformed: not a compact JWS in its strict form (RFC 7515, section
	// 7.1), not strict JSON inside, or over a bound.
	ErrMalformed error = Refusal("token is malformed")
	// ErrCritical: the header has crit or b64 (RFC 7515, section 4.1.11).
	ErrCritical error = Refusal("token's header demands an extension")
	// ErrType: typ is empty, or is not one that the caller takes.
	ErrType error = Refusal("token's type is not allowed")
	// ErrUnknownKey: the key set has no key with this kid and algorithm.
	ErrUnknownKey error = Refusal("token's key is not known")
	// ErrSignature: the signature does not verify.
	ErrSignature error = Refusal("token's signature does not verify")
)
