package enrichtest_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func TestAStrangersLibraryVerifiesWhatTheProviderMints(t *testing.T) {
	p := enrichtest.NewProvider(t, enrichtest.WithAlgorithms(algorithms...))
	provider, err := oidc.NewProvider(t.Context(), p.Issuer())
	if err != nil {
		t.Fatal(err)
	}
	for _, alg := range algorithms {
		t.Run(alg, func(t *testing.T) {
			token := p.Mint(enrichtest.Claims{"sub": "grace"}, enrichtest.WithKey(p.KeyFor(alg)))
			verifier := provider.Verifier(&oidc.Config{ClientID: "api://legacy", SupportedSigningAlgs: []string{alg}})
			verified, err := verifier.Verify(t.Context(), token)
			if err != nil {
				t.Fatal(err)
			}
			want(t, "sub", verified.Subject, "grace")
			if _, err := verifier.Verify(t.Context(), enrichtest.FlipSignature(token)); err == nil {
				t.Error("a flipped signature verifies")
			}
		})
	}
}

func TestMintTakesEveryPartApart(t *testing.T) {
	clock := enrichtest.NewClock(time.Time{})
	p := enrichtest.NewProvider(t, enrichtest.WithClock(clock.Now), enrichtest.WithDefaults(enrichtest.Claims{"scope": "read", "jti": nil}))

	header, claims := open(t, p.Mint(enrichtest.Claims{"aud": nil, "groups": []string{"a"}}))
	want(t, "header", header, map[string]any{"alg": "RS256", "kid": p.Key().ID, "typ": "at+jwt"})
	want(t, "claims", claims, map[string]any{
		"iss": p.Issuer(), "sub": "alice", "client_id": "payroll", "scope": "read", "groups": []any{"a"},
		"iat": float64(enrichtest.Epoch.Unix()), "exp": float64(enrichtest.Epoch.Add(5 * time.Minute).Unix()),
	})

	for name, c := range map[string]struct {
		option enrichtest.MintOption
		header map[string]any
	}{
		"another type":    {enrichtest.WithType("JWT"), map[string]any{"alg": "RS256", "kid": p.Key().ID, "typ": "JWT"}},
		"no type":         {enrichtest.WithType(""), map[string]any{"alg": "RS256", "kid": p.Key().ID}},
		"a header more":   {enrichtest.WithHeader("crit", []string{"b64"}), map[string]any{"alg": "RS256", "kid": p.Key().ID, "typ": "at+jwt", "crit": []any{"b64"}}},
		"a lying header":  {enrichtest.WithAlgorithm("ES256"), map[string]any{"alg": "ES256", "kid": p.Key().ID, "typ": "at+jwt"}},
		"no algorithm":    {enrichtest.Unsigned("nOnE"), map[string]any{"alg": "nOnE", "kid": p.Key().ID, "typ": "at+jwt"}},
		"a secret":        {enrichtest.WithSecret("HS256", []byte("secret")), map[string]any{"alg": "HS256", "kid": p.Key().ID, "typ": "at+jwt"}},
		"a raw header":    {enrichtest.WithRawHeader(`{"alg":"RS256","alg":"none"}`), map[string]any{"alg": "none"}},
		"another key kid": {enrichtest.WithHeader("kid", "../../etc/passwd"), map[string]any{"alg": "RS256", "kid": "../../etc/passwd", "typ": "at+jwt"}},
	} {
		t.Run(name, func(t *testing.T) {
			header, _ := open(t, p.Mint(nil, c.option))
			want(t, "header", header, c.header)
		})
	}

	t.Run("a raw payload", func(t *testing.T) {
		token := p.Mint(nil, enrichtest.WithRawPayload(`{"sub":"a","sub":"b"}`))
		payload := verifyWith(t, token, p.Key(), jose.RS256)
		want(t, "payload", string(payload), `{"sub":"a","sub":"b"}`)
	})
	t.Run("a made-up signature", func(t *testing.T) {
		token := p.Mint(nil, enrichtest.WithSignature(func([]byte) []byte { return bytes.Repeat([]byte{0}, 64) }))
		if !strings.HasSuffix(token, "."+strings.Repeat("A", 86)) {
			t.Errorf("signature: %s", token[strings.LastIndex(token, "."):])
		}
	})
	t.Run("an RSA key under its other algorithm", func(t *testing.T) {
		token := p.Mint(nil, enrichtest.WithHeader("alg", "PS384"))
		verifyWith(t, token, p.Key(), jose.PS384)
	})
	t.Run("a secret verifies", func(t *testing.T) {
		token := p.Mint(nil, enrichtest.WithSecret("HS512", bytes.Repeat([]byte("s"), 64)))
		signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.HS512})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := signed.Verify(bytes.Repeat([]byte("s"), 64)); err != nil {
			t.Error(err)
		}
	})
}

