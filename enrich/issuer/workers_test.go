package issuer

import (
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Whoever forges tokens while the key server hangs makes themselves wait, and
// nobody else: tokens of known keys are judged at once, the server is asked no
// more often than ever, and the number of those who wait has a bound.
func TestForgedTokensWhileTheKeyServerHangsHoldUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t)
		claims := func(jti string) map[string]any {
			return goodClaims("jti", jti, "iat", time.Now().Unix(), "exp", time.Now().Add(time.Hour).Unix())
		}
		good := s.token(claims("good"))
		if _, err := s.verify(good); err != nil {
			t.Fatal(err)
		}
		s.server.on(testKeysURL, hang)
		before := s.server.count(testKeysURL)
		forged := s.token(claims("forged"))
		forged = forged[:len(forged)-10] + good[len(good)-10:]
		unknown := sign(t, "RS256", "nobody's", rsaKey(), nil, claims("unknown"))
		time.Sleep(defaultKeyMinInterval)
		var wg sync.WaitGroup
		for range maxWaiters {
			wg.Go(func() {
				if _, err := s.verify(forged); !errors.Is(err, errSignature) {
					t.Errorf("one that waits: %v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		for _, c := range []struct {
			name, raw string
			want      error
		}{{"of a known key", good, nil}, {"one more forged", forged, errSignature}, {"of an unknown key", unknown, errKeysUnavailable}} {
			if _, err := s.verify(c.raw); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("%s: got %v, want %v", c.name, err, c.want)
			}
			if waited := time.Since(began); waited != 0 {
				t.Errorf("%s: waited %v", c.name, waited)
			}
		}
		wg.Wait()
		for time.Since(began) < time.Minute {
			_, _ = s.verify(forged)
			time.Sleep(100 * time.Millisecond)
		}
		if n := s.server.count(testKeysURL) - before; n > 7 {
			t.Errorf("%d fetches in a minute, want one in %v", n, defaultKeyMinInterval)
		}
		if _, err := s.verify(good); err != nil || s.issuer.keys.waiting.waiting.Load() != 0 {
			t.Errorf("afterwards: %v, and %d wait", err, s.issuer.keys.waiting.waiting.Load())
		}
	})
}

func TestTokensThatWaitToBeIntrospectedAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := bubbleStage(t, introspecting())
		s.server.on(testAsk, hang)
		var wg sync.WaitGroup
		for range maxUnknownWaiting {
			wg.Go(func() {
				if _, err := s.verify(testOpaque); !errors.Is(err, errIntrospection) {
					t.Errorf("one that waits: %v", err)
				}
			})
		}
		synctest.Wait()
		began := time.Now()
		if _, err := s.verify(testOpaque); !errors.Is(err, errBusy) || time.Since(began) != 0 {
			t.Errorf("one more: %v after %v", err, time.Since(began))
		}
		wg.Wait()
		if n := s.issuer.introspect.waiting.waiting.Load(); n != 0 {
			t.Errorf("%d wait in the end", n)
		}
	})
}
