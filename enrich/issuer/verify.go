package issuer

import (
	"context"
	"fmt"
	"time"

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
	if !i.allowed[t.Header.Algorithm] {
		return nil, 0, ErrAlgorithm
	}
	version, err := i.verifySignature(ctx, t)
	if err != nil {
		return nil, 0, err
	}
	p, err := i.judge(t.Header.Type, claims, i.clock())
	if err != nil {
		return nil, 0, err
	}
	return p, version, nil
}

// verifySignature checks the signature with the issuer's keys. Where none of
// them verifies, the right one may be new, also under a kid that is known: some
// issuers name every key alike. So a newer set is looked for.
func (i *Issuer) verifySignature(ctx context.Context, t *jose.JWS) (uint64, error) {
	now := i.clock()
	st, err := i.keys.ready(ctx, now)
	if err != nil {
		return 0, err
	}
	err = st.set.Verify(t)
	if err == nil {
		return st.version, nil
	}
	next, failure := i.keys.newer(ctx, st, t.Header.KeyID, now)
	switch {
	case next == nil && (failure == nil || st.set.Has(t.Header.KeyID)):
		return 0, err // the key of that kid is known, and it is not this one
	case failure != nil:
		return 0, failure
	}
	return next.version, next.set.Verify(t)
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
	case !i.allowed[t.Header.Algorithm]:
		return nil, ErrAlgorithm
	case t.Header.Type != typ && t.Header.Type != "jwt" && t.Header.Type != "":
		return nil, ErrType
	}
	if _, err := i.verifySignature(ctx, &t); err != nil {
		return nil, err
	}
	return claims, nil
}

// judge checks what a verified token says, at now.
func (i *Issuer) judge(typ string, claims map[string]any, now time.Time) (*identity.Principal, error) {
	if err := i.checkType(typ); err != nil {
		return nil, err
	}
	if err := i.checkKind(typ, claims); err != nil {
		return nil, err
	}
	if err := i.checkAudience(claims); err != nil {
		return nil, err
	}
	d, err := i.readDates(claims, now, true)
	if err != nil {
		return nil, err
	}
	if i.only9068 {
		for _, name := range required9068 {
			if claims[name] == nil || claims[name] == "" {
				return nil, fmt.Errorf("%s is missing: %w", name, ErrClaims)
			}
		}
	}
	return i.principal(claims, d)
}