func verifyWith(t *testing.T, token string, k *enrichtest.Key, alg jose.SignatureAlgorithm) []byte {
	t.Helper()
	signed, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{alg})
	if err != nil {
		t.Fatal(err)
	}
	payload, err := signed.Verify(k.Public())
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestKeySetFollowsRotationAndRetirement(t *testing.T) {
	p := enrichtest.NewProvider(t, enrichtest.WithAlgorithms("ES256"))
	first := p.Key()
	second := p.Rotate()
	want(t, "ids", keyIDs(t, p), []string{second.ID, first.ID})
	want(t, "signing key", p.Key(), second)
	p.Retire()
	want(t, "ids", keyIDs(t, p), []string{second.ID})
	third := p.AddKey("EdDSA")
	p.Retire(second)
	want(t, "ids", keyIDs(t, p), []string{third.ID})
	p.Publish(third.With(func(jwk map[string]any) { jwk["kid"] = "altered"; delete(jwk, "alg") }))
	want(t, "ids", keyIDs(t, p), []string{third.ID, "altered"})
	if _, kept := third.JWK()["alg"]; !kept {
		t.Error("altering a copy altered the key")
	}
	if slices.Contains(keyIDs(t, p), p.UnpublishedKey("ES256").ID) {
		t.Error("an unpublished key is published")
	}
	want(t, "hits", p.Hits(enrichtest.KeySet), 5)
}

func keyIDs(t *testing.T, p *enrichtest.Provider) []string {
	t.Helper()
	var set struct{ Keys []map[string]any }
	fetchJSON(t, nil, p.URL(enrichtest.KeySet), &set)
	var out []string
	for _, k := range set.Keys {
		id, _ := k["kid"].(string)
		out = append(out, id)
	}
	return out
}

func TestDecoysStandBesideGoodKeys(t *testing.T) {
	p := enrichtest.NewProvider(t)
	decoys := enrichtest.DecoyKeys()
	p.AddEntries(slices.Collect(maps.Values(decoys))...)
	var set struct{ Keys []json.RawMessage }
	fetchJSON(t, nil, p.URL(enrichtest.KeySet), &set)
	want(t, "entries", len(set.Keys), len(decoys)+1)
	for name, entry := range decoys {
		if !json.Valid([]byte(entry)) {
			t.Errorf("%s is no JSON: a test would refuse the set, not the entry", name)
		}
	}
}

func TestDiscoveryStandsWhereClientsLook(t *testing.T) {
	for path, places := range map[string][]string{
		"":                {"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"},
		"/":               {"/.well-known/openid-configuration"},
		"/oauth2/default": {"/oauth2/default/.well-known/openid-configuration", "/.well-known/oauth-authorization-server/oauth2/default"},
	} {
		p := enrichtest.NewProvider(t, enrichtest.WithPath(path))
		base := strings.TrimSuffix(p.Issuer(), path)
		for _, place := range places {
			var document map[string]any
			fetchJSON(t, nil, base+place, &document)
			want(t, "issuer at "+place, document["issuer"], p.Issuer())
			want(t, "jwks_uri at "+place, document["jwks_uri"], p.URL(enrichtest.KeySet))
		}
		status, _, _, err := fetch(t, nil, base+"/elsewhere")
		if err != nil || status != http.StatusNotFound {
			t.Errorf("elsewhere: %d, %v", status, err)
		}
	}
}

func TestMetadataAndDocumentsAreScriptable(t *testing.T) {
	p := enrichtest.NewProvider(t)
	p.EditMetadata(func(m map[string]any) { m["issuer"] = "https://evil.example"; delete(m, "jwks_uri") })
	var document map[string]any
	fetchJSON(t, nil, p.URL(enrichtest.Discovery), &document)
	want(t, "issuer", document["issuer"], "https://evil.example")
	want(t, "jwks_uri", document["jwks_uri"], nil)
	p.SetDocument(enrichtest.KeySet, []byte(`{"keys":[]}`))
	var set struct{ Keys []any }
	fetchJSON(t, nil, p.URL(enrichtest.KeySet), &set)
	want(t, "keys of the scripted document", len(set.Keys), 0)
	p.SetDocument(enrichtest.KeySet, nil)
	want(t, "keys", len(keyIDs(t, p)), 1)
}

