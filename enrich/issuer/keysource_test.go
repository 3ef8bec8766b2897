package issuer

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
)

// nowClaims are good claims by the clock of a synctest bubble.
func nowClaims() map[string]any {
	now := time.Now()
	return goodClaims("exp", now.Add(1000*time.Hour).Unix(), "iat", now.Unix())
}

// bubbleStage is a stage whose clock is that of the bubble.
func bubbleStage(t *testing.T, change ...func(*Config, *Options)) *stage {
	return newStage(t, append(change, func(_ *Config, o *Options) { o.Clock = time.Now })...)
}

// hang answers only when the request's context ends.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

func TestNewNeverTouchesTheNetwork(t *testing.T) {
	server := newServer()
	i, err := New(Config{Issuer: testIssuer, AnyAudience: true}, Options{Transport: server})
	if err != nil {
		t.Fatal(err)
	}
	defer i.Stop()
	if len(server.counts) != 0 || i.Ready() || i.KeySetVersion() != 0 {
		t.Errorf("fetched %v", server.counts)
	}
}

func TestFirstTokensShareOneFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		s.server.on(testKeysURL, func(*http.Request) (*http.Response, error) {
			time.Sleep(2 * time.Second)
			return response(http.StatusOK, allKeys()), nil
		})
		raw := s.token(nowClaims())
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				if _, err := s.verify(raw); err != nil {
					t.Error(err)
				}
			})
		}
		start := time.Now()
		wg.Wait()
		if d := time.Since(start); d != 2*time.Second {
			t.Errorf("waited %v, want as long as the fetch takes", d)
		}
		if n := s.server.count(testKeysURL); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestWaitForFirstKeysIsBounded(t *testing.T) {
	for name, answer := range map[string]func(*http.Request) (*http.Response, error){
		"a server that hangs": hang,
		"a transport that ignores its deadline": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			time.Sleep(time.Minute)
			return nil, r.Context().Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := bubbleStage(t)
				s.server.on(testKeysURL, answer)
				start := time.Now()
				_, err := s.verify(s.token(nowClaims()))
				if d := time.Since(start); d != defaultTimeout {
					t.Errorf("waited %v, want %v", d, defaultTimeout)
				}
				if !errors.Is(err, ErrKeysUnavailable) || errors.Is(err, ErrInvalidToken) {
					t.Errorf("got %v", err)
				}
				// Inside the floor nobody waits at all.
				start = time.Now()
				if _, err := s.verify(s.token(nowClaims())); !errors.Is(err, ErrUnavailable) {
					t.Errorf("got %v", err)
				}
				if name == "a server that hangs" && time.Since(start) != 0 {
					t.Errorf("waited %v inside the floor", time.Since(start))
				}
			})
		})
	}
}

func TestCanceledWaiterDoesNotCancelTheFetch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		s.server.on(testKeysURL, func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
				return response(http.StatusOK, allKeys()), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		raw := s.token(nowClaims())
		leader, cancel := context.WithCancel(t.Context())
		go func() {
			if _, err := s.Verify(leader, raw, nil, nil); !errors.Is(err, context.Canceled) {
				t.Errorf("the leader got %v", err)
			}
		}()
		synctest.Wait()
		follower := make(chan error)
		go func() { _, err := s.verify(raw); follower <- err }()
		synctest.Wait()
		cancel()
		if err := <-follower; err != nil {
			t.Errorf("the follower got %v", err)
		}
		if n := s.server.count(testKeysURL); n != 1 {
			t.Errorf("%d fetches, want 1", n)
		}
	})
}

func TestPanicOfATransportWedgesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		s.server.on(testKeysURL, func(*http.Request) (*http.Response, error) { panic("boom") })
		if _, err := s.verify(s.token(nowClaims())); !errors.Is(err, ErrKeysUnavailable) {
			t.Errorf("got %v", err)
		}
		s.server.say(testKeysURL, allKeys())
		time.Sleep(defaultKeyMinInterval)
		if _, err := s.verify(s.token(nowClaims())); err != nil {
			t.Errorf("after the panic: %v", err)
		}
	})
}

func TestUnknownKeyIDsFetchOncePerFloor(t *testing.T) {
	s := newStage(t)
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Fatal(err)
	}
	forged := func(n int) string { return sign(t, "EdDSA", fmt.Sprint("forged", n), edKey(), nil, goodClaims()) }
	n := 0
	for range 10 {
		s.clock.Advance(defaultKeyMinInterval)
		for range 20 {
			n++
			if _, err := s.verify(forged(n)); !errors.Is(err, ErrUnknownKey) {
				t.Fatalf("got %v", err)
			}
		}
	}
	if got := s.server.count(testKeysURL); got != 11 {
		t.Errorf("%d fetches for 200 unknown key ids in 10 floors, want 11", got)
	}
	if len(s.issuer.keys.unknown) > maxUnknownKeys {
		t.Errorf("%d key ids are remembered", len(s.issuer.keys.unknown))
	}
}

