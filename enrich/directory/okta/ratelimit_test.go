package okta

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
)

// No request is sent that is known to be refused, whatever the clocks show.
func TestRateLimitIsKeptBeforeItBites(t *testing.T) {
	for name, skew := range map[string]time.Duration{"clocks agree": 0, "theirs is ahead": time.Hour, "theirs is behind": -time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o, d := bubble(t, Config{})
				o.limit, o.skew = 4, skew // two look-ups a minute
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				for range 6 {
					if _, err := d.Person(ctx, directorytest.Query(directorytest.Ada)); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(begin); took < 2*time.Minute || took > 4*time.Minute {
					t.Errorf("six look-ups took %v", took)
				}
				if n := len(o.requests); n != 12 {
					t.Errorf("%d requests for six look-ups", n)
				}
			})
		})
	}
}

func TestRateLimitOfAppsDoesNotStopUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, d := bubble(t, Config{})
		o.limit = 2
		if _, err := d.App(t.Context(), "0oa1payroll"); err != nil {
			t.Fatal(err)
		}
		if _, err := d.App(t.Context(), "0oa1payroll"); err != nil {
			t.Fatal(err)
		}
		begin := time.Now()
		if _, err := d.Person(t.Context(), directorytest.Query(directorytest.Ada)); err != nil || time.Since(begin) != 0 {
			t.Errorf("got %v after %v", err, time.Since(begin))
		}
	})
}

// Another client has used the window up: a 429 is waited out.
func TestTooManyRequestsIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, d := bubble(t, Config{})
		o.limit, o.skew = 3, 10*time.Minute
		o.left["/api/v1/users"], o.resets["/api/v1/users"] = 0, time.Now().Add(10*time.Minute+20*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begin := time.Now()
		if _, err := d.Person(ctx, directorytest.Query(directorytest.Ada)); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took < 20*time.Second || took > 30*time.Second {
			t.Errorf("took %v", took)
		}
		if n := len(o.requests); n != 3 {
			t.Errorf("%d requests", n)
		}
	})
}

func TestTooManyRequestsWithoutTimeToWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o, d := bubble(t, Config{})
		o.limit = 3
		o.left["/api/v1/users"], o.resets["/api/v1/users"] = 0, time.Now().Add(30*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := d.Person(ctx, directorytest.Query(directorytest.Ada))
		if !errors.Is(err, directory.ErrThrottled) || time.Since(begin) > time.Second || len(o.requests) != 1 {
			t.Errorf("got %v after %v and %d requests", err, time.Since(begin), len(o.requests))
		}
		// And the next look-up is not even sent.
		if _, err := d.Person(ctx, directorytest.Query(directorytest.Ada)); !errors.Is(err, directory.ErrThrottled) || len(o.requests) != 1 {
			t.Errorf("got %v and %d requests", err, len(o.requests))
		}
	})
}

func TestRateLimitHeaders(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	date := now.Add(-time.Hour).UTC().Format(http.TimeFormat)
	for _, c := range []struct {
		name                    string
		status                  int
		limit, remaining, reset string
		date, retryAfter        string
		want                    time.Duration
	}{
		{"plenty left", 200, "600", "599", "1700000030", "", "", 0},
		{"none left", 200, "600", "0", "1700000030", "", "", 30 * time.Second},
		{"none left, by their clock", 200, "600", "0", "1699996430", date, "", 30 * time.Second},
		{"none left, already reset", 200, "600", "0", "1699999999", "", "", 0},
		{"refused", 429, "600", "0", "1700000030", "", "", 30 * time.Second},
		{"refused, already reset", 429, "600", "0", "1699999999", "", "", concurrentPause},
		{"too many at once", 429, "0", "0", "1700000050", "", "", concurrentPause},
		{"limit zero on success", 200, "0", "0", "1700000050", "", "", 0},
		{"no headers", 200, "", "", "", "", "", 0},
		{"no headers but Retry-After", 503, "", "", "", "", "7", 7 * time.Second},
		{"no numbers", 200, "x", "0", "1700000030", "", "", 0},
		{"negative", 200, "600", "-1", "1700000030", "", "", 0},
		{"a reset beyond all years", 200, "600", "0", "9223372036854775807", "", "", 0},
	} {
		h := http.Header{}
		for name, v := range map[string]string{"X-Rate-Limit-Limit": c.limit, "X-Rate-Limit-Remaining": c.remaining, "X-Rate-Limit-Reset": c.reset, "Date": c.date, "Retry-After": c.retryAfter} {
			if v != "" {
				h.Set(name, v)
			}
		}
		got := rateLimit(c.status, h, now)
		if c.want == 0 && !got.IsZero() || c.want != 0 && got.Sub(now) != c.want {
			t.Errorf("%s: until %v, want %v from now", c.name, got, c.want)
		}
	}
}

