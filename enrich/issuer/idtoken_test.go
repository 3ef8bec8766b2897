package issuer

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const (
	testClient  = "0oa1gateway"
	testNonce   = "n-0S6_WzA2Mj"
	testAccess  = "access-token-only-for-tests"
	userinfoURL = testIssuer + "/userinfo"
)

// testCheck is what a login knows about the ID token that it asked for.
var testCheck = IDTokenCheck{ClientID: testClient, Nonce: testNonce, AccessToken: testAccess}

// idClaims are the claims of an ID token that testCheck accepts at testNow.
func idClaims(change ...any) map[string]any {
	return goodClaims(append([]any{"aud", testClient, "client_id", nil, "scp", nil, "nonce", testNonce}, change...)...)
}

// idToken signs with RS256 under the key RS256.
func (s *stage) idToken(change ...any) string { return s.token(idClaims(change...)) }

// halfHash is at_hash as OpenID Connect Core, section 3.1.3.6 describes it.
func halfHash(h crypto.Hash, text string) string {
	d := h.New()
	d.Write([]byte(text))
	return base64.RawURLEncoding.EncodeToString(d.Sum(nil)[:h.Size()/2])
}

func TestIDTokensOfEveryAlgorithmAreVerified(t *testing.T) {
	s := newStage(t)
	hashes := map[string]crypto.Hash{"256": crypto.SHA256, "384": crypto.SHA384, "512": crypto.SHA512, "DSA": crypto.SHA512}
	for _, alg := range publicAlgorithms {
		atHash := halfHash(hashes[alg[2:]], testAccess)
		claims := idClaims("at_hash", atHash, "auth_time", testNow.Unix()-60, "acr", "gold", "groups", []string{"IT"})
		token, err := s.issuer.VerifyIDToken(t.Context(), sign(t, alg, alg, signerKey(alg), nil, claims), testCheck)
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if token.Subject != "00u1ada" || !token.IssuedAt.Equal(testNow) || !token.Expiry.Equal(testNow.Add(time.Hour)) ||
			!token.AuthTime.Equal(testNow.Add(-time.Minute)) || token.ACR != "gold" || token.Claims["nonce"] != testNonce {
			t.Errorf("%s: got %+v", alg, token)
		}
		claims["at_hash"] = halfHash(hashes[alg[2:]], testAccess+"x")
		if _, err := s.issuer.VerifyIDToken(t.Context(), sign(t, alg, alg, signerKey(alg), nil, claims), testCheck); !errors.Is(err, errClaims) {
			t.Errorf("%s: the at_hash of another access token: %v", alg, err)
		}
	}
}

// Ed25519 is the name that RFC 9864 gives to EdDSA.
func TestIDTokensByTheNameEd25519(t *testing.T) {
	s := newStage(t)
	b64 := base64.RawURLEncoding.EncodeToString
	claims := must(json.Marshal(idClaims("at_hash", halfHash(crypto.SHA512, testAccess))))
	text := b64([]byte(`{"alg":"Ed25519","kid":"EdDSA"}`)) + "." + b64(claims)
	raw := text + "." + b64(must(edKey().Sign(nil, []byte(text), &ed25519Options)))
	if _, err := s.issuer.VerifyIDToken(t.Context(), raw, testCheck); err != nil {
		t.Error(err)
	}
}

