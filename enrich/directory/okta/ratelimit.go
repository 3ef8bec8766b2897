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

// rateLimit reads Okta's rate limit headers
// (https://developer.okta.com/docs/reference/rl-best-practices/): where none
// of the window's requests is left, no more are sent until it resets, instead
// of being sent and refused. The reset is in seconds by Okta's clock, so it is
// taken relative to the answer's Date.
func rateLimit(status int, answer http.Header, now time.Time) time.Time {
	limit, okLimit := number(answer.Get("X-Rate-Limit-Limit"))
	remaining, okRemaining := number(answer.Get("X-Rate-Limit-Remaining"))
	reset, okReset := number(answer.Get("X-Rate-Limit-Reset"))
	if !okLimit || !okRemaining || !okReset {
		return fetch.RetryAfter(status, answer, now)
	}
	if status != http.StatusTooManyRequests && remaining > 0 {
		return time.Time{}
	}
	if limit == 0 {
		// Over the bound on requests at once, not on requests a minute.
		if status == http.StatusTooManyRequests {
			return now.Add(concurrentPause)
		}
		return time.Time{}
	}
	theirs := now
	if date, err := http.ParseTime(answer.Get("Date")); err == nil {
		theirs = date
	}
	if wait := time.Unix(reset, 0).Sub(theirs); wait > 0 {
		return now.Add(wait)
	}
	if status == http.StatusTooManyRequests {
		return now.Add(concurrentPause)
	}
	return time.Time{}
}

func number(text string) (int64, bool) {
	n, err := strconv.ParseInt(text, 10, 64)
	// A reset past the year 5138 is no reset, and would overflow a duration.
	return n, err == nil && n >= 0 && n < 100_000_000_000
}