// far is a way to the organization that takes time, and counts the refusals
// that come back on it.
type far struct {
	direct
	refused *atomic.Int64
}

func (f far) RoundTrip(r *http.Request) (*http.Response, error) {
	time.Sleep(50 * time.Millisecond)
	answer, err := f.direct.RoundTrip(r)
	if err == nil && answer.StatusCode == http.StatusTooManyRequests {
		f.refused.Add(1)
	}
	time.Sleep(50 * time.Millisecond)
	return answer, err
}

// What is under way counts as spent: a crowd does not run into the limit that
// one request's answer has told of.
func TestACrowdKeepsTheRateLimitToo(t *testing.T) {
	for name, others := range map[string]int{"alone": 0, "with another client": 7} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrganization(t, directorytest.NewWorld())
				o.http.Close()
				o.limit = 20
				var refused atomic.Int64
				d := open(t, o, Config{}, Options{Transport: far{direct{o}, &refused}})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				begin := time.Now()
				ask := func() {
					if _, err := d.Person(ctx, directorytest.Query(directorytest.Lonely)); err != nil {
						t.Error(err)
					}
				}
				ask()
				o.left["/api/v1/users"] -= others
				ask()
				var wg sync.WaitGroup
				for range 38 { // eighty requests in all, twenty a minute
					wg.Go(ask)
				}
				wg.Wait()
				if refused.Load() != 0 || len(o.requests) != 80 {
					t.Errorf("%d of %d requests were refused", refused.Load(), len(o.requests))
				}
				if took := time.Since(begin); took < 3*time.Minute || took > 7*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// Okta counts users by id apart from their groups, with another limit and other
// windows: neither count may stand for the other, in either order.
func TestEachOfOktasBucketsIsKeptByItself(t *testing.T) {
	const users, groups = "/api/v1/users/{id}", "/api/v1/users/{id}/*"
	for name, c := range map[string]struct {
		limits map[string]int
		ahead  string // the bucket whose window ends later
		within time.Duration
	}{
		"few groups, users end later":  {map[string]int{users: 200, groups: 20}, users, 2 * time.Minute},
		"few groups, groups end later": {map[string]int{users: 200, groups: 20}, groups, 2 * time.Minute},
		"few users, users end later":   {map[string]int{users: 20, groups: 200}, users, 2 * time.Minute},
		"few users, groups end later":  {map[string]int{users: 20, groups: 200}, groups, 2 * time.Minute},
		// Their second windows may begin in the same second, and pass for one.
		"equal, users end later": {map[string]int{users: 20, groups: 20}, users, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := newOrganization(t, directorytest.NewWorld())
				o.http.Close()
				o.limits = c.limits
				for bucket, limit := range c.limits {
					o.left[bucket], o.resets[bucket] = limit, time.Now().Add(30*time.Second)
				}
				o.resets[c.ahead] = time.Now().Add(50 * time.Second)
				var refused atomic.Int64
				d := open(t, o, Config{}, Options{Transport: far{direct{o}, &refused}})
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				ask := func() {
					if _, err := d.Person(ctx, directorytest.Query(directorytest.Lonely)); err != nil {
						t.Error(err)
					}
				}
				begin := time.Now()
				ask()
				var wg sync.WaitGroup
				for range 19 { // as many as one window takes
					wg.Go(ask)
				}
				wg.Wait()
				if took := time.Since(begin); took > 10*time.Second {
					t.Errorf("what one window takes took %v", took)
				}
				for range 20 {
					wg.Go(ask)
				}
				wg.Wait()
				if refused.Load() != 0 || len(o.requests) != 80 {
					t.Errorf("%d of %d requests were refused", refused.Load(), len(o.requests))
				}
				if took := time.Since(begin); took > c.within {
					t.Errorf("two windows took %v", took)
				}
			})
		})
	}
}

func TestAResetThatIsFarOffSilencesNobodyForLong(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	a := &allowances{clock: func() time.Time { return now }}
	a.rateLimit(kindUser)(http.StatusOK, http.Header{"X-Rate-Limit-Limit": {"600"}, "X-Rate-Limit-Remaining": {"1"}, "X-Rate-Limit-Reset": {"99999999999"}}, now)
	if wait := a.try(kindUser); wait != 0 {
		t.Errorf("the one that is left waits %v", wait)
	}
	if wait := a.try(kindUser); wait != usualWindow {
		t.Errorf("the next one waits %v", wait)
	}
	now = now.Add(usualWindow)
	if wait := a.try(kindUser); wait != 0 {
		t.Errorf("in the next window it waits %v", wait)
	}
}
