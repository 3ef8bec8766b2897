package login

import (
	"github.com/tokenenrich/caddy-token-enrich/enrich/login/page"
)

// An outcome is how a login ended. One table (outcomes) maps each to its word and to
// the message of the page that the person sees, which has the HTTP status.
type outcome uint8

const (
	outcomeInternal     outcome = iota // a defect of ours
	outcomeOK                          // a session began
	outcomeMalformed                   // a callback, return target or cookie that no login of ours makes
	outcomeExpired                     // too late, or without the browser's cookie, twice in a row
	outcomeDenied                      // the provider says access_denied
	outcomeProvider                    // the provider says another error, or its metadata cannot be used
	outcomeMixUp                       // iss or the callback's path name another issuer (RFC 9207)
	outcomeCode                        // the token endpoint refuses the code
	outcomeIDToken                     // the ID token is missing or invalid
	outcomeUserinfo                    // the userinfo answer is invalid, or somebody else's
	outcomeInsufficient                // acr or auth_time are less than the policy requires
	outcomeRevoked                     // the deny list names the person or the provider's session
	outcomeTooLarge                    // the claims do not fit the cookie
	outcomeUnavailable                 // the provider cannot be reached
	outcomeNotReady                    // the seal key or the deny list cannot be read
)

// outcomes maps each outcome to the word in logs and in the metric logins_total, and to
// what the page says.
var outcomes = [...]struct {
	word    string
	message page.Message
	ours    bool // an operator can mend it, so it is logged as an error
}{
	outcomeInternal:     {"internal", page.Internal, true},
	outcomeOK:           {word: "ok"},
	outcomeMalformed:    {"malformed", page.Malformed, false},
	outcomeExpired:      {"expired", page.Expired, false},
	outcomeDenied:       {"access_denied", page.AccessDenied, false},
	outcomeProvider:     {"provider_error", page.SignInFailed, true},
	outcomeMixUp:        {"issuer_mismatch", page.Malformed, true},
	outcomeCode:         {"code_refused", page.SignInFailed, true},
	outcomeIDToken:      {"invalid_id_token", page.SignInFailed, true},
	outcomeUserinfo:     {"invalid_userinfo", page.SignInFailed, true},
	outcomeInsufficient: {"insufficient_authentication", page.NotStrongEnough, false},
	outcomeRevoked:      {"revoked", page.Blocked, false},
	outcomeTooLarge:     {"too_large", page.TooLarge, true},
	outcomeUnavailable:  {"unavailable", page.ProviderUnreachable, true},
	outcomeNotReady:     {"not_ready", page.StoreUnreachable, true},
}

// String returns the word for logs and metrics.
func (o outcome) String() string { return outcomes[o].word }

// Outcomes returns the words for how a login ended, the values of a metric's label.
func Outcomes() []string {
	words := make([]string, len(outcomes))
	for i, o := range outcomes {
		words[i] = o.word
	}
	return words
}

// A failure is a login that did not come to a session.
type failure struct { //nolint:errname // an outcome, which is also an error
	outcome outcome
	cause   error  // for the log
	code    string // the provider's own error code, or empty
}

// failed returns the failure of an outcome for a cause.
func failed(o outcome, cause error) *failure { return &failure{outcome: o, cause: cause} }

// Error returns the outcome's word.
func (f *failure) Error() string { return f.outcome.String() }

// Unwrap returns the cause.
func (f *failure) Unwrap() error { return f.cause }

// Causes for which a session ended, the values of a metric's label.
const (
	endLogout   = "logout"
	endIdle     = "idle"
	endMax      = "max"
	endReplaced = "new_login"
	endRevoked  = "revoked"
)

// EndCauses returns the words for why a session ended.
func EndCauses() []string { return []string{endLogout, endIdle, endMax, endReplaced, endRevoked} }
