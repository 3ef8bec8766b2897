package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"
)

func TestTheClientAuthenticatesAsItIsConfigured(t *testing.T) {
	ask := func(t *testing.T, change func(*Introspection)) (*http.Request, url.Values) {
		t.Helper()
		s := newStage(t, introspecting(change))
		var asked *http.Request
		var form url.Values
		s.server.on(testAsk, func(r *http.Request) (*http.Response, error) {
			asked, form = r, must(url.ParseQuery(string(must(io.ReadAll(r.Body)))))
			return response(http.StatusOK, activeAnswer()), nil
		})
		if _, err := s.verify(testOpaque); err != nil {
			t.Fatal(err)
		}
		return asked, form
	}
	r, form := ask(t, func(*Introspection) {})
	if id, secret, ok := r.BasicAuth(); !ok || id != "gateway" || secret != "s3cret%2F%2B" || form.Has("client_secret") {
		t.Errorf("basic: %q, %q, %v", id, secret, form)
	}
	r, form = ask(t, func(in *Introspection) { in.AuthMethod = authPost })
	if form.Get("client_id") != "gateway" || form.Get("client_secret") != "s3cret/+" || r.Header.Get("Authorization") != "" {
		t.Errorf("post: %v", form)
	}

	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	der := must(x509.MarshalPKCS8PrivateKey(key))
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	sec1 := string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: must(x509.MarshalECPrivateKey(key))}))
	file := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	jwkText := string(must(gojose.JSONWebKey{Key: key, KeyID: "own"}.MarshalJSON()))
	for name, c := range map[string]struct{ key, id, wantID string }{
		"PEM":             {text, "", ""},
		"PEM of SEC 1":    {sec1, "k", "k"},
		"a JWK":           {jwkText, "", "own"},
		"a JWK with a id": {jwkText, "other", "other"},
		"a file":          {file, "f", "f"},
	} {
		_, form := ask(t, func(in *Introspection) { in.ClientSecret, in.PrivateKey, in.KeyID = "", c.key, c.id })
		if form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" || form.Get("client_id") != "gateway" {
			t.Errorf("%s: %v", name, form)
			continue
		}
		parsed := must(gojose.ParseSignedCompact(form.Get("client_assertion"), []gojose.SignatureAlgorithm{gojose.ES256}))
		payload, err := parsed.Verify(&key.PublicKey)
		if err != nil || parsed.Signatures[0].Header.KeyID != c.wantID {
			t.Errorf("%s: %v, kid %q", name, err, parsed.Signatures[0].Header.KeyID)
		}
		var claims map[string]any
		if err := json.Unmarshal(payload, &claims); err != nil {
			t.Fatal(err)
		}
		if claims["iss"] != "gateway" || claims["sub"] != "gateway" || claims["aud"] != testIssuer || claims["jti"] == "" ||
			claims["exp"] != float64(testNow.Add(time.Minute).Unix()) {
			t.Errorf("%s: claims %v", name, claims)
		}
	}
	for name, key := range map[string]string{
		"garbage": "hunter2", "broken PEM": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
		"a public key": string(must(json.Marshal(jwk(rsaKey(), "k", "RS256")))), "a broken JWK": "{hunter2}",
		"a JWK of another algorithm": strings.Replace(jwkText, `"kid"`, `"alg":"RS256","kid"`, 1),
	} {
		c := baseConfig()
		c.Introspect = &Introspection{URL: testAsk, ClientID: "gateway", PrivateKey: key}
		if _, err := New(c, Options{}); !errors.Is(err, errConfig) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestSignedAnswersAreVerified(t *testing.T) {
	inner := map[string]any{}
	if err := json.Unmarshal([]byte(activeAnswer()), &inner); err != nil {
		t.Fatal(err)
	}
	outer := func(change ...any) map[string]any {
		claims := map[string]any{"iss": testIssuer, "aud": "gateway", "iat": testNow.Unix(), "token_introspection": inner}
		for n := 0; n < len(change); n += 2 {
			claims[change[n].(string)] = change[n+1]
			if change[n+1] == nil {
				delete(claims, change[n].(string))
			}
		}
		return claims
	}
	typ := map[string]any{"typ": "token-introspection+jwt"}
	signed := func(claims any) string { return sign(t, "ES256", "ES256", signerKey("ES256"), typ, claims) }
	for _, c := range []struct {
		name, media, body string
		want              error
	}{
		{"good", mediaSigned, signed(outer()), nil},
		{"good, several audiences", mediaSigned, signed(outer("aud", []string{"x", "gateway"})), nil},
		{"good, the gateway by its audience", mediaSigned, signed(outer("aud", testAudience)), nil},
		{"good, inactive", mediaSigned, signed(outer("token_introspection", map[string]any{"active": false})), errInactive},
		{"plain JSON where signed is asked for", "application/json", activeAnswer(), errIntrospection},
		{"another type", mediaSigned, sign(t, "ES256", "ES256", signerKey("ES256"), map[string]any{"typ": "JWT"}, outer()), errIntrospection},
		{"no type", mediaSigned, sign(t, "ES256", "ES256", signerKey("ES256"), nil, outer()), errIntrospection},
		{"another issuer", mediaSigned, signed(outer("iss", "https://evil.example")), errIntrospection},
		{"no issuer", mediaSigned, signed(outer("iss", nil)), errIntrospection},
		{"another audience", mediaSigned, signed(outer("aud", "somebody")), errIntrospection},
		{"no audience", mediaSigned, signed(outer("aud", nil)), errIntrospection},
		{"expired", mediaSigned, signed(outer("exp", testNow.Unix()-60)), errIntrospection},
		{"of another key", mediaSigned, sign(t, "RS256", "RS256", otherRSAKey(), typ, outer()), errIntrospection},
		{"no member", mediaSigned, signed(outer("token_introspection", nil)), errIntrospection},
		{"the member a string", mediaSigned, signed(outer("token_introspection", "x")), errIntrospection},
		{"of another algorithm", mediaSigned, signRaw(t, `{"alg":"none","typ":"token-introspection+jwt"}`, string(must(json.Marshal(outer())))), errIntrospection},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, introspecting(func(in *Introspection) { in.Signed = true }))
			s.server.on(testAsk, func(r *http.Request) (*http.Response, error) {
				if r.Header.Get("Accept") != mediaSigned {
					t.Errorf("asked for %q", r.Header.Get("Accept"))
				}
				res := response(http.StatusOK, c.body)
				res.Header.Set("Content-Type", c.media)
				return res, nil
			})
			v, err := s.verify(testOpaque)
			if !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
				t.Fatalf("got %v, want %v", err, c.want)
			}
			if err == nil && (v.KeySet != 1 || v.Principal.Subject != "00u1ada") {
				t.Errorf("got %+v", v)
			}
		})
	}
	t.Run("a changed key set ends a kept answer", func(t *testing.T) {
		s := newStage(t, introspecting(func(in *Introspection) { in.Signed = true }))
		s.server.on(testAsk, func(*http.Request) (*http.Response, error) {
			res := response(http.StatusOK, signed(outer()))
			res.Header.Set("Content-Type", mediaSigned)
			return res, nil
		})
		if _, err := s.verify(testOpaque); err != nil {
			t.Fatal(err)
		}
		s.server.say(testKeysURL, keySetText(jwk(rsaKey(), "new", "RS256")))
		s.clock.Advance(defaultKeyMinInterval)
		<-s.issuer.keys.join(s.clock.Now()).Done()
		if _, err := s.verify(testOpaque); !errors.Is(err, errIntrospection) {
			t.Errorf("got %v", err)
		}
	})
}

func TestIntrospectionIsObserved(t *testing.T) {
	o := new(recorder)
	s := newStage(t, introspecting(), func(_ *Config, opt *Options) { opt.Observer = o })
	s.server.say(testAsk, activeAnswer())
	_, _ = s.verify(testOpaque)
	_, _ = s.verify(testOpaque)
	s.server.say(testAsk, `{"active":false}`)
	_, _ = s.verify("other")
	s.server.fail(testAsk)
	_, _ = s.verify("third")
	s.server.say(testAsk, `{"error":"unsupported_token_type"}`)
	_, _ = s.verify("fourth")
	s.issuer.Stop()
	want := []string{IntrospectActive, IntrospectCached, IntrospectInactive, IntrospectError, IntrospectRefused}
	if !slices.Equal(o.inspected, want) {
		t.Errorf("got %v, want %v", o.inspected, want)
	}
	if st := s.issuer.Status(); !st.Introspects || !st.IntrospectionFailing {
		t.Errorf("status is %+v", st)
	}
}
