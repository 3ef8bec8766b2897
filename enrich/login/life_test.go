package login_test

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/seal"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/login"
)

// alive reports whether a request has a session.
func (b *browser) alive() bool {
	b.s.t.Helper()
	r := b.step("/x")
	if r.status != http.StatusOK && !b.s.ofProvider(r.header.Get("Location")) {
		b.s.t.Errorf("got %d %q", r.status, r.message())
	}
	return r.status == http.StatusOK
}

// Both ends hold, whatever moves the idle one (L10).
func TestEndsOfASession(t *testing.T) {
	for _, c := range []struct {
		name   string
		steps  []time.Duration // a request after each
		alive  bool            // at the last one
		ending string
	}{
		{"at once", []time.Duration{0}, true, ""},
		{"idle, almost", []time.Duration{30*time.Minute - time.Second}, true, ""},
		{"idle", []time.Duration{30 * time.Minute}, false, "ended idle"},
		{"moved", []time.Duration{29 * time.Minute, 29 * time.Minute, 29 * time.Minute}, true, ""},
		{"moved, then idle", []time.Duration{29 * time.Minute, 30 * time.Minute}, false, "ended idle"},
		{"too soon to be moved", []time.Duration{3*time.Minute - time.Second, 28 * time.Minute}, false, "ended idle"},
		{"soon enough", []time.Duration{3 * time.Minute, 28 * time.Minute}, true, ""},
		{"max", slices.Repeat([]time.Duration{20 * time.Minute}, 30), false, "ended max"},
		{"max, almost", append(slices.Repeat([]time.Duration{20 * time.Minute}, 29), 20*time.Minute-time.Second), true, ""},
		{"a clock a little behind", []time.Duration{-time.Minute}, true, ""},
		{"stepped back and forth", []time.Duration{-50 * time.Second, 50 * time.Second, 20 * time.Minute}, true, ""},
		{"stepped back by as long", []time.Duration{20 * time.Minute, 20 * time.Minute, 20 * time.Minute, -50 * time.Minute, 30 * time.Minute}, false, "ended idle"},
		{"an hour ahead", []time.Duration{time.Hour}, false, "ended idle"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			b := s.browser()
			b.login("/x")
			s.counts()
			for i, step := range c.steps {
				s.clock.Advance(step)
				if alive := b.alive(); alive != (c.alive || i < len(c.steps)-1) {
					t.Errorf("step %d: alive %v", i, alive)
				}
			}
			if c.ending != "" {
				if b.cookie(sessionCookie) != "" || !slices.Equal(s.counts(), []string{c.ending}) {
					t.Errorf("the cookie is kept, or another end was counted")
				}
				b.login("/x")
			}
		})
	}
}

// A session that ends soon after its beginning is no loop, so that no page says so.
func TestAShortIdleTime(t *testing.T) {
	s := newStage(t, withSession(login.SessionConfig{Idle: cache.Duration(10 * time.Second), Max: cache.Duration(20 * time.Second)}))
	b := s.browser()
	for range 3 {
		b.login("/x")
		s.clock.Advance(10 * time.Second)
	}
	if n := s.providers[0].Hits(enrichtest.Authorize); n != 3 {
		t.Errorf("%d logins", n)
	}
}

// A clock that stepped back far gives a page and not a loop, as two nodes would whose
// clocks differ.
func TestASessionOfTheFuture(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	b.login("/x")
	s.clock.Advance(-2 * time.Minute)
	wantPage(t, "a session of the future", b.step("/x"), http.StatusInternalServerError, "internal")
	if b.cookie(sessionCookie) != "" {
		t.Error("the cookie is kept")
	}
	b.login("/x")
}

// The idle end is moved at most once in a tenth of the time, and the new cookie is the
// same session.
func TestHowOftenTheIdleEndMoves(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	b.login("/x")
	first := b.cookie(sessionCookie)
	moved := 0
	for range 60 {
		s.clock.Advance(30 * time.Second)
		if r := b.step("/x"); len(r.header["Set-Cookie"]) > 0 {
			moved++
			line := r.header["Set-Cookie"][0]
			if !strings.HasPrefix(line, sessionCookie+"="+first[:22]+".") || !strings.HasSuffix(line, "; Path=/; HttpOnly; SameSite=Lax") || len(r.header["Set-Cookie"]) != 1 {
				t.Errorf("got %q", r.header["Set-Cookie"])
			}
		}
	}
	if moved != 10 {
		t.Errorf("moved %d times in 30 minutes, want 10", moved)
	}
	// The first cookie is the same session, at its old idle end.
	s.clock.Advance(-time.Minute)
	old := s.browser()
	old.setCookie(sessionCookie, first)
	if !old.alive() {
		t.Error("the session's older cookie has ended")
	}
}

