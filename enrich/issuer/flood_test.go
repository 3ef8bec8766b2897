package issuer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// tokenOf returns the token that an introspection asks about.
func tokenOf(r *http.Request) string {
	return must(url.ParseQuery(string(must(io.ReadAll(r.Body))))).Get("token")
}

// timeless is an answer about a good token that no clock makes bad.
var timeless = activeAnswer("exp", nil, "iat", nil)

// TestTokensSeenGoodFindAPlaceInAFlood holds SECURITY P67: a flood of forged
// opaque tokens at a slow endpoint takes no more than its share of the places.
// Tokens that were seen good before are asked about all the same, also long
// after what was kept of them has expired.
func TestTokensSeenGoodFindAPlaceInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := new(recorder)
		s := bubbleStage(t, introspecting(), func(_ *Config, opt *Options) { opt.Observer = o })
		s.server.say(testAsk, timeless)
		var honest []string
		for n := range 3 * maxCalls {
			honest = append(honest, fmt.Sprint("honest", n))
			if _, err := s.verify(honest[n]); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(24 * time.Hour)
		var mu sync.Mutex
		forgedNow, mostForged, honestNow, mostHonest := 0, 0, 0, 0
		s.server.on(testAsk, func(r *http.Request) (*http.Response, error) {
			now, most := &forgedNow, &mostForged
			forged := strings.HasPrefix(tokenOf(r), "forged")
			if !forged {
				now, most = &honestNow, &mostHonest
			}
			mu.Lock()
			*now++
			*most = max(*most, *now)
			mu.Unlock()
			defer func() {
				mu.Lock()
				*now--
				mu.Unlock()
			}()
			if forged {
				return hang(r)
			}
			time.Sleep(time.Second / 10)
			return response(http.StatusOK, timeless), nil
		})
		busy, failed := 0, 0
		var flood, served sync.WaitGroup
		for n := range 2 * maxWaiters {
			flood.Go(func() {
				_, err := s.verify(fmt.Sprint("forged", n))
				mu.Lock()
				defer mu.Unlock()
				switch {
				case errors.Is(err, errBusy):
					busy++
				case errors.Is(err, errIntrospection):
					failed++
				default:
					t.Errorf("a forged token: %v", err)
				}
			})
		}
		synctest.Wait()
		mu.Lock()
		if busy != 2*maxWaiters-maxUnknownWaiting || forgedNow != maxUnknownCalls {
			t.Errorf("%d refused at once and %d asked about, want %d and %d", busy, forgedNow, 2*maxWaiters-maxUnknownWaiting, maxUnknownCalls)
		}
		mu.Unlock()
		for _, raw := range honest {
			served.Go(func() {
				if _, err := s.verify(raw); err != nil {
					t.Errorf("%s: %v", raw, err)
				}
			})
		}
		served.Wait()
		flood.Wait()
		s.issuer.Stop()
		if mostForged != maxUnknownCalls || mostHonest < maxCalls-maxUnknownCalls {
			t.Errorf("at once %d forged and %d honest ones", mostForged, mostHonest)
		}
		if n := count(o.inspected, IntrospectBusy); n != busy || failed == 0 {
			t.Errorf("%d counted as busy, %d were refused so; %d failed", n, busy, failed)
		}
		n := s.issuer.introspect
		if n.waiting.waiting.Load() != 0 || n.unknownWaiting.waiting.Load() != 0 || len(n.slots) != 0 || len(n.unknownSlots) != 0 {
			t.Error("slots are still taken")
		}
		for f := range 2 * maxWaiters {
			if n.calls.Current(n.hash(fmt.Sprint("forged", f))) != nil {
				t.Error("a call is left")
			}
		}
		for _, raw := range honest {
			if n.calls.Current(n.hash(raw)) != nil {
				t.Error("a call is left")
			}
		}
		if len(n.known.current)+len(n.known.previous) != len(honest) {
			t.Errorf("%d tokens are remembered as good, want %d", len(n.known.current)+len(n.known.previous), len(honest))
		}
	})
}

func count(all []string, one string) (n int) {
	for _, s := range all {
		if s == one {
			n++
		}
	}
	return n
}

