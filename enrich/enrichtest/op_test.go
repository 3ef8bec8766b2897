package enrichtest_test

import (
	"maps"
	"slices"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

func TestOIDCProviderIssuesEveryFormat(t *testing.T) {
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{})
	for _, format := range []string{"RS256", "ES256", "PS256", "EdDSA"} {
		t.Run("user token in "+format, func(t *testing.T) {
			token := o.Mint(enrichtest.Grant{Subject: "alice", Format: format})
			verify(t, o, token, format)
			header, claims := open(t, token)
			want(t, "typ", header["typ"], "at+jwt")
			want(t, "iss", claims["iss"], o.Issuer)
			want(t, "sub", claims["sub"], "alice")
			want(t, "aud", claims["aud"], "api://legacy")
			want(t, "client_id", claims["client_id"], enrichtest.OPClient)
			want(t, "tenant", claims["tenant"], "t1")
		})
		t.Run("client token in "+format, func(t *testing.T) {
			token := o.Mint(enrichtest.Grant{Format: format})
			verify(t, o, token, format)
			_, claims := open(t, token)
			want(t, "sub", claims["sub"], enrichtest.OPClient)
			want(t, "scope", claims["scope"], "api:read")
		})
	}
}

func TestOIDCProviderIntrospectsAndRevokes(t *testing.T) {
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{})
	token := o.Mint(enrichtest.Grant{Subject: "bob", Format: enrichtest.FormatOpaque})
	answer := o.Introspect(token)
	want(t, "active", answer["active"], true)
	want(t, "sub", answer["sub"], "bob")
	want(t, "aud", answer["aud"], "api://legacy")
	o.Revoke(token)
	want(t, "active after revocation", o.Introspect(token)["active"], false)
}

func TestOIDCProviderBindsTokens(t *testing.T) {
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{})
	key := enrichtest.NewDPoPKey(t, "ES256", nil)
	for name, g := range map[string]enrichtest.Grant{
		"a person's token, by thumbprint": {Subject: "alice", KeyThumbprint: key.Thumbprint()},
		"a client's token, by proof":      {Client: enrichtest.OPBoundClient, Key: key},
	} {
		t.Run(name, func(t *testing.T) {
			_, claims := open(t, o.Mint(g))
			cnf, _ := claims["cnf"].(map[string]any)
			want(t, "jkt", cnf["jkt"], key.Thumbprint())
		})
	}
	t.Run("a person's token, by certificate", func(t *testing.T) {
		_, claims := open(t, o.Mint(enrichtest.Grant{Subject: "alice", CertificateThumbprint: "AAAA"}))
		cnf, _ := claims["cnf"].(map[string]any)
		want(t, "x5t#S256", cnf["x5t#S256"], "AAAA")
	})
}

func TestOIDCProviderRotatesAndRetires(t *testing.T) {
	o := enrichtest.StartOIDCProvider(t, enrichtest.OPConfig{})
	old := o.Mint(enrichtest.Grant{Subject: "alice"})
	rotated := o.Rotate()
	want(t, "keys after rotation", len(rotated), 8)
	verify(t, o, old, "RS256")
	fresh := o.Mint(enrichtest.Grant{Subject: "alice"})
	verify(t, o, fresh, "RS256")
	oldHeader, _ := open(t, old)
	freshHeader, _ := open(t, fresh)
	if oldHeader["kid"] == freshHeader["kid"] {
		t.Error("the same key signs after rotation")
	}
	retired := o.Retire()
	want(t, "keys after retirement", len(retired), 4)
	published := publishedKeys(t, o)
	if slices.Contains(slices.Collect(maps.Keys(published)), oldHeader["kid"].(string)) {
		t.Error("a retired key is still published")
	}
	verify(t, o, fresh, "RS256")
}

func verify(t *testing.T, o *enrichtest.OIDCProvider, token, algorithm string) {
	t.Helper()
	header, _ := open(t, token)
	want(t, "alg", header["alg"], algorithm)
	id, _ := header["kid"].(string)
	key, found := publishedKeys(t, o)[id]
	if !found {
		t.Fatalf("key %q is not published", id)
	}
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.SignatureAlgorithm(algorithm)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := signed.Verify(key); err != nil {
		t.Errorf("verifying a token in %s: %v", algorithm, err)
	}
}

func publishedKeys(t *testing.T, o *enrichtest.OIDCProvider) map[string]jose.JSONWebKey {
	t.Helper()
	var set jose.JSONWebKeySet
	fetchJSON(t, nil, o.Issuer+"/jwks", &set)
	out := map[string]jose.JSONWebKey{}
	for _, k := range set.Keys {
		out[k.KeyID] = k
	}
	return out
}