// TestIDTokensThatAreRefused holds each check of OpenID Connect Core, section
// 3.1.3.7, with the text by which an operator finds the reason (L18).
func TestIDTokensThatAreRefused(t *testing.T) {
	s := newStage(t)
	payload := string(must(json.Marshal(idClaims())))
	typed := func(typ string) string {
		return sign(t, "RS256", "RS256", rsaKey(), map[string]any{"typ": typ}, idClaims())
	}
	headed := func(header string) string { return signRaw(t, header, payload) }
	der := must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good, now := s.idToken(), testNow.Unix()
	parts := strings.Split(good, ".")

	for _, c := range []struct {
		name, raw, why string
		want           error
	}{
		{"empty", "", "three parts", errMalformed},
		{"encrypted", "a.b.c.d.e", "encrypted", errMalformed},
		{"in JSON", `{"payload":"` + parts[1] + `"}`, "", errMalformed},
		{"with a line break", good + "\n", "line break", errMalformed},
		{"claims with a name twice", signRaw(t, `{"alg":"RS256","kid":"RS256"}`, strings.TrimSuffix(payload, "}")+`,"sub":"00u1eve"}`), "claims", errMalformed},
		{"over its bound", good + strings.Repeat("A", maxBody), "over 1048576 bytes", errMalformed},

		{"alg none", headed(`{"alg":"none"}`), "algorithm", errAlgorithm},
		{"alg none without a signature", parts[0] + "." + parts[1] + ".", "three parts", errMalformed},
		{"HS256 with the client's secret", sign(t, "HS256", "", []byte(strings.Repeat("s", 32)), nil, idClaims()), "HMAC", errAlgorithm},
		{"HS512 with the public key", sign(t, "HS512", "RS256", public, nil, idClaims()), "HMAC", errAlgorithm},
		{"another key's signature", sign(t, "RS256", "RS256", otherRSAKey(), nil, idClaims()), "signature", errSignature},
		{"another key's signature, no kid", sign(t, "RS256", "", otherRSAKey(), nil, idClaims()), "signature", errSignature},
		{"an unknown key", sign(t, "RS256", "other", otherRSAKey(), nil, idClaims()), "no key with this kid", errUnknownKey},
		{"another payload", parts[0] + "." + strings.Split(s.idToken("sub", "00u1eve"), ".")[1] + "." + parts[2], "signature", errSignature},
		{"a header with crit", sign(t, "RS256", "RS256", rsaKey(), map[string]any{"crit": []string{"exp"}}, idClaims()), "crit", errCritical},

		{"typ of a logout token", typed("logout+jwt"), "a logout token", errType},
		{"typ of a userinfo answer", typed("application/userinfo+jwt"), "a userinfo answer", errType},
		{"typ of an access token", typed("AT+JWT"), "an access token", errType},
		{"an access token by token_use", s.idToken("token_use", "access"), "an access token", errKind},
		{"a refresh token by token_use", s.idToken("token_use", "refresh"), "a refresh token", errKind},
		{"a logout token", s.idToken("events", map[string]any{logoutEvent: map[string]any{}}), "logout token", errKind},

		{"iss missing", s.idToken("iss", nil), "issuer", ErrUnknownIssuer},
		{"iss of another", s.idToken("iss", "https://evil.example"), "issuer", ErrUnknownIssuer},
		{"iss with a slash", s.idToken("iss", testIssuer+"/"), "issuer", ErrUnknownIssuer},
		{"aud missing", s.idToken("aud", nil), "aud", errAudience},
		{"aud of another client", s.idToken("aud", "0oa1payroll"), "aud", errAudience},
		{"aud the audience of access tokens", s.idToken("aud", testAudience), "aud", errAudience},
		{"aud a list of others", s.idToken("aud", []string{"a", "b"}, "azp", testClient), "aud", errAudience},
		{"aud an empty list", s.idToken("aud", []string{}), "aud", errAudience},
		{"aud with a number", s.idToken("aud", []any{testClient, 7}, "azp", testClient), "not an ID token", errClaims},
		{"several audiences and no azp", s.idToken("aud", []string{testClient, "other"}), "no azp", errAudience},
		{"several audiences and azp null", s.idToken("aud", []string{testClient, "other"}, "azp", json.RawMessage("null")), "no azp", errAudience},
		{"several audiences and another azp", s.idToken("aud", []string{testClient, "other"}, "azp", "other"), "azp", errAudience},
		{"one audience and another azp", s.idToken("azp", "other"), "azp", errAudience},
		{"azp a list", s.idToken("azp", []string{testClient}), "azp", errAudience},

		{"sub missing", s.idToken("sub", nil), "sub is missing", errSubject},
		{"sub empty", s.idToken("sub", ""), "sub is missing", errSubject},
		{"sub a number", s.idToken("sub", 7), "sub is not", errClaims},
		{"sub over its bound", s.idToken("sub", strings.Repeat("s", maxIdentifier+1)), "sub is not", errClaims},
		{"exp missing", s.idToken("exp", nil), "exp is missing", errDates},
		{"exp a string", s.idToken("exp", "soon"), "exp is not", errDates},
		{"expired", s.idToken("exp", now-30), "expired", errExpired},
		{"iat missing", s.idToken("iat", nil), "iat is missing", errDates},
		{"iat a string", s.idToken("iat", "now"), "iat is not", errDates},
		{"iat far ahead", s.idToken("iat", now+301), "iat is", errNotYetValid},
		{"nbf ahead", s.idToken("nbf", now+31), "nbf is ahead", errNotYetValid},

		{"nonce missing", s.idToken("nonce", nil), "nonce", errClaims},
		{"nonce empty", s.idToken("nonce", ""), "nonce", errClaims},
		{"nonce of another login", s.idToken("nonce", "n-1"), "nonce", errClaims},
		{"nonce a list", s.idToken("nonce", []string{testNonce}), "nonce", errClaims},
		{"at_hash of another token", s.idToken("at_hash", halfHash(crypto.SHA256, "x")), "at_hash", errClaims},
		{"at_hash of another algorithm", s.idToken("at_hash", halfHash(crypto.SHA512, testAccess)), "at_hash", errClaims},
		{"at_hash empty", s.idToken("at_hash", ""), "at_hash", errClaims},
		{"at_hash a number", s.idToken("at_hash", 7), "at_hash", errClaims},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := s.issuer.VerifyIDToken(t.Context(), c.raw, testCheck)
			if token != nil || !errors.Is(err, c.want) {
				t.Fatalf("got %v, %v, want %v", token, err, c.want)
			}
			if !errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), c.why) {
				t.Errorf("%v does not say %q", err, c.why)
			}
			for _, quoted := range []string{"00u1", "oidc:", testClient, testNonce, testAccess, "evil"} {
				if strings.Contains(err.Error(), quoted) {
					t.Errorf("the error quotes %q: %v", quoted, err)
				}
			}
		})
	}
	if _, err := s.issuer.VerifyIDToken(t.Context(), s.idToken("aud", ""), IDTokenCheck{Nonce: testNonce}); !errors.Is(err, errAudience) {
		t.Errorf("without a client: %v", err)
	}
}

