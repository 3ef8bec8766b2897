package integration

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// asking runs a gateway with one way to prove itself at the introspection
// endpoint, and gives the question that a token caused and the gateway's answer.
func asking(t *testing.T, proof string) (w *world, seen enrichtest.Seen, code int) {
	t.Helper()
	w = prepare(t)
	t.Setenv("INTROSPECT_SECRET", introspectSecret)
	w.issuer.OnIntrospect(func(string, *http.Request) (int, any) {
		return 200, enrichtest.Claims{"active": true, "sub": "ada", "aud": audience}
	})
	w.load(strings.ReplaceAll(policySite, "%a", w.legacy.Addr()), w.issuerBlock(fmt.Sprintf("introspect %s {\nclient_id %q\n%s\n}", w.issuer.URL(enrichtest.Introspection), introspectClient, proof)), script(t, knows("somebody")))
	code = w.get("/", "an-opaque-token").StatusCode
	asked := w.issuer.Requests(enrichtest.Introspection)
	if len(asked) != 1 {
		t.Fatalf("%d questions", len(asked))
	}
	if query := asked[0].Header.Get("Authorization"); strings.Contains(w.logged(), introspectSecret) || query != "" && strings.Contains(w.logged(), query) {
		t.Error("the log holds a secret")
	}
	return w, asked[0], code
}

func TestGatewayProvesItselfBySecret(t *testing.T) {
	for method, inBody := range map[string]bool{"": false, "auth_method basic": false, "auth_method post": true} {
		t.Run(method, func(t *testing.T) {
			_, seen, code := asking(t, "client_secret {env.INTROSPECT_SECRET}\n"+method)
			if code != 200 {
				t.Errorf("status %d", code)
			}
			r := http.Request{Header: seen.Header}
			id, secret, basic := r.BasicAuth()
			switch {
			case inBody && (basic || seen.Form.Get("client_id") != introspectClient || seen.Form.Get("client_secret") != introspectSecret):
				t.Errorf("the proof is %v, %v", seen.Form, seen.Header)
			case !inBody && (!basic || id != introspectClient || secret != url.QueryEscape(introspectSecret) || seen.Form.Has("client_secret")):
				t.Errorf("the proof is %v, %v", seen.Form, seen.Header)
			}
		})
	}
}

func TestGatewayProvesItselfByKey(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, edKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for alg, key := range map[jose.SignatureAlgorithm]crypto.Signer{jose.RS256: rsaKey, jose.ES384: ecKey, jose.EdDSA: edKey} {
		for _, form := range []string{"PEM", "JWK"} {
			t.Run(string(alg)+" as "+form, func(t *testing.T) {
				file := filepath.Join(t.TempDir(), "key")
				der, err := x509.MarshalPKCS8PrivateKey(key)
				if err != nil {
					t.Fatal(err)
				}
				text := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
				if form == "JWK" {
					if text, err = json.Marshal(jose.JSONWebKey{Key: key, KeyID: "of the JWK"}); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.WriteFile(file, text, 0o600); err != nil {
					t.Fatal(err)
				}
				w, seen, code := asking(t, "private_key "+file+"\nkey_id gw-1")
				if code != 200 {
					t.Errorf("status %d", code)
				}
				if seen.Header.Get("Authorization") != "" || seen.Form.Has("client_secret") || seen.Form.Get("client_id") != introspectClient ||
					seen.Form.Get("client_assertion_type") != "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" {
					t.Errorf("the proof is %v, %v", seen.Form, seen.Header)
				}
				signed, err := jose.ParseSignedCompact(seen.Form.Get("client_assertion"), []jose.SignatureAlgorithm{alg})
				if err != nil {
					t.Fatal(err)
				}
				payload, err := signed.Verify(key.Public())
				if err != nil {
					t.Fatalf("the assertion's signature: %v", err)
				}
				if kid := signed.Signatures[0].Header.KeyID; kid != "gw-1" {
					t.Errorf("its kid is %q", kid)
				}
				var claims struct {
					Issuer   string `json:"iss"`
					Subject  string `json:"sub"`
					Audience string `json:"aud"`
					ID       string `json:"jti"`
					Issued   int64  `json:"iat"`
					Expiry   int64  `json:"exp"`
				}
				if err := json.Unmarshal(payload, &claims); err != nil {
					t.Fatal(err)
				}
				now := time.Now().Unix()
				if claims.Issuer != introspectClient || claims.Subject != introspectClient || claims.Audience != w.issuer.Issuer() || len(claims.ID) < 16 ||
					claims.Issued > now || claims.Expiry <= now || claims.Expiry > claims.Issued+300 {
					t.Errorf("it says %s", payload)
				}
				// Each is good for one question.
				wantStatus(t, w.get("/", "another-opaque-token"), 200)
				asked := w.issuer.Requests(enrichtest.Introspection)
				if len(asked) != 2 || claimOf(t, asked[0].Form.Get("client_assertion"), "jti") == claimOf(t, asked[1].Form.Get("client_assertion"), "jti") {
					t.Error("two questions were asked with one assertion")
				}
				// And none is an access token.
				w.legacy.Forget()
				w.issuer.OnIntrospect(nil)
				w.wantInvalidToken(t, w.get("/", asked[0].Form.Get("client_assertion")))
			})
		}
	}
}

// With signed, what is not signed is no answer, however good it looks.
func TestUnsignedAnswersAreNoneWhereSignedOnesAreAskedFor(t *testing.T) {
	w, seen, code := asking(t, "client_secret {env.INTROSPECT_SECRET}\nsigned")
	if code != 503 {
		t.Errorf("status %d, want 503", code)
	}
	w.nothingReceived()
	if accept := seen.Header.Get("Accept"); accept != "application/token-introspection+jwt" {
		t.Errorf("it asks for %q", accept)
	}
	w.issuer.Break(enrichtest.Introspection, saysAs(200, "application/token-introspection+jwt", w.issuer.Mint(enrichtest.Claims{
		"sub": nil, "client_id": nil, "exp": nil, "jti": nil, "aud": introspectClient,
		"token_introspection": enrichtest.Claims{"active": true, "sub": "ada", "aud": audience},
	}, enrichtest.WithType("token-introspection+jwt"))))
	wantStatus(t, w.get("/", "an-opaque-token"), 200)
}
