package okta

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/internal/backoff"
)

// usualWindow is how long Okta's windows are: none is waited out for longer,
// and it stands in until an answer tells when a new one ends.
const usualWindow = time.Minute

// kind is what a question asks for, and so at which endpoint.
type kind int

const (
	kindUser      kind = iota // one user
	kindUserParts             // groups, linked objects
	kindSearch                // a search for users
	kindApp                   // one app
	kindAppUser               // an assignment
	kindApps                  // the list of apps
	kinds
)

// allowances count what is left of Okta's windows. Which endpoints are counted
// together is for Okta to say, and is not the same everywhere: each kind of
// question begins with a count of its own, and those whose answers tell of the
// same window share one from then on. Two windows that look the same are taken
// for one, which sends too little and never too much.
type allowances struct {
	clock func() time.Time
	rand  io.Reader

	mu sync.Mutex
	of [kinds]*allowance // nil before the first answer: nothing is known, and all may go
}

// allowance counts what is left of a window's requests, those under way
// included: what an answer tells of has been spent already by those that were
// sent behind it.
type allowance struct {
	limit int64 // of a window
	left  int64
	said  int64     // the reset as Okta last said it; unknown where the window began without an answer
	reset time.Time // by our clock
}

// unknown is no reset that Okta says.
const unknown = -1

// authorize puts the credentials on a request once it may be sent.
func (a *allowances) authorize(k kind, credentials func(context.Context, *http.Request) error) func(context.Context, *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		if err := a.take(ctx, k); err != nil {
			return err
		}
		return credentials(ctx, r)
	}
}

// take takes one request off the window, or waits for the next one where that
// is near enough.
func (a *allowances) take(ctx context.Context, k kind) error {
	for {
		wait := a.try(k)
		if wait <= 0 {
			return nil
		}
		if !backoff.Wait(ctx, wait+backoff.Jitter(a.rand, wait/4)) {
			if err := ctx.Err(); err != nil {
				return err
			}
			return fmt.Errorf("keeping to the rate limit: %w", directory.ErrThrottled)
		}
	}
}

// try takes one request, or tells for how long there is none.
func (a *allowances) try(k kind) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.of[k]
	if w == nil {
		return 0
	}
	if now := a.clock(); !now.Before(w.reset) {
		w.left, w.said, w.reset = w.limit, unknown, now.Add(usualWindow)
	} else if w.left <= 0 {
		return w.reset.Sub(now)
	}
	w.left--
	return 0
}

// rateLimit learns from an answer, and tells until when to send nothing; see
// the function of that name.
func (a *allowances) rateLimit(k kind) func(status int, answer http.Header, now time.Time) time.Time {
	return func(status int, answer http.Header, now time.Time) time.Time {
		if w, ok := readWindow(answer, now); ok && w.limit > 0 {
			a.learn(k, w, now)
		}
		return rateLimit(status, answer, now)
	}
}

func (a *allowances) learn(k kind, w window, now time.Time) {
	if latest := now.Add(usualWindow); w.reset.After(latest) {
		w.reset = latest // a clock gone wrong must not silence us for days
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, known := range a.of {
		if known != nil && known.limit == w.limit && known.said == w.said {
			// Others may have spent of it; those under way have not told yet.
			known.left, known.reset = min(known.left, w.remaining), w.reset
			a.of[k] = known
			return
		}
	}
	switch known := a.of[k]; {
	case !w.reset.After(now):
		// Of a window that is over.
	case known != nil && known.said == unknown:
		*known = allowance{limit: w.limit, left: min(known.left, w.remaining), said: w.said, reset: w.reset}
	default:
		a.of[k] = &allowance{limit: w.limit, left: w.remaining, said: w.said, reset: w.reset}
	}
}
