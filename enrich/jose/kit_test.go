package jose

import "github.com/tokenenrich/caddy-token-enrich/enrich/jose/josetest"

// The keys and signatures of package josetest, by shorter names.
var (
	rsaKey, otherRSAKey, ecKeys, edKey = josetest.RSAKey, josetest.OtherRSAKey, josetest.ECKeys, josetest.Ed25519Key

	signerKey, sign, jwk, keySetText = josetest.SignerKey, josetest.Sign, josetest.JWK, josetest.KeySet

	allKeys = josetest.AllKeys
)

func must[T any](v T, err error) T { return josetest.Must(v, err) }
