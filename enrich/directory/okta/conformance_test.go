package okta

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"slices"
	"testing"

	jose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// harness is an organization, asked with a token or as a service app.
type harness struct {
	match   string
	service bool
}

func (h harness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	if f == directorytest.Ambiguous {
		twin := w.Users[0]
		twin.ID = "00u9twin"
		w.Users = append(slices.Clone(w.Users), twin)
	}
	o := newOrganization(t, w)
	o.fault = f
	c := Config{URL: o.http.URL, Token: apiToken, Match: []string{h.match}}
	if h.service {
		c.Token = ""
		c.ClientID, c.KeyID = "0oaservice", "key-1"
		c.PrivateKey = o.serviceApp(t, "EC")
	}
	d, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	if f == directorytest.Down {
		o.http.Close()
	}
	return d
}

// serviceApp registers the public key of an API service app and gives the
// private one as a JSON Web Key.
func (o *organization) serviceApp(t *testing.T, kind string) string {
	t.Helper()
	var private any
	var public any
	if kind == "RSA" {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			t.Fatal(err)
		}
		private, public = k, k.Public()
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		private, public = k, k.Public()
	}
	o.app = &jose.JSONWebKey{Key: public, KeyID: "key-1"}
	text, err := json.Marshal(jose.JSONWebKey{Key: private, KeyID: "key-1"})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func (h harness) Query(u identity.User) directory.Query {
	switch h.match {
	case "login":
		return directorytest.Query(u.Login)
	case "email":
		email, _ := u.Profile["email"].(string)
		return directorytest.Query(email)
	}
	return directorytest.Query(u.ID)
}

func (h harness) Lacks() map[directorytest.Capability]string {
	if h.match == "email" {
		return nil
	}
	return map[directorytest.Capability]string{
		directorytest.CanAmbiguous: "an id or login names one user in Okta",
	}
}

func (harness) Secret() string { return apiToken }

// CanBeIncomplete implements directorytest.PartialHarness.
func (harness) CanBeIncomplete() bool { return true }

func TestConformance(t *testing.T) {
	for name, h := range map[string]harness{
		"by id":                   {match: "id"},
		"by login":                {match: "login"},
		"by email":                {match: "email"},
		"by id, as a service app": {match: "id", service: true},
	} {
		t.Run(name, func(t *testing.T) { directorytest.Run(t, h) })
	}
}
