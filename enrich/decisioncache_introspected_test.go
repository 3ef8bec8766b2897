package enrich

import (
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/issuer"
)

func TestAnIntrospectedTokenIsAskedAboutAgainAfterTheVerdictsLife(t *testing.T) {
	r := newRig(t, options{})
	i, err := issuer.New(issuer.Config{
		Issuer: r.provider.Issuer(), Name: "corp", Audience: []string{"api://legacy"},
		Introspect: &issuer.Introspection{
			URL: r.provider.URL(enrichtest.Introspection), ClientID: "gateway", ClientSecret: "for this test only", TTL: cache.Duration(time.Minute),
		},
	}, issuer.Options{Clock: r.Clock, Transport: r.provider.Transport()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(i.Stop)
	if r.Issuers, err = issuer.NewSet(i); err != nil {
		t.Fatal(err)
	}
	p := r.usual()
	token := r.provider.Opaque(enrichtest.Claims{"sub": "00u1ada", "exp": r.Clock().Add(time.Hour).Unix()})
	r.warm(p, token)
	r.provider.Revoke(token)
	r.clock.Advance(time.Minute - 1)
	r.allowed(p, token).mustHit(t, true)
	if n := r.provider.Hits(enrichtest.Introspection); n != 1 {
		t.Errorf("asked %d times within the verdict's life", n)
	}
	r.clock.Advance(1)
	r.refused(p, token, KindInvalidToken)
}

func TestAnIntrospectedTokenWithoutExpiryEndsWithItsVerdict(t *testing.T) {
	r := newRig(t, options{issuer: func(c *issuer.Config) {
		c.Introspect = &issuer.Introspection{
			URL: c.Issuer + string(enrichtest.Introspection), ClientID: "gateway", ClientSecret: "for this test only", TTL: cache.Duration(time.Minute),
		}
	}})
	p := r.usual()
	token := r.provider.Opaque(enrichtest.Claims{"sub": "00u1ada", "exp": nil})
	r.warm(p, token)
	r.clock.Advance(time.Minute)
	r.provider.Revoke(token)
	r.refused(p, token, KindInvalidToken)
}
