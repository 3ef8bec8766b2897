package issuer

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/cache"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

func TestVerifyAcceptsEveryAlgorithmOfTheDefaultList(t *testing.T) {
	s := newStage(t)
	for _, alg := range publicAlgorithms {
		v, err := s.verify(sign(t, alg, alg, signerKey(alg), nil, goodClaims()))
		if err != nil {
			t.Errorf("%s: %v", alg, err)
			continue
		}
		if v.Principal.Subject != "00u1ada" || v.KeySet != 1 || v.Issuer != s.issuer || !v.Until.IsZero() {
			t.Errorf("%s: got %+v", alg, v)
		}
	}
	if n := s.server.count(testKeysURL); n != 1 {
		t.Errorf("%d fetches for %d tokens, want 1", n, len(publicAlgorithms))
	}
}

func TestVerifyGivesThePrincipal(t *testing.T) {
	s := newStage(t)
	claims := goodClaims("aud", []string{"other", testAudience}, "nbf", testNow.Unix()-5, "sid", "s-1",
		"groups", []string{"IT", "All"}, "big", 1e15, "deep", map[string]any{"a": []any{1, 2.5, nil, true, "é\n"}})
	v, err := s.verify(s.token(claims))
	if err != nil {
		t.Fatal(err)
	}
	p := v.Principal
	if p.Issuer != testIssuer || p.IssuerName != "corp" || p.Client != "0oa1payroll" || p.ServiceAccount ||
		p.TokenID != "j-1" || p.SessionID != "s-1" || !p.GroupsKnown || p.Confirmation.Bound() {
		t.Errorf("got %+v", p)
	}
	if !reflect.DeepEqual(p.Scopes, []string{"openid", "profile"}) || !reflect.DeepEqual(p.Groups, []string{"IT", "All"}) {
		t.Errorf("got scopes %q and groups %q", p.Scopes, p.Groups)
	}
	if !p.Expiry.Equal(testNow.Add(time.Hour)) || !p.IssuedAt.Equal(testNow) || !p.NotBefore.Equal(testNow.Add(-5*time.Second)) {
		t.Errorf("got dates %v, %v, %v", p.Expiry, p.IssuedAt, p.NotBefore)
	}
	want := map[string]any{"a": []any{int64(1), 2.5, nil, true, "é\n"}}
	if !reflect.DeepEqual(p.Claims["deep"], want) || p.Claims["exp"] != testNow.Add(time.Hour).Unix() {
		t.Errorf("got claims %v", p.Claims)
	}
}

