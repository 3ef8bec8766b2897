package okta

import (
	"net/http"
	"strconv"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

// This file reads the rate limit headers of answers.

// concurrentPause is the pause after the limit of concurrent requests was
// reached. Its reset is an estimate, and the next answer frees a slot.
const concurrentPause = time.Second

// A window is a rate limit as the headers of an answer describe it.
type window struct {
	limit, remaining int64
	said             int64     // the reset, in seconds by Okta's clock
	reset            time.Time // by ours
}

// readWindow reads Okta's rate limit headers
// (https://developer.okta.com/docs/reference/rl-best-practices/). The reset is
// in seconds by Okta's clock, so it is taken relative to the answer's Date. ok
// is false where one of the headers is missing.
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

// rateLimit returns the time before which no further request is sent, the zero
// time where there is no pause. Where no request of the window is left, that is
// its reset.
func rateLimit(status int, answer http.Header, now time.Time) time.Time {
	w, ok := readWindow(answer, now)
	refused := status == http.StatusTooManyRequests
	switch {
	case !ok:
		return fetch.RetryAfter(status, answer, now)
	// A limit of zero describes no window.
	case !refused && (w.remaining > 0 || w.limit == 0):
		return time.Time{}
	case w.limit > 0 && w.reset.After(now):
		return w.reset
	case refused:
		// Over the limit of concurrent requests and not over that of requests
		// a minute, or over one that has been reset.
		return now.Add(concurrentPause)
	}
	return time.Time{}
}

// number parses a header as a number that is not negative.
func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	// A reset past the year 5138 is no reset, and would overflow a duration.
	return n, err == nil && n >= 0 && n < 100_000_000_000
}
