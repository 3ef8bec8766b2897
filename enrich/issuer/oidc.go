package issuer

import (
	"context"

	"github.com/coreos/go-oidc/v3/oidc"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
)

// This file is where go-oidc meets the issuer: it gets our metadata and verifies
// over our keys. Fetching both stays ours, with its bounds, and so do the checks
// of bearer tokens.

// Provider returns the issuer for go-oidc, with the endpoints of its metadata,
// which are fetched if need be. Errors wrap ErrUnavailable.
//
// The provider has no jwks_uri: go-oidc's own key set has no bound on its
// answers and keeps keys without end, so what it would verify itself fails. Use
// IDTokenVerifier instead. Requests that it makes take the client of their
// context (oidc.ClientContext).
func (i *Issuer) Provider(ctx context.Context) (*oidc.Provider, error) {
	m, err := i.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	config := oidc.ProviderConfig{
		IssuerURL: m.Issuer, AuthURL: m.AuthorizationEndpoint, TokenURL: m.TokenEndpoint, UserInfoURL: m.UserinfoEndpoint,
		Algorithms: i.signatures.names,
	}
	return config.NewProvider(ctx), nil
}

// IDTokenVerifier returns go-oidc's verifier over the issuer's keys, algorithms
// and clock, which replace those of config. It fetches keys only as Set.Verify
// would.
func (i *Issuer) IDTokenVerifier(config oidc.Config) *oidc.IDTokenVerifier {
	return i.verifierOver(i, config)
}

func (i *Issuer) verifierOver(keys oidc.KeySet, config oidc.Config) *oidc.IDTokenVerifier {
	config.SupportedSigningAlgs, config.Now = i.signatures.names, i.clock
	return oidc.NewVerifier(i.identifier, keys, &config)
}

// VerifySignature implements oidc.KeySet: it checks form, algorithm and
// signature of a token and returns its payload. What the payload says is for
// the caller to check.
func (i *Issuer) VerifySignature(ctx context.Context, raw string) ([]byte, error) {
	t, err := jose.Parse(raw, maxBody, nil)
	if err != nil {
		return nil, err
	}
	if !i.signatures.allows(&t) {
		return nil, errAlgorithm
	}
	if _, err := i.signatures.verify(ctx, &t); err != nil {
		return nil, err
	}
	return t.Payload, nil
}

// A causeKeeper is a KeySet that keeps the error of one verification: go-oidc
// passes on its text alone, which does not distinguish a bad signature from keys that
// cannot be had.
type causeKeeper struct {
	oidc.KeySet
	cause error
}

// VerifySignature implements oidc.KeySet.
func (k *causeKeeper) VerifySignature(ctx context.Context, raw string) (payload []byte, err error) {
	payload, k.cause = k.KeySet.VerifySignature(ctx, raw)
	return payload, k.cause
}

// Interface guards
var (
	_ oidc.KeySet = (*Issuer)(nil)
	_ oidc.KeySet = (*causeKeeper)(nil)
)
