package issuer

import (
	"context"
	"fmt"
)

// VerifyUserinfo verifies a userinfo answer that this issuer signed (OpenID
// Connect Core, section 5.3.2) and gives its claims. Signature, algorithm, type
// and iss are checked; whose answer it is, for which client and until when, is
// for who asked to judge. Errors are as those of Set.Verify.
func (i *Issuer) VerifyUserinfo(ctx context.Context, raw string) (map[string]any, error) {
	t, err := parseJWS(raw, maxBody, nil)
	if err != nil {
		return nil, err
	}
	claims, err := decodeObject(t.payload)
	if err != nil {
		return nil, fmt.Errorf("claims: %w", err)
	}
	switch {
	case claims["iss"] != i.identifier:
		return nil, ErrUnknownIssuer
	case !i.allowed[t.header.alg]:
		return nil, ErrAlgorithm
	case t.header.typ != "userinfo+jwt" && t.header.typ != "jwt" && t.header.typ != "":
		return nil, ErrType
	}
	if _, err := i.verifySignature(ctx, &t); err != nil {
		return nil, err
	}
	return claims, nil
}
