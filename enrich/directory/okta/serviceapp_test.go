package okta

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/fetch"
)

func TestServiceAppKeepsItsToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrganization(t, directorytest.NewWorld())
		o.http.Close()
		c := Config{ClientID: "0oaservice", PrivateKey: o.serviceApp(t, "RSA")}
		d := open(t, o, c, Options{Transport: direct{o}})
		ask := func() {
			t.Helper()
			if _, err := d.Person(t.Context(), directorytest.Query(directorytest.Ada)); err != nil {
				t.Fatal(err)
			}
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(ask)
		}
		wg.Wait()
		if o.issued != 1 {
			t.Errorf("%d tokens for fifty callers", o.issued)
		}
		time.Sleep(49 * time.Minute)
		ask()
		if o.issued != 1 {
			t.Error("renewed too early")
		}
		time.Sleep(2 * time.Minute) // past five sixths of the hour
		for range 50 {
			wg.Go(ask)
		}
		wg.Wait()
		if o.issued != 2 {
			t.Errorf("%d tokens, want one early renewal", o.issued)
		}
		// Early renewal that fails harms nobody while the token is good.
		time.Sleep(51 * time.Minute)
		o.override = func(w http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path != "/oauth2/v1/token" {
				return false
			}
			w.WriteHeader(http.StatusInternalServerError)
			return true
		}
		ask()
		time.Sleep(10 * time.Minute)
		if _, err := d.Person(t.Context(), directorytest.Query(directorytest.Ada)); !errors.Is(err, directory.ErrUnavailable) {
			t.Errorf("without a token: %v", err)
		}
		o.override = nil
		time.Sleep(failurePause)
		ask()
		// A token that was revoked is replaced at once.
		issued := o.issued
		clear(o.tokens)
		ask()
		if o.issued != issued+1 {
			t.Errorf("%d tokens after a revocation", o.issued-issued)
		}
	})
}

func TestServiceAppThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrganization(t, directorytest.NewWorld())
		o.http.Close()
		key := o.serviceApp(t, "EC")
		for name, change := range map[string]func(c *Config){
			"another client":  func(c *Config) { c.ClientID = "0oaother" },
			"an unknown key":  func(c *Config) { c.KeyID = "key-2" },
			"a key of others": func(c *Config) { c.PrivateKey = (&organization{}).serviceApp(t, "EC") },
		} {
			c := Config{ClientID: "0oaservice", PrivateKey: key}
			change(&c)
			d := open(t, o, c, Options{Transport: direct{o}})
			before := o.asked("POST")
			for range 20 {
				_, err := d.Person(t.Context(), directorytest.Query(directorytest.Ada))
				if !errors.Is(err, directory.ErrRefused) {
					t.Errorf("%s: got %v", name, err)
				}
				if strings.Contains(err.Error(), "eyJ") {
					t.Errorf("%s: the error holds the assertion", name)
				}
			}
			if n := o.asked("POST") - before; n > 2 {
				t.Errorf("%s: signed in %d times", name, n)
			}
		}
	})
}

func TestPrivateKeyForms(t *testing.T) {
	o := newOrganization(t, directorytest.NewWorld())
	var k jose.JSONWebKey
	if err := json.Unmarshal([]byte(o.serviceApp(t, "RSA")), &k); err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k.Key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	d := open(t, o, Config{ClientID: "0oaservice", KeyID: "key-1", PrivateKey: "\n" + text}, Options{})
	if _, err := d.Person(t.Context(), directorytest.Query(directorytest.Ada)); err != nil {
		t.Error(err)
	}
	public, err := json.Marshal(o.app)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"a public key": string(public), "half a key": text[:len(text)/2], "a symmetric key": `{"kty":"oct","k":"c2VjcmV0LXdvcmRz"}`,
		"another block": strings.ReplaceAll(text, "PRIVATE KEY", "CERTIFICATE"),
	} {
		_, err := New(Config{URL: o.http.URL, ClientID: "0oaservice", PrivateKey: bad}, Options{})
		if err == nil || strings.Contains(err.Error(), "c2Vj") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A crowd whose token was revoked signs in once: a refusal of the old token
// says nothing of the one that came after it.
func TestALateRefusalDoesNotCostTheNextToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrganization(t, directorytest.NewWorld())
		o.http.Close()
		c, err := Config{URL: o.http.URL, ClientID: "0oaservice", PrivateKey: o.serviceApp(t, "EC")}.validate()
		if err != nil {
			t.Fatal(err)
		}
		s, err := newServiceApp(c, fetch.Options{Base: c.URL, Transport: direct{o}, Clock: time.Now})
		if err != nil {
			t.Fatal(err)
		}
		use := func() *accessToken {
			t.Helper()
			token, err := s.token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		first := use()
		var second *accessToken
		for range 50 { // each was under way with the first one
			if !s.unauthorized(t.Context(), http.Header{"Authorization": {"Bearer " + first.text}}, nil) {
				t.Error("it is not asked again")
			}
			second = use()
		}
		if second == first || o.issued != 2 {
			t.Errorf("%d tokens, want the second alone", o.issued)
		}
		s.unauthorized(t.Context(), http.Header{"Authorization": {"Bearer " + second.text}}, nil)
		if third := use(); third == second {
			t.Error("a token that was refused is kept")
		}
	})
}
