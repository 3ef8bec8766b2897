package issuer

import (
	"errors"
	"testing"
	"time"
)

func TestLogoutTokensAreVerified(t *testing.T) {
	s := newStage(t)
	claims := func(change ...any) map[string]any {
		c := map[string]any{
			"iss": testIssuer, "aud": "client", "iat": testNow.Unix(), "exp": testNow.Unix() + 120, "jti": "l-1",
			"sid": "s-1", "events": map[string]any{logoutEvent: map[string]any{}},
		}
		for n := 0; n < len(change); n += 2 {
			c[change[n].(string)] = change[n+1]
			if change[n+1] == nil {
				delete(c, change[n].(string))
			}
		}
		return c
	}
	typed := func(typ string, c map[string]any) string {
		return sign(t, "RS256", "RS256", rsaKey(), map[string]any{"typ": typ}, c)
	}
	for _, c := range []struct {
		name string
		raw  string
		want error
	}{
		{"good", typed("logout+jwt", claims()), nil},
		{"good, typ JWT", typed("JWT", claims()), nil},
		{"good, no typ", s.token(claims()), nil},
		{"good, sub alone", s.token(claims("sid", nil, "sub", "00u1ada")), nil},
		{"good, no exp", s.token(claims("exp", nil)), nil},
		{"typ at+jwt", typed("at+jwt", claims()), errType},
		{"no exp and old", s.token(claims("exp", nil, "iat", testNow.Add(-6*time.Minute).Unix())), errExpired},
		{"expired", s.token(claims("exp", testNow.Unix()-60)), errExpired},
		{"no iat", s.token(claims("iat", nil)), errDates},
		{"another issuer", s.token(claims("iss", "https://evil.example")), ErrUnknownIssuer},
		{"another audience", s.token(claims("aud", "other")), errAudience},
		{"no events", s.token(claims("events", nil)), errKind},
		{"other events", s.token(claims("events", map[string]any{"x": map[string]any{}})), errKind},
		{"the event a string", s.token(claims("events", map[string]any{logoutEvent: "x"})), errKind},
		{"a nonce", s.token(claims("nonce", "n")), errKind},
		{"neither sub nor sid", s.token(claims("sid", nil)), errClaims},
		{"no jti", s.token(claims("jti", nil)), errClaims},
		{"another key", sign(t, "RS256", "RS256", otherRSAKey(), nil, claims()), errSignature},
		{"alg none", signRaw(t, `{"alg":"none"}`, `{"iss":"`+testIssuer+`"}`), errAlgorithm},
		{"an access token", s.token(goodClaims("aud", "client")), errKind},
		{"no token", "x", errMalformed},
	} {
		out, err := s.issuer.VerifyLogout(t.Context(), c.raw, []string{"client"})
		if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		if err == nil && (out.ID != "l-1" || out.SessionID == "" && out.Subject == "") {
			t.Errorf("%s: got %+v", c.name, out)
		}
	}
	if _, err := s.issuer.VerifyLogout(t.Context(), s.token(claims("aud", testAudience)), nil); err != nil {
		t.Errorf("the issuer's own audience: %v", err)
	}
	if _, err := s.issuer.VerifyLogout(t.Context(), s.token(claims()), nil); !errors.Is(err, errAudience) {
		t.Errorf("another audience than the issuer's: %v", err)
	}
}
