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

// allowance counts what is left of a window's requests, those under way
// included: what an answer tells of has been spent already by those that were
// sent behind it. Before the first answer nothing is known, and all may go.
type allowance struct {
	clock func() time.Time
	rand  io.Reader

	mu    sync.Mutex
	limit int64 // of a window; zero: not known
	left  int64
	said  int64     // the reset as Okta last said it
	reset time.Time // by our clock
	begun bool      // a window began of which no answer has told
}

// authorize puts the credentials on a request once it may be sent.
func (a *allowance) authorize(credentials func(context.Context, *http.Request) error) func(context.Context, *http.Request) error {
	return func(ctx context.Context, r *http.Request) error {
		if err := a.take(ctx); err != nil {
			return err
		}
		return credentials(ctx, r)
	}
}

// take takes one request off the window, or waits for the next one where that
// is near enough.
func (a *allowance) take(ctx context.Context) error {
	for {
		wait := a.try()
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
func (a *allowance) try() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit == 0 {
		return 0
	}
	if now := a.clock(); !now.Before(a.reset) {
		a.left, a.reset, a.begun = a.limit, now.Add(usualWindow), true
	} else if a.left <= 0 {
		return a.reset.Sub(now)
	}
	a.left--
	return 0
}

// rateLimit learns from an answer, and tells until when to send nothing; see
// the function of that name.
func (a *allowance) rateLimit(status int, answer http.Header, now time.Time) time.Time {
	if w, ok := readWindow(answer, now); ok && w.limit > 0 {
		a.learn(w, now)
	}
	return rateLimit(status, answer, now)
}

func (a *allowance) learn(w window, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case w.said < a.said:
		return // of a window that is over
	case w.said == a.said, a.begun:
		// Others may have spent of it; those under way have not told yet.
		a.left = min(a.left, w.remaining)
	default:
		a.left = w.remaining
	}
	if latest := now.Add(usualWindow); w.reset.After(latest) {
		w.reset = latest // a clock gone wrong must not silence us for days
	}
	a.limit, a.said, a.reset, a.begun = w.limit, w.said, w.reset, false
}
