package issuer

import (
	"context"
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/identity"
	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// verifyJWT judges a token whose unverified iss is this issuer's: algorithm,
// key, signature, and then what it says. It gives the version of the key set
// that verified it.
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
	p, err := i.rules.judge(t.Header.Type, claims, i.clock())
	if err != nil {
		return nil, 0, err
	}
	return p, version, nil
}

// verifyStatement verifies a JWT of this issuer that is no access or ID token:
// form, iss, algorithm, type and signature. Its typ is the given one, or JWT,
// or missing, because OpenID Connect asks for none. What else it must say is for
// who asked to judge.
func (i *Issuer) verifyStatement(ctx context.Context, raw string, limit int, typ string) (map[string]any, error) {
	t, err := jose.Parse(raw, limit, nil)
	if err != nil {
		return nil, err
	}
	claims, err := jose.DecodeObject(t.Payload)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	switch {
	case claims["iss"] != i.identifier:
		return nil, ErrUnknownIssuer
	case !i.signatures.allows(&t):
		return nil, ErrAlgorithm
	case t.Header.Type != typ && t.Header.Type != "jwt" && t.Header.Type != "":
		return nil, ErrType
	}
	if _, err := i.signatures.verify(ctx, &t); err != nil {
		return nil, err
	}
	return claims, nil
}
