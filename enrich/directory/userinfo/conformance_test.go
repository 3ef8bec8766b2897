package userinfo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/directory"
	"github.com/tokenenrich/caddy-token-enrich/enrich/directory/directorytest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// tokenOf is the token under which the endpoint knows a user.
func tokenOf(id string) string { return "token-only-for-tests-of-" + id }

const client = "payroll"

type object = map[string]any

// signer signs what an endpoint answers, and verifies it.
type signer struct{ key *ecdsa.PrivateKey }

func newSigner(t testing.TB) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return &signer{key}
}

func (s *signer) sign(claims object) (string, error) {
	jws, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, nil)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	signed, err := jws.Sign(text)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

func (s *signer) verify(_ context.Context, raw string) (map[string]any, error) {
	signed, err := jose.ParseSignedCompact(raw, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil {
		return nil, err
	}
	text, err := signed.Verify(s.key.Public())
	if err != nil {
		return nil, err
	}
	v, err := identity.DecodeJSON(text)
	if err != nil {
		return nil, err
	}
	claims, ok := v.(map[string]any)
	if !ok {
		return nil, errors.New("no object")
	}
	return claims, nil
}

// endpoint is a userinfo endpoint over a world.
type endpoint struct {
	world  directorytest.World
	fault  directorytest.Fault
	ended  chan struct{}
	issuer string
	signer *signer // nil: answers in JSON
}

func (e *endpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch e.fault {
	case directorytest.Healthy, directorytest.Ambiguous, directorytest.Down, directorytest.Refusing, directorytest.Foreign, directorytest.Incomplete:
	case directorytest.Slow:
		select {
		case <-r.Context().Done():
		case <-e.ended:
		}
		return
	case directorytest.Broken:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `"ada"`)
		return
	case directorytest.Cut:
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "4096")
		_, _ = io.WriteString(w, `{"sub":"00u1a`)
		return
	case directorytest.Huge:
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"sub":"00u1ada","filler":"`)
		filler := strings.Repeat("x", 64<<10)
		for range directory.MaxResponse/len(filler) + 1 {
			_, _ = io.WriteString(w, filler)
		}
		_, _ = io.WriteString(w, `"}`)
		return
	}
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	var user *directorytest.User
	for i := range e.world.Users {
		if tokenOf(e.world.Users[i].ID) == token && r.URL.Path == "/me" && r.URL.RawQuery == "v=2" {
			user = &e.world.Users[i]
		}
	}
	if user == nil || e.fault == directorytest.Refusing {
		w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
		http.Error(w, "invalid_token", http.StatusUnauthorized)
		return
	}
	if e.fault == directorytest.Foreign {
		user = &e.world.Users[len(e.world.Users)-1]
	}
	answer := object{"sub": user.ID, "preferred_username": user.Login}
	maps.Copy(answer, user.Profile)
	names := e.world.GroupNames(*user)
	groups := make([]any, len(names))
	for i, id := range user.Groups {
		groups[i] = names[i]
		if e.signer != nil {
			groups[i] = object{"id": id, "name": names[i]}
		}
	}
	answer["groups"] = groups
	if e.fault == directorytest.Incomplete {
		answer["groups"] = groups[:1]
		answer["_claim_names"] = object{"groups": "src1"}
	}
	if e.signer == nil {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(answer)
		return
	}
	answer["iss"], answer["aud"] = e.issuer, []string{"other", client}
	signed, err := e.signer.sign(answer)
	if err != nil {
		http.Error(w, "", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = io.WriteString(w, signed)
}

// issuer is on this machine, as the endpoint is.
const issuer = "http://localhost:1/issuer"

type harness struct{ signed bool }

func (h harness) Open(t *testing.T, w directorytest.World, f directorytest.Fault) directory.Directory {
	e := &endpoint{world: w, fault: f, ended: make(chan struct{}), issuer: issuer}
	c := Config{Issuer: "corp", Identifier: issuer}
	if h.signed {
		e.signer = newSigner(t)
		c.Verify = e.signer.verify
	}
	server := httptest.NewServer(e)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(e.ended) })
	c.Endpoint = func(context.Context) (string, error) { return server.URL + "/me?v=2", nil }
	if f == directorytest.Down {
		server.Close()
	}
	d, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// queryFor asks for a user with the token of that user. The subject is the
// e-mail address: what the answer is held to is the token's sub.
func queryFor(id, subject string) directory.Query {
	return directory.Query{
		Principal: &identity.Principal{
			Issuer: issuer, IssuerName: "corp", Subject: subject, Client: client,
			Claims: map[string]any{"sub": id}, Expiry: time.Unix(1_800_000_000, 0),
		},
		Token: tokenOf(id),
	}
}

func (harness) Query(u identity.User) directory.Query {
	email, _ := u.Profile["email"].(string)
	return queryFor(u.ID, email)
}

func (h harness) Lacks() map[directorytest.Capability]string {
	lacks := map[directorytest.Capability]string{
		directorytest.Apps:         "userinfo tells of users only",
		directorytest.AppUsers:     "userinfo tells of users only",
		directorytest.Status:       "userinfo has no word for an account's state",
		directorytest.Absence:      "who holds a token is known to the issuer",
		directorytest.CanAmbiguous: "a token has one holder",
	}
	if !h.signed {
		lacks[directorytest.GroupIDs] = "groups are names, as most issuers give them"
	}
	return lacks
}

func (harness) Secret() string { return "" }

// CanBeIncomplete implements directorytest.PartialHarness.
func (harness) CanBeIncomplete() bool { return true }

func TestConformance(t *testing.T) {
	t.Run("answers in JSON", func(t *testing.T) { directorytest.Run(t, harness{}) })
	t.Run("answers signed", func(t *testing.T) { directorytest.Run(t, harness{signed: true}) })
}
