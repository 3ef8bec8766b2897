package issuer

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	openIDPlace = testIssuer + "/.well-known/openid-configuration"
	oauthPlace  = testIssuer + "/.well-known/oauth-authorization-server"
	insertPlace = "https://idp.example.com/.well-known/oauth-authorization-server/oauth2/default"
)

func metadataText(change ...any) string {
	m := map[string]any{"issuer": testIssuer, "jwks_uri": testKeysURL, "userinfo_endpoint": testIssuer + "/userinfo"}
	for n := 0; n < len(change); n += 2 {
		m[change[n].(string)] = change[n+1]
	}
	return string(must(json.Marshal(m)))
}

func byDiscovery(c *Config, _ *Options) { c.JWKSURL = "" }

func TestDiscoveryLooksInItsPlacesInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		at     string
		change func(*Config, *Options)
		asked  []string
	}{
		"OpenID Connect":         {openIDPlace, byDiscovery, []string{openIDPlace}},
		"OAuth, appended":        {oauthPlace, byDiscovery, []string{oauthPlace, openIDPlace}},
		"OAuth, as RFC 8414 has": {insertPlace, byDiscovery, []string{insertPlace, oauthPlace, openIDPlace}},
		"a place of its own": {"https://idp.example.com/meta", func(c *Config, _ *Options) {
			c.JWKSURL, c.DiscoveryURL = "", "https://idp.example.com/meta"
		}, []string{"https://idp.example.com/meta"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, c.change)
			s.server.say(c.at, metadataText())
			if _, err := s.verify(s.token(goodClaims())); err != nil {
				t.Fatal(err)
			}
			var asked []string
			for at := range s.server.counts {
				if at != testKeysURL {
					asked = append(asked, at)
				}
			}
			slices.Sort(asked)
			slices.Sort(c.asked)
			if !slices.Equal(asked, c.asked) {
				t.Errorf("asked %v, want %v", asked, c.asked)
			}
			m, err := s.issuer.Metadata(t.Context())
			if err != nil || m.UserinfoEndpoint != testIssuer+"/userinfo" {
				t.Errorf("metadata: %+v, %v", m, err)
			}
		})
	}
}

func TestDiscoveryWithATrailingSlash(t *testing.T) {
	s := newStage(t, byDiscovery, func(c *Config, _ *Options) { c.Issuer = "https://idp.example.com/" })
	s.server.say("https://idp.example.com/.well-known/openid-configuration", metadataText("issuer", "https://idp.example.com/"))
	if _, err := s.verify(s.token(goodClaims("iss", "https://idp.example.com/"))); err != nil {
		t.Error(err)
	}
	if _, err := s.verify(s.token(goodClaims("iss", "https://idp.example.com"))); !errors.Is(err, ErrUnknownIssuer) {
		t.Errorf("without the slash: got %v", err)
	}
}

func TestDiscoveryRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		text, outcome string
	}{
		"another issuer":                {metadataText("issuer", "https://evil.example"), FetchMismatch},
		"the issuer with a slash":       {metadataText("issuer", testIssuer+"/"), FetchMismatch},
		"no issuer":                     {`{"jwks_uri":"` + testKeysURL + `"}`, FetchMismatch},
		"no keys":                       {`{"issuer":"` + testIssuer + `"}`, FetchMalformed},
		"keys over plain http":          {metadataText("jwks_uri", "http://idp.example.com/keys"), FetchMalformed},
		"keys on this machine":          {metadataText("jwks_uri", "http://127.0.0.1:9200/keys"), FetchMalformed},
		"keys on this machine by https": {metadataText("jwks_uri", "https://localhost/keys"), FetchMalformed},
		"keys with credentials":         {metadataText("jwks_uri", "https://u:p@idp.example.com/keys"), FetchMalformed},
		"keys in a file":                {metadataText("jwks_uri", "file:///etc/passwd"), FetchMalformed},
		"HTML":                          {"<html>", FetchMalformed},
		"a list":                        {"[]", FetchMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			o := new(recorder)
			s := newStage(t, byDiscovery, func(_ *Config, opt *Options) { opt.Observer = o })
			s.server.say(openIDPlace, c.text)
			s.server.say(oauthPlace, metadataText())
			if _, err := s.verify(s.token(goodClaims())); !errors.Is(err, errKeysUnavailable) || errors.Is(err, ErrInvalidToken) {
				t.Errorf("got %v", err)
			}
			if got := o.outcomes(); !slices.Equal(got, []string{c.outcome}) {
				t.Errorf("outcome is %v, want %v", got, c.outcome)
			}
			if n := s.server.count(testKeysURL) + s.server.count(oauthPlace); n != 0 {
				t.Error("the search went on")
			}
		})
	}
}

func TestDiscoveryDoesNotGoOnAfterAFailure(t *testing.T) {
	s := newStage(t, byDiscovery)
	s.server.on(openIDPlace, func(*http.Request) (*http.Response, error) {
		return response(http.StatusBadGateway, ""), nil
	})
	s.server.say(oauthPlace, metadataText())
	if _, err := s.verify(s.token(goodClaims())); !errors.Is(err, errKeysUnavailable) {
		t.Errorf("got %v", err)
	}
	if s.server.count(oauthPlace) != 0 {
		t.Error("the next place was asked while the first one failed")
	}
}

