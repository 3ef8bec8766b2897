package directory

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/internal/backoff"
)

// The retry budget of a directory, counted in tenths of a retry: each answered
// look-up earns one tenth, and at most retryReserve tenths are saved. Against a
// directory that is down, retries run out instead of multiplying its load.
const (
	retryPrice   = 10
	retryReserve = 20 * retryPrice
)

// A retry decides whether a failed attempt is repeated. It is safe for concurrent
// use.
type retry struct {
	limit int
	rand  io.Reader
	spent atomic.Int64 // of retryReserve
}

// again reports whether the attempt is to be repeated, after the pause before it.
func (r *retry) again(ctx context.Context, attempt int, err error) bool {
	return attempt < r.limit && isTransient(err) && r.spend() && backoff.Wait(ctx, backoff.Pause(r.rand, attempt))
}

// spend takes one retry out of the budget, and reports whether there was one.
func (r *retry) spend() bool {
	if r.spent.Add(retryPrice) > retryReserve {
		r.spent.Add(-retryPrice)
		return false
	}
	return true
}

// earn adds the tenth of a retry that an answered look-up is worth.
func (r *retry) earn() {
	for {
		n := r.spent.Load()
		if n <= 0 || r.spent.CompareAndSwap(n, n-1) {
			return
		}
	}
}
