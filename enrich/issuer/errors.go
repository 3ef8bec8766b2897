package issuer

import (
	"errors"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// ErrInvalidToken is wrapped by each refusal of a token. The answer is 401, with
// the code that OAuthError returns.
var ErrInvalidToken = jose.ErrInvalidToken

// ErrUnavailable is wrapped by each failure to decide: the keys, the introspection
// endpoint or the replay memory cannot be asked. The answer is 503. It says nothing
// about the token.
var ErrUnavailable = errors.New("token cannot be verified now")

// ErrConfig is wrapped by each error about a configuration.
var ErrConfig = errors.New("issuer configuration is invalid")

// A failure is one class of reasons for which nothing can be decided; it wraps
// ErrUnavailable.
type failure string

// Error returns the text of the class.
func (f failure) Error() string { return string(f) }

// Unwrap returns ErrUnavailable.
func (f failure) Unwrap() error { return ErrUnavailable }

// The classes of refusal. Each wraps ErrInvalidToken.
var (
	// ErrMalformed is a token that is not a compact JWS in its strict form (RFC
	// 7515, section 7.1), does not hold strict JSON, or is over a bound.
	ErrMalformed = jose.ErrMalformed
	// ErrAlgorithm is an alg that is not on the issuer's list (RFC 8725, section 3.1).
	ErrAlgorithm error = jose.InvalidTokenError("token's algorithm is not allowed")
	// ErrCritical is a header with crit or b64 (RFC 7515, section 4.1.11).
	ErrCritical = jose.ErrCritical
	// ErrUnknownIssuer is an iss that is not of an issuer that the policy allows.
	ErrUnknownIssuer error = jose.InvalidTokenError("token's issuer is not known")
	// ErrUnknownKey is a kid and algorithm of which the issuer has no key.
	ErrUnknownKey = jose.ErrUnknownKey
	// ErrSignature is a signature that does not verify.
	ErrSignature = jose.ErrSignature
	// ErrAudience is an aud that is missing or does not name this gateway (RFC
	// 8725, section 3.9).
	ErrAudience error = jose.InvalidTokenError("token is for another audience")
	// ErrExpired is a token whose exp plus leeway has come.
	ErrExpired error = jose.InvalidTokenError("token is expired")
	// ErrNotYetValid is an nbf that is ahead of now plus leeway, or an iat that
	// is far ahead.
	ErrNotYetValid error = jose.InvalidTokenError("token is not valid yet")
	// ErrDates is a missing exp, or a date that is not a finite number in range.
	ErrDates error = jose.InvalidTokenError("token's dates are invalid")
	// ErrType is a typ that is not on the issuer's list, or that names a kind of
	// token which is never an access or ID token.
	ErrType = jose.ErrType
	// ErrKind is an ID token where an access token is expected, or the reverse.
	ErrKind error = jose.InvalidTokenError("token is of another kind")
	// ErrClaims is a claim that is missing or malformed.
	ErrClaims error = jose.InvalidTokenError("token's claims are invalid")
	// ErrSubject is a subject claim that is missing or cannot be relied on.
	ErrSubject error = jose.InvalidTokenError("token has no usable subject")
	// ErrInactive is a token that the introspection endpoint calls not active.
	ErrInactive error = jose.InvalidTokenError("token is not active")
	// ErrOpaque is a token that is not a JWT where no issuer introspects.
	ErrOpaque error = jose.InvalidTokenError("token is not a JWT and no issuer introspects it")
	// ErrSender is a token that is bound to a key or certificate which the
	// caller has not shown, or that is not bound where it must be.
	ErrSender error = jose.InvalidTokenError("token's sender constraint is not met")
	// ErrProof is a DPoP proof that fails a check of RFC 9449, section 4.3.
	ErrProof error = jose.InvalidTokenError("DPoP proof is invalid")
	// ErrReplay is a DPoP proof that has been used before.
	ErrReplay error = jose.InvalidTokenError("DPoP proof was used before")
	// ErrNonce is a DPoP proof without the nonce that this gateway demands (RFC
	// 9449, section 9). See NonceError for a fresh one.
	ErrNonce error = jose.InvalidTokenError("DPoP proof needs a nonce")
)

// The classes of failure. Each wraps ErrUnavailable.
var (
	// ErrKeysUnavailable is an issuer without keys, or with none fresh enough.
	ErrKeysUnavailable error = failure("issuer's keys are not available")
	// ErrIntrospection is an introspection endpoint that failed, or whose answer
	// is none (RFC 7662, section 2.2).
	ErrIntrospection error = failure("introspection endpoint failed")
	// ErrIntrospectionRefused is an endpoint that refuses this gateway or this
	// kind of token. Only a change of configuration helps.
	ErrIntrospectionRefused error = failure("introspection endpoint refuses the gateway's question")
	// ErrBusy is an introspection that was not made: too many are under way, or
	// too many of unknown tokens.
	ErrBusy error = failure("too many introspections are under way")
	// ErrReplayMemory is a memory of used DPoP proofs that cannot be asked.
	ErrReplayMemory error = failure("memory of used proofs is not available")
)

// OAuthError returns the error code for the WWW-Authenticate header: for a
// refusal invalid_token, invalid_dpop_proof or use_dpop_nonce (RFC 6750,
// section 3.1; RFC 9449, sections 7.1 and 9), for anything else the empty
// string.
func OAuthError(err error) string {
	switch {
	case errors.Is(err, ErrNonce):
		return "use_dpop_nonce"
	case errors.Is(err, ErrProof), errors.Is(err, ErrReplay):
		return "invalid_dpop_proof"
	case errors.Is(err, ErrInvalidToken):
		return "invalid_token"
	}
	return ""
}
