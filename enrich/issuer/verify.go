package issuer

import (
	"context"
	"fmt"

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
		return nil, 0, errAlgorithm
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

// VerifyUserinfo verifies a userinfo answer that this issuer signed (OpenID
// Connect Core, section 5.3.2) and returns its claims. It checks signature,
// algorithm, type and iss. The caller checks whose answer it is, for which
// client and until when. Errors are as those of Set.Verify.
func (i *Issuer) VerifyUserinfo(ctx context.Context, raw string) (map[string]any, error) {
	t, claims, err := i.parseStatement(raw, maxBody, "userinfo+jwt")
	if err != nil {
		return nil, err
	}
	if _, err := i.signatures.verify(ctx, &t); err != nil {
		return nil, err
	}
	return claims, nil
}

// parseStatement parses a JWT of at most limit bytes that is no access or ID
// token, and checks form, iss, algorithm and type, not yet the signature. Its
// typ is the given one, or JWT, or missing, because OpenID Connect asks for
// none.
func (i *Issuer) parseStatement(raw string, limit int, typ string) (t jose.JWS, claims map[string]any, err error) {
	t, claims, err = i.parse(raw, limit)
	if err == nil && t.Header.Type != typ && t.Header.Type != "jwt" && t.Header.Type != "" {
		err = errType
	}
	return t, claims, err
}

// parse parses a JWT of at most limit bytes, and checks form, iss and algorithm.
func (i *Issuer) parse(raw string, limit int) (t jose.JWS, claims map[string]any, err error) {
	if t, err = jose.Parse(raw, limit, nil); err != nil {
		return t, nil, err
	}
	if claims, err = jose.DecodeObject(t.Payload); err != nil {
		return t, nil, fmt.Errorf("claims: %w", err)
	}
	switch {
	case claims["iss"] != i.identifier:
		err = ErrUnknownIssuer
	case !i.signatures.allows(&t):
		err = errAlgorithm
	}
	return t, claims, err
}
