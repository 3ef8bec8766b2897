package jose

import (
	"encoding/json"
	"slices"
	"testing"

	"github.com/tokenenrich/caddy-token-enrich/enrich/enrichtest"
)

// wycheproofFile is what the tests read of a file of vectors.
type wycheproofFile struct {
	TestGroups []struct {
		Type    string          `json:"type"`
		Comment string          `json:"comment"`
		Public  json.RawMessage `json:"public"`
		Private json.RawMessage `json:"private"`
		Tests   []struct {
			ID      int             `json:"tcId"`
			Comment string          `json:"comment"`
			JWS     json.RawMessage `json:"jws"`
			Result  string          `json:"result"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// TestWycheproof runs the vectors for signatures and keys through the gate,
// the key set and the signature check. No invalid one may be accepted. The
// valid ones that are refused are listed: they break a rule that this
// gateway keeps. Two of the invalid ones are listed as well: their text is,
// byte for byte, that of a valid one under the same key, so that no verifier
// can tell them apart (the padding that their comments speak of is not there;
// TestVerifyRefuses has it).
func TestWycheproof(t *testing.T) {
	for _, c := range []struct {
		file           string
		valid, invalid int
		refused, twins []int
	}{
		{
			file: "json_web_signature_test.json", valid: 46, invalid: 355,
			refused: []int{
				346, 350, // the key says PS256, the token PS384: one key, one algorithm
				347, 351, // the key's alg is ES521, which does not exist
				372, 373, // a stray character in the base64
			},
			twins: []int{367, 370}, // the same text as 357
		},
		{file: "json_web_key_test.json", valid: 5, invalid: 21},
		{file: "json_web_crypto_test.json", valid: 4, invalid: 45},
	} {
		t.Run(c.file, func(t *testing.T) {
			var refused, twins []int
			valid, invalid := 0, 0
			var vectors wycheproofFile
			enrichtest.Wycheproof(t, c.file, &vectors)
			for _, g := range vectors.TestGroups {
				set, secret := wycheproofKeys(g.Public, g.Private)
				validText := make(map[string]bool)
				for _, v := range g.Tests {
					if v.JWS == nil {
						continue // an encrypted one
					}
					var raw string
					if json.Unmarshal(v.JWS, &raw) != nil {
						raw = string(v.JWS) // the JSON serialization
					}
					accepted := wycheproofAccepts(set, secret, raw)
					switch v.Result {
					case "valid":
						valid++
						validText[raw] = true
						if !accepted {
							refused = append(refused, v.ID)
						}
					case "invalid":
						invalid++
						if accepted && validText[raw] {
							twins = append(twins, v.ID)
						} else if accepted {
							t.Errorf("%d (%s, %s) is accepted", v.ID, g.Comment, v.Comment)
						}
					default:
						t.Errorf("%d has the result %q", v.ID, v.Result)
					}
				}
			}
			slices.Sort(c.refused)
			if !slices.Equal(refused, c.refused) {
				t.Errorf("refused are %v, want %v", refused, c.refused)
			}
			if !slices.Equal(twins, c.twins) {
				t.Errorf("accepted as the text of a valid one are %v, want %v", twins, c.twins)
			}
			if valid != c.valid || invalid != c.invalid {
				t.Errorf("%d valid and %d invalid vectors, want %d and %d", valid, invalid, c.valid, c.invalid)
			}
		})
	}
}

// wycheproofKeys reads a group's keys: the public ones where there are any,
// else the private ones, which then are secrets.
func wycheproofKeys(public, private json.RawMessage) (set *KeySet, secret bool) {
	text := public
	if text == nil {
		text, secret = private, true
	}
	var outer struct{ Keys json.RawMessage }
	if json.Unmarshal(text, &outer); outer.Keys == nil {
		text = json.RawMessage(`{"keys":[` + string(text) + `]}`)
	}
	set, err := ParseKeySet(text, secret)
	if err != nil {
		return nil, secret
	}
	return set, secret
}

func wycheproofAccepts(set *KeySet, secret bool, raw string) bool {
	t, err := Parse(raw, MaxTokenBytes, nil)
	if err != nil || set == nil || t.Header.Algorithm == nil {
		return false
	}
	// What an issuer's list of algorithms does: secrets or public keys.
	if t.Header.Algorithm.Symmetric() != secret {
		return false
	}
	return set.Verify(&t) == nil
}