func TestOneUnknownKeyIDDoesNotFetchEveryFloor(t *testing.T) {
	s := newStage(t)
	forged := sign(t, "EdDSA", "forged", edKey(), nil, goodClaims())
	for range 60 {
		if _, err := s.verify(forged); !errors.Is(err, ErrUnknownKey) {
			t.Fatalf("got %v", err)
		}
		s.clock.Advance(time.Second)
	}
	if got := s.server.count(testKeysURL); got > 3 {
		t.Errorf("%d fetches in a minute for one key id that does not exist, want at most 3", got)
	}
}

func TestRememberedUnknownKeyIDsAreBounded(t *testing.T) {
	s := newStage(t)
	for n := range 3 * maxUnknownKeys {
		s.issuer.keys.remember(fmt.Sprint(n), testNow)
	}
	if n := len(s.issuer.keys.unknown); n != maxUnknownKeys {
		t.Errorf("%d are remembered, want %d", n, maxUnknownKeys)
	}
	s.issuer.keys.remember("late", testNow.Add(time.Hour))
	if n := len(s.issuer.keys.unknown); n != 1 {
		t.Errorf("%d are remembered after an hour, want 1", n)
	}
}

func TestNewKeyIsFoundWithinTheFloor(t *testing.T) {
	s := newStage(t)
	s.server.say(testKeysURL, keySetText(jwk(rsaKey(), "old", "RS256")))
	old := sign(t, "RS256", "old", rsaKey(), nil, goodClaims())
	fresh := sign(t, "RS256", "new", otherRSAKey(), nil, goodClaims())
	v, err := s.verify(old)
	if err != nil {
		t.Fatal(err)
	}
	s.server.say(testKeysURL, keySetText(jwk(otherRSAKey(), "new", "RS256")))
	if _, err := s.verify(fresh); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("inside the floor: got %v", err)
	}
	s.clock.Advance(defaultKeyMinInterval)
	w, err := s.verify(fresh)
	if err != nil {
		t.Fatalf("after the floor: %v", err)
	}
	if w.KeySet == v.KeySet || s.issuer.Current(v.KeySet, s.clock.Now()) || !s.issuer.Current(w.KeySet, s.clock.Now()) {
		t.Errorf("versions %d and %d, now %d", v.KeySet, w.KeySet, s.issuer.KeySetVersion())
	}
	if _, err := s.verify(old); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("the retired key: got %v", err)
	}
}

func TestNewKeyWithoutKeyIDIsFoundToo(t *testing.T) {
	s := newStage(t)
	s.server.say(testKeysURL, keySetText(jwk(rsaKey(), "", "RS256")))
	if _, err := s.verify(sign(t, "RS256", "", rsaKey(), nil, goodClaims())); err != nil {
		t.Fatal(err)
	}
	s.server.say(testKeysURL, keySetText(jwk(otherRSAKey(), "", "RS256")))
	s.clock.Advance(defaultKeyMinInterval)
	for range 5 {
		if _, err := s.verify(sign(t, "RS256", "", otherRSAKey(), nil, goodClaims())); err != nil {
			t.Error(err)
		}
	}
	if n := s.server.count(testKeysURL); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestUnknownKeyWhileTheServerIsDownIsNoVerdict(t *testing.T) {
	s := newStage(t)
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Fatal(err)
	}
	s.server.fail(testKeysURL)
	s.clock.Advance(defaultKeyMinInterval)
	unknown := sign(t, "RS256", "new", otherRSAKey(), nil, goodClaims())
	for range 3 {
		if _, err := s.verify(unknown); !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalidToken) {
			t.Errorf("an unknown key: got %v", err)
		}
		if _, err := s.verify(s.token(goodClaims())); err != nil {
			t.Errorf("a known key: got %v", err)
		}
	}
	if n := s.server.count(testKeysURL); n != 2 {
		t.Errorf("%d fetches, want 2", n)
	}
}

