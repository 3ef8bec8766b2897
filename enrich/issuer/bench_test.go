package issuer

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// benchClaims are claims of a usual size, with 20 groups.
func benchClaims() map[string]any {
	var groups []string
	for n := range 20 {
		groups = append(groups, fmt.Sprintf("Engineering team %02d (EMEA)", n))
	}
	return goodClaims("groups", groups, "exp", time.Now().Add(time.Hour).Unix(), "iat", time.Now().Unix(),
		"ver", 1, "uid", "00u1ada", "auth_time", time.Now().Unix(), "email", "ada@example.com", "name", "Ada Lovelace")
}

// BenchmarkVerify measures a token nobody has seen, with the keys in memory.
// Beside it stands the bare signature check, so that what the checks cost
// can be told from what the machine costs.
func BenchmarkVerify(b *testing.B) {
	for _, alg := range []string{"RS256", "PS256", "ES256", "EdDSA"} {
		s := newStage(b, func(_ *Config, o *Options) { o.Clock = time.Now })
		raw := sign(b, alg, alg, signerKey(alg), map[string]any{"typ": "at+jwt"}, benchClaims())
		ctx := context.Background()
		if _, err := s.Verify(ctx, raw, nil, nil); err != nil {
			b.Fatal(err)
		}
		t := must(jose.Parse(raw, jose.MaxTokenBytes, nil))
		set := s.issuer.keys.state.Load().set
		b.Run(alg+"/bare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := set.Verify(&t); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg+"/all", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Verify(ctx, raw, nil, nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCurrent measures what a decision-cache hit asks of an issuer.
func BenchmarkCurrent(b *testing.B) {
	s := newStage(b)
	v, err := s.verify(s.token(goodClaims()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !v.Issuer.Current(v.KeySet, testNow) {
			b.Fatal("not current")
		}
	}
}