func TestTLSIsTrustedThroughTheCertificateAlone(t *testing.T) {
	p := enrichtest.NewProvider(t, enrichtest.WithTLS())
	if !strings.HasPrefix(p.Issuer(), "https://127.0.0.1:") {
		t.Errorf("issuer %s", p.Issuer())
	}
	if _, _, _, err := fetch(t, nil, p.URL(enrichtest.Discovery)); err == nil {
		t.Error("a stranger trusts the certificate")
	}
	var document map[string]any
	fetchJSON(t, p.Client(), p.URL(enrichtest.Discovery), &document)
	transport := &http.Transport{TLSClientConfig: p.TLSConfig()}
	defer transport.CloseIdleConnections()
	fetchJSON(t, &http.Client{Transport: transport}, p.URL(enrichtest.Discovery), &document)
	if !x509.NewCertPool().AppendCertsFromPEM(readFile(t, p.CAFile())) {
		t.Error("the certificate file holds no certificate")
	}
}

func TestEachFaultBreaksAsItSays(t *testing.T) {
	type outcome struct {
		status int
		err    bool
	}
	for name, c := range map[string]struct {
		fault enrichtest.Fault
		want  outcome
		check func(t *testing.T, header http.Header, body []byte)
	}{
		"status":   {fault: enrichtest.Status(500, "no"), want: outcome{status: 500}},
		"redirect": {fault: enrichtest.Redirect("http://elsewhere.example/keys"), want: outcome{status: 302}},
		"cut":      {fault: enrichtest.Cut(), want: outcome{err: true}},
		"truncated": {fault: enrichtest.Truncated(), want: outcome{status: 200, err: true}, check: func(t *testing.T, _ http.Header, body []byte) {
			if len(body) == 0 || json.Valid(body) {
				t.Errorf("%d bytes came, and they are whole", len(body))
			}
		}},
		"huge": {fault: enrichtest.Huge(100_000), want: outcome{status: 200}, check: func(t *testing.T, _ http.Header, body []byte) {
			if len(body) < 100_000 || !json.Valid(body) {
				t.Errorf("%d bytes", len(body))
			}
		}},
		"wrong type": {fault: enrichtest.ContentType("text/html"), want: outcome{status: 200}, check: func(t *testing.T, header http.Header, body []byte) {
			want(t, "media type", header.Get("Content-Type"), "text/html")
			if !json.Valid(body) {
				t.Error("the body is not the right one")
			}
		}},
		"slow": {fault: enrichtest.Slow(time.Millisecond), want: outcome{status: 200}},
	} {
		for _, way := range []string{"socket", "in process"} {
			t.Run(name+" over "+way, func(t *testing.T) {
				p := enrichtest.NewProvider(t)
				client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
				if way == "in process" {
					client.Transport = p.Transport()
				}
				p.BreakTimes(enrichtest.KeySet, 1, c.fault)
				status, header, body, err := fetch(t, client, p.URL(enrichtest.KeySet))
				want(t, "outcome", outcome{status, err != nil}, c.want)
				if c.check != nil {
					c.check(t, header, body)
				}
				status, _, _, err = fetch(t, client, p.URL(enrichtest.KeySet))
				want(t, "outcome after the fault", outcome{status, err != nil}, outcome{status: 200})
				want(t, "hits", p.Hits(enrichtest.KeySet), 2)
			})
		}
	}
}

func TestHangEndsWithTheCallersPatience(t *testing.T) {
	p := enrichtest.NewProvider(t)
	p.Break(enrichtest.Discovery, enrichtest.Hang())
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, p.URL(enrichtest.Discovery), nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := p.Transport().RoundTrip(r)
		if err == nil {
			_ = response.Body.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		want(t, "waited", time.Since(began), 3*time.Second)
	})
}

func TestHoldAnswersOnceTheGateOpens(t *testing.T) {
	p := enrichtest.NewProvider(t)
	gate := make(chan struct{})
	p.Break(enrichtest.KeySet, enrichtest.Hold(gate))
	answered := make(chan int, 1)
	go func() {
		status, _, _, _ := fetch(t, nil, p.URL(enrichtest.KeySet))
		answered <- status
	}()
	for p.Hits(enrichtest.KeySet) == 0 && len(answered) == 0 {
		_, _, _, _ = fetch(t, nil, p.URL(enrichtest.Discovery))
	}
	want(t, "answers before the gate opens", len(answered), 0)
	close(gate)
	want(t, "status", <-answered, 200)
	p.Mend(enrichtest.KeySet)
	want(t, "keys", len(keyIDs(t, p)), 1)
}