// P67: only a token that passed every check is remembered, and one that is not
// active any more is forgotten.
func TestOnlyGoodTokensAreRememberedAsSeenGood(t *testing.T) {
	s := newStage(t, introspecting())
	remembered := func() int {
		k := &s.issuer.introspect.known
		return len(k.current) + len(k.previous)
	}
	for name, answer := range map[string]string{
		"inactive": `{"active":false}`, "another audience": activeAnswer("aud", "api://other"), "expired": activeAnswer("exp", testNow.Unix()-3600),
		"another issuer": activeAnswer("iss", "https://other.example"), "no subject": activeAnswer("sub", nil, "client_id", nil),
		"an ID token": activeAnswer("nonce", "n"), "a DPoP token without a key": activeAnswer("token_type", "DPoP"), "no answer": `{}`,
	} {
		s.server.say(testAsk, answer)
		if _, err := s.verify(strings.ReplaceAll(name, " ", "-")); err == nil || remembered() != 0 {
			t.Errorf("%s: %v, and %d are remembered", name, err, remembered())
		}
	}
	s.server.say(testAsk, activeAnswer())
	if _, err := s.verify(testOpaque); err != nil || remembered() != 1 {
		t.Fatalf("a good one: %v, and %d are remembered", err, remembered())
	}
	s.server.say(testAsk, `{"active":false}`)
	s.clock.Advance(time.Minute)
	if _, err := s.verify(testOpaque); !errors.Is(err, errInactive) || remembered() != 0 {
		t.Errorf("once it is not active: %v, and %d are remembered", err, remembered())
	}
}

func TestTokensSeenGoodAreBounded(t *testing.T) {
	k := newKnownTokens(100)
	key := func(n int) tokenHash { return tokenHash{byte(n), byte(n >> 8)} }
	for n := range 1000 {
		k.add(key(0)) // in use all the time
		k.add(key(n))
		if got := len(k.current) + len(k.previous); got > 200 {
			t.Fatalf("%d are remembered, want at most 200", got)
		}
		for recent := max(0, n-99); recent <= n; recent++ {
			if !k.has(key(recent)) {
				t.Fatalf("after %d: %d is forgotten already", n, recent)
			}
		}
	}
	if !k.has(key(0)) || k.has(key(1)) {
		t.Error("the least recently used did not go first")
	}
	k.remove(key(0))
	if k.has(key(0)) {
		t.Error("what was removed is still there")
	}
}

// A JWT that the issuer is asked about as well has been verified before: with
// forged ones nobody gets that far (P67).
func TestVerifiedJWTsFindAPlaceInAFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t, introspecting(func(in *Introspection) { in.When = whenAlways }))
		s.server.on(testAsk, func(r *http.Request) (*http.Response, error) {
			if strings.HasPrefix(tokenOf(r), "forged") {
				return hang(r)
			}
			return response(http.StatusOK, timeless), nil
		})
		var flood sync.WaitGroup
		for n := range maxWaiters {
			flood.Go(func() { _, _ = s.verify(fmt.Sprint("forged", n)) })
		}
		synctest.Wait()
		if _, err := s.verify(s.token(goodClaims("iat", time.Now().Unix(), "exp", time.Now().Add(time.Hour).Unix()))); err != nil {
			t.Error(err)
		}
		flood.Wait()
	})
}

// P67: a stranger whose token the endpoint cannot answer about, among others
// that it can, does not make a line of each.
func TestAStrangerCannotFillTheLogWithIntrospectionsThatFail(t *testing.T) {
	var log bytes.Buffer
	s := newStage(t, introspecting(), func(_ *Config, o *Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	s.server.on(testAsk, func(r *http.Request) (*http.Response, error) {
		if strings.HasPrefix(tokenOf(r), "odd") {
			return response(http.StatusInternalServerError, ""), nil
		}
		return response(http.StatusOK, `{"active":false}`), nil
	})
	const minutes, perMinute = 5, 200
	for range minutes {
		for n := range perMinute {
			_, _ = s.verify(fmt.Sprint("odd", n))
			_, _ = s.verify(fmt.Sprint("plain", n))
			s.clock.Advance(time.Minute / perMinute)
		}
	}
	s.issuer.Stop()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) < 2*(minutes-1) || len(lines) > 2*(minutes+1) {
		t.Errorf("%d lines in %d minutes:\n%s", len(lines), minutes, &log)
	}
	fails := slices.IndexFunc(lines, func(l string) bool {
		return strings.Contains(l, "introspection fails") && strings.Contains(l, "status 500")
	})
	works := slices.IndexFunc(lines, func(l string) bool { return strings.Contains(l, "introspection works again") })
	if fails < 0 || works < fails {
		t.Errorf("the lines do not say what happens:\n%s", &log)
	}
}
