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

// This file counts what is left of Okta's rate limits, so that requests wait
// before a limit is reached and not after a refusal.

// usualWindow is the length of Okta's rate limit windows. No request waits
// longer for one to end, and it is assumed until an answer says when a new
// window ends.
const usualWindow = time.Minute

// A kind is what a request asks for, which decides the endpoint and so the rate
// limit.
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

// allowances count what is left of Okta's windows. Okta decides which endpoints
// share a window, and not everywhere alike: each kind of request starts with a
// count of its own, and kinds whose answers describe the same window share one
// from then on. Two windows that look the same are taken for one, which sends
// too few requests and never too many.
type allowances struct {
	clock func() time.Time
	rand  io.Reader

	mu sync.Mutex
	of [kinds]*allowance // nil before the first answer: nothing is known, and no request waits
}

// An allowance counts what is left of a window, with the requests under way
// taken off: an answer does not count those that were sent after it was made.
type allowance struct {
	// The limit of the window, what is left of it, and when it is reset.
	limit int64 // of a window
	left  int64
	said  int64     // the reset of the last answer; unknown where the window began without one
	reset time.Time // by our clock
}

// unknown is the reset of a window that no answer has described.
const unknown = -1

// authorize returns a fetch.Options.Authorize that waits until a request may be
// sent, and then adds the credentials.
func (a *allowances) authorize(k kind, credentials func(context.Context, *http.Request) error) func(context.Context, *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		if err := a.take(ctx, k); err != nil {
			return err
		}
		return credentials(ctx, r)
	}
}

// take takes one request off the window. It waits for the next window where the
// context allows that, and otherwise fails with ErrThrottled.
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

// try takes one request off the window, or returns how long there is none.
func (a *allowances) try(k kind) time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.of[k]
	if w == nil {
		return 0
	}
	// A new window has begun, of which no answer has said anything.
	if now := a.clock(); !now.Before(w.reset) {
		w.left, w.said, w.reset = w.limit, unknown, now.Add(usualWindow)
	} else if w.left <= 0 {
		return w.reset.Sub(now)
	}
	w.left--
	return 0
}

// rateLimit returns a fetch.Options.RateLimit that notes the window of each
// answer; see the function of that name.
func (a *allowances) rateLimit(k kind) func(status int, answer http.Header, now time.Time) time.Time {
	return func(status int, answer http.Header, now time.Time) time.Time {
		if w, ok := readWindow(answer, now); ok && w.limit > 0 {
			a.learn(k, w, now)
		}
		return rateLimit(status, answer, now)
	}
}

// learn notes the window that an answer describes.
func (a *allowances) learn(k kind, w window, now time.Time) {
	if latest := now.Add(usualWindow); w.reset.After(latest) {
		w.reset = latest // a wrong clock must not stop requests for days
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	// Another kind may have the same window, which is shared from now on.
	for _, known := range a.of {
		if known != nil && known.limit == w.limit && known.said == w.said {
			// Requests under way may have used some of it; their answers
			// are still to come.
			known.left, known.reset = min(known.left, w.remaining), w.reset
			a.of[k] = known
			return
		}
	}
	switch known := a.of[k]; {
	case !w.reset.After(now):
		// The window is over.
	case known != nil && known.said == unknown:
		*known = allowance{limit: w.limit, left: min(known.left, w.remaining), said: w.said, reset: w.reset}
	default:
		a.of[k] = &allowance{limit: w.limit, left: w.remaining, said: w.said, reset: w.reset}
	}
}
