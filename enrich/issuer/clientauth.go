package issuer

import (
	"fmt"

	"github.com/tokenenrich/caddy-token-enrich/enrich/jose"
	"github.com/tokenenrich/caddy-token-enrich/enrich/oauthclient"
)

// newAuthentication returns how the gateway proves to the introspection endpoint
// which client it is. It reads the file of a private key. The audience of an
// assertion is the issuer itself, which no other server can take for its own.
func newAuthentication(in Introspection, identifier string, o Options) (oauthclient.Authentication, error) {
	switch in.AuthMethod {
	case authPost:
		return oauthclient.SecretPost(in.ClientID, in.ClientSecret), nil
	case authBasic:
		return oauthclient.SecretBasic(in.ClientID, in.ClientSecret), nil
	}
	key, err := jose.ReadPrivateKey(in.PrivateKey)
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	if in.KeyID != "" {
		key.ID = in.KeyID
	}
	assertion, err := oauthclient.NewAssertion(oauthclient.AssertionOptions{
		ClientID: in.ClientID, Audience: identifier, Key: key, Clock: o.Clock, Rand: o.Rand,
	})
	if err != nil {
		return nil, fmt.Errorf("private_key: %w", err)
	}
	return oauthclient.PrivateKeyJWT(assertion), nil
}
