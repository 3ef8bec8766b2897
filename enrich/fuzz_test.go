package enrich

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/claim"
	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
	"github.com/tokenenrich/caddy-token-enrich/enrich/token"
)

// tokens are what a request of the fuzzer is made from: good ones in each
// algorithm, and those that look like it.
func tokens(r *rig) []string {
	es, rs, ed := r.provider.Key(), r.provider.KeyFor("RS256"), r.provider.KeyFor("EdDSA")
	good := r.token()
	public, err := json.Marshal(rs.JWK())
	if err != nil {
		r.t.Fatal(err)
	}
	with := func(claims enrichtest.Claims, o ...enrichtest.MintOption) string {
		return r.provider.Mint(claims, o...)
	}
	return []string{
		good,
		with(nil, enrichtest.WithKey(rs)), with(nil, enrichtest.WithKey(ed)), with(nil, enrichtest.WithHeader("kid", nil)),
		enrichtest.FlipSignature(good),
		with(nil, enrichtest.Unsigned("none")), with(nil, enrichtest.Unsigned("nOnE")), with(nil, enrichtest.Unsigned("ES256")),
		with(nil, enrichtest.WithSecret("HS256", public)),
		with(nil, enrichtest.WithKey(r.provider.UnpublishedKey("ES256"))),
		with(nil, enrichtest.WithKey(rs), enrichtest.WithAlgorithm("PS256")),
		with(nil, enrichtest.WithHeader("jwk", es.JWK()), enrichtest.WithHeader("crit", []string{"exp"})),
		with(enrichtest.Claims{"exp": 1}), with(enrichtest.Claims{"aud": "api://other"}), with(enrichtest.Claims{"iss": "https://evil.example.net"}),
		with(nil, enrichtest.WithRawPayload(`{"iss":"a","iss":"b"}`)), with(nil, enrichtest.WithType("logout+jwt")),
		"opaque", "", ".", "..", "a.b.c.d.e",
	}
}

// spliced edits a text: each three bytes of edits put one byte at a place, or
// take one away.
func spliced(text string, edits []byte) string {
	b := []byte(text)
	for ; len(edits) >= 3 && len(b) > 0; edits = edits[3:] {
		at := (int(edits[0])<<8 | int(edits[1])) % len(b)
		if edits[2] == 0 {
			b = append(b[:at], b[at+1:]...)
		} else {
			b[at] = edits[2]
		}
	}
	return string(b)
}

// judge is what go-jose says of a token under the same keys, and what its
// claims must say besides.
func (r *rig) judge(set jose.JSONWebKeySet, text string) error {
	s, err := jose.ParseSignedCompact(text, []jose.SignatureAlgorithm{
		jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
	})
	if err != nil {
		return err
	}
	var payload []byte
	for _, k := range set.Keys {
		if k.Algorithm != s.Signatures[0].Header.Algorithm {
			continue
		}
		if payload, err = s.Verify(k); err == nil {
			break
		}
	}
	if payload == nil {
		return errors.Join(errors.New("no key verifies it"), err)
	}
	var claims struct {
		Issuer string `json:"iss"`
		Expiry int64  `json:"exp"`
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return err
	}
	if claims.Issuer != r.provider.Issuer() || claims.Expiry <= r.Clock().Unix() || !strings.Contains(string(payload), `"api://legacy"`) {
		return errors.New("its claims are not for us")
	}
	return nil
}

// FuzzRequestToDecision takes any request through the stages: no panic, a
// refusal that says nothing, and no token let through that go-jose refuses
// under the same keys.
func FuzzRequestToDecision(f *testing.F) {
	r := newRig(f, options{nobody: true, provider: []enrichtest.ProviderOption{enrichtest.WithAlgorithms("RS256", "EdDSA")}})
	list := tokens(r)
	var set jose.JSONWebKeySet
	for _, alg := range []string{"ES256", "RS256", "EdDSA"} {
		k := r.provider.KeyFor(alg)
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: k.Public(), KeyID: k.ID, Algorithm: alg})
	}
	policies := []*Policy{
		compiled(f, PolicyDefinition{TokenFrom: placesOfAll(), Claims: []claim.Definition{{Name: "groups", Expression: "token.groups", OnError: claim.OnErrorOmit}}}),
		compiled(f, PolicyDefinition{TokenFrom: placesOfAll(), DPoP: true, Anonymous: true, KeepToken: true, Require: []string{`request.path != "/x"`}}),
		compiled(f, PolicyDefinition{RequireScope: []string{"pay"}, RequireACR: []string{"mfa"}}),
	}
	for i := range list {
		f.Add(uint8(i), []byte(nil), uint8(0), "Bearer ", "", "")             //nolint:gosec // a few
		f.Add(uint8(i), []byte(nil), uint8(1), "", "a=b; session=", "")       //nolint:gosec // a few
		f.Add(uint8(i), []byte{1, 2, 'A'}, uint8(2), "", "", "access_token=") //nolint:gosec // a few
	}
	f.Add(uint8(0), []byte{0, 1, 0, 0, 9, '.'}, uint8(0), "bearer\t", "session=x; session=y", "access_token=a&access_token=b")
	f.Add(uint8(0), []byte{2, 0, '='}, uint8(12), "DPoP ", "session=\"", "%61ccess_token=")
	f.Fuzz(func(t *testing.T, which uint8, edits []byte, shape uint8, authorization, cookie, query string) {
		text := spliced(list[int(which)%len(list)], edits)
		req := bearer("")
		switch shape % 3 {
		case 0:
			authorization += text
		case 1:
			cookie += text
		case 2:
			query += text
		}
		if authorization != "" {
			req.Header["Authorization"] = []string{authorization}
		}
		if cookie != "" {
			req.Header["Cookie"] = []string{cookie}
		}
		req.URL.RawQuery = query
		if shape&4 != 0 {
			req.Method = http.MethodPost
			req.Header.Set("Sec-Fetch-Site", "cross-site")
		}
		p := policies[int(shape>>3)%len(policies)]
		found, findErr := token.Find(req, nil, p.places, 0)
		for range 2 { // decided, and perhaps from the cache
			again := req.Clone(req.Context())
			d, err := r.Enrich(again, p, RequestInfo{URL: &url.URL{Path: "/slips"}})
			if err != nil {
				var refusal *Refusal
				if !errors.As(err, &refusal) || refusal.Kind == KindInternal {
					t.Fatalf("ended in %v: %v", err, errors.Unwrap(err))
				}
				if len(found.Token) > 20 {
					mustNotHold(t, "the cause", refusal.Cause.Error(), found.Token)
				}
				continue
			}
			if d.Principal == nil {
				if findErr == nil {
					t.Fatal("anonymous with a token")
				}
				continue
			}
			if findErr != nil {
				t.Fatalf("let through without a token: %v", findErr)
			}
			if err := r.judge(set, found.Token); err != nil {
				t.Fatalf("let through, and go-jose says: %v", err)
			}
		}
	})
}