func TestKeysThatMovedAreFoundAgain(t *testing.T) {
	s := newStage(t, byDiscovery)
	s.server.say(openIDPlace, metadataText())
	if _, err := s.verify(s.token(goodClaims())); err != nil {
		t.Fatal(err)
	}
	s.server.fail(testKeysURL)
	s.server.say(openIDPlace, metadataText("jwks_uri", testKeysURL+"/2"))
	s.server.say(testKeysURL+"/2", keySetText(jwk(otherRSAKey(), "new", "RS256")))
	fresh := sign(t, "RS256", "new", otherRSAKey(), nil, goodClaims())
	s.clock.Advance(defaultKeyMinInterval)
	if _, err := s.verify(fresh); !errors.Is(err, ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	s.clock.Advance(defaultKeyMinInterval)
	if _, err := s.verify(fresh); err != nil {
		t.Errorf("got %v", err)
	}
}

func TestMetadataOfAnIssuerWithAKeySetURL(t *testing.T) {
	s := newStage(t)
	if _, err := s.issuer.Metadata(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("without metadata: got %v", err)
	}
	s.server.say(openIDPlace, metadataText())
	if _, err := s.issuer.Metadata(t.Context()); !errors.Is(err, ErrUnavailable) {
		t.Errorf("inside the floor: got %v", err)
	}
	s.clock.Advance(time.Minute)
	for range 3 {
		if m, err := s.issuer.Metadata(t.Context()); err != nil || m.Issuer != testIssuer {
			t.Errorf("got %v, %v", m, err)
		}
	}
	if n := s.server.count(openIDPlace); n != 2 {
		t.Errorf("asked %d times, want 2", n)
	}
}

func TestMetadataOfALogin(t *testing.T) {
	s := newStage(t, byDiscovery)
	s.server.say(openIDPlace, metadataText(
		"end_session_endpoint", testIssuer+"/logout", "pushed_authorization_request_endpoint", testIssuer+"/par",
		"token_endpoint_auth_methods_supported", []string{"client_secret_post", "private_key_jwt"},
		"token_endpoint", testIssuer+"/token", "mtls_endpoint_aliases", map[string]any{"token_endpoint": "https://mtls.example.com/token"},
		"authorization_response_iss_parameter_supported", true))
	m, err := s.issuer.Metadata(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if m.EndSessionEndpoint != testIssuer+"/logout" || m.PushedAuthorizationEndpoint != testIssuer+"/par" || !m.ResponseIssuer ||
		!slices.Equal(m.TokenAuthMethods, []string{"client_secret_post", "private_key_jwt"}) {
		t.Errorf("got %+v", m)
	}
	if m.TokenEndpoint != testIssuer+"/token" || m.MTLSTokenEndpoint != "https://mtls.example.com/token" || m.MTLSPushedAuthorizationEndpoint != testIssuer+"/par" {
		t.Errorf("with a certificate: got %+v", m)
	}
	for name, text := range map[string]string{
		"none": metadataText(),
		"of other types": metadataText("end_session_endpoint", 7, "pushed_authorization_request_endpoint", nil,
			"token_endpoint_auth_methods_supported", []any{"none", 7}, "mtls_endpoint_aliases", "x", "authorization_response_iss_parameter_supported", "true"),
	} {
		m, err := parseMetadata([]byte(text), testIssuer, openIDPlace)
		if err != nil || m.EndSessionEndpoint != "" || m.PushedAuthorizationEndpoint != "" || m.ResponseIssuer || m.TokenAuthMethods != nil {
			t.Errorf("%s: got %+v, %v", name, m, err)
		}
	}
}

func TestEndpointsAreChecked(t *testing.T) {
	remote, local := &Metadata{Issuer: testIssuer}, &Metadata{Issuer: "http://localhost:8080"}
	for _, c := range []struct {
		of       *Metadata
		endpoint string
		ok       bool
	}{
		{remote, testIssuer + "/token", true},
		{remote, "https://login.example.org/token", true},
		{remote, "", false},
		{remote, "/token", false},
		{remote, "http://idp.example.com/token", false},
		{remote, "http://127.0.0.1:9200/token", false},
		{remote, "https://localhost/token", false},
		{remote, "https://[::1]/token", false},
		{remote, "https://u:p@idp.example.com/token", false},
		{remote, "https://idp.example.com/token#x", false},
		{remote, "javascript://idp.example.com/%0aalert(1)", false},
		{&Metadata{Issuer: "no url %"}, "https://localhost/token", false},
		{local, "http://localhost:8080/token", true},
		{local, "http://127.0.0.1:8081/token", true},
		{local, "https://idp.example.com/token", true},
		{local, "http://idp.example.com/token", false},
	} {
		err := c.of.CheckEndpoint(c.endpoint)
		if (err == nil) != c.ok || err != nil && (!errors.Is(err, ErrUnavailable) || strings.Contains(err.Error(), "example")) {
			t.Errorf("%s of %s: got %v", c.endpoint, c.of.Issuer, err)
		}
	}
}