func TestLastGoodKeysServeUntilTheyAreTooOld(t *testing.T) {
	s := newStage(t)
	raw := s.token(goodClaims("exp", testNow.Add(1000*time.Hour).Unix()))
	v, err := s.verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	s.server.fail(testKeysURL)
	for s.clock.Now().Before(testNow.Add(defaultKeyMaxStale)) {
		s.clock.Advance(30 * time.Minute)
		if _, err := s.verify(raw); err != nil {
			t.Fatalf("at %v: %v", s.clock.Now().Sub(testNow), err)
		}
		if !s.issuer.Current(v.KeySet, s.clock.Now()) {
			t.Fatalf("at %v the verdict does not hold", s.clock.Now().Sub(testNow))
		}
	}
	s.issuer.life.work.Wait() // a refresh behind the last request
	s.clock.Advance(time.Nanosecond)
	if s.issuer.Current(v.KeySet, s.clock.Now()) || s.issuer.Ready() {
		t.Error("the verdict holds past key_max_stale")
	}
	if _, err := s.verify(raw); !errors.Is(err, ErrKeysUnavailable) || errors.Is(err, ErrInvalidToken) {
		t.Errorf("past key_max_stale: got %v", err)
	}
	s.server.say(testKeysURL, allKeys())
	s.clock.Advance(defaultKeyMinInterval)
	w, err := s.verify(raw)
	if err != nil {
		t.Fatalf("after the outage: %v", err)
	}
	if w.KeySet != v.KeySet || !s.issuer.Current(v.KeySet, s.clock.Now()) {
		t.Error("equal keys after the outage are another version")
	}
}

func TestVersionFollowsTheContent(t *testing.T) {
	s := newStage(t)
	a, b := keySetText(jwk(rsaKey(), "a", "RS256")), keySetText(jwk(otherRSAKey(), "a", "RS256"))
	load := func(text string) uint64 {
		s.server.say(testKeysURL, text)
		s.clock.Advance(defaultKeyMinInterval)
		<-s.issuer.keys.begin(s.clock.Now()).done
		return s.issuer.KeySetVersion()
	}
	var got []uint64
	for _, text := range []string{a, a, " " + a, b, a, a} {
		got = append(got, load(text))
	}
	if want := []uint64{1, 1, 1, 2, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("got versions %v, want %v", got, want)
	}
}

// TestKeyServerTrouble lets a good start be followed by every sort of
// trouble: the known keys go on, nothing is taken over, and the outcome is
// named.
func TestKeyServerTrouble(t *testing.T) {
	page := func(status int, body string, header ...string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			r := response(status, body)
			for n := 0; n < len(header); n += 2 {
				r.Header.Set(header[n], header[n+1])
			}
			return r, nil
		}
	}
	endless := func(*http.Request) (*http.Response, error) {
		r := response(http.StatusOK, "")
		r.Body = io.NopCloser(io.LimitReader(zeros{}, 100<<20))
		return r, nil
	}
	for _, c := range []struct {
		name    string
		answer  func(*http.Request) (*http.Response, error)
		outcome string
	}{
		{"no answer", func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }, FetchError},
		{"an answer too late", hang, FetchTimeout},
		{"404", page(http.StatusNotFound, "gone"), FetchError},
		{"500 with a key set", page(http.StatusInternalServerError, allKeys()), FetchError},
		{"204", page(http.StatusNoContent, ""), FetchError},
		{"a redirect elsewhere", page(http.StatusFound, "", "Location", "https://evil.example/keys"), FetchRedirect},
		{"a redirect to plain http", page(http.StatusFound, "", "Location", "http://idp.example.com/keys"), FetchRedirect},
		{"a redirect to another port", page(http.StatusFound, "", "Location", "https://idp.example.com:8443/keys"), FetchRedirect},
		{"a redirect to itself", page(http.StatusFound, "", "Location", testKeysURL), FetchRedirect},
		{"100 MB", endless, FetchTooLarge},
		{"a truncated set", page(http.StatusOK, allKeys()[:len(allKeys())/2]), FetchMalformed},
		{"HTML", page(http.StatusOK, "<html>Sign in</html>"), FetchMalformed},
		{"an error object", page(http.StatusOK, `{"error":"server_error"}`), FetchMalformed},
		{"an empty body", page(http.StatusOK, ""), FetchMalformed},
		{"an empty set", page(http.StatusOK, `{"keys":[]}`), FetchNoKeys},
		{"a set of unusable keys", page(http.StatusOK, `{"keys":[{"kty":"WAT"},null]}`), FetchNoKeys},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o := new(recorder)
				s := bubbleStage(t, func(_ *Config, opt *Options) { opt.Observer = o })
				raw := s.token(nowClaims())
				v, err := s.verify(raw)
				if err != nil {
					t.Fatal(err)
				}
				s.server.on(testKeysURL, c.answer)
				time.Sleep(defaultKeyMinInterval)
				_, err = s.verify(sign(t, "RS256", "new", otherRSAKey(), nil, nowClaims()))
				if !errors.Is(err, ErrUnavailable) || errors.Is(err, ErrInvalidToken) {
					t.Errorf("an unknown key: got %v", err)
				}
				synctest.Wait()
				if got := o.outcomes(); !slices.Equal(got, []string{FetchOK, c.outcome}) {
					t.Errorf("outcomes are %v, want %v", got, c.outcome)
				}
				st := s.issuer.Status()
				if !st.Ready || !st.Failing || st.LastError != c.outcome || st.FetchErrors != 1 {
					t.Errorf("status is %+v", st)
				}
				if w, err := s.verify(raw); err != nil || w.KeySet != v.KeySet {
					t.Errorf("a known key: got %v", err)
				}
				if n := s.server.count("https://evil.example/keys"); n != 0 {
					t.Error("the redirect was followed")
				}
			})
		})
	}
}

