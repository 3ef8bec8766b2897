package issuer

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// began is when the sessions of these tests began, with a part of a second.
var began = testNow.Add(300 * time.Millisecond)

func sessionOf(claims map[string]any) SessionClaims {
	return SessionClaims{Claims: claims, Client: testClient, Scopes: []string{"openid", "email"}, Began: began, End: began.Add(10 * time.Hour)}
}

func TestASessionIsReadAsATokenIs(t *testing.T) {
	s := newStage(t, func(c *Config, _ *Options) {
		c.SubjectClaim, c.GroupsClaim, c.GroupsDelimiter = "login", "roles", ","
		c.DPoP, c.MTLS = dpopRequire, mtlsRequire
	})
	claims := goodClaims("login", "ada", "sid", "s-1", "roles", "IT, All", "client_id", "00u1ada", "nbf", testNow.Unix()+9999,
		"exp", "never", "cnf", map[string]any{"jkt": "x"}, "scp", 7)
	v, err := s.issuer.VerifySession(sessionOf(claims))
	if err != nil {
		t.Fatal(err)
	}
	p := v.Principal
	if p.Issuer != testIssuer || p.IssuerName != "corp" || p.Subject != "ada" || p.SessionID != "s-1" || p.Client != testClient ||
		p.ServiceAccount || p.Confirmation.Bound() || !p.GroupsKnown || !reflect.DeepEqual(p.Claims, claims) {
		t.Errorf("got %+v", p)
	}
	if !slices.Equal(p.Groups, []string{"IT", "All"}) || !slices.Equal(p.Scopes, []string{"openid", "email"}) {
		t.Errorf("got groups %q and scopes %q", p.Groups, p.Scopes)
	}
	end := testNow.Add(10 * time.Hour)
	if !p.IssuedAt.Equal(testNow) || !p.Expiry.Equal(end) || !p.NotBefore.IsZero() || !v.Until.Equal(end) {
		t.Errorf("got dates %v, %v, %v, %v", p.IssuedAt, p.Expiry, p.NotBefore, v.Until)
	}
	if v.Issuer != s.issuer || v.KeySet != 0 || v.Leeway() != 0 || !s.issuer.Current(v.KeySet, testNow) {
		t.Errorf("got %+v", v)
	}
	// Tokens of this issuer must be bound; a session is bound to its cookie.
	for name, caller := range map[string]*Caller{"no caller": nil, "a caller": {}} {
		if err := v.CheckSender(t.Context(), caller); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATokenHasLeewayAndASender(t *testing.T) {
	s := newStage(t)
	v, err := s.verify(s.token(goodClaims()))
	if err != nil || v.Leeway() != defaultLeeway {
		t.Fatalf("got %+v, %v", v, err)
	}
	if err := v.CheckSender(t.Context(), &Caller{AuthScheme: "DPoP"}); !errors.Is(err, errSender) {
		t.Errorf("got %v", err)
	}
}

func TestSessionsThatAreRefused(t *testing.T) {
	s := newStage(t, func(c *Config, _ *Options) { c.SubjectClaim = "email" })
	for name, c := range map[string]struct {
		claims map[string]any
		want   error
	}{
		"good":               {goodClaims("email", "ada@example.com", "email_verified", true), nil},
		"no subject claim":   {goodClaims(), errSubject},
		"an unverified mail": {goodClaims("email", "ada@example.com"), errSubject},
		"sub a number":       {goodClaims("email", "ada@example.com", "email_verified", true, "sub", 7), errClaims},
		"sid a list":         {goodClaims("email", "ada@example.com", "email_verified", true, "sid", []any{"s"}), errClaims},
		"no claims":          {nil, errSubject},
	} {
		if _, err := s.issuer.VerifySession(sessionOf(c.claims)); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// A session cookie keeps these claims alone, and the principal must be the same.
func TestThePrincipalClaimsSufficeForASession(t *testing.T) {
	s := newStage(t, func(c *Config, _ *Options) { c.SubjectClaim = "email" })
	for name, change := range map[string][]any{
		"groups":             nil,
		"groups elsewhere":   {"_claim_names", map[string]any{"groups": "s"}},
		"groups left out":    {"groups", nil, "hasgroups", true},
		"no session id":      {"sid", nil},
		"groups of no texts": {"groups", []any{int64(1)}},
	} {
		full := goodClaims(append([]any{"email", "ada@example.com", "email_verified", true, "sid", "s-1", "jti", nil, "groups", []any{"IT"}}, change...)...)
		kept := make(map[string]any)
		for _, claim := range s.issuer.PrincipalClaims(true) {
			if v, ok := full[claim]; ok {
				kept[claim] = v
			}
		}
		want, err := s.issuer.VerifySession(sessionOf(full))
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.issuer.VerifySession(sessionOf(kept))
		if err != nil {
			t.Fatal(err)
		}
		want.Principal.Claims, got.Principal.Claims = nil, nil
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got.Principal, want.Principal)
		}
	}
}

func TestPrincipalClaims(t *testing.T) {
	for _, c := range []struct {
		subject string
		groups  bool
		want    string
	}{
		{"sub", false, "acr auth_time sid sub"},
		{"login", false, "acr auth_time login sid sub"},
		{"email", false, "acr auth_time email email_verified sid sub"},
		{"sub", true, "_claim_names acr auth_time groups hasgroups sid sub"},
	} {
		s := newStage(t, func(cfg *Config, _ *Options) { cfg.SubjectClaim = c.subject })
		if got := strings.Join(s.issuer.PrincipalClaims(c.groups), " "); got != c.want {
			t.Errorf("%s, %v: got %q, want %q", c.subject, c.groups, got, c.want)
		}
	}
}

func TestAnIssuerForLoginsAlone(t *testing.T) {
	alone := func(c *Config, _ *Options) { c.Audience, c.LoginOnly = nil, true }
	s := newStage(t, alone)
	for name, raw := range map[string]string{
		"an access token": s.token(goodClaims()), "an ID token": s.idToken(), "no audience": s.token(goodClaims("aud", nil)),
	} {
		if _, err := s.verify(raw); !errors.Is(err, ErrInvalidToken) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := s.verify(s.token(goodClaims())); !errors.Is(err, errAudience) || !strings.Contains(err.Error(), "logins only") {
		t.Errorf("an access token: got %v", err)
	}
	if _, err := s.issuer.VerifyIDToken(t.Context(), s.idToken(), testCheck); err != nil {
		t.Errorf("a login: %v", err)
	}
	for name, change := range map[string]func(*Config){
		"an audience": func(c *Config) { c.Audience = []string{testAudience} }, "any_audience": func(c *Config) { c.AnyAudience = true },
	} {
		s := newStage(t, alone, func(c *Config, _ *Options) { change(c) })
		if _, err := s.verify(s.token(goodClaims())); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	c := baseConfig()
	c.LoginOnly, c.AnyAudience = true, true
	if c.Check() == nil {
		t.Error("an audience beside any_audience is accepted")
	}
}