func TestIDTokensThatAreAccepted(t *testing.T) {
	s := newStage(t)
	now := testNow.Unix()
	typed := func(typ string) string {
		return sign(t, "RS256", "RS256", rsaKey(), map[string]any{"typ": typ}, idClaims())
	}
	with := func(change func(*IDTokenCheck)) IDTokenCheck { c := testCheck; change(&c); return c }
	names, sources := map[string]any{"groups": "src1"}, map[string]any{"src1": map[string]any{"endpoint": "https://evil.example/groups"}}
	for _, c := range []struct {
		name, raw string
		check     IDTokenCheck
	}{
		{"no kid", sign(t, "ES256", "", signerKey("ES256"), nil, idClaims()), testCheck},
		{"no kid, and several keys of its kind", sign(t, "RS256", "", rsaKey(), nil, idClaims()), testCheck},
		{"typ JWT", typed("JWT"), testCheck},
		{"a typ of its own", typed("id_token+jwt"), testCheck},
		{"the client in a list", s.idToken("aud", []string{testClient}), testCheck},
		{"several audiences and azp", s.idToken("aud", []string{"other", testClient}, "azp", testClient), testCheck},
		{"azp beside one audience", s.idToken("azp", testClient), testCheck},
		{"expired within the leeway", s.idToken("exp", now-29), testCheck},
		{"iat a little ahead", s.idToken("iat", now+300), testCheck},
		{"at_hash, and no access token", s.idToken("at_hash", "x"), with(func(c *IDTokenCheck) { c.AccessToken = "" })},
		{"no nonce at a refresh", s.idToken("nonce", nil), with(func(c *IDTokenCheck) { c.Nonce = "" })},
		{"auth_time malformed, and nobody asks", s.idToken("auth_time", "noon"), testCheck},
		{"distributed claims", s.idToken("_claim_names", names, "_claim_sources", sources), testCheck},
		{"longer than a header", s.idToken("picture", strings.Repeat("x", 100<<10)), testCheck},
	} {
		token, err := s.issuer.VerifyIDToken(t.Context(), c.raw, c.check)
		if err != nil || token.Subject != "00u1ada" {
			t.Errorf("%s: got %+v, %v", c.name, token, err)
		}
	}
	if n := s.server.count("https://evil.example/groups"); n != 0 {
		t.Errorf("distributed claims were fetched %d times", n)
	}
}

