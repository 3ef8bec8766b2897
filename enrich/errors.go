package enrich

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

// Kind is the class of a refusal. One table (kinds) maps each to its HTTP status
// and its word; no status is decided anywhere else.
type Kind uint8

const (
	// KindInternal: a defect, such as a panic in one of our stages. Being
	// the zero value, it is also what an unclassified error becomes.
	KindInternal Kind = iota
	// KindNoToken: no token where one is required (RFC 6750, section 3.1).
	KindNoToken
	// KindMalformedRequest: two tokens, a repeated parameter, a scheme
	// without a token, a path that can be read in two ways.
	KindMalformedRequest
	// KindInvalidToken: malformed, expired, revoked, of a foreign issuer.
	KindInvalidToken
	// KindSessionEnded: the session of a login is over, revoked, or none of ours;
	// a new login helps.
	KindSessionEnded
	// KindOtherLogin: the session is of a login that the policy does not accept.
	KindOtherLogin
	// KindInsufficientScope: a scope that the policy requires is missing.
	KindInsufficientScope
	// KindInsufficientAuthentication: acr or age of the login do not suffice
	// (RFC 9470).
	KindInsufficientAuthentication
	// KindCrossOrigin: an unsafe cross-origin request with a cookie token.
	KindCrossOrigin
	// KindDenied: a requirement is not true, or the account is disabled.
	KindDenied
	// KindMissingUser: the directory has no such user.
	KindMissingUser
	// KindUnavailable: what the decision needs cannot be reached.
	KindUnavailable
	// KindClaim: a claim rule ended in an error.
	KindClaim
	// KindHeader: a value that the application would have to receive does
	// not fit its header.
	KindHeader
)

// kinds maps each kind to its HTTP status, to the word that logs and
// {token_enrich.reason} show, and to the text that the client may read.
var kinds = [...]struct {
	status int
	word   string
	text   string
}{
	KindInternal:                   {http.StatusInternalServerError, "internal", "internal error"},
	KindNoToken:                    {http.StatusUnauthorized, "no_token", "authentication required"},
	KindMalformedRequest:           {http.StatusBadRequest, "invalid_request", "malformed request"},
	KindInvalidToken:               {http.StatusUnauthorized, "invalid_token", "invalid token"},
	KindSessionEnded:               {http.StatusUnauthorized, "session_ended", "authentication required"},
	KindOtherLogin:                 {http.StatusForbidden, "other_login", "forbidden"},
	KindInsufficientScope:          {http.StatusForbidden, "insufficient_scope", "insufficient scope"},
	KindInsufficientAuthentication: {http.StatusUnauthorized, "insufficient_user_authentication", "stronger authentication required"},
	KindCrossOrigin:                {http.StatusForbidden, "cross_origin", "forbidden"},
	KindDenied:                     {http.StatusForbidden, "denied", "forbidden"},
	KindMissingUser:                {http.StatusForbidden, "unknown_user", "forbidden"},
	KindUnavailable:                {http.StatusServiceUnavailable, "unavailable", "temporarily unavailable"},
	KindClaim:                      {http.StatusInternalServerError, "claim_error", "internal error"},
	KindHeader:                     {http.StatusInternalServerError, "header_error", "internal error"},
}

// String returns the word for logs and the reason placeholder.
func (k Kind) String() string { return kinds[k].word }

// Status returns the HTTP status that a refusal of this kind is answered with.
func (k Kind) Status() int { return kinds[k].status }

// decides reports whether a refusal of this kind by the stages is a decision
// about the principal, which can be cached. All others mean that nothing could
// be decided, or are found anew on each request.
func (k Kind) decides() bool {
	return k == KindMissingUser || k == KindDenied || k == KindInsufficientScope
}

