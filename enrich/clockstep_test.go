package enrich

import (
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/forward"
	"github.com/tokenenrich/caddy-token-enrich/enrich/mint"
)

// A host's clock may be set an hour ahead or back. Nothing that was decided,
// minted or opened before is then accepted past its token's expiry by more
// than the leeway, and nothing is refused for good.
func TestClockSteps(t *testing.T) {
	const leeway = 30 * time.Second
	ttls := func(l *cache.TTLs) { l.Fresh = 24 * time.Hour }

	t.Run("ahead, over the expiry", func(t *testing.T) {
		for name, c := range map[string]struct {
			step time.Duration
			kind Kind
		}{
			"just inside the leeway": {time.Hour + leeway - time.Second, KindInternal},
			"at its end":             {time.Hour + leeway, KindInvalidToken},
			"far beyond":             {2 * time.Hour, KindInvalidToken},
		} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, options{ttls: ttls})
				p, tok := r.usual(), r.token()
				r.warm(p, tok)
				r.clock.Advance(c.step)
				if c.kind == KindInternal {
					r.allowed(p, tok).mustHit(t, true)
					return
				}
				r.refused(p, tok, c.kind)
				// Back again, the token is good again.
				r.clock.Advance(-c.step)
				r.allowed(p, tok)
			})
		}
	})
	t.Run("back, before nbf", func(t *testing.T) {
		r := newRig(t, options{ttls: ttls})
		p, tok := r.usual(), r.token(enrichtest.Claims{"nbf": r.clock.Now().Unix()})
		r.warm(p, tok)
		r.clock.Advance(-leeway - time.Second)
		r.refused(p, tok, KindInvalidToken)
		r.clock.Advance(time.Second)
		r.allowed(p, tok)
	})
	t.Run("back, and the expiry stays where it is", func(t *testing.T) {
		r := newRig(t, options{ttls: ttls})
		p, tok := r.usual(), r.token()
		r.warm(p, tok)
		r.clock.Advance(-time.Hour)
		r.ask(p, tok)
		r.clock.Advance(2*time.Hour + leeway)
		r.refused(p, tok, KindInvalidToken)
	})
	t.Run("minted tokens", func(t *testing.T) {
		for _, step := range []time.Duration{-time.Hour, 55 * time.Minute} {
			r := newRig(t, options{ttls: ttls})
			signing(t, r, enrichtest.KeyFile(t))
			p, tok := r.policy(minting(mint.TokenDefinition{})), r.token()
			before, _ := minted(t, r.warm(p, tok))
			now := r.clock.Advance(step)
			a := r.ask(p, tok)
			if a.err != nil {
				t.Fatalf("step %v: %v", step, a.err)
			}
			after, claims := minted(t, a)
			if after == before {
				t.Errorf("step %v: the token of before serves", step)
			}
			number := func(name string) int64 { v, _ := claims[name].(float64); return int64(v) }
			if number("iat") > now.Unix() || number("exp") <= now.Unix() || number("exp") > now.Add(5*time.Minute).Unix() {
				t.Errorf("step %v: at %d the token says iat %v, exp %v", step, now.Unix(), claims["iat"], claims["exp"])
			}
		}
	})
	t.Run("a login's age", func(t *testing.T) {
		r := newRig(t, options{ttls: ttls})
		p := r.policy(PolicyDefinition{Name: "recent", MaxAge: 10 * time.Minute})
		tok := r.token(enrichtest.Claims{"auth_time": r.clock.Now().Unix()})
		r.warm(p, tok)
		r.clock.Advance(time.Hour - time.Minute)
		r.refused(p, tok, KindInsufficientAuthentication)
		r.clock.Advance(-2*time.Hour + time.Minute)
		r.refused(p, tok, KindInsufficientAuthentication)
	})
	t.Run("a rule that reads the clock", func(t *testing.T) {
		r := newRig(t, options{ttls: ttls})
		p := r.policy(PolicyDefinition{
			Claims:  []claim.Definition{{Name: "now", Expression: "Time.now()"}},
			Forward: forward.Definition{Headers: []forward.HeaderDefinition{{Name: "X-Now", Claim: "now"}}},
		})
		tok := r.token()
		first := r.allowed(p, tok).header("X-Now")
		r.clock.Advance(-time.Hour)
		if again := r.ask(p, tok); again.err == nil && again.header("X-Now") == first {
			t.Error("the time of before was written again")
		}
	})
	t.Run("a long request ends at its token's expiry", func(t *testing.T) {
		for name, header := range longs() {
			r := newRig(t, options{ttls: ttls})
			r.LongLived.watching = true // nobody else looks
			_, done := attend(t, r, r.usual(), r.token(), header, 0)
			if !valid(r.LongLived) {
				t.Errorf("%s ends at once", name)
			}
			r.clock.Advance(time.Hour + leeway)
			if valid(r.LongLived) {
				t.Errorf("%s goes on after the step", name)
			}
			done()
		}
	})
}

// valid reports whether the streams under way may go on.
func valid(s *LongLived) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for st := range s.live {
		if !st.valid() {
			return false
		}
	}
	return true
}