func TestTheAgeOfAnAuthenticationIsChecked(t *testing.T) {
	s := newStage(t)
	check := testCheck
	check.MaxAge = 5 * time.Minute
	for _, c := range []struct {
		name string
		at   any
		want error
	}{
		{"now", testNow.Unix(), nil},
		{"just young enough", testNow.Unix() - 330, nil},
		{"too old", testNow.Unix() - 331, ErrAuthTime},
		{"never", 0, ErrAuthTime},
		{"missing", nil, errDates},
		{"a string", "1", errDates},
		{"a little ahead", testNow.Unix() + 30, nil},
		{"ahead", testNow.Unix() + 31, errNotYetValid},
	} {
		_, err := s.issuer.VerifyIDToken(t.Context(), s.idToken("auth_time", c.at), check)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) || err != nil && !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestIDTokensAndTheKeysOfTheirIssuer(t *testing.T) {
	for _, c := range []struct {
		name, keys, kid string
		want            error
	}{
		{"one key, no kid", keySetText(jwk(rsaKey(), "one", "RS256")), "", nil},
		{"several keys, no kid", keySetText(jwk(otherRSAKey(), "two", "RS256"), jwk(rsaKey(), "one", "RS256")), "", nil},
		{"keys without a kid", keySetText(jwk(otherRSAKey(), "", "RS256"), jwk(rsaKey(), "", "RS256")), "", nil},
		{"unusable keys beside it", keySetText(map[string]any{"kty": "oct", "k": "AA"}, map[string]any{"kty": "RSA"}, "x", jwk(rsaKey(), "one", "RS256")), "one", nil},
		{"a key for encryption alone", keySetText(jwk(rsaKey(), "one", "RS256", "use", "enc"), jwk(otherRSAKey(), "two", "RS256")), "one", errUnknownKey},
		{"no keys", "", "one", errKeysUnavailable},
	} {
		s := newStage(t)
		s.server.say(testKeysURL, c.keys)
		_, err := s.issuer.VerifyIDToken(t.Context(), sign(t, "RS256", c.kid, rsaKey(), nil, idClaims()), testCheck)
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}

func TestAKeyThatWasRotatedJustBeforeIsFetched(t *testing.T) {
	s := newStage(t)
	s.server.say(testKeysURL, keySetText(jwk(rsaKey(), "one", "RS256")))
	if _, err := s.issuer.VerifyIDToken(t.Context(), sign(t, "RS256", "one", rsaKey(), nil, idClaims()), testCheck); err != nil {
		t.Fatal(err)
	}
	s.server.say(testKeysURL, keySetText(jwk(otherRSAKey(), "two", "RS256")))
	s.clock.Advance(defaultKeyMinInterval)
	if _, err := s.issuer.VerifyIDToken(t.Context(), sign(t, "RS256", "two", otherRSAKey(), nil, idClaims()), testCheck); err != nil {
		t.Error(err)
	}
	if n := s.server.count(testKeysURL); n != 2 {
		t.Errorf("the keys were fetched %d times, want 2", n)
	}
}

func TestAnHMACNeverVerifiesAnIDToken(t *testing.T) {
	secret := []byte(strings.Repeat("s", 32))
	file := filepath.Join(t.TempDir(), "keys.json")
	if err := os.WriteFile(file, []byte(keySetText(jwk(secret, "s", "HS256"))), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStage(t, func(c *Config, _ *Options) { c.JWKSURL, c.JWKSFile, c.Algorithms = "", file, []string{"HS256"} })
	if _, err := s.issuer.VerifyIDToken(t.Context(), sign(t, "HS256", "s", secret, nil, idClaims()), testCheck); !errors.Is(err, errAlgorithm) {
		t.Errorf("got %v", err)
	}
}

func TestKeysThatCannotBeHadSayNothingAboutAnIDToken(t *testing.T) {
	s := newStage(t)
	s.server.fail(testKeysURL)
	if _, err := s.issuer.VerifyIDToken(t.Context(), s.idToken(), testCheck); !errors.Is(err, errKeysUnavailable) || errors.Is(err, ErrInvalidToken) {
		t.Errorf("got %v", err)
	}
}

// FuzzVerifyIDToken signs what the fuzzer says, and holds what is accepted
// against another decoder.
func FuzzVerifyIDToken(f *testing.F) {
	s := newStage(f)
	f.Add(string(must(json.Marshal(idClaims("at_hash", halfHash(crypto.SHA512, testAccess))))))
	f.Add(string(must(json.Marshal(idClaims("aud", []string{"x", testClient}, "azp", testClient, "auth_time", 1.5)))))
	f.Add(string(must(json.Marshal(idClaims("_claim_names", map[string]any{"groups": "s"}, "nbf", 0)))))
	f.Add(`{"iss":"` + testIssuer + `","aud":[{}],"azp":[],"at_hash":{},"nonce":null}`)
	f.Fuzz(func(t *testing.T, payload string) {
		token, err := s.issuer.VerifyIDToken(t.Context(), sign(t, "EdDSA", "EdDSA", edKey(), nil, payload), testCheck)
		if (token == nil) == (err == nil) {
			t.Fatalf("got %v, %v", token, err)
		}
		if err != nil {
			if !errors.Is(err, ErrInvalidToken) || strings.Contains(err.Error(), testNonce) {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		var claims struct {
			Subject  string   `json:"sub"`
			Nonce    string   `json:"nonce"`
			Expiry   *float64 `json:"exp"`
			IssuedAt *float64 `json:"iat"`
			Audience any      `json:"aud"`
		}
		if err := json.Unmarshal([]byte(payload), &claims); err != nil {
			t.Fatalf("encoding/json cannot read what was accepted: %v", err)
		}
		if claims.Subject != token.Subject || claims.Subject == "" || claims.Nonce != testNonce || claims.Expiry == nil || claims.IssuedAt == nil ||
			!namesAudience(claims.Audience, testClient) {
			t.Fatalf("accepted: %q", payload)
		}
	})
}

func TestUserinfo(t *testing.T) {
	claims := func(change ...any) map[string]any {
		return goodClaims(append([]any{"exp", nil, "iat", nil, "jti", nil, "email", "ada@example.com"}, change...)...)
	}
	text := func(change ...any) string { return string(must(json.Marshal(claims(change...)))) }
	signed := func(key any, change ...any) string {
		return sign(t, "RS256", "RS256", key, map[string]any{"typ": "userinfo+jwt"}, claims(change...))
	}
	const asJSON, asJWT = "application/json; charset=utf-8", "application/jwt"
	for _, c := range []struct {
		name, media, body string
		status            int
		want              error
	}{
		{"JSON", asJSON, text(), 200, nil},
		{"JSON by no media type", "", text(), 200, nil},
		{"signed", asJWT, signed(rsaKey()) + "\n", 200, nil},
		{"signed, not expired", asJWT, signed(rsaKey(), "exp", testNow.Unix()+1), 200, nil},
		{"distributed claims", asJSON, text("_claim_names", map[string]any{"x": "s"}, "_claim_sources", map[string]any{"s": map[string]any{"endpoint": "https://evil.example"}}), 200, nil},
		{"another sub", asJSON, text("sub", "00u1eve"), 200, errSubject},
		{"a sub in another case", asJSON, text("sub", "00U1ADA"), 200, errSubject},
		{"no sub", asJSON, text("sub", nil), 200, errSubject},
		{"a sub that is a number", asJSON, text("sub", 7), 200, errSubject},
		{"signed, another sub", asJWT, signed(rsaKey(), "sub", "00u1eve"), 200, errSubject},
		{"signed by another key", asJWT, signed(otherRSAKey()), 200, errSignature},
		{"signed by another issuer", asJWT, signed(rsaKey(), "iss", "https://evil.example"), 200, ErrUnknownIssuer},
		{"signed and expired", asJWT, signed(rsaKey(), "exp", testNow.Unix()-30), 200, errExpired},
		{"an ID token", asJWT, sign(t, "RS256", "RS256", rsaKey(), map[string]any{"typ": "at+jwt"}, claims()), 200, errType},
		{"JSON that says it is signed", asJWT, text(), 200, errMalformed},
		{"a page", "text/html", "<html>", 200, errUserinfo},
		{"a list", asJSON, "[]", 200, errUserinfo},
		{"too large", asJSON, text("x", strings.Repeat("x", maxBody)), 200, errUserinfo},
		{"the token is refused", asJSON, `{"error":"invalid_token"}`, 401, ErrInvalidToken},
		{"forbidden", asJSON, "{}", 403, errUserinfo},
		{"no content", asJSON, "", 204, errUserinfo},
		{"down", asJSON, "", 503, errUserinfo},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, byDiscovery)
			s.server.say(openIDPlace, metadataText())
			s.server.on(userinfoURL, func(r *http.Request) (*http.Response, error) {
				if r.Method != http.MethodGet || r.Header.Get("Authorization") != "Bearer "+testAccess || !strings.Contains(r.Header.Get("Accept"), asJWT) {
					t.Errorf("asked with %s, %q", r.Method, r.Header)
				}
				answer := response(c.status, c.body)
				answer.Header.Set("Content-Type", c.media)
				return answer, nil
			})
			got, err := s.issuer.Userinfo(t.Context(), testAccess, "00u1ada")
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && (got["email"] != "ada@example.com" || got["sub"] != "00u1ada") {
				t.Errorf("got %v", got)
			}
			if err != nil {
				if errors.Is(err, ErrInvalidToken) == errors.Is(err, ErrUnavailable) {
					t.Errorf("%v is not of one class", err)
				}
				for _, quoted := range []string{testAccess, "00u1", "00U1", "evil", "ada@", "invalid_token"} {
					if strings.Contains(err.Error(), quoted) {
						t.Errorf("the error quotes %q: %v", quoted, err)
					}
				}
			}
		})
	}
}

func TestUserinfoNeedsAnEndpointToTrust(t *testing.T) {
	for name, endpoint := range map[string]any{
		"none": nil, "on this machine": "https://127.0.0.1/userinfo", "over plain http": "http://idp.example.com/userinfo",
	} {
		s := newStage(t, byDiscovery)
		s.server.say(openIDPlace, metadataText("userinfo_endpoint", endpoint))
		if _, err := s.issuer.Userinfo(t.Context(), testAccess, "00u1ada"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "userinfo_endpoint") {
			t.Errorf("%s: got %v", name, err)
		}
		if n := len(s.server.counts); n != 1 {
			t.Errorf("%s: %d places were asked, want the metadata alone", name, n)
		}
	}
	s := newStage(t, byDiscovery)
	s.server.say(openIDPlace, metadataText())
	if _, err := s.issuer.Userinfo(t.Context(), testAccess, ""); !errors.Is(err, ErrUnavailable) {
		t.Errorf("no endpoint answers: got %v", err)
	}
	s.server.say(userinfoURL, `{"sub":""}`)
	if _, err := s.issuer.Userinfo(t.Context(), testAccess, ""); !errors.Is(err, errSubject) {
		t.Errorf("no subject to hold the answer to: got %v", err)
	}
}
