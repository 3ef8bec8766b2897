package issuer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
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
	if len(server.counts) != 0 || i.Ready() || i.Status().KeySet != 0 {
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
				if !errors.Is(err, errKeysUnavailable) || errors.Is(err, ErrInvalidToken) {
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
		if _, err := s.verify(s.token(nowClaims())); !errors.Is(err, errKeysUnavailable) {
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
			if _, err := s.verify(forged(n)); !errors.Is(err, errUnknownKey) {
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
		if _, err := s.verify(forged); !errors.Is(err, errUnknownKey) {
			t.Fatalf("got %v", err)
		}
		s.clock.Advance(time.Second)
	}
	if got := s.server.count(testKeysURL); got > 4 {
		t.Errorf("%d fetches in a minute for one key id that does not exist, want at most 4", got)
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
	if _, err := s.verify(fresh); !errors.Is(err, errUnknownKey) {
		t.Errorf("inside the floor: got %v", err)
	}
	s.clock.Advance(defaultKeyMinInterval)
	w, err := s.verify(fresh)
	if err != nil {
		t.Fatalf("after the floor: %v", err)
	}
	if w.KeySet == v.KeySet || s.issuer.Current(v.KeySet, s.clock.Now()) || !s.issuer.Current(w.KeySet, s.clock.Now()) {
		t.Errorf("versions %d and %d, now %d", v.KeySet, w.KeySet, s.issuer.Status().KeySet)
	}
	if _, err := s.verify(old); !errors.Is(err, errUnknownKey) {
		t.Errorf("the retired key: got %v", err)
	}
}

// Some issuers give every key the same name.
func TestNewKeyUnderAKnownKeyIDIsFoundToo(t *testing.T) {
	old := sign(t, "RS256", "key", rsaKey(), nil, goodClaims())
	for _, c := range []struct {
		name string
		keys string
		raw  string
	}{
		{"of the same algorithm", keySetText(jwk(otherRSAKey(), "key", "RS256")), sign(t, "RS256", "key", otherRSAKey(), nil, goodClaims())},
		{"of another algorithm", keySetText(jwk(edKey(), "key", "EdDSA")), sign(t, "EdDSA", "key", edKey(), nil, goodClaims())},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.server.say(testKeysURL, keySetText(jwk(rsaKey(), "key", "RS256")))
			if _, err := s.verify(old); err != nil {
				t.Fatal(err)
			}
			if _, err := s.verify(c.raw); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("inside the floor: got %v", err)
			}
			s.clock.Advance(defaultKeyMinInterval)
			s.server.fail(testKeysURL)
			if _, err := s.verify(c.raw); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("a known key that does not verify, while the server is down: got %v", err)
			}
			s.clock.Advance(defaultKeyMinInterval)
			s.server.say(testKeysURL, c.keys)
			if _, err := s.verify(c.raw); err != nil {
				t.Errorf("after the rotation: %v", err)
			}
			if _, err := s.verify(old); !errors.Is(err, ErrInvalidToken) {
				t.Errorf("the withdrawn key: got %v", err)
			}
			if n := s.server.count(testKeysURL); n != 3 {
				t.Errorf("%d fetches, want 3", n)
			}
		})
	}
}

func TestKeyThatComesBackIsSoonFound(t *testing.T) {
	s := newStage(t)
	ours, theirs := keySetText(jwk(rsaKey(), "a", "RS256")), keySetText(jwk(otherRSAKey(), "b", "RS256"))
	a, b := sign(t, "RS256", "a", rsaKey(), nil, goodClaims()), sign(t, "RS256", "b", otherRSAKey(), nil, goodClaims())
	s.server.say(testKeysURL, ours)
	if _, err := s.verify(a); err != nil {
		t.Fatal(err)
	}
	s.server.say(testKeysURL, theirs)
	s.clock.Advance(defaultKeyMinInterval)
	if _, err := s.verify(b); err != nil {
		t.Fatal(err)
	}
	s.clock.Advance(defaultKeyMinInterval)
	if _, err := s.verify(a); !errors.Is(err, errUnknownKey) {
		t.Fatalf("a withdrawn key: got %v", err)
	}
	s.server.say(testKeysURL, ours)
	s.clock.Advance(unknownKeyIntervals * defaultKeyMinInterval)
	if _, err := s.verify(a); err != nil {
		t.Errorf("back again: %v", err)
	}
	if _, err := s.verify(b); !errors.Is(err, errUnknownKey) {
		t.Errorf("the other one is gone: got %v", err)
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
	s.issuer.workers.running.Wait() // a refresh behind the last request
	s.clock.Advance(time.Nanosecond)
	if s.issuer.Current(v.KeySet, s.clock.Now()) || s.issuer.Ready() {
		t.Error("the verdict holds past key_max_stale")
	}
	if _, err := s.verify(raw); !errors.Is(err, errKeysUnavailable) || errors.Is(err, ErrInvalidToken) {
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
		<-s.issuer.keys.join(s.clock.Now()).Done()
		return s.issuer.Status().KeySet
	}
	var got []uint64
	for _, text := range []string{a, a, " " + a, b, a, a} {
		got = append(got, load(text))
	}
	if want := []uint64{1, 1, 1, 2, 3, 3}; !slices.Equal(got, want) {
		t.Errorf("got versions %v, want %v", got, want)
	}
}

// zeros reads as endless zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

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
	if _, err := open(c).Verify(t.Context(), raw, nil, nil); !errors.Is(err, errKeysUnavailable) {
		t.Errorf("without the ca: got %v", err)
	}
	c.CA = ca
	if _, err := open(c).Verify(t.Context(), raw, nil, nil); err != nil {
		t.Errorf("with the ca: %v", err)
	}
	slow.Store(true)
	c.Timeout = cache.Duration(50 * time.Millisecond)
	if _, err := open(c).Verify(t.Context(), raw, nil, nil); !errors.Is(err, errKeysUnavailable) {
		t.Errorf("a slow server: got %v", err)
	}
}
