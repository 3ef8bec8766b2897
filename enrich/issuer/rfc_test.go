package issuer

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// rfcRefused are examples that are good JOSE and that no gateway takes.
var rfcRefused = []struct {
	name, token string
	want        error
}{
	{"RFC 7515, appendix A.5: unsecured", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.", errMalformed},
	{"RFC 7515, appendix A.1: a shared secret where public keys are", "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", errAlgorithm},
	{"RFC 7797, section 4.2: an unencoded payload", "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19.$.02.A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY", errMalformed},
	{"RFC 7797, section 4.2: a detached payload", "eyJhbGciOiJIUzI1NiIsImI2NCI6ZmFsc2UsImNyaXQiOlsiYjY0Il19..A5dxf2s96_n5FLueVuW1Z_vh161FwXZC4YLPff6dmDY", errMalformed},
	{"RFC 7520, section 4.5: a detached payload", "eyJhbGciOiJIUzI1NiIsImtpZCI6IjAxOGMwYWU1LTRkOWItNDcxYi1iZmQ2LWVlZjMxNGJjNzAzNyJ9..s0h6KThzkfBBBkLspW1h84VsJZFTsPPqMDA7g1Md7p0", errMalformed},
}

func TestExamplesOfTheRFCsThatNoGatewayTakesAreRefused(t *testing.T) {
	s := newStage(t)
	for _, tc := range rfcRefused {
		t.Run(tc.name, func(t *testing.T) {
			_, err := s.verify(tc.token)
			if !errors.Is(err, ErrInvalidToken) {
				t.Errorf("verify: %v, want a refusal", err)
			}
			j, err := jose.Parse(tc.token, jose.MaxTokenBytes, nil)
			if err != nil {
				return // refused by its form alone
			}
			set, err := jose.ParseKeySet([]byte(keySetText(jwk(signerKey("RS256"), "k", "RS256"))), false)
			if err != nil {
				t.Fatal(err)
			}
			if set.Verify(&j) == nil {
				t.Error("it verifies")
			}
		})
	}
}

// The proof for a protected resource in RFC 9449, section 7.1, made at
// 2019-07-04 17:50:18 UTC.
const (
	rfc9449Token      = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"
	rfc9449Thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	rfc9449Proof      = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIjoiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0ZWRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNFc05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71EOptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA"
)

func TestTheProofOfRFC9449HoldsForItsRequestAndNoOther(t *testing.T) {
	made := time.Unix(1562262618, 0)
	good := Caller{
		Token: rfc9449Token, AuthScheme: "DPoP", Method: "GET", URLScheme: "https", Host: "resource.example.org", Path: "/protectedresource",
		Proofs: []string{rfc9449Proof},
	}
	for _, tc := range []struct {
		name   string
		change func(*Caller)
		jkt    string
		at     time.Time
		want   error
	}{
		{"as it stands", func(*Caller) {}, rfc9449Thumbprint, made.Add(time.Second), nil},
		{"another method", func(c *Caller) { c.Method = "POST" }, rfc9449Thumbprint, made, errProof},
		{"another path", func(c *Caller) { c.Path = "/other" }, rfc9449Thumbprint, made, errProof},
		{"another host", func(c *Caller) { c.Host = "evil.example.org" }, rfc9449Thumbprint, made, errProof},
		{"another token", func(c *Caller) { c.Token += "x" }, rfc9449Thumbprint, made, errProof},
		{"a token bound to another key", func(*Caller) {}, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4X", made, errSender},
		{"two proofs", func(c *Caller) { c.Proofs = append(c.Proofs, rfc9449Proof) }, rfc9449Thumbprint, made, errProof},
		{"a day later", func(*Caller) {}, rfc9449Thumbprint, made.Add(24 * time.Hour), errProof},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := newStage(t, func(c *Config, o *Options) {
				c.DPoP = "require"
				o.Clock = func() time.Time { return tc.at }
			})
			caller := good
			caller.Proofs = append([]string(nil), good.Proofs...)
			tc.change(&caller)
			p := &identity.Principal{Confirmation: identity.Confirmation{KeyThumbprint: tc.jkt}}
			err := s.issuer.CheckSender(context.Background(), p, &caller)
			if tc.want == nil && err != nil || tc.want != nil && !errors.Is(err, ErrInvalidToken) {
				t.Errorf("CheckSender: %v, want %v", err, tc.want)
			}
		})
	}
}