func TestClosingCutsAHangingRequest(t *testing.T) {
	p := enrichtest.NewProvider(t)
	p.Break(enrichtest.KeySet, enrichtest.Hang())
	failed := make(chan error, 1)
	go func() {
		_, _, _, err := fetch(t, nil, p.URL(enrichtest.KeySet))
		failed <- err
	}()
	for p.Hits(enrichtest.KeySet) == 0 {
		_, _, _, _ = fetch(t, nil, p.URL(enrichtest.Discovery))
	}
	p.Close()
	if err := <-failed; err == nil {
		t.Error("the request was answered")
	}
}

func TestIntrospectionTellsGoodTokensFromGuesses(t *testing.T) {
	p := enrichtest.NewProvider(t)
	p.RequireClient("gateway", "s3cret")
	token := p.Opaque(enrichtest.Claims{"sub": "grace"})

	status, _ := introspect(t, p, token, "gateway", "wrong", "")
	want(t, "status for a wrong secret", status, 401)
	_, answer := introspect(t, p, token, "gateway", "s3cret", "")
	want(t, "active", answer["active"], true)
	want(t, "sub", answer["sub"], "grace")
	_, answer = introspect(t, p, "guess", "gateway", "s3cret", "")
	want(t, "answer for a guess", answer, map[string]any{"active": false})

	seen := p.Requests(enrichtest.Introspection)
	want(t, "requests", len(seen), 3)
	want(t, "form", seen[2].Form, url.Values{"token": {"guess"}})

	_, signed := introspect(t, p, token, "gateway", "s3cret", "application/token-introspection+jwt")
	header, claims := open(t, signed["jwt"].(string))
	want(t, "typ", header["typ"], "token-introspection+jwt")
	want(t, "aud", claims["aud"], "gateway")
	inner, _ := claims["token_introspection"].(map[string]any)
	want(t, "sub of the signed answer", inner["sub"], "grace")

	p.Revoke(token)
	_, answer = introspect(t, p, token, "gateway", "s3cret", "")
	want(t, "answer after revocation", answer, map[string]any{"active": false})

	p.OnIntrospect(func(string, *http.Request) (int, any) { return 200, []byte(`[]`) })
	status, _ = introspect(t, p, token, "", "", "")
	want(t, "status of the script", status, 200)
}

// introspect answers with the members of a JSON answer, or with the text of a
// signed one as the member jwt.
func introspect(t *testing.T, p *enrichtest.Provider, token, id, secret, accept string) (int, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, p.URL(enrichtest.Introspection),
		strings.NewReader(url.Values{"token": {token}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Accept", accept)
	r.SetBasicAuth(id, secret)
	response, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if json.Unmarshal(body, &answer) != nil {
		answer = map[string]any{"jwt": string(body)}
	}
	return response.StatusCode, answer
}

func TestUserinfoKnowsItsOwnTokensOnly(t *testing.T) {
	p := enrichtest.NewProvider(t)
	stranger := enrichtest.NewProvider(t)
	p.SetPerson("grace", enrichtest.Claims{"email": "grace@example.com"})
	for name, c := range map[string]struct {
		token  string
		status int
		answer map[string]any
	}{
		"a JWT of ours":     {p.Mint(enrichtest.Claims{"sub": "grace"}), 200, map[string]any{"sub": "grace", "email": "grace@example.com"}},
		"an opaque token":   {p.Opaque(enrichtest.Claims{"sub": "alan"}), 200, map[string]any{"sub": "alan"}},
		"a stranger's JWT":  {stranger.Mint(enrichtest.Claims{"sub": "grace"}), 401, map[string]any{"error": "invalid_token"}},
		"a guess":           {"guess", 401, map[string]any{"error": "invalid_token"}},
		"no token":          {"", 401, map[string]any{"error": "invalid_token"}},
		"an altered JWT":    {enrichtest.FlipSignature(p.Mint(nil)), 401, map[string]any{"error": "invalid_token"}},
		"an unsigned token": {p.Mint(nil, enrichtest.Unsigned("none")), 401, map[string]any{"error": "invalid_token"}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.URL(enrichtest.Userinfo), nil)
			if err != nil {
				t.Fatal(err)
			}
			if c.token != "" {
				r.Header.Set("Authorization", "Bearer "+c.token)
			}
			response, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			var answer map[string]any
			if err := json.NewDecoder(response.Body).Decode(&answer); err != nil {
				t.Fatal(err)
			}
			want(t, "status", response.StatusCode, c.status)
			want(t, "answer", answer, c.answer)
		})
	}
}
