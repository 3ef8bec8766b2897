package issuer

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
)

func TestIDTokensAreVerifiedByGoOIDCOverOurKeys(t *testing.T) {
	s := newStage(t)
	s.server.say(testKeysURL, keySetText(jwk(rsaKey(), "one", "RS256")))
	idToken := func(kid string, key any, change ...any) string {
		return sign(t, "RS256", kid, key, nil, goodClaims(append([]any{"aud", "client", "nonce", "n-1"}, change...)...))
	}
	verifier := s.issuer.IDTokenVerifier(oidc.Config{ClientID: "client"})
	token, err := verifier.Verify(t.Context(), idToken("one", rsaKey()))
	if err != nil {
		t.Fatal(err)
	}
	if token.Subject != "00u1ada" || token.Nonce != "n-1" || token.Issuer != testIssuer {
		t.Errorf("got %+v", token)
	}
	for name, raw := range map[string]string{
		"another key":      idToken("one", otherRSAKey()),
		"an unknown key":   idToken("other", otherRSAKey()),
		"another audience": idToken("one", rsaKey(), "aud", "other"),
		"another issuer":   idToken("one", rsaKey(), "iss", "https://evil.example"),
		"expired":          idToken("one", rsaKey(), "exp", testNow.Unix()-1),
		"alg none":         signRaw(t, `{"alg":"none"}`, `{"iss":"`+testIssuer+`"}`),
		"not strict":       idToken("one", rsaKey()) + "\n",
		"an extension":     sign(t, "RS256", "one", rsaKey(), map[string]any{"crit": []string{"exp"}}, goodClaims("aud", "client")),
	} {
		if _, err := verifier.Verify(t.Context(), raw); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	// A new key is fetched as for any other token, through our client.
	s.clock.Advance(time.Minute)
	s.server.say(testKeysURL, keySetText(jwk(rsaKey(), "one", "RS256"), jwk(otherRSAKey(), "two", "RS256")))
	before := s.server.count(testKeysURL)
	for range 2 {
		if _, err := verifier.Verify(t.Context(), idToken("two", otherRSAKey())); err != nil {
			t.Errorf("a new key: %v", err)
		}
	}
	if n := s.server.count(testKeysURL) - before; n != 1 {
		t.Errorf("the keys were fetched %d times, want 1", n)
	}
}

func TestProviderHasOurMetadataAndFetchesNothing(t *testing.T) {
	s := newStage(t, byDiscovery)
	at := testIssuer + "/.well-known/openid-configuration"
	s.server.say(at, metadataText("authorization_endpoint", testIssuer+"/authorize", "token_endpoint", testIssuer+"/token"))
	p, err := s.issuer.Provider(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if e := p.Endpoint(); e.AuthURL != testIssuer+"/authorize" || e.TokenURL != testIssuer+"/token" || p.UserInfoEndpoint() != testIssuer+"/userinfo" {
		t.Errorf("got %+v, %s", e, p.UserInfoEndpoint())
	}
	if n := s.server.count(at); n != 1 {
		t.Errorf("the metadata were fetched %d times, want 1", n)
	}
	if n := s.server.count(testKeysURL); n != 0 {
		t.Errorf("the keys were fetched %d times, want 0", n)
	}
	if _, err := p.Verifier(&oidc.Config{SkipClientIDCheck: true}).Verify(t.Context(), s.token(goodClaims())); err == nil {
		t.Error("go-oidc verifies with keys of its own")
	}
	if n := s.server.count(testKeysURL); n != 0 {
		t.Errorf("go-oidc fetched keys %d times, want 0", n)
	}
}

func TestProviderWithoutMetadataIsUnavailable(t *testing.T) {
	s := newStage(t, byDiscovery)
	if _, err := s.issuer.Provider(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// logoutClaims are those of a logout token that is accepted at testNow.
func logoutClaims() map[string]any {
	return map[string]any{
		"iss": testIssuer, "aud": "client", "iat": testNow.Unix(), "exp": testNow.Unix() + 120, "jti": "l-1",
		"sid": "s-1", "events": map[string]any{logoutEvent: map[string]any{}},
	}
}

func TestLogoutTokensOfEveryAlgorithmAreVerified(t *testing.T) {
	s := newStage(t)
	for _, alg := range publicAlgorithms {
		raw := sign(t, alg, alg, signerKey(alg), nil, logoutClaims())
		if _, err := s.issuer.VerifyLogout(t.Context(), raw, []string{"client"}); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	secret := []byte(strings.Repeat("s", 32))
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(keySetText(jwk(secret, "s", "HS256"))), 0o600); err != nil {
		t.Fatal(err)
	}
	s = newStage(t, func(c *Config, _ *Options) { c.JWKSURL, c.JWKSFile, c.Algorithms = "", file, []string{"HS256"} })
	if _, err := s.issuer.VerifyLogout(t.Context(), sign(t, "HS256", "s", secret, nil, logoutClaims()), []string{"client"}); err != nil {
		t.Errorf("HS256: %v", err)
	}
}

func TestWhyALogoutTokenCannotBeVerifiedIsKept(t *testing.T) {
	s := newStage(t)
	s.server.fail(testKeysURL)
	if _, err := s.issuer.VerifyLogout(t.Context(), s.token(logoutClaims()), []string{"client"}); !errors.Is(err, errKeysUnavailable) || errors.Is(err, ErrInvalidToken) {
		t.Errorf("keys that cannot be had: got %v", err)
	}
}

func TestWhatGoOIDCAloneRefusesIsNotQuoted(t *testing.T) {
	s := newStage(t)
	claims := logoutClaims()
	claims["aud"] = []any{"client", 7}
	_, err := s.issuer.VerifyLogout(t.Context(), s.token(claims), []string{"client"})
	if !errors.Is(err, errClaims) || strings.Contains(err.Error(), "7") || strings.Contains(err.Error(), "oidc:") {
		t.Errorf("got %v", err)
	}
}
