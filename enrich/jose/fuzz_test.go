package jose

import (
	"errors"
	"reflect"
	"testing"

	gojose "github.com/go-jose/go-jose/v4"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
)

// FuzzKeySet holds that a key set never panics and that every key taken is
// one that go-jose reads as well.
func FuzzKeySet(f *testing.F) {
	f.Add([]byte(allKeys()))
	for _, decoy := range decoys() {
		f.Add([]byte(`{"keys":[` + decoy + `]}`))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		for _, symmetric := range []bool{false, true} {
			s, err := ParseKeySet(text, symmetric)
			if err != nil {
				continue
			}
			if len(s.keys) == 0 || len(s.keys) > maxKeys {
				t.Fatalf("%d keys", len(s.keys))
			}
			for _, k := range s.keys {
				j := gojose.JSONWebKey{Key: k.public}
				if !j.Valid() && !k.Symmetric() || k.Symmetric() != symmetric {
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
		got, err := DecodeObject(text)
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
