package issuer

import (
	"context"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// verifyJWT verifies a token whose unverified iss is this issuer's: algorithm, key
// and signature first, then what it says. It returns the version of the key set that
// verified it.
func (i *Issuer) verifyJWT(ctx context.Context, t *jose.JWS, claims map[string]any) (*identity.Principal, uint64, error) {
	if claims["iss"] != i.identifier {
		return nil, 0, ErrUnknownIssuer
	}
	if !i.signatures.allows(t) {
		return nil, 0, ErrAlgorithm
	}
	version, err := i.signatures.verify(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	p, err := i.rules.check(t.Header.Type, claims, i.clock())
	if err != nil {
		return nil, 0, err
	}
	return p, version, nil
}
