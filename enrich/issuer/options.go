package issuer

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Options are the dependencies of an Issuer. The zero value is ready for use.
type Options struct {
	// Clock returns the current time. Default: time.Now.
	Clock func() time.Time

	// Transport carries the requests to the issuer. Default: one of its own,
	// with the issuer's ca. With a ca, a Transport given must be an
	// *http.Transport, and a copy of it is used.
	Transport http.RoundTripper

	// Logger logs what an operator should know. Default: nothing is logged.
	Logger *slog.Logger

	// Observer counts for metrics. Default: nothing is counted.
	Observer Observer

	// Rand is the source of randomness. Default: crypto/rand.
	Rand io.Reader
}

// withDefaults returns the options with their defaults filled in.
func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Observer == nil {
		o.Observer = nopObserver{}
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	return o
}

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