// The configuration of now counts for the sessions of before (L10).
func TestAShorterConfigurationShortensSessions(t *testing.T) {
	for _, c := range []struct {
		name      string
		idle, max time.Duration
		after     time.Duration
		alive     bool
	}{
		{"as before", 30 * time.Minute, 10 * time.Hour, 20 * time.Minute, true},
		{"idle shorter", 10 * time.Minute, 10 * time.Hour, 10 * time.Minute, false},
		{"idle shorter, in time", 10 * time.Minute, 10 * time.Hour, 9 * time.Minute, true},
		{"max shorter", 15 * time.Minute, 15 * time.Minute, 15 * time.Minute, false},
		{"longer", 2 * time.Hour, 24 * time.Hour, 31 * time.Minute, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			b := s.browser()
			b.login("/x")
			s.rebuild(func(o *login.SiteOptions, _ []login.PolicyLogin) {
				o.Session = must(login.SessionConfig{Idle: cache.Duration(c.idle), Max: cache.Duration(c.max)}.WithDefaults())(t)
			})
			s.clock.Advance(c.after)
			if alive := b.alive(); alive != c.alive {
				t.Errorf("alive %v", alive)
			}
		})
	}
}

func TestWhatAReloadKeeps(t *testing.T) {
	ring := func(keys ...[]byte) func(*login.SiteOptions, []login.PolicyLogin) {
		return func(o *login.SiteOptions, _ []login.PolicyLogin) {
			r, err := seal.NewRing(nil, keys...)
			if err != nil {
				panic(err)
			}
			o.Ring = func(context.Context) (*seal.Ring, error) { return r, nil }
		}
	}
	for _, c := range []struct {
		name   string
		change func(*login.SiteOptions, []login.PolicyLogin)
		alive  bool
	}{
		{"nothing", func(*login.SiteOptions, []login.PolicyLogin) {}, true},
		{"a new key in front", ring(key(2), key(1)), true},
		{"a new key behind", ring(key(1), key(2)), true},
		{"another key", ring(key(2)), false},
		{"another claim", func(_ *login.SiteOptions, p []login.PolicyLogin) { p[0].Claims = []string{"email"} }, false},
		{"all claims", func(_ *login.SiteOptions, p []login.PolicyLogin) { p[0].AllClaims = true }, false},
		{"groups", func(_ *login.SiteOptions, p []login.PolicyLogin) { p[0].Groups = true }, false},
		{"another acr", func(_ *login.SiteOptions, p []login.PolicyLogin) { p[1].ACRValues = []string{"phr"} }, true},
		{"a fresh list of ended sessions", func(o *login.SiteOptions, _ []login.PolicyLogin) { o.Ended = login.NewEnded(0) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			b := s.browser()
			b.login("/x")
			at := s.browser()
			begun := at.callback("/y")
			s.rebuild(c.change)
			if alive := b.alive(); alive != c.alive {
				t.Errorf("alive %v", alive)
			}
			if !c.alive && b.cookie(sessionCookie) != "" {
				t.Error("the cookie is kept")
			}
			// A login that was under way goes on, unless its key is gone.
			if r := at.open(begun.String()); (r.status == http.StatusOK) != (c.name != "another key") {
				t.Errorf("a login under way gets %d", r.status)
			}
		})
	}
}

func TestWhatIsNoSession(t *testing.T) {
	s := newStage(t)
	b := s.browser()
	b.login("/x")
	good := b.cookie(sessionCookie)
	flipped := []byte(good)
	flipped[len(flipped)-5] ^= 1
	other := s.browser()
	other.login("/x")
	for name, value := range map[string]string{
		"a bit": string(flipped), "another's id": other.cookie(sessionCookie)[:22] + good[22:], "cut": good[:len(good)-4], "long": strings.Repeat("A", 5000),
		"dots": "....", "the transaction": b.cookie(transactionCookie),
	} {
		thief := s.browser()
		thief.before = func(r *http.Request) { r.Header["Cookie"] = []string{sessionCookie + "=" + value} }
		if thief.alive() {
			t.Errorf("%s: a session", name)
		}
	}
	if !b.alive() {
		t.Error("the session itself has ended")
	}
}
