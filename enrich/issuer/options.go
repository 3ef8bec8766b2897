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
