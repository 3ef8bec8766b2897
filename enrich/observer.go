package enrich

import (
	"errors"
	"time"
)

// Observer receives what metrics count. Its methods are called on the path of
// requests and must not block; their arguments come from closed sets.
type Observer interface {
	// Decided reports one request under a policy: its outcome (a Kind's word,
	// "allowed" or "anonymous"), whether the decision came from the cache, and
	// how long the stages took.
	Decided(policy, outcome string, hit bool, took time.Duration)

	// HeaderOverflowed reports that a header was too large.
	HeaderOverflowed(policy, header string)

	// Minted reports that a token was signed.
	Minted(policy string)
}

// The outcomes beside the words of Kind.
const (
	OutcomeAllowed   = "allowed"
	OutcomeAnonymous = "anonymous"
)

// outcome returns the word for the outcome of a request.
func outcome(d *Decision, err error) string {
	if err != nil {
		if r, ok := errors.AsType[*Refusal](err); ok {
			return r.Kind.String()
		}
		return KindInternal.String()
	}
	if d.Principal == nil {
		return OutcomeAnonymous
	}
	return OutcomeAllowed
}
