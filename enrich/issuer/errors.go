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

// errConfig is wrapped by each error about a configuration.
var errConfig = errors.New("issuer configuration is invalid")

// A failure is one class of reasons for which nothing can be decided; it wraps
// ErrUnavailable.
type failure string

// Error returns the text of the class.
func (f failure) Error() string { return string(f) }

// Unwrap returns ErrUnavailable.
func (f failure) Unwrap() error { return ErrUnavailable }

// The classes of refusal. Each wraps ErrInvalidToken.
var (
	// errMalformed is a token that is not a compact JWS in its strict form (RFC
	// 7515, section 7.1), does not hold strict JSON, or is over a bound.
	errMalformed = jose.ErrMalformed
	// errAlgorithm is an alg that is not on the issuer's list (RFC 8725, section 3.1).
	errAlgorithm error = jose.InvalidTokenError("token's algorithm is not allowed")
	// errCritical is a header with crit or b64 (RFC 7515, section 4.1.11).
	errCritical = jose.ErrCritical
	// ErrUnknownIssuer is an iss that is not of an issuer that the policy allows.
	ErrUnknownIssuer error = jose.InvalidTokenError("token's issuer is not known")
	// errUnknownKey is a kid and algorithm of which the issuer has no key.
	errUnknownKey = jose.ErrUnknownKey
	// errSignature is a signature that does not verify.
	errSignature = jose.ErrSignature
	// errAudience is an aud that is missing or does not name this gateway (RFC
	// 8725, section 3.9).
	errAudience error = jose.InvalidTokenError("token is for another audience")
	// errExpired is a token whose exp plus leeway has come.
	errExpired error = jose.InvalidTokenError("token is expired")
	// errNotYetValid is an nbf that is ahead of now plus leeway, or an iat that
	// is far ahead.
	errNotYetValid error = jose.InvalidTokenError("token is not valid yet")
	// errDates is a missing exp, or a date that is not a finite number in range.
	errDates error = jose.InvalidTokenError("token's dates are invalid")
	// errType is a typ that is not on the issuer's list, or that names a kind of
	// token which is never an access or ID token.
	errType = jose.ErrType
	// errKind is an ID token where an access token is expected, or the reverse.
	errKind error = jose.InvalidTokenError("token is of another kind")
	// errClaims is a claim that is missing or malformed.
	errClaims error = jose.InvalidTokenError("token's claims are invalid")
	// errSubject is a subject claim that is missing or cannot be relied on.
	errSubject error = jose.InvalidTokenError("token has no usable subject")
	// ErrAuthTime is an ID token whose auth_time is older than the max_age that
	// the login asked for: the issuer did not ask the user again.
	ErrAuthTime error = jose.InvalidTokenError("user's authentication is older than max_age")
	// errInactive is a token that the introspection endpoint calls not active.
	errInactive error = jose.InvalidTokenError("token is not active")
	// errOpaque is a token that is not a JWT where no issuer introspects.
	errOpaque error = jose.InvalidTokenError("token is not a JWT and no issuer introspects it")
	// errSender is a token that is bound to a key or certificate which the
	// caller has not shown, or that is not bound where it must be.
	errSender error = jose.InvalidTokenError("token's sender constraint is not met")
	// errProof is a DPoP proof that fails a check of RFC 9449, section 4.3.
	errProof error = jose.InvalidTokenError("DPoP proof is invalid")
	// errReplay is a DPoP proof that has been used before.
	errReplay error = jose.InvalidTokenError("DPoP proof was used before")
	// errNonce is a DPoP proof without the nonce that this gateway demands (RFC
	// 9449, section 9). See NonceError for a fresh one.
	errNonce error = jose.InvalidTokenError("DPoP proof needs a nonce")
)

// The classes of failure. Each wraps ErrUnavailable.
var (
	// errKeysUnavailable is an issuer without keys, or with none fresh enough.
	errKeysUnavailable error = failure("issuer's keys are not available")
	// errIntrospection is an introspection endpoint that failed, or whose answer
	// is none (RFC 7662, section 2.2).
	errIntrospection error = failure("introspection endpoint failed")
	// errIntrospectionRefused is an endpoint that refuses this gateway or this
	// kind of token. Only a change of configuration helps.
	errIntrospectionRefused error = failure("introspection endpoint refuses the gateway's request")
	// errUserinfo is a userinfo endpoint that failed, or whose answer is none
	// (OpenID Connect Core, section 5.3.2).
	errUserinfo error = failure("userinfo endpoint failed")
	// errBusy is an introspection that was not made: too many are under way, or
	// too many of unknown tokens.
	errBusy error = failure("too many introspections are under way")
	// errReplayMemory is a memory of used DPoP proofs that cannot be asked.
	errReplayMemory error = failure("memory of used proofs is not available")
)

// OAuthError returns the error code for the WWW-Authenticate header: for a
// refusal invalid_token, invalid_dpop_proof or use_dpop_nonce (RFC 6750,
// section 3.1; RFC 9449, sections 7.1 and 9), for anything else the empty
// string.
func OAuthError(err error) string {
	switch {
	case errors.Is(err, errNonce):
		return "use_dpop_nonce"
	case errors.Is(err, errProof), errors.Is(err, errReplay):
		return "invalid_dpop_proof"
	case errors.Is(err, ErrInvalidToken):
		return "invalid_token"
	}
	return ""
}
