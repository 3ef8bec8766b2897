package issuer

import (
	"crypto/rand"
	"io"
	"log/slog"
	"net/http"
	"time"
)

// Options are what an Issuer gets from outside. Every field may be left out.
type Options struct {
	// Clock tells the time. Default: time.Now.
	Clock func() time.Time

	// Transport carries the requests to the issuer. Default: one of its own,
	// with the issuer's ca. With a ca, a Transport given must be an
	// *http.Transport, and a copy of it is used.
	Transport http.RoundTripper

	// Logger takes what an operator should know. Default: nothing is logged.
	Logger *slog.Logger

	// Observer takes what metrics count. Default: none.
	Observer Observer

	// Rand is the source of randomness. Default: crypto/rand.
	Rand io.Reader
}

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
