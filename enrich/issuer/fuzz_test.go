package issuer

import (
	"encoding/json"
	"errors"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"
)

// FuzzVerify holds the gate against go-jose: a token that go-jose refuses
// with the same keys is never accepted.
func FuzzVerify(f *testing.F) {
	s := newStage(f)
	for _, alg := range publicAlgorithms {
		f.Add(sign(f, alg, alg, signerKey(alg), nil, goodClaims()))
	}
	f.Add(sign(f, "RS256", "", rsaKey(), map[string]any{"typ": "at+jwt", "x": 1}, goodClaims("groups", []string{"é"})))
	f.Add(signRaw(f, `{"alg":"RS256","kid":"RS256","b64":true}`, `{"iss":"x"}`))
	f.Add("..")
	f.Add("e30.e30.e30")
	var set gojose.JSONWebKeySet
	if err := json.Unmarshal([]byte(allKeys()), &set); err != nil {
		f.Fatal(err)
	}
	var algs []gojose.SignatureAlgorithm
	for _, alg := range publicAlgorithms {
		algs = append(algs, gojose.SignatureAlgorithm(alg))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		v, err := s.verify(raw)
		if (v == nil) == (err == nil) {
			t.Fatalf("got %v, %v", v, err)
		}
		if err != nil {
			if !errors.Is(err, ErrInvalidToken) {
				t.Fatalf("refused as %v", err)
			}
			return
		}
		parsed, err := gojose.ParseSignedCompact(raw, algs)
		if err != nil {
			t.Fatalf("go-jose cannot parse what was accepted: %v", err)
		}
		for _, k := range set.Keys {
			if _, err := parsed.Verify(k.Key); err == nil {
				return
			}
		}
		t.Fatal("go-jose verifies what was accepted with no key")
	})
}
