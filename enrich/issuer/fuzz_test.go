package issuer

import (
	"encoding/json"
	"errors"
	"reflect"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
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
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(allKeys()), &set); err != nil {
		f.Fatal(err)
	}
	var algs []jose.SignatureAlgorithm
	for _, alg := range publicAlgorithms {
		algs = append(algs, jose.SignatureAlgorithm(alg))
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
		parsed, err := jose.ParseSignedCompact(raw, algs)
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

// FuzzKeySet holds that a key set never panics and that every key taken is
// one that go-jose reads as well.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(allKeys()))
	for _, decoy := range decoys() {
		f.Add([]byte(`{"keys":[` + decoy + `]}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, symmetric := range []bool{false, true} {
			s, err := parseKeySet(text, symmetric)
			if err != nil {
				continue
			}
			if len(s.keys) == 0 || len(s.keys) > maxKeys {
				t.Fatalf("%d keys", len(s.keys))
			}
			for _, k := range s.keys {
				j := jose.JSONWebKey{Key: k.public}
				if !j.Valid() && !k.symmetric() || k.symmetric() != symmetric {
					t.Fatalf("an invalid key of %T was taken", k.public)
				}
			}
		}
	})
}

// FuzzStrictJSON holds the reader against the standard library's: what it
// takes, the library reads as the same canonical value.
func FuzzStrictJSON(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"a":1}`, ` {"a" : [ 1 , 2.50 , -0, 1e3 , true,false,null ] , "b":{"c":"\u00e9\n\"\\"}} `,
		`{"a":[[],[[]],{}],"b":12345678901234567890}`, `{"a":1,"a":2}`, "{\"\xff\":1}", `{"a":"]"}`, `[1]`, `{"a":[",",","]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		got, err := decodeObject(text)
		want, wantErr := identity.DecodeJSON(text)
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("got %v", err)
			}
			return
		}
		if wantErr != nil {
			t.Fatalf("taken, though %v", wantErr)
		}
		if !reflect.DeepEqual(any(got), want) {
			t.Fatalf("got %#v, want %#v", got, want)
		}
	})
}
