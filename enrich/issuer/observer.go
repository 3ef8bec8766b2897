package issuer

import "time"

// Outcomes of a fetch of keys, a closed set.
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

// Outcomes of an introspection, a closed set.
const (
	IntrospectActive   = "active"
	IntrospectInactive = "inactive"
	IntrospectError    = "error"
	IntrospectRefused  = "refused"
	IntrospectCached   = "cached"
	IntrospectBusy     = "busy" // not made: too many were under way
)

// Observer counts for metrics. Its methods are called by requests and by background
// work at the same time, and must not block. Nothing that they get comes from a
// token: only the issuer's configured name, and values of closed sets.
type Observer interface {
	// KeysFetched is called after each fetch of the key set.
	KeysFetched(issuer, outcome string)
	// KeysSkipped is called with the number of keys of a fetched set that
	// cannot be used.
	KeysSkipped(issuer string, skipped int)
	// KeysCurrent is called with the time at which the key set in use was
	// confirmed.
	KeysCurrent(issuer string, at time.Time)
	// Introspected is called for each introspection, cached ones included.
	Introspected(issuer, outcome string)
}

// nopObserver is the default Observer.
type nopObserver struct{}

func (nopObserver) KeysFetched(string, string)    {}
func (nopObserver) KeysSkipped(string, int)       {}
func (nopObserver) KeysCurrent(string, time.Time) {}
func (nopObserver) Introspected(string, string)   {}
