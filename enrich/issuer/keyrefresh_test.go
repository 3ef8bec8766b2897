package issuer

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A recorder remembers what an Observer is told.
type recorder struct {
	mu        sync.Mutex
	fetched   []string
	skipped   int
	current   time.Time
	inspected []string
}

func (r *recorder) KeysFetched(_, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fetched = append(r.fetched, outcome)
}

func (r *recorder) KeysSkipped(_ string, n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skipped = n
}

func (r *recorder) KeysCurrent(_ string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.current = at
}

func (r *recorder) Introspected(_, outcome string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.inspected = append(r.inspected, outcome)
}

func (r *recorder) outcomes() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.fetched)
}

func TestBackgroundRefreshKeepsItsPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		var at []time.Duration
		start := time.Now()
		s.server.on(testKeysURL, func(*http.Request) (*http.Response, error) {
			at = append(at, time.Since(start))
			return response(http.StatusOK, allKeys()), nil
		})
		s.issuer.Start(t.Context())
		s.issuer.Start(t.Context()) // a second one does nothing
		time.Sleep(100 * time.Hour)
		s.issuer.Stop()
		if at[0] != 0 {
			t.Errorf("the first fetch is after %v", at[0])
		}
		shortest, longest := time.Hour*1000, time.Duration(0)
		for n := 1; n < len(at); n++ {
			shortest, longest = min(shortest, at[n]-at[n-1]), max(longest, at[n]-at[n-1])
		}
		if shortest < 54*time.Minute || longest > 66*time.Minute {
			t.Errorf("pauses are %v to %v, want an hour ±10 %%", shortest, longest)
		}
		if longest-shortest < time.Minute {
			t.Errorf("pauses are %v to %v: no spread", shortest, longest)
		}
	})
}

func TestBackgroundBacksOffWhileTheServerIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		s := bubbleStage(t, func(_ *Config, o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		s.server.fail(testKeysURL)
		s.issuer.Start(t.Context())
		time.Sleep(2 * time.Hour)
		if n := s.server.count(testKeysURL); n < 24 || n > 34 {
			t.Errorf("%d attempts in two hours, want one in five minutes after the first few", n)
		}
		if n := strings.Count(log.String(), "failed"); n != 1 {
			t.Errorf("%d log lines for one outage:\n%s", n, &log)
		}
		s.server.say(testKeysURL, allKeys())
		time.Sleep(maxRetry + maxRetry/10)
		if !s.issuer.Ready() {
			t.Error("not ready five minutes after the server is back")
		}
		if n := strings.Count(log.String(), "works again"); n != 1 {
			t.Errorf("%d log lines for the recovery:\n%s", n, &log)
		}
		s.issuer.Stop()
	})
}

func TestRetiredIssuerFetchesOnlyWhatRequestsNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		s.server.fail(testKeysURL)
		s.issuer.Start(context.Background())
		synctest.Wait()
		s.issuer.StopRefresh()
		synctest.Wait()
		before := s.server.count(testKeysURL)
		time.Sleep(time.Hour)
		if n := s.server.count(testKeysURL); n != before {
			t.Errorf("%d fetches of its own after it was retired", n-before)
		}
		s.server.say(testKeysURL, allKeys())
		if _, err := s.verify(s.token(nowClaims())); err != nil {
			t.Errorf("a request that came before: %v", err)
		}
		s.issuer.Stop()
	})
}

func TestStopEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		s.issuer.Start(context.Background())
		synctest.Wait()
		s.server.on(testKeysURL, hang)
		time.Sleep(66*time.Minute + 1) // a refresh is under way, or just ended
		s.issuer.Stop()
		n := s.server.count(testKeysURL)
		time.Sleep(10 * time.Hour)
		if s.server.count(testKeysURL) != n {
			t.Error("keys are fetched after Stop")
		}
		if _, err := s.verify(s.token(nowClaims())); err != nil {
			t.Errorf("the keys that are there do not serve after Stop: %v", err)
		}
		if _, err := s.verify(sign(t, "RS256", "new", rsaKey(), nil, nowClaims())); err == nil || s.server.count(testKeysURL) != n {
			t.Errorf("an unknown key after Stop: %v", err)
		}
		// The bubble fails if a goroutine is left.
	})
}

func TestRequestsRefreshOldKeysWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		raw := s.token(nowClaims())
		if _, err := s.verify(raw); err != nil {
			t.Fatal(err)
		}
		s.server.on(testKeysURL, hang)
		time.Sleep(2 * time.Hour)
		start := time.Now()
		for range 10 {
			if _, err := s.verify(raw); err != nil {
				t.Error(err)
			}
		}
		if d := time.Since(start); d != 0 {
			t.Errorf("requests waited %v", d)
		}
		synctest.Wait()
		if n := s.server.count(testKeysURL); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

func TestClockSetBackDoesNotForbidFetches(t *testing.T) {
	s := newStage(t)
	s.server.fail(testKeysURL)
	if _, err := s.verify(s.token(goodClaims())); !errors.Is(err, ErrUnavailable) {
		t.Fatalf("got %v", err)
	}
	s.server.say(testKeysURL, allKeys())
	s.clock.Advance(-time.Hour)
	if _, err := s.verify(s.token(goodClaims("iat", nil))); err != nil {
		t.Errorf("got %v", err)
	}
}
