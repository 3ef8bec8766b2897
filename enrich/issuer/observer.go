package issuer

import "time"

// Outcomes of a fetch of keys, as Observer sees them: a closed set.
const (
	FetchOK        = "ok"        // a key set with at least one usable key
	FetchError     = "error"     // no answer, or one that is not 200
	FetchTimeout   = "timeout"   // no answer in time
	FetchRedirect  = "redirect"  // a redirect to another origin
	FetchTooLarge  = "too_large" // over the bound
	FetchMalformed = "malformed" // no JSON object with "keys", or no metadata
	FetchNoKeys    = "no_keys"   // a key set without a usable key
	FetchMismatch  = "mismatch"  // metadata of another issuer
)

// Outcomes of an introspection, as Observer sees them: a closed set.
const (
	IntrospectActive   = "active"
	IntrospectInactive = "inactive"
	IntrospectError    = "error"
	IntrospectRefused  = "refused"
	IntrospectCached   = "cached"
	IntrospectBusy     = "busy" // not asked: no place was free
)

// Observer is told what metrics count. Its methods are called from requests
// and from the background, must not block, and get nothing from tokens: only
// the issuer's configured name and words of closed sets.
type Observer interface {
	// KeysFetched is told of each fetch of the key set and its outcome.
	KeysFetched(issuer, outcome string)
	// KeysSkipped is told how many keys of a fetched set cannot be used.
	KeysSkipped(issuer string, skipped int)
	// KeysCurrent is told when the key set in use was last confirmed.
	KeysCurrent(issuer string, at time.Time)
	// Introspected is told of each question about a token.
	Introspected(issuer, outcome string)
}

// silent is the Observer of those who need none.
type nopObserver struct{}

func (nopObserver) KeysFetched(string, string)    {}
func (nopObserver) KeysSkipped(string, int)       {}
func (nopObserver) KeysCurrent(string, time.Time) {}
func (nopObserver) Introspected(string, string)   {}
