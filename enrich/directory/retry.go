package directory

import (
	"context"
	"io"
	"sync/atomic"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/internal/backoff"
)

// The retry budget: each answered look-up earns a tenth of a retry, and at
// most retryReserve are saved. Against a directory that is down, retries end
// by themselves instead of multiplying its load.
const (
	retryPrice   = 10
	retryReserve = 20 * retryPrice
)

// retry decides whether a failed attempt is repeated.
type retry struct {
	limit int
	rand  io.Reader
	spent atomic.Int64 // of retryReserve
}

// again waits and reports true where the attempt is to be repeated.
func (r *retry) again(ctx context.Context, attempt int, err error) bool {
	return attempt < r.limit && isTransient(err) && r.spend() && backoff.Wait(ctx, backoff.Pause(r.rand, attempt))
}

func (r *retry) spend() bool {
	if r.spent.Add(retryPrice) > retryReserve {
		r.spent.Add(-retryPrice)
		return false
	}
	return true
}

func (r *retry) earn() {
	for {
		n := r.spent.Load()
		if n <= 0 || r.spent.CompareAndSwap(n, n-1) {
			return
		}
	}
}