func TestRedirectInsideTheOriginIsFollowed(t *testing.T) {
	s := newStage(t)
	s.server.on(testKeysURL, func(*http.Request) (*http.Response, error) {
		r := response(http.StatusFound, "")
		r.Header.Set("Location", "/keys/2")
		return r, nil
	})
	s.server.say(testKeysURL+"/2", allKeys())
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Error(err)
	}
}

func TestContentTypeOfKeysDoesNotMatter(t *testing.T) {
	s := newStage(t)
	s.server.on(testKeysURL, func(*http.Request) (*http.Response, error) {
		r := response(http.StatusOK, allKeys())
		r.Header.Set("Content-Type", "text/plain")
		return r, nil
	})
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Error(err)
	}
}

// zeros reads as endless zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

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

func TestJWKSFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys.json")
	write := func(text string) {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config := func(c *Config, _ *Options) { c.JWKSURL, c.JWKSFile = "", file }
	for name, text := range map[string]string{"broken": "{", "without keys": `{"keys":[]}`} {
		write(text)
		c := baseConfig()
		config(&c, nil)
		if _, err := New(c, Options{}); !errors.Is(err, ErrConfig) {
			t.Errorf("a file that is %s: got %v", name, err)
		}
	}
	write(keySetText(jwk(rsaKey(), "RS256", "RS256")))
	s := newStage(t, config)
	if !s.issuer.Ready() || s.issuer.KeySetVersion() != 1 {
		t.Error("not ready at load")
	}
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Error(err)
	}
	write("{") // a broken edit keeps the last good one
	s.clock.Advance(defaultKeyMinInterval)
	fresh := sign(t, "RS256", "new", otherRSAKey(), nil, goodClaims())
	if _, err := s.verify(fresh); !errors.Is(err, ErrUnavailable) {
		t.Errorf("an unknown key beside a broken file: got %v", err)
	}
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Errorf("a known key beside a broken file: got %v", err)
	}
	write(keySetText(jwk(otherRSAKey(), "new", "RS256")))
	s.clock.Advance(defaultKeyMinInterval)
	if _, err := s.verify(fresh); err != nil {
		t.Errorf("after the edit: %v", err)
	}
	if len(s.server.counts) != 0 {
		t.Errorf("the network was touched: %v", s.server.counts)
	}
}

func TestHMACFromAFile(t *testing.T) {
	secret := []byte(strings.Repeat("s", 64))
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(keySetText(jwk(secret, "s", "HS256"))), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, func(c *Config, _ *Options) {
		c.JWKSURL, c.JWKSFile, c.Algorithms = "", file, []string{"HS256"}
	})
	if _, err := s.verify(sign(t, "HS256", "s", secret, nil, goodClaims())); err != nil {
		t.Error(err)
	}
	for alg, want := range map[string]error{"HS512": ErrAlgorithm, "RS256": ErrAlgorithm} {
		key := any(secret)
		if alg == "RS256" {
			key = rsaKey()
		}
		if _, err := s.verify(sign(t, alg, "s", key, nil, goodClaims())); !errors.Is(err, want) {
			t.Errorf("%s: got %v", alg, err)
		}
	}
}

// TestOverRealConnections is the one test with a real server: it shows that
// the transport of New's own, the ca option and the time-out work.
func TestOverRealConnections(t *testing.T) {
	var slow atomic.Bool
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if slow.Load() {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, allKeys())
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	writeCertificate(t, ca, server.Certificate())
	clock := newClock()
	open := func(c Config) *Set {
		i, err := New(c, Options{Clock: clock.Now})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(i.Stop)
		return must(NewSet(i))
	}
	raw := sign(t, "RS256", "RS256", rsaKey(), nil, goodClaims())
	c := Config{Issuer: testIssuer, Audience: []string{testAudience}, JWKSURL: server.URL}
	if _, err := open(c).Verify(t.Context(), raw, nil, nil); !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("without the ca: got %v", err)
	}
	c.CA = ca
	if _, err := open(c).Verify(t.Context(), raw, nil, nil); err != nil {
		t.Errorf("with the ca: %v", err)
	}
	slow.Store(true)
	c.Timeout = cache.Duration(50 * time.Millisecond)
	if _, err := open(c).Verify(t.Context(), raw, nil, nil); !errors.Is(err, ErrKeysUnavailable) {
		t.Errorf("a slow server: got %v", err)
	}
}
