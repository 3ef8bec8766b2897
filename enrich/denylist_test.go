package enrich

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/cache/purgelog"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// TestAnUnconfirmedDenyList: it fails closed, where anything was ever denied
// or could be.
func TestAnUnconfirmedDenyList(t *testing.T) {
	for name, c := range map[string]struct {
		used    bool
		gateway func(*Gateway)
		want    Kind // zero: let through
	}{
		"never used, no hook":    {},
		"never used, with hooks": {gateway: func(g *Gateway) { g.DenialsConfigured = true }, want: KindUnavailable},
		"used":                   {used: true, want: KindUnavailable},
		"used, and to go on":     {used: true, gateway: func(g *Gateway) { g.ContinueUnconfirmed = true }},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t, time.Now)
			synctest.Test(t, func(t *testing.T) {
				node := cachetest.NewNetwork(time.Now).Node()
				// Records serve without the log for longer than the list does.
				ttls := func(l *cache.TTLs) { l.UnconfirmedMax = time.Hour }
				r := assemble(t, p, options{now: time.Now, node: node, gateway: c.gateway, ttls: ttls})
				r.store.Start()
				synctest.Wait()
				if c.used {
					r.deny(DenyTokenID, "another", time.Time{})
				}
				policy := r.usual()
				token := r.token()
				r.warm(policy, token)
				node.Cut()
				time.Sleep(r.DenyMaxAge - 2*time.Second)
				r.allowed(policy, token)
				time.Sleep(5 * time.Second)
				a := r.ask(policy, token)
				if c.want == KindInternal {
					if a.err != nil {
						t.Fatal(errors.Unwrap(a.err))
					}
					return
				}
				a.mustBe(t, c.want)
				if !errors.Is(a.err, errDenyListUnconfirmed) {
					t.Errorf("cause %v", errors.Unwrap(a.err))
				}
				node.Restore()
				time.Sleep(10 * time.Second)
				r.allowed(policy, token)
			})
		})
	}
}

func TestADenialNamesOnlyTokensOfItsIssuer(t *testing.T) {
	r := newRig(t, options{})
	token := r.token(enrichtest.Claims{"jti": "j-1"})
	_, err := r.store.Log().Append(t.Context(), purgelog.Record{
		Kind: purgelog.Deny, Name: r.KeyDeriver.DenialHash("https://other.example.com", DenyTokenID, "j-1"), Until: r.Clock().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	r.allowed(r.usual(), token)
}

// TestAnUndoneDenialLetsInAtOnce (C21, P63): a decision that was cached before
// it serves again, a long request that it ended stays ended, and one that
// begins afterwards goes on.
func TestAnUndoneDenialLetsInAtOnce(t *testing.T) {
	inBubble(t, options{}, func(t *testing.T, r *rig) {
		policy, token := r.usual(), r.token()
		r.warm(policy, token)
		ended, done := attend(t, r, policy, token, longs()["an upgrade"], 0)
		defer done()
		r.deny(DenyUser, "00u1ada", time.Time{})
		r.ask(policy, token).mustBe(t, KindInvalidToken)
		time.Sleep(2 * time.Second)
		r.undeny()
		r.allowed(policy, token)
		begun, done := attend(t, r, policy, token, longs()["an upgrade"], 0)
		defer done()
		time.Sleep(time.Minute)
		if !errors.Is(context.Cause(ended), errRequestEnded) {
			t.Errorf("the long request that was denied goes on: %v", context.Cause(ended))
		}
		if begun.Err() != nil {
			t.Errorf("a new one was ended: %v", context.Cause(begun))
		}
		r.deny(DenyUser, "00u1ada", time.Time{})
		time.Sleep(2 * time.Second)
		if !errors.Is(context.Cause(begun), errRequestEnded) {
			t.Error("a denial after an undo does not end it")
		}
		r.ask(policy, token).mustBe(t, KindInvalidToken)
	})
}
