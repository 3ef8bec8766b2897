package oauthclient_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

func TestSecretsGoToTheirPlace(t *testing.T) {
	form, header := url.Values{}, http.Header{}
	if err := oauthclient.SecretBasic("a:b", "c+d")(form, header); err != nil || len(form) != 0 ||
		header.Get("Authorization") != "Basic YSUzQWI6YyUyQmQ=" {
		t.Errorf("basic: %v, %v, %v", form, header, err)
	}
	form, header = url.Values{}, http.Header{}
	if err := oauthclient.SecretPost("a", "b")(form, header); err != nil || len(header) != 0 || form.Encode() != "client_id=a&client_secret=b" {
		t.Errorf("post: %v, %v, %v", form, header, err)
	}
}

func TestAssertionsAreSignedAnewForEachRequest(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Unix(1_700_000_000, 0)
	options := oauthclient.AssertionOptions{
		ClientID: "gateway", Audience: "https://idp.example.com", Key: jose.PrivateKey{Signer: key, ID: "k", Algorithm: "ES256"},
		Clock: func() time.Time { return now },
	}
	a, err := oauthclient.NewAssertion(options)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[any]bool{}
	for range 2 {
		form := url.Values{}
		if err := oauthclient.PrivateKeyJWT(a)(form, nil); err != nil {
			t.Fatal(err)
		}
		if form.Get("client_id") != "gateway" || form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
			t.Errorf("form %v", form)
		}
		signed, err := gojose.ParseSignedCompact(form.Get("client_assertion"), []gojose.SignatureAlgorithm{gojose.ES256})
		if err != nil {
			t.Fatal(err)
		}
		text, err := signed.Verify(key.Public())
		if err != nil || signed.Signatures[0].Header.KeyID != "k" {
			t.Fatalf("%v, %+v", err, signed.Signatures[0].Header)
		}
		var claims map[string]any
		if err := json.Unmarshal(text, &claims); err != nil {
			t.Fatal(err)
		}
		if claims["iss"] != "gateway" || claims["sub"] != "gateway" || claims["aud"] != "https://idp.example.com" ||
			claims["iat"] != float64(now.Unix()) || claims["exp"] != float64(now.Add(time.Minute).Unix()) || seen[claims["jti"]] {
			t.Errorf("claims %v", claims)
		}
		seen[claims["jti"]] = true
	}
	options.Rand = strings.NewReader("short")
	if a, err = oauthclient.NewAssertion(options); err != nil {
		t.Fatal(err)
	}
	if err := a.Add(url.Values{}); err == nil {
		t.Error("an assertion is signed without randomness")
	}
	options.Key.Algorithm = "RS256"
	if _, err := oauthclient.NewAssertion(options); err == nil {
		t.Error("a key that does not fit its algorithm is accepted")
	}
}
