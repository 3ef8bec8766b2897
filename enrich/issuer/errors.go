package issuer

import (
	"errors"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// ErrInvalidToken is what every refusal of a token wraps: 401 invalid_token
// (RFC 6750, section 3.1), or the code that OAuthError gives.
var ErrInvalidToken = jose.ErrInvalidToken

// ErrUnavailable is what every failure to decide wraps: the keys, the
// introspection endpoint or the replay memory cannot be asked. It is 503, and
// never an answer about the token.
var ErrUnavailable = errors.New("token cannot be verified now")

// ErrConfig is what every error about a configuration wraps.
var ErrConfig = errors.New("issuer configuration is invalid")

// A failure is one class of reasons for which nothing can be decided; it wraps
// ErrUnavailable.
type failure string

func (f failure) Error() string { return string(f) }

// Unwrap returns ErrUnavailable.
func (f failure) Unwrap() error { return ErrUnavailable }

// The classes of refusal; each wraps ErrInvalidToken.
var (
	// ErrMalformed: not a compact JWS in its strict form (RFC 7515, section
	// 7.1), not strict JSON inside, or over a bound.
	ErrMalformed = jose.ErrMalformed
	// ErrAlgorithm: the alg is not on the issuer's list (RFC 8725, section 3.1).
	ErrAlgorithm error = jose.Refusal("token's algorithm is not allowed")
	// ErrCritical: the header has crit or b64 (RFC 7515, section 4.1.11).
	ErrCritical = jose.ErrCritical
	// ErrUnknownIssuer: no issuer that the policy allows has this iss.
	ErrUnknownIssuer error = jose.Refusal("token's issuer is not known")
	// ErrUnknownKey: the issuer has no key with this kid and algorithm.
	ErrUnknownKey = jose.ErrUnknownKey
	// ErrSignature: the signature does not verify.
	ErrSignature = jose.ErrSignature
	// ErrAudience: aud is missing or names somebody else (RFC 8725, section 3.9).
	ErrAudience error = jose.Refusal("token is for another audience")
	// ErrExpired: now is at or after exp plus leeway.
	ErrExpired error = jose.Refusal("token is expired")
	// ErrNotYetValid: now plus leeway is before nbf, or iat is far ahead.
	ErrNotYetValid error = jose.Refusal("token is not valid yet")
	// ErrDates: exp is missing, or a date is not a finite number in range.
	ErrDates error = jose.Refusal("token's dates are invalid")
	// ErrType: typ is not on the issuer's list, or names a kind of token
	// that is never an access or ID token.
	ErrType = jose.ErrType
	// ErrKind: an ID token where an access token is expected, or the other way.
	ErrKind error = jose.Refusal("token is of another kind")
	// ErrClaims: a claim is missing or has a form that it must not have.
	ErrClaims error = jose.Refusal("token's claims are invalid")
	// ErrSubject: the subject claim is missing or may not be relied on.
	ErrSubject error = jose.Refusal("token has no usable subject")
	// ErrInactive: the issuer's introspection endpoint says that the token is
	// not active.
	ErrInactive error = jose.Refusal("token is not active")
	// ErrOpaque: the token is not a JWT and there is no issuer to ask.
	ErrOpaque error = jose.Refusal("token is not a JWT and no issuer introspects it")
	// ErrSender: the token is bound to a key or certificate that the caller
	// did not show, or is not bound where it must be.
	ErrSender error = jose.Refusal("token's sender constraint is not met")
	// ErrProof: the DPoP proof fails one of the checks of RFC 9449, section 4.3.
	ErrProof error = jose.Refusal("DPoP proof is invalid")
	// ErrReplay: the DPoP proof has been used before.
	ErrReplay error = jose.Refusal("DPoP proof was used before")
	// ErrNonce: the DPoP proof lacks the nonce that this gateway demands
	// (RFC 9449, section 9); the answer carries a fresh one.
	ErrNonce error = jose.Refusal("DPoP proof needs a nonce")
)

// The classes of failure; each wraps ErrUnavailable.
var (
	// ErrKeysUnavailable: there are no keys, or none fresh enough.
	ErrKeysUnavailable error = failure("issuer's keys are not available")
	// ErrIntrospection: the introspection endpoint failed or answered
	// something that is no answer (RFC 7662, section 2.2).
	ErrIntrospection error = failure("introspection endpoint failed")
	// ErrIntrospectionRefused: the endpoint refuses this gateway or this kind
	// of token; only a change of configuration mends it.
	ErrIntrospectionRefused error = failure("introspection endpoint refuses the gateway's question")
	// ErrBusy: too many introspections are under way, or too many of tokens that
	// were not seen good before.
	ErrBusy error = failure("too many introspections are under way")
	// ErrReplayMemory: the memory of used DPoP proofs cannot be asked.
	ErrReplayMemory error = failure("memory of used proofs is not available")
)

// OAuthError gives the error code for the WWW-Authenticate header: for a
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
