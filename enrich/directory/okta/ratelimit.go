package okta

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// concurrentPause is how long requests are held back after the bound on
// requests at once was reached: its reset is an estimate, and one answer that
// comes in makes room.
const concurrentPause = time.Second

// window is what the headers of an answer tell of a rate limit.
type window struct {
	limit, remaining int64
	said             int64     // the reset, in seconds by Okta's clock
	reset            time.Time // by ours
}

// readWindow reads Okta's rate limit headers
// (https://developer.okta.com/docs/reference/rl-best-practices/). The reset is
// in seconds by Okta's clock, so it is taken relative to the answer's Date.
func readWindow(answer http.Header, now time.Time) (w window, ok bool) {
	var okLimit, okRemaining, okReset bool
	w.limit, okLimit = number(answer.Get("X-Rate-Limit-Limit"))
	w.remaining, okRemaining = number(answer.Get("X-Rate-Limit-Remaining"))
	w.said, okReset = number(answer.Get("X-Rate-Limit-Reset"))
	theirs := now
	if date, err := http.ParseTime(answer.Get("Date")); err == nil {
		theirs = date
	}
	w.reset = now.Add(time.Unix(w.said, 0).Sub(theirs))
	return w, okLimit && okRemaining && okReset
}

// rateLimit returns until when to send nothing: where none of the window's
// requests is left, no more are sent until it resets, instead of being sent
// and refused.
func rateLimit(status int, answer http.Header, now time.Time) time.Time {
	w, ok := readWindow(answer, now)
	refused := status == http.StatusTooManyRequests
	switch {
	case !ok:
		return fetch.RetryAfter(status, answer, now)
	case !refused && (w.remaining > 0 || w.limit == 0):
		return time.Time{}
	case w.limit > 0 && w.reset.After(now):
		return w.reset
	case refused:
		// Over the bound on requests at once, not on requests a minute; or
		// over one that is reset already.
		return now.Add(concurrentPause)
	}
	return time.Time{}
}

func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	// A reset past the year 5138 is no reset, and would overflow a duration.
	return n, err == nil && n >= 0 && n < 100_000_000_000
}