// TestTokensThatAreRefused holds, for the default configuration, every refusal that
// can be told by one token.
func TestTokensThatAreRefused(t *testing.T) {
	s := newStage(t)
	b64 := base64.RawURLEncoding.EncodeToString
	good := s.token(goodClaims())
	parts := strings.Split(good, ".")
	payload := string(must(base64.RawURLEncoding.DecodeString(parts[1])))
	with := func(change ...any) string { return s.token(goodClaims(change...)) }
	typed := func(typ any, change ...any) string {
		return sign(t, "RS256", "RS256", rsaKey(), map[string]any{"typ": typ}, goodClaims(change...))
	}
	headed := func(header string) string { return signRaw(t, header, payload) }
	said := func(claims string) string { return signRaw(t, `{"alg":"RS256","kid":"RS256"}`, claims) }
	member := func(more string) string { return said(strings.TrimSuffix(payload, "}") + "," + more + "}") }
	hmacWith := func(secret []byte) string {
		return sign(t, "HS256", "RS256", append(secret, make([]byte, 64)...)[:max(64, len(secret))], nil, goodClaims())
	}
	der := must(x509.MarshalPKIXPublicKey(&rsaKey().PublicKey))
	attackerKey := gojose.JSONWebKey{Key: &otherRSAKey().PublicKey, KeyID: "RS256", Algorithm: "RS256"}
	now := testNow.Unix()

	for _, c := range []struct {
		name, raw string
		want      error
	}{
		{"alg none without signature", b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + ".", errMalformed},
		{"alg none with a signature", headed(`{"alg":"none","kid":"RS256"}`), errAlgorithm},
		{"alg None", headed(`{"alg":"None","kid":"RS256"}`), errAlgorithm},
		{"alg NONE", headed(`{"alg":"NONE","kid":"RS256"}`), errAlgorithm},
		{"alg in lower case", headed(`{"alg":"rs256","kid":"RS256"}`), errAlgorithm},
		{"alg with a space", headed(`{"alg":"RS256 ","kid":"RS256"}`), errAlgorithm},
		{"alg unknown", headed(`{"alg":"ES256K","kid":"RS256"}`), errAlgorithm},
		{"alg missing", headed(`{"kid":"RS256"}`), errMalformed},
		{"alg a list", headed(`{"alg":["RS256"],"kid":"RS256"}`), errMalformed},
		{"HS256 with the PEM of the public key", hmacWith(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), errAlgorithm},
		{"HS256 with the DER of the public key", hmacWith(der), errAlgorithm},
		{"HS256 with the modulus", hmacWith(rsaKey().N.Bytes()), errAlgorithm},
		{"HS256 with the text of the JWK", hmacWith([]byte(keySetText(jwk(rsaKey(), "RS256", "RS256")))), errAlgorithm},
		{"another algorithm than the key's own", sign(t, "RS384", "RS256", rsaKey(), nil, goodClaims()), errUnknownKey},
		{"PS256 with a key for RS256", sign(t, "PS256", "RS256", rsaKey(), nil, goodClaims()), errUnknownKey},
		{"unknown key", sign(t, "RS256", "other", rsaKey(), nil, goodClaims()), errUnknownKey},
		{"kid of another type", headed(`{"alg":"RS256","kid":7}`), errMalformed},
		{"kid with a control character", headed(`{"alg":"RS256","kid":"RS256\u0000"}`), errMalformed},
		{"kid that walks directories", headed(`{"alg":"RS256","kid":"../../../dev/null"}`), errUnknownKey},
		{"kid that speaks SQL", headed(`{"alg":"RS256","kid":"x' UNION SELECT 'k"}`), errUnknownKey},
		{"kid over its bound", headed(`{"alg":"RS256","kid":"` + strings.Repeat("k", 512+1) + `"}`), errMalformed},
		{"token over its bound", good + strings.Repeat("A", jose.MaxTokenBytes), errMalformed},
		{"header over its bound", headed(`{"alg":"RS256","kid":"RS256","x":"` + strings.Repeat("x", 8<<10) + `"}`), errMalformed},
		{"jwk in the header", sign(t, "RS256", "", otherRSAKey(), map[string]any{"jwk": attackerKey}, goodClaims()), errSignature},
		{"jku in the header", sign(t, "RS256", "RS256", otherRSAKey(), map[string]any{"jku": "https://evil.example/keys"}, goodClaims()), errSignature},
		{"x5u in the header", sign(t, "RS256", "RS256", otherRSAKey(), map[string]any{"x5u": "https://evil.example/cert"}, goodClaims()), errSignature},
		{"x5c in the header", sign(t, "RS256", "RS256", otherRSAKey(), map[string]any{"x5c": []string{b64(der)}}, goodClaims()), errSignature},
		{"signature of another key", sign(t, "RS256", "RS256", otherRSAKey(), nil, goodClaims()), errSignature},
		{"signature of another payload", parts[0] + "." + b64([]byte(strings.Replace(payload, "00u1ada", "00u1eve", 1))) + "." + parts[2], errSignature},
		{"signature empty", parts[0] + "." + parts[1] + ".", errMalformed},
		{"crit unknown", headed(`{"alg":"RS256","kid":"RS256","crit":["exp"],"exp":1}`), errCritical},
		{"crit empty", headed(`{"alg":"RS256","kid":"RS256","crit":[]}`), errCritical},
		{"b64 false", headed(`{"alg":"RS256","kid":"RS256","b64":false,"crit":["b64"]}`), errCritical},
		{"b64 false without crit", headed(`{"alg":"RS256","kid":"RS256","b64":false}`), errCritical},

		{"empty", "", errMalformed},
		{"two parts", parts[0] + "." + parts[1], errMalformed},
		{"four parts", good + ".x", errMalformed},
		{"five parts", good + ".x.y", errMalformed},
		{"JSON serialization", `{"protected":"` + parts[0] + `","payload":"` + parts[1] + `","signature":"` + parts[2] + `"}`, errMalformed},
		{"space in front", " " + good, errMalformed},
		{"line break inside", parts[0] + "." + parts[1][:10] + "\n" + parts[1][10:] + "." + parts[2], errMalformed},
		{"carriage return at the end", good + "\r", errMalformed},
		{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "==", errMalformed},
		{"base64 of the other alphabet", parts[0] + "." + parts[1] + "." + strings.NewReplacer("-", "+", "_", "/").Replace(parts[2]) + "+A", errMalformed},
		{"stray bits behind the signature", strayBits(good), errMalformed},
		{"header not JSON", headed(`alg=RS256`), errMalformed},
		{"header a list", headed(`["RS256"]`), errMalformed},
		{"header with a name twice", headed(`{"alg":"RS256","kid":"RS256","alg":"RS256"}`), errMalformed},
		{"header with an escaped name twice", headed(`{"alg":"RS256","kid":"RS256","\u0061lg":"none"}`), errMalformed},
		{"claims with a name twice", member(`"sub":"00u1eve"`), errMalformed},
		{"claims with an escaped name twice", member(`"s\u0075b":"00u1eve"`), errMalformed},
		{"claims with a name twice inside", member(`"a":{"b":1,"b":2}`), errMalformed},
		{"claims with invalid UTF-8", member("\"a\":\"\xff\""), errMalformed},
		{"claims with a lone surrogate", member(`"a":"\ud800"`), errMalformed},
		{"claims a list", said(`[]`), errMalformed},
		{"claims empty", said(``), errMalformed},
		{"claims with something behind", said(payload + `{}`), errMalformed},
		{"claims with a trailing comma", said(strings.TrimSuffix(payload, "}") + ",}"), errMalformed},
		{"claims nested too deep", member(`"a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40)), errMalformed},
		{"claims too many", member(manyMembers(300)), errMalformed},
		{"values too many", member(`"a":[` + strings.Repeat("1,", 5000) + "1]"), errMalformed},

		{"iss of somebody else", with("iss", "https://evil.example"), ErrUnknownIssuer},
		{"iss with a trailing slash", with("iss", testIssuer+"/"), ErrUnknownIssuer},
		{"iss in another case", with("iss", strings.ToUpper(testIssuer)), ErrUnknownIssuer},
		{"iss missing", with("iss", nil), ErrUnknownIssuer},
		{"iss a list", with("iss", []string{testIssuer}), ErrUnknownIssuer},
		{"aud missing", with("aud", nil), errAudience},
		{"aud of somebody else", with("aud", "api://other"), errAudience},
		{"aud in another case", with("aud", strings.ToUpper(testAudience)), errAudience},
		{"aud a list of others", with("aud", []string{"a", "b"}), errAudience},
		{"aud an empty list", with("aud", []string{}), errAudience},
		{"aud a list with a number", with("aud", []any{testAudience, 1}), errAudience},
		{"aud an object", with("aud", map[string]any{testAudience: true}), errAudience},
		{"aud null", said(strings.Replace(payload, `"`+testAudience+`"`, "null", 1)), errAudience},
		{"exp missing", with("exp", nil), errDates},
		{"exp a string", with("exp", fmt.Sprint(now+100)), errDates},
		{"exp null", said(strings.Replace(payload, fmt.Sprint(now+3600), "null", 1)), errDates},
		{"exp huge", said(strings.Replace(payload, fmt.Sprint(now+3600), "1e300", 1)), errDates},
		{"exp beyond every number", said(strings.Replace(payload, fmt.Sprint(now+3600), "1e999", 1)), errMalformed},
		{"exp beyond 64 bits", said(strings.Replace(payload, fmt.Sprint(now+3600), "99999999999999999999", 1)), errDates},
		{"exp beyond the year 9999", with("exp", int64(maxDate)+1), errDates},
		{"exp negative", with("exp", -1), errDates},
		{"exp NaN", said(strings.Replace(payload, fmt.Sprint(now+3600), "NaN", 1)), errMalformed},
		{"exp true", with("exp", true), errDates},
		{"nbf a string", with("nbf", "now"), errDates},
		{"iat an object", with("iat", map[string]any{}), errDates},
		{"iat far ahead", with("iat", now+3600), errNotYetValid},

		{"typ of a logout token", typed("logout+jwt"), errType},
		{"typ of a logout token with its prefix", typed("application/logout+jwt"), errType},
		{"typ of a logout token in capitals", typed("LOGOUT+JWT"), errType},
		{"typ of an introspection answer", typed("token-introspection+jwt"), errType},
		{"typ of a DPoP proof", typed("dpop+jwt"), errType},
		{"typ of a client assertion", typed("client-authentication+jwt"), errType},
		{"typ of a security event", typed("secevent+jwt"), errType},
		{"typ unknown", typed("foo+jwt"), errType},
		{"typ a number", headed(`{"alg":"RS256","kid":"RS256","typ":1}`), errMalformed},
		{"ID token by nonce", with("nonce", "n"), errKind},
		{"ID token by at_hash", with("at_hash", "h"), errKind},
		{"ID token by c_hash", with("c_hash", "h"), errKind},
		{"ID token by token_use", with("token_use", "id"), errKind},
		{"ID token that calls itself at+jwt", typed("at+jwt", "nonce", "n"), errKind},
		{"refresh token by token_use", with("token_use", "refresh_token"), errKind},
		{"logout token without typ", with("events", map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}}), errKind},
		{"introspection answer without typ", with("token_introspection", map[string]any{"active": true}), errKind},
		{"DPoP proof without typ", with("htm", "GET", "htu", "https://x"), errKind},
		{"client assertion", with("sub", testIssuer), errKind},

		{"sub missing", with("sub", nil), errSubject},
		{"sub empty", with("sub", ""), errSubject},
		{"sub a number", with("sub", 7), errClaims},
		{"sub over its bound", with("sub", strings.Repeat("s", maxIdentifier+1)), errClaims},
		{"jti a number", with("jti", 7), errClaims},
		{"sid a list", with("sid", []string{"s"}), errClaims},
		{"client a list", with("client_id", []string{"c"}), errClaims},
		{"scopes a number", with("scp", 1), errClaims},
		{"scopes with a number", with("scp", []any{"a", 1}), errClaims},
		{"cnf a string", with("cnf", "x"), errClaims},
		{"cnf with an empty thumbprint", with("cnf", map[string]any{"jkt": ""}), errClaims},
		{"cnf of an unknown kind", with("cnf", map[string]any{"kid": "x"}), errSender},
		{"cnf empty", with("cnf", map[string]any{}), errSender},
		{"bound to a DPoP key, no proof", with("cnf", map[string]any{"jkt": "x"}), errSender},
		{"bound to a certificate, none shown", with("cnf", map[string]any{"x5t#S256": "x"}), errSender},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, err := s.verify(c.raw)
			if v != nil || !errors.Is(err, c.want) {
				t.Fatalf("got %v, %v, want %v", v, err, c.want)
			}
			if !errors.Is(err, ErrInvalidToken) || errors.Is(err, ErrUnavailable) || OAuthError(err) != "invalid_token" {
				t.Errorf("%v is not a refusal of the token", err)
			}
			for _, secret := range []string{"00u1ada", "0oa1payroll", parts[1], "evil", "UNION"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("error quotes the token: %v", err)
				}
			}
		})
	}
	if _, err := s.verify(good); err != nil {
		t.Errorf("the good token is refused after the bad ones: %v", err)
	}
	if n := s.server.count(testKeysURL); n > 2 {
		t.Errorf("%d fetches of keys, want the first and at most one for unknown keys", n)
	}
}

// strayBits sets a bit of the signature's last character that stands for no
// byte: 256 bytes leave two such bits.
func strayBits(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, raw[len(raw)-1])
	return raw[:len(raw)-1] + string(alphabet[last|1])
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `"m%d":1`, i)
	}
	return b.String()
}

func TestVerifyJudgesTimesToTheSecond(t *testing.T) {
	zero, full := cache.Duration(0), cache.Duration(5*time.Minute)
	for _, c := range []struct {
		name   string
		leeway *cache.Duration
		claims []any
		after  time.Duration
		want   error
	}{
		{"last moment before exp", &zero, []any{"exp", testNow.Unix() + 10}, 10*time.Second - 1, nil},
		{"at exp", &zero, []any{"exp", testNow.Unix() + 10}, 10 * time.Second, errExpired},
		{"inside the default leeway", nil, []any{"exp", testNow.Unix() + 10}, 40*time.Second - 1, nil},
		{"at the end of the default leeway", nil, []any{"exp", testNow.Unix() + 10}, 40 * time.Second, errExpired},
		{"inside the longest leeway", &full, []any{"exp", testNow.Unix()}, 5*time.Minute - 1, nil},
		{"at the end of the longest leeway", &full, []any{"exp", testNow.Unix()}, 5 * time.Minute, errExpired},
		{"before a fraction of a second", &zero, []any{"exp", float64(testNow.Unix()) + 0.5}, 499 * time.Millisecond, nil},
		{"after a fraction of a second", &zero, []any{"exp", float64(testNow.Unix()) + 0.5}, 501 * time.Millisecond, errExpired},
		{"exp at zero", nil, []any{"exp", 0}, 0, errExpired},
		{"nbf at the edge of the leeway", nil, []any{"nbf", testNow.Unix() + 30}, 0, nil},
		{"nbf beyond the leeway", nil, []any{"nbf", testNow.Unix() + 31}, 0, errNotYetValid},
		{"nbf now, no leeway", &zero, []any{"nbf", testNow.Unix()}, 0, nil},
		{"nbf ahead, no leeway", &zero, []any{"nbf", testNow.Unix() + 1}, 0, errNotYetValid},
		{"iat at the edge", nil, []any{"iat", testNow.Add(farFuture).Unix()}, 0, nil},
		{"iat beyond the edge", nil, []any{"iat", testNow.Add(farFuture).Unix() + 1}, 0, errNotYetValid},
		{"a clock set back an hour", nil, []any{"iat", nil}, -time.Hour, nil},
		{"a clock set forward an hour", nil, nil, time.Hour + 30*time.Second, errExpired},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, func(cfg *Config, _ *Options) { cfg.Leeway = c.leeway })
			s.clock.Advance(c.after)
			_, err := s.verify(s.token(goodClaims(c.claims...)))
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestVerifyByConfiguration(t *testing.T) {
	typed := func(typ string, claims map[string]any) string {
		return sign(t, "RS256", "RS256", rsaKey(), map[string]any{"typ": typ}, claims)
	}
	plain := func(claims map[string]any) string { return sign(t, "RS256", "RS256", rsaKey(), nil, claims) }
	for _, c := range []struct {
		name   string
		change func(*Config)
		raw    string
		want   error
	}{
		{"typ at+jwt by default", nil, typed("at+jwt", goodClaims()), nil},
		{"typ with its prefix by default", nil, typed("application/at+JWT", goodClaims()), nil},
		{"typ JWT by default", nil, typed("jwt", goodClaims()), nil},
		{"no typ by default", nil, plain(goodClaims()), nil},
		{"another typ, listed", func(c *Config) { c.Types = []string{"application/Foo+jwt"} }, typed("foo+JWT", goodClaims()), nil},
		{"typ JWT where at+jwt is listed", func(c *Config) { c.Types = []string{"at+jwt"} }, typed("JWT", goodClaims()), errType},
		{"no typ where JWT is listed", func(c *Config) { c.Types = []string{"JWT"} }, plain(goodClaims()), errType},
		{"no typ where none is listed", func(c *Config) { c.Types = []string{"none"} }, plain(goodClaims()), nil},
		{"at+jwt alone, all claims", func(c *Config) { c.Types = []string{"at+jwt"} }, typed("at+jwt", goodClaims()), nil},
		{"at+jwt alone, no jti", func(c *Config) { c.Types = []string{"at+jwt"} }, typed("at+jwt", goodClaims("jti", nil)), errClaims},
		{"at+jwt alone, no iat", func(c *Config) { c.Types = []string{"at+jwt"} }, typed("at+jwt", goodClaims("iat", nil)), errClaims},
		{"at+jwt alone, no client_id", func(c *Config) { c.Types = []string{"at+jwt"} }, typed("at+jwt", goodClaims("client_id", nil, "cid", "c")), errClaims},
		{"at+jwt alone, no sub", func(c *Config) { c.Types, c.SubjectClaim = []string{"at+jwt"}, "uid" }, typed("at+jwt", goodClaims("sub", nil, "uid", "u")), errClaims},
		{"at+jwt alone, any audience, no aud", func(c *Config) { c.Types, c.Audience, c.AnyAudience = []string{"at+jwt"}, nil, true }, typed("at+jwt", goodClaims("aud", nil)), errClaims},
		{"no jti where JWT is listed too", func(c *Config) { c.Types = []string{"at+jwt", "JWT"} }, typed("at+jwt", goodClaims("jti", nil)), nil},
		{"algorithm not on the list", func(c *Config) { c.Algorithms = []string{"ES256"} }, plain(goodClaims()), errAlgorithm},
		{"algorithm on the list", func(c *Config) { c.Algorithms = []string{"ES256", "RS256"} }, plain(goodClaims()), nil},
		{"any audience", func(c *Config) { c.Audience, c.AnyAudience = nil, true }, plain(goodClaims("aud", nil)), nil},
		{"second audience", func(c *Config) { c.Audience = []string{"a", testAudience} }, plain(goodClaims()), nil},
		{"ID tokens: an ID token", func(c *Config) { c.Tokens = "id" }, plain(goodClaims("nonce", "n")), nil},
		{"ID tokens: an access token", func(c *Config) { c.Tokens = "id" }, plain(goodClaims()), errKind},
		{"ID tokens: at+jwt", func(c *Config) { c.Tokens = "id" }, typed("at+jwt", goodClaims("nonce", "n")), errKind},
		{"any kind: an ID token", func(c *Config) { c.Tokens = "any" }, plain(goodClaims("at_hash", "h")), nil},
		{"any kind: an access token", func(c *Config) { c.Tokens = "any" }, plain(goodClaims()), nil},
		{"any kind: a logout token", func(c *Config) { c.Tokens = "any" }, plain(goodClaims("events", map[string]any{})), errKind},
		{"any kind: a logout token by typ", func(c *Config) { c.Tokens = "any" }, typed("logout+jwt", goodClaims()), errType},
		{"subject from another claim", func(c *Config) { c.SubjectClaim = "uid" }, plain(goodClaims("uid", "ada")), nil},
		{"subject from a missing claim", func(c *Config) { c.SubjectClaim = "uid" }, plain(goodClaims()), errSubject},
		{"e-mail verified", func(c *Config) { c.SubjectClaim = "email" }, plain(goodClaims("email", "a@b", "email_verified", true)), nil},
		{"e-mail not verified", func(c *Config) { c.SubjectClaim = "email" }, plain(goodClaims("email", "a@b", "email_verified", false)), errSubject},
		{"e-mail verified by a string", func(c *Config) { c.SubjectClaim = "email" }, plain(goodClaims("email", "a@b", "email_verified", "true")), errSubject},
		{"e-mail without a word on it", func(c *Config) { c.SubjectClaim = "email" }, plain(goodClaims("email", "a@b")), errSubject},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, func(cfg *Config, _ *Options) {
				if c.change != nil {
					c.change(cfg)
				}
			})
			_, err := s.verify(c.raw)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
}

func TestClaimsNameClientScopesAndMachine(t *testing.T) {
	s := newStage(t)
	for _, c := range []struct {
		name    string
		change  []any
		client  string
		scopes  int
		machine bool
	}{
		{"cid before client_id", []any{"cid", "first"}, "first", 2, false},
		{"azp before client_id", []any{"azp", "second"}, "second", 2, false},
		{"none", []any{"client_id", nil}, "", 2, false},
		{"scope as a string", []any{"scp", nil, "scope", " a  b c "}, "0oa1payroll", 3, false},
		{"scp before scope", []any{"scope", "a"}, "0oa1payroll", 2, false},
		{"no scopes", []any{"scp", nil}, "0oa1payroll", 0, false},
		{"a client on its own behalf", []any{"sub", "0oa1payroll"}, "0oa1payroll", 2, true},
	} {
		v, err := s.verify(s.token(goodClaims(c.change...)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if p := v.Principal; p.Client != c.client || len(p.Scopes) != c.scopes || p.ServiceAccount != c.machine {
			t.Errorf("%s: got %+v", c.name, p)
		}
	}
}

func TestClientWithoutTheSubjectClaimIsAMachine(t *testing.T) {
	s := newStage(t, func(c *Config, _ *Options) { c.SubjectClaim = "uid" })
	v, err := s.verify(s.token(goodClaims("sub", "0oa1payroll")))
	if err != nil || !v.Principal.ServiceAccount || v.Principal.Subject != "0oa1payroll" {
		t.Errorf("got %+v, %v", v, err)
	}
}

func TestGroupsAreUnknownRatherThanEmpty(t *testing.T) {
	s := newStage(t)
	names := func(n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = fmt.Sprint("g", i)
		}
		return out
	}
	for _, c := range []struct {
		name   string
		change []any
		known  bool
		count  int
	}{
		{"no claim", nil, false, 0},
		{"an empty list", []any{"groups", []string{}}, true, 0},
		{"a list", []any{"groups", names(3)}, true, 3},
		{"a string", []any{"groups", "IT"}, true, 1},
		{"99", []any{"groups", names(99)}, true, 99},
		{"Okta's cap", []any{"groups", names(100)}, false, 0},
		{"101", []any{"groups", names(101)}, true, 101},
		{"Entra's cap", []any{"groups", names(200)}, false, 0},
		{"left out by _claim_names", []any{"_claim_names", map[string]any{"groups": "src1"}}, false, 0},
		{"left out by _claim_names, with a list", []any{"groups", names(2), "_claim_names", map[string]any{"groups": "src1"}}, false, 0},
		{"_claim_names of another claim", []any{"groups", names(2), "_claim_names", map[string]any{"roles": "src1"}}, true, 2},
		{"_claim_names of no form", []any{"groups", names(2), "_claim_names", "groups"}, false, 0},
		{"left out by hasgroups", []any{"hasgroups", true}, false, 0},
		{"hasgroups as a string", []any{"groups", names(2), "hasgroups", "true"}, false, 0},
		{"a list with a number", []any{"groups", []any{"a", 1}}, false, 0},
		{"an object", []any{"groups", map[string]any{"a": 1}}, false, 0},
	} {
		v, err := s.verify(s.token(goodClaims(c.change...)))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if p := v.Principal; p.GroupsKnown != c.known || len(p.Groups) != c.count {
			t.Errorf("%s: got %v, %v", c.name, p.GroupsKnown, len(p.Groups))
		}
	}
	if n := len(s.server.counts); n != 1 {
		t.Errorf("%d URLs were fetched, want the key set's alone", n)
	}
}

func TestEd25519IsAnotherNameForEdDSA(t *testing.T) {
	s := newStage(t)
	token := sign(t, "EdDSA", "EdDSA", edKey(), nil, goodClaims())
	parts := strings.Split(token, ".")
	head := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"Ed25519","kid":"EdDSA"}`))
	signed := head + "." + parts[1]
	renamed := signed + "." + base64.RawURLEncoding.EncodeToString(must(edKey().Sign(nil, []byte(signed), &ed25519Options)))
	for _, name := range []string{"EdDSA", "Ed25519"} {
		s.server.say(testKeysURL, keySetText(jwk(edKey(), "EdDSA", "EdDSA", "alg", name)))
		s := newStage(t, func(c *Config, o *Options) { c.Algorithms, o.Transport = []string{name}, s.server })
		for _, raw := range []string{token, renamed} {
			if _, err := s.verify(raw); err != nil {
				t.Errorf("list and key say %s: %v", name, err)
			}
		}
	}
}

func TestSeveralIssuersAreKeptApart(t *testing.T) {
	clock, server := newClock(), newServer()
	make1 := func(name, iss, keys string, key any) *Issuer {
		server.say(keys, keySetText(jwk(key, "k", "RS256")))
		i := must(New(Config{Issuer: iss, Name: name, Audience: []string{testAudience}, JWKSURL: keys}, Options{Clock: clock.Now, Transport: server}))
		t.Cleanup(i.Stop)
		return i
	}
	a := make1("a", "https://a.example", "https://a.example/keys", rsaKey())
	b := make1("b", "https://b.example", "https://b.example/keys", otherRSAKey())
	set := must(NewSet(a, b))
	token := func(iss string, key any) string {
		return sign(t, "RS256", "k", key, nil, goodClaims("iss", iss))
	}
	for _, c := range []struct {
		name    string
		raw     string
		allowed []string
		want    *Issuer
		err     error
	}{
		{"a by its key", token("https://a.example", rsaKey()), nil, a, nil},
		{"b by its key", token("https://b.example", otherRSAKey()), nil, b, nil},
		{"a by the key of b", token("https://a.example", otherRSAKey()), nil, nil, errSignature},
		{"a where b alone is allowed", token("https://a.example", rsaKey()), []string{"b"}, nil, ErrUnknownIssuer},
		{"a where it is allowed", token("https://a.example", rsaKey()), []string{"b", "a"}, a, nil},
		{"a where none is allowed", token("https://a.example", rsaKey()), []string{}, nil, ErrUnknownIssuer},
	} {
		v, err := set.Verify(context.Background(), c.raw, c.allowed, nil)
		if !errors.Is(err, c.err) || (err == nil) != (c.err == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.err)
		} else if err == nil && v.Issuer != c.want {
			t.Errorf("%s: got issuer %s", c.name, v.Issuer.Name())
		}
	}
}
