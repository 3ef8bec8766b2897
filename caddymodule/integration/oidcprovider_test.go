package integration

import (
	"fmt"
	"strings"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/cache/cachetest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// The tests in this file run against a provider that somebody else wrote and
// that is certified, so that both sides do not share one misunderstanding.

// formats are the algorithms in which the provider issues JWTs.
var formats = []string{"RS256", "PS256", "ES256", "EdDSA"}

// certifiedProvider is the issuer option for it, found by discovery.
func certifiedProvider(o *enrichtest.OIDCProvider, options string) string {
	return fmt.Sprintf("issuer %s {\nname corp\naudience %s\nkey_min_interval 1ms\n%s\n}", o.Issuer, audience, options)
}

// asksProvider asks it about tokens; more are further options.
func asksProvider(o *enrichtest.OIDCProvider, more string) string {
	return fmt.Sprintf("introspect %s/token/introspection {\nclient_id %s\nclient_secret %s\n%s\n}", o.Issuer, enrichtest.OPGateway, enrichtest.OPGatewaySecret, more)
}

// serves loads a gateway for the provider's tokens. Its policy shows what the
// token itself says.
func (w *world) serves(o *enrichtest.OIDCProvider, options string) {
	w.t.Helper()
	w.load(strings.ReplaceAll(`
	token_enrich {
		claim login user.login {
			on_error omit
		}
		header X-User login
		header X-Subject sub
		header X-Client client_id
		header X-Scope scope
		header X-Tenant tenant
	}
	reverse_proxy %a
	handle_errors {
		respond "{err.status_code} {err.message}"
	}`, "%a", w.legacy.Addr()), certifiedProvider(o, options), script(w.t, knows("somebody")))
}

func TestCertifiedProvidersTokens(t *testing.T) {
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{})

	t.Run("JWTs through discovery, over rotation and retirement", func(t *testing.T) {
		w := prepare(t)
		w.serves(o, "key_refresh 50ms")
		before := map[string]string{}
		for _, format := range formats {
			before[format] = o.Mint(enrichtest.Grant{Subject: "alice", Format: format})
			for range 2 {
				wantStatus(t, w.get("/", before[format]), 200)
				seen := w.received()
				wantHeader(t, seen, "X-User", "somebody")
				wantHeader(t, seen, "X-Subject", "alice")
				wantHeader(t, seen, "X-Client", enrichtest.OPClient)
				wantHeader(t, seen, "X-Tenant", "t1")
			}
			// A client on its own behalf is no user.
			wantStatus(t, w.get("/", o.Mint(enrichtest.Grant{Format: format})), 200)
			seen := w.received()
			wantHeader(t, seen, "X-User", "")
			wantHeader(t, seen, "X-Subject", enrichtest.OPClient)
			wantHeader(t, seen, "X-Scope", "api:read")
			w.wantInvalidToken(t, w.get("/", enrichtest.FlipSignature(before[format])))
		}
		o.Rotate()
		for _, format := range formats {
			// A fetch from just before may forbid the next one for a moment.
			fresh := o.Mint(enrichtest.Grant{Subject: "bob", Format: format})
			eventually(t, "a token of the new key, "+format, func() bool { return w.get("/", fresh).StatusCode == 200 })
			if got := w.get("/", before[format]); got.StatusCode != 200 {
				t.Errorf("%s, a token of the old key: status %d", format, got.StatusCode)
			}
		}
		o.Retire()
		for _, format := range formats {
			eventually(t, "the end of a retired key's tokens, "+format, func() bool { return w.get("/", before[format]).StatusCode == 401 })
			if got := w.get("/", o.Mint(enrichtest.Grant{Subject: "bob", Format: format})); got.StatusCode != 200 {
				t.Errorf("%s, a token of the key that stayed: status %d", format, got.StatusCode)
			}
		}
	})

	t.Run("for somebody else", func(t *testing.T) {
		w := prepare(t)
		w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), strings.Replace(certifiedProvider(o, ""), "audience "+audience, "audience api://other", 1))
		w.wantInvalidToken(t, w.get("/", o.Mint(enrichtest.Grant{Subject: "alice"})))
	})

	t.Run("opaque ones through introspection", func(t *testing.T) {
		w := prepare(t)
		w.serves(o, asksProvider(o, "ttl 1ms"))
		token := o.Mint(enrichtest.Grant{Subject: "bob", Format: enrichtest.FormatOpaque})
		wantStatus(t, w.get("/", token), 200)
		seen := w.received()
		wantHeader(t, seen, "X-Subject", "bob")
		wantHeader(t, seen, "X-User", "somebody")
		w.wantInvalidToken(t, w.get("/", "opaque-that-nobody-issued"))
		// A token without a resource is for nobody in particular.
		w.wantInvalidToken(t, w.get("/", o.Mint(enrichtest.Grant{Subject: "bob", Format: enrichtest.FormatUserinfo})))
		o.Revoke(token)
		eventually(t, "the revocation", func() bool { return w.get("/", token).StatusCode == 401 })
		wantStatus(t, w.get("/", o.Mint(enrichtest.Grant{Subject: "alice"})), 200) // JWTs need no question
	})

	t.Run("a wrong secret is the gateway's fault and not the token's", func(t *testing.T) {
		w := prepare(t)
		w.serves(o, strings.Replace(asksProvider(o, ""), enrichtest.OPGatewaySecret, "wrong", 1))
		got := w.get("/", o.Mint(enrichtest.Grant{Subject: "bob", Format: enrichtest.FormatOpaque}))
		wantStatus(t, got, 503)
		w.nothingReceived()
	})

	// This provider does not introspect its JWTs, and says so by an error.
	t.Run("JWTs that it does not introspect", func(t *testing.T) {
		w := prepare(t)
		w.serves(o, asksProvider(o, "when always"))
		wantStatus(t, w.get("/", o.Mint(enrichtest.Grant{Subject: "alice"})), 503)
		w.nothingReceived()
		wantStatus(t, w.get("/", o.Mint(enrichtest.Grant{Subject: "alice", Format: enrichtest.FormatOpaque})), 200)
	})

	t.Run("bound to a DPoP key", func(t *testing.T) {
		for _, algorithm := range []string{"ES256", "RS256", "EdDSA"} {
			w := prepare(t)
			w.serves(o, "dpop accept\n"+asksProvider(o, ""))
			key := enrichtest.NewDPoPKey(t, algorithm, nil)
			grants := map[string]enrichtest.Grant{
				"a person's":         {Subject: "alice", KeyThumbprint: key.Thumbprint()},
				"a person's, opaque": {Subject: "alice", KeyThumbprint: key.Thumbprint(), Format: enrichtest.FormatOpaque},
			}
			if algorithm == "ES256" { // what the provider itself takes proofs in
				grants["a client's own"] = enrichtest.Grant{Client: enrichtest.OPBoundClient, Key: key}
				grants["a client's own, in another"] = enrichtest.Grant{Client: enrichtest.OPBoundClient, Key: key, Format: "EdDSA"}
			}
			for name, grant := range grants {
				token := o.Mint(grant)
				for range 2 {
					if got := w.proven("/", token, key.Proof("GET", w.here("/"), token, nil)); got.StatusCode != 200 {
						t.Errorf("%s %s: status %d, %v", algorithm, name, got.StatusCode, got.Header)
					}
				}
				w.legacy.Forget()
				if got := w.get("/", token); got.StatusCode != 401 {
					t.Errorf("%s %s as Bearer: status %d", algorithm, name, got.StatusCode)
				}
				if got := w.get("/", "", "Authorization", "DPoP "+token); got.StatusCode != 401 {
					t.Errorf("%s %s without a proof: status %d", algorithm, name, got.StatusCode)
				}
				stranger := enrichtest.NewDPoPKey(t, "ES256", nil)
				w.wantProofRefused(t, w.proven("/", token, stranger.Proof("GET", w.here("/"), token, nil)), "invalid_dpop_proof")
			}
		}
	})

	// The provider itself speaks no TLS here: it writes the thumbprint that it
	// is told, as it would that of a certificate it saw.
	t.Run("bound to a certificate", func(t *testing.T) {
		pki, foreign := cachetest.NewPKI(t), cachetest.NewPKI(t)
		w := prepare(t)
		w.certified(pki, "verify_if_given", certifiedProvider(o, "mtls require\n"+asksProvider(o, "")))
		for _, format := range []string{"RS256", "ES256", enrichtest.FormatOpaque} {
			grant := func(file string) enrichtest.Grant {
				return enrichtest.Grant{Subject: "alice", Format: format, CertificateThumbprint: enrichtest.CertificateThumbprint(certificateIn(t, file))}
			}
			token := o.Mint(grant(pki.ClientCert))
			for range 2 {
				w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, token, 200)
			}
			w.wantAs(t, pki, "", "", token, 401)
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, o.Mint(grant(foreign.ClientCert)), 401)
			w.wantAs(t, pki, pki.ClientCert, pki.ClientKey, o.Mint(enrichtest.Grant{Subject: "alice", Format: format}), 401)
		}
	})
}
