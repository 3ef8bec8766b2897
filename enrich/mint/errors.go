package mint

import "errors"

var (
	// ErrNotReady says that there are no keys yet: the storage could not be
	// reached, or another node makes them. It is 503.
	ErrNotReady = errors.New("signing keys are not ready")

	// ErrNoSubject says that the claim that is to be the token's subject is
	// missing or is no text. It is 401 invalid_token.
	ErrNoSubject = errors.New("the claim for the subject is missing")

	// ErrExpired says that the incoming token is past its expiry and leeway.
	// It is 401 invalid_token.
	ErrExpired = errors.New("the incoming token has expired")

	// errTooLarge says that the token would be over maxToken. It is 500.
	errTooLarge = errors.New("the signed token is too large")

	// ErrFixedKeys says that keys which come from files are not rotated here.
	ErrFixedKeys = errors.New("the signing keys come from files")
)