// Sentinels of this package. errors.Is finds the cause of a refusal.
var (
	// ErrPanic is the cause of a refusal after a recovered panic.
	ErrPanic = errors.New("a stage panicked")
	// ErrPath: applications may read the target's path otherwise than a matcher
	// or a requirement does.
	ErrPath = errors.New("the path can be read in two ways")
	// errMethod: applications may take the request for one of another method than
	// a requirement reads.
	errMethod = errors.New("the method can be read in two ways")
	// errRequirement: a require expression is not true.
	errRequirement = errors.New("a requirement is not met")
	// errAccountDisabled: the user's account is suspended, deprovisioned or locked
	// out. accountError names which.
	errAccountDisabled = errors.New("the account is disabled")
	// errUnknownUser: the directory says that there is no such user.
	errUnknownUser = errors.New("the directory has no such user")
	// errScope: a required scope was not granted.
	errScope = errors.New("a required scope is missing")
	// errAuthenticationContext: acr or auth_time do not meet the policy.
	errAuthenticationContext = errors.New("the authentication context is insufficient")
	// errCrossOrigin: an unsafe request from a foreign origin.
	errCrossOrigin = errors.New("cross-origin request with a cookie token")
	// errRevoked: the deny list names the token, its session or its user.
	errRevoked = errors.New("the token was revoked")
	// errSessionOver: the session's end has come.
	errSessionOver = errors.New("the session is over")
	// errOtherLogin: the session is of an issuer that the policy has no login of.
	errOtherLogin = errors.New("the session is of another login")
	// errDenyListUnconfirmed: the deny list is older than it may be.
	errDenyListUnconfirmed = errors.New("the deny list is unconfirmed")
	// errDirectory: the directory failed and nothing usable is cached.
	errDirectory = errors.New("the directory is unavailable")
)

// accountError is errAccountDisabled with the account's status: one of the
// statuses for which identity.User.Disabled is true.
type accountError struct{ status string }

// Error returns the status in words: "the account is locked out".
func (e *accountError) Error() string {
	return "the account is " + strings.ReplaceAll(strings.ToLower(e.status), "_", " ")
}

// Unwrap returns errAccountDisabled.
func (e *accountError) Unwrap() error { return errAccountDisabled }

// Refusal is an answer to a request that is not let through. Its text may be
// sent to the client: it is the same for an unknown user, a bad signature and an
// expired token. The cause is for the log.
type Refusal struct { //nolint:errname // an answer, which is also an error
	// Kind decides the status.
	Kind Kind

	// Cause is the whole reason. It is logged and never sent.
	Cause error

	// Scopes are the required scopes, for the insufficient_scope challenge.
	Scopes []string

	// ACRValues and MaxAge are for the RFC 9470 challenge.
	ACRValues []string
	MaxAge    time.Duration

	// RetryAfter is sent with a 503.
	RetryAfter time.Duration

	// OAuthError is the error code of the challenge where it is another than
	// the kind's (invalid_dpop_proof, use_dpop_nonce).
	OAuthError string

	// DPoPNonce asks the client to repeat with this nonce (RFC 9449, section 8).
	DPoPNonce string
}

// Error returns the text that may be sent to the client.
func (r *Refusal) Error() string { return kinds[r.Kind].text }

// Unwrap returns the cause, so that errors.Is finds its sentinel.
func (r *Refusal) Unwrap() error { return r.Cause }

// refuse returns the refusal of a kind for a cause.
func refuse(kind Kind, cause error) *Refusal {
	r := &Refusal{Kind: kind, Cause: cause}
	if kind == KindUnavailable {
		r.RetryAfter = defaultRetryAfter
	}
	return r
}

// defaultRetryAfter is how long a 503 asks the client to wait: long enough to
// relieve what is down, short enough for a person who waits.
const defaultRetryAfter = 5 * time.Second

// Unavailable returns the refusal for something that cannot be reached now.
func Unavailable(cause error) *Refusal { return refuse(KindUnavailable, cause) }

// refuseToken returns the refusal for an error of package issuer.
func refuseToken(err error) *Refusal {
	if errors.Is(err, issuer.ErrInvalidToken) {
		r := refuse(KindInvalidToken, err)
		r.OAuthError = issuer.OAuthError(err)
		if nonce, ok := errors.AsType[*issuer.NonceError](err); ok {
			r.DPoPNonce = nonce.Nonce
		}
		return r
	}
	return refuse(KindUnavailable, err)
}

// refuseSession returns the refusal for an error of a SessionSource. A store that
// cannot be read, or was not waited for, says nothing about the session.
func refuseSession(err error) *Refusal {
	for _, cause := range [...]error{issuer.ErrUnavailable, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, cause) {
			return refuse(KindUnavailable, err)
		}
	}
	return refuse(KindSessionEnded, err)
}
